"""Decides who may do what: one table for every route of the API and every form of the pages.

Routes look themselves up here; one that is not in the table answers nobody. The table in
``docs/api.md`` is printed from this one (``as_markdown``), and a test asks every route.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from service.domain.errors import InvariantError
from service.store.states import Role


class Reach(StrEnum):
    """What of it somebody sees whose token or sign-in is limited to some accounts.

    ``anybody``: it shows nothing of any account. ``own``: only what is of those accounts.
    ``whole``: nothing, because it is about all accounts together.
    """

    ANYBODY = "anybody"
    OWN = "own"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Rule:
    """One route: the least role (``None``: no token at all), and how far account limits reach."""

    method: str
    path: str
    role: Role | None
    reach: Reach

    @property
    def opens_to_readers(self) -> bool:
        """True when ``TENOR_OPEN_READS`` lets anybody use it: reading, by the least role."""
        return self.method == "GET" and self.role is Role.VIEWER


def _reads(reach: Reach, *paths: str, role: Role | None = Role.VIEWER) -> list[Rule]:
    return [Rule("GET", path, role, reach) for path in paths]


def _changes(role: Role, reach: Reach, *paths: str) -> list[Rule]:
    return [Rule("POST", path, role, reach) for path in paths]


API: tuple[Rule, ...] = (
    *_reads(Reach.ANYBODY, "/healthz", "/readyz", "/problems", "/problems/{slug}", role=None),
    *_reads(Reach.ANYBODY, "/v1/me", "/v1/halt"),
    *_reads(
        Reach.OWN,
        "/v1/status",
        "/v1/proposals",
        "/v1/proposals/{proposal_id}",
        "/v1/holds",
        "/v1/alterations",
        "/v1/alterations/{alteration_id}",
        "/v1/commitments",
        "/v1/exports/commitments",
    ),
    *_reads(
        Reach.WHOLE,
        "/v1/cycles",
        "/v1/cycles/{cycle_id}",
        "/v1/plans",
        "/v1/plans/{plan_id}",
        "/v1/policies",
        "/v1/audit",
        # Drawn from the usage of all accounts that the provider shares commitments between.
        "/v1/proposals/{proposal_id}/picture",
        "/v1/events/stream",
        "/v1/exports/bills",
        "/metrics",
    ),
    *_changes(
        Role.APPROVER,
        Reach.OWN,
        "/v1/proposals/{proposal_id}/approve",
        "/v1/proposals/{proposal_id}/reject",
        "/v1/proposals/{proposal_id}/withdraw",
        "/v1/alterations/{alteration_id}/approve",
        "/v1/alterations/{alteration_id}/reject",
    ),
    *_changes(Role.OPERATOR, Reach.OWN, "/v1/proposals/{proposal_id}/expire"),
    *_changes(Role.OPERATOR, Reach.WHOLE, "/v1/halt", "/v1/halt/resume"),
    *_reads(Reach.WHOLE, "/v1/tokens", "/v1/sessions", role=Role.ADMIN),
    *_changes(
        Role.ADMIN,
        Reach.WHOLE,
        "/v1/tokens/{token_id}/revoke",
        "/v1/sessions/{session_id}/revoke",
        "/v1/sessions/revoke",
    ),
)
"""Every route of the API."""

FORMS: tuple[Rule, ...] = (
    *_changes(
        Role.APPROVER,
        Reach.OWN,
        "/proposals/{proposal_id}/approve",
        "/proposals/{proposal_id}/reject",
        "/proposals/{proposal_id}/withdraw",
        "/alterations/{alteration_id}/approve",
        "/alterations/{alteration_id}/reject",
    ),
    *_changes(Role.VIEWER, Reach.WHOLE, "/policy/try"),
    *_changes(Role.OPERATOR, Reach.WHOLE, "/halt/set", "/halt/resume"),
)
"""Every form of the pages, the sign-in apart. ``/policy/try`` computes, and changes nothing."""

_BY_ROUTE = {(rule.method, rule.path): rule for rule in (*API, *FORMS)}


def rule_of(method: str, path: str) -> Rule:
    """The rule of a route; ``InvariantError`` for one that nobody wrote down."""
    found = _BY_ROUTE.get((method, path))
    if found is None:
        msg = f"nobody said who may {method} {path}"
        raise InvariantError(msg)
    return found


_SEEN = {
    Reach.ANYBODY: "all",
    Reach.OWN: "what is of those accounts",
    Reach.WHOLE: "no",
}


def as_markdown(rules: Iterable[Rule] = API) -> str:
    """The table as the documentation shows it."""
    lines = [
        "| route | no token | viewer | approver | operator | admin | limited to accounts |",
        "|---|---|---|---|---|---|---|",
    ]
    roles = list(Role)
    for rule in rules:
        if rule.role is None:
            may = ["yes"] * (1 + len(roles))
        else:
            least = roles.index(rule.role)
            may = ["opened" if rule.opens_to_readers else "no"]
            may += ["yes" if index >= least else "no" for index in range(len(roles))]
        lines.append(f"| `{rule.method} {rule.path}` | {' | '.join(may)} | {_SEEN[rule.reach]} |")
    return "\n".join(lines)
