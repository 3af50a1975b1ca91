"""Which scope of a policy holds for a purchase, and so what Tenor may do with it.

The most specific matching scope decides: the one that states the most fields. Where two state
equally many, the more cautious mode wins, so the order of scopes in the file never matters. The
ceilings of every matching scope hold, on top of the policy's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.commitments import Kind
from service.guard.context import Target
from service.guard.fields import Mode
from service.guard.language import ANYTHING, UNBOUND, Match, Policy, Scope


def mode_for(
    policy: Policy,
    *,
    provider: str,
    account: str,
    region: str | None,
    family: str | None,
    kind: Kind,
    term_months: int | None = None,
) -> Mode:
    """What may be done with a purchase: the mode of the most specific scope, or the policy's.

    A scope that states terms does not match where ``term_months`` is ``None``.
    """
    return mode_of(policy, Target(provider, account, region, family, kind, term_months or 0))


def mode_of(policy: Policy, target: Target) -> Mode:
    """The mode that holds for ``target``."""
    matching = scopes_for(policy, target)
    if not matching:
        return policy.mode
    most = max(fields_stated(scope.match) for scope in matching)
    return min(
        (scope.mode for scope in matching if fields_stated(scope.match) == most),
        key=lambda mode: mode.freedom,
    )


def scopes_for(policy: Policy, target: Target) -> tuple[Scope, ...]:
    """Every scope that matches ``target``, in the file's order."""
    return tuple(scope for scope in policy.scopes if matches(scope.match, target))


def matches(match: Match, target: Target) -> bool:
    """True when each field that ``match`` states holds the target's value."""
    return all(
        wanted is None or actual in wanted or ANYTHING in wanted
        for wanted, actual in (
            (match.providers, target.provider),
            (match.accounts, target.account),
            (match.regions, target.region or UNBOUND),
            (match.families, target.family or UNBOUND),
            (match.kinds, target.kind),
            (match.terms_months, target.term_months),
        )
    )


def fields_stated(match: Match) -> int:
    """How specific a match is: the number of fields that it states."""
    stated: Sequence[object] = (
        match.providers,
        match.accounts,
        match.regions,
        match.families,
        match.kinds,
        match.terms_months,
    )
    return sum(value is not None for value in stated)
