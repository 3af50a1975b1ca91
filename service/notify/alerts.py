"""Decides what is worth an alert among the events of the ledger; ``standing`` has the rest.

An alert's ``key`` names the fact it tells of. The same fact makes the same key, however often it
is looked at, and a key is told once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from service.domain.hours import iso
from service.notify.about import About, linked, words_of


class Severity(StrEnum):
    """How soon somebody must look, least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for critical."""
        return list(Severity).index(self)


class AlertKind(StrEnum):
    """What an alert is about."""

    PROPOSAL_WAITING = "proposal_waiting"
    PROPOSAL_EXPIRING = "proposal_expiring"
    PURCHASE_MADE = "purchase_made"
    PURCHASE_REFUSED = "purchase_refused"
    PURCHASE_UNKNOWN = "purchase_unknown"
    CHANGE_MADE = "change_made"
    CHANGE_UNKNOWN = "change_unknown"
    UNDO_NOT_JUDGED = "undo_not_judged"
    DRIFT = "drift"
    DATA_LATE = "data_late"
    UTILIZATION_LOW = "utilization_low"
    EXPIRY_AHEAD = "expiry_ahead"
    BUDGET_REACHED = "budget_reached"
    AUTOPILOT_DEMOTED = "autopilot_demoted"
    POLICY_UNREADABLE = "policy_unreadable"
    HALT = "halt"
    CYCLE_FAILED = "cycle_failed"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell. ``data`` is what a program would want, as JSON values."""

    key: str
    kind: AlertKind
    severity: Severity
    title: str
    body: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: AlertKind
    severity: Severity
    title: str
    body: str


_WARN, _CRIT, _INFO = Severity.WARNING, Severity.CRITICAL, Severity.INFO

_OF_EVENT: Mapping[str, _Rule] = {
    "proposal.recorded": _Rule(
        AlertKind.PROPOSAL_WAITING,
        _INFO,
        "A proposal waits for you",
        "{what}: {commit_usd_per_hour}, {upfront_usd} upfront.{saves} It waits until {expires_at} "
        "({proposal}).",
    ),
    "proposal.refused": _Rule(
        AlertKind.PURCHASE_REFUSED,
        _WARN,
        "An approved proposal was refused",
        "{what} was approved, and the check before buying said no: {rule}, {detail} ({proposal}).",
    ),
    "purchase.bought": _Rule(
        AlertKind.PURCHASE_MADE,
        _INFO,
        "A commitment was bought",
        "{what}: {commit_usd_per_hour}, {upfront_usd} upfront.{saves} It is {commitment}.",
    ),
    "purchase.refused": _Rule(
        AlertKind.PURCHASE_REFUSED,
        _WARN,
        "A purchase was refused",
        "{what} was refused, nothing was bought: {code}, {detail} (intent {intent}).",
    ),
    "purchase.unknown": _Rule(
        AlertKind.PURCHASE_UNKNOWN,
        _CRIT,
        "Whether something was bought is not known",
        "{what}: {detail}. Nothing more is bought in its scope until the inventory settles it "
        "(intent {intent}). See docs/runbooks/unknown-outcome.md.",
    ),
    "alteration.asked": _Rule(
        AlertKind.PROPOSAL_WAITING,
        _INFO,
        "Something owned is to be changed",
        "To do: {alteration}. {what}: {reason} ({sources}).",
    ),
    "alteration.altered": _Rule(
        AlertKind.CHANGE_MADE,
        _INFO,
        "A commitment was changed",
        "{what}: done, {evidence}. {pay_usd} paid, {refund_usd} refunded (alteration {intent}).",
    ),
    "alteration.unknown": _Rule(
        AlertKind.CHANGE_UNKNOWN,
        _CRIT,
        "Whether a commitment was changed is not known",
        "{what}: {detail} (alteration {intent}). See docs/runbooks/unknown-outcome.md.",
    ),
    "undo.not_judged": _Rule(
        AlertKind.UNDO_NOT_JUDGED,
        _WARN,
        "A recent purchase could not be looked at again",
        "{what}: whether it should be given back could not be judged, {detail}. It stays; the time "
        "in which it can be given back for nothing goes on ({commitment}).",
    ),
    "reconcile.drift": _Rule(
        AlertKind.DRIFT,
        _CRIT,
        "Ledger and inventory differ",
        "{finding}: {detail}. See docs/runbooks/drift.md.",
    ),
    "usage.refused": _Rule(
        AlertKind.DATA_LATE,
        _WARN,
        "Usage could not be read",
        "{source}: {rule}, {detail}",
    ),
    "autopilot.demoted": _Rule(
        AlertKind.AUTOPILOT_DEMOTED,
        _CRIT,
        "Autopilot fell back to copilot",
        "{rule}: {detail}. A person must restore it.",
    ),
    "halt.set": _Rule(AlertKind.HALT, _CRIT, "Buying is halted", "By {by}: {reason}"),
    "halt.cleared": _Rule(AlertKind.HALT, _INFO, "Buying goes on", "By {by}: {reason}"),
    "policy.halted": _Rule(
        AlertKind.HALT,
        _CRIT,
        "The policy halts buying",
        "The policy {policy} says halt: true. Nothing is bought until it is taken out.",
    ),
    "policy.halt_ended": _Rule(
        AlertKind.HALT, _INFO, "The policy halts no more", "The policy {policy} halts no more."
    ),
    "policy.refused": _Rule(
        AlertKind.POLICY_UNREADABLE,
        _CRIT,
        "The policy cannot be read",
        "{file}, {detail}. Nothing is bought until it can be read.",
    ),
    "policy.restored": _Rule(
        AlertKind.POLICY_UNREADABLE, _INFO, "The policy can be read again", "{file} is in force."
    ),
    "cycle.failed": _Rule(
        AlertKind.CYCLE_FAILED, _WARN, "A decision cycle failed", "{cycle}: {error}, {detail}"
    ),
}
"""What each kind of event tells; an event that is not here tells nobody."""


def tells(kind: str) -> bool:
    """True when an event of this kind is worth an alert."""
    return kind in _OF_EVENT


def of_event(  # the event's parts, and what is known of what it names
    kind: str,
    sequence: int,
    at: datetime,
    payload: Mapping[str, Any],
    *,
    about: About | None = None,
    address: str = "",
) -> Alert | None:
    """The alert of one event of the ledger, or ``None``.

    ``about`` puts what the event names by its ids into words; ``address`` is where browsers reach
    the pages, empty where that is not known.
    """
    rule = _OF_EVENT.get(kind)
    if rule is None:
        return None
    return Alert(
        key=_key_of(kind, sequence, at, payload),
        kind=rule.kind,
        severity=rule.severity,
        title=rule.title,
        body=linked(rule.body.format_map(words_of(payload, about)), about, address),
        at=at,
        data={"event": kind, "sequence": sequence, **payload},
    )


def _key_of(kind: str, sequence: int, at: datetime, payload: Mapping[str, Any]) -> str:
    """One key an event; what one cause says of every recent purchase is told once a day."""
    if kind != "undo.not_judged":
        return f"event:{sequence}"
    return f"undo_not_judged:{iso(at)[:10]}:{payload.get('detail', '-')}"


def at_least(alerts: Iterable[Alert], severity: Severity) -> tuple[Alert, ...]:
    """Those of ``alerts`` that are as severe as ``severity``, or more."""
    return tuple(one for one in alerts if one.severity.rank >= severity.rank)
