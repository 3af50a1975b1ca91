"""What a policy leaves room for before anything is planned: offerings it permits, caps left.

The guard has the last word on every line (``rules.judge``). These answer the planner's question
in advance, so that it does not plan what could only be refused: a refused line still holds its
place in the run's caps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from service.domain.commitments import QUEUEABLE_KINDS, Offering
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId
from service.domain.plans import Refusal
from service.guard.caps import Sum, total, used
from service.guard.checks import choices
from service.guard.context import GuardContext, Spend, Target
from service.guard.language import Amounts, Caps, Policy
from service.guard.scopes import matches, scopes_for
from service.guard.starts import delay_hours

ZERO = Decimal(0)


def purchase_account(policy: Policy, provider: str) -> AccountId | None:
    """The account that the policy names for purchases at ``provider``, if it names one."""
    named: str | None = getattr(policy.purchase_accounts, provider, None)
    return None if named is None else AccountId(named)


def target_for(offering: Offering, account: AccountId) -> Target:
    """What buying ``offering`` in ``account`` would be for."""
    return Target(
        offering.provider,
        account,
        offering.region,
        offering.family,
        offering.kind,
        offering.term_months,
    )


def permitted(
    offerings: Sequence[Offering], *, policy: Policy, account: AccountId
) -> tuple[tuple[Offering, ...], tuple[Refusal, ...]]:
    """The offerings that the policy allows to be bought in ``account``, and why not the others."""
    kept: list[Offering] = []
    refusals: list[Refusal] = []
    for offering in offerings:
        target = target_for(offering, account)
        refused = [
            result
            for result in choices(target, offering.payment, policy=policy)
            if result.decision.value != "allow"
        ]
        if offering.kind not in QUEUEABLE_KINDS and delay_hours(policy, target) > 0:
            refusals.append(_not_queued(offering))
        elif not refused:
            kept.append(offering)
        refusals += [
            Refusal(
                result.rule,
                offering.offering,
                f"{result.actual} is not among what is allowed: {result.limit}",
            )
            for result in refused
        ]
    return tuple(kept), tuple(refusals)


def _not_queued(offering: Offering) -> Refusal:
    detail = (
        f"{offering.kind} cannot be queued, and the policy wants a delay; a scope with "
        "purchase_delay_hours: 0 lets it be bought at once"
    )
    return Refusal("start", offering.offering, detail)


@dataclass(frozen=True, slots=True)
class Room:
    """What one more line may come to: USD/h committed, USD upfront, USD owed over its term."""

    commit_usd_per_hour: Decimal
    upfront_usd: Decimal
    obligation_usd: Decimal

    def most_usd_per_hour(self, term_months: int, upfront_usd_per_commit_usd: Decimal) -> Decimal:
        """The largest hourly commitment that fits, USD/h ≥ 0, rounded to no step.

        ``upfront_usd_per_commit_usd``: dollars due at purchase for each dollar per hour.
        """
        fits = [self.commit_usd_per_hour, self.obligation_usd / TERM_HOURS[term_months]]
        if upfront_usd_per_commit_usd > 0:
            fits.append(self.upfront_usd / upfront_usd_per_commit_usd)
        return max(ZERO, min(fits))


def room_for(
    target: Target,
    *,
    policy: Policy,
    context: GuardContext,
    asked: Sequence[tuple[Target, Sum]],
    begun: Sum | None = None,
) -> Room:
    """What the caps leave for a line for ``target``, after what is spent and ``asked`` already.

    ``begun``: what the very line comes to so far, where it is to bring more. Nothing where past
    spending is not known. Considers the policy's caps and those of every matching scope.
    """
    if context.spent is None:
        return Room(ZERO, ZERO, ZERO)
    own = begun or Sum()
    everything = total(amount for _, amount in asked)
    rooms = [_left(policy.caps, context.spent, everything, own, now=context.now)]
    for scope in scopes_for(policy, target):
        if scope.caps is not None:
            inside = total(amount for other, amount in asked if matches(scope.match, other))
            spent = tuple(item for item in context.spent if matches(scope.match, item.target))
            rooms.append(_left(scope.caps, spent, inside, own, now=context.now))
    return _least(rooms)


def _left(caps: Caps, spent: tuple[Spend, ...], asked: Sum, own: Sum, *, now: datetime) -> Room:
    rooms = [_under(caps.per_line, own)]
    for _, cap, already in used(caps, spent, now=now):
        rooms.append(_under(cap, asked + own + (already or Sum())))
    return _least(rooms)


def _under(cap: Amounts, gone: Sum) -> Room:
    return Room(
        _minus(cap.commit_usd_per_hour, gone.commit_usd_per_hour),
        _minus(cap.upfront_usd, gone.upfront_usd),
        _minus(cap.obligation_usd, gone.obligation_usd),
    )


def _minus(cap: Decimal, gone: Decimal) -> Decimal:
    return max(ZERO, cap - gone) if gone.is_finite() else ZERO


def _least(rooms: Sequence[Room]) -> Room:
    return Room(
        min(room.commit_usd_per_hour for room in rooms),
        min(room.upfront_usd for room in rooms),
        min(room.obligation_usd for room in rooms),
    )
