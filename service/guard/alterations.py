"""The guard's word on one alteration of what is owned: every rule, with both numbers.

The same shape as for purchases: a rule refuses where its fact is missing, and the strictest result
is the verdict. What was paid for alterations that are under way, or of unknown outcome, counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    AlterationState,
)
from service.domain.ids import CommitmentId, LineId
from service.domain.plans import Decision, RuleResult, Verdict
from service.domain.purchases import InventoryItem
from service.guard.context import DAY, Spend, Target, provider_of
from service.guard.fields import Mode
from service.guard.holds import Hold
from service.guard.language import Policy
from service.guard.obliging import Obliged, TargetEvidence, judge_targets
from service.guard.results import at_least, at_most, flag, strictest
from service.guard.scopes import mode_of
from service.guard.windows import blackout_at

YEAR = timedelta(days=365)
PAID = frozenset(
    {
        AlterationState.RECORDED,
        AlterationState.CALLING,
        AlterationState.UNKNOWN,
        AlterationState.ALTERED,
    }
)
"""States whose payment counts: everything that was written down, but a proven no."""

_RATCHETED = frozenset({AlterationKind.EXCHANGE})


@dataclass(frozen=True, slots=True)
class AlterationFacts:
    """What is known at the moment of judging. ``others``: all alterations but the one judged.

    ``sources`` are what is to be altered, as listed last; ``open_outcome``: something in the
    account is under way or unknown. ``obligation_usd``: all that is owed over the terms of what is
    live, in flight and unknown included, ``spent`` the same purchase by purchase. ``approved``: a
    person said yes, ``approvals`` how many did. ``holds``: what people rejected, or was given
    back. ``ours``: the sources that this service bought. ``evidence``: what the targets are worth,
    for what obliges to more.
    """

    now: datetime
    halted: bool | None
    holds_lease: bool | None
    inventory_age_hours: Decimal | None
    sources: tuple[InventoryItem, ...]
    others: tuple[Alteration, ...] | None
    open_outcome: bool | None
    obligation_usd: Decimal | None
    run: str
    approved: bool
    demoted: frozenset[str]
    approvals: int = 0
    spent: tuple[Spend, ...] | None = None
    holds: tuple[Hold, ...] = ()
    ours: frozenset[CommitmentId] = frozenset()
    evidence: TargetEvidence | None = None


def judge_alteration(
    order: AlterationOrder, quote: AlterationQuote, *, policy: Policy, facts: AlterationFacts
) -> Verdict:
    """A verdict under the alteration's own id. ``needs_sign_off``: only after a person's yes."""
    results = (
        *_moment(policy, facts),
        *(_mode(item, policy, facts) for item in facts.sources),
        *_order(order, quote, policy, facts),
        *_payments(quote, policy, facts),
        *_obligation(quote, policy, facts),
        *_returns(order, policy, facts),
        *_refund(order, quote, policy, facts),
        *_origin(order, facts),
        *judge_targets(order, quote, policy, _obliged(facts)),
    )
    return Verdict(LineId(order.intent), strictest(results), results)


def mode_of_item(item: InventoryItem, policy: Policy, demoted: frozenset[str]) -> Mode:
    """What may be done with ``item``: its scope's mode; copilot where autopilot gave itself up."""
    target = Target(
        provider_of(item),
        item.commitment.account,
        item.region,
        item.family,
        item.kind,
        item.term_months,
    )
    mode = mode_of(policy, target)
    given_up = mode is Mode.AUTOPILOT and target.provider in demoted
    return Mode.COPILOT if given_up else mode


def _moment(policy: Policy, facts: AlterationFacts) -> Iterator[RuleResult]:
    running = facts.halted is False and not policy.halt
    told = "not known" if facts.halted is None else ("running" if running else "halted")
    yield flag("halt", wanted="running", actual=told, passed=running)
    held = {True: "held", False: "lost", None: "not known"}[facts.holds_lease]
    yield flag("lease", wanted="held", actual=held, passed=facts.holds_lease is True)
    window = blackout_at(policy.blackouts, facts.now)
    yield flag("blackout", wanted="none", actual=window or "none", passed=window is None)
    yield at_most(
        "inventory_age",
        policy.freshness.max_inventory_age_hours,
        facts.inventory_age_hours,
        unit="h",
    )
    told = {True: "open", False: "none", None: "not known"}[facts.open_outcome]
    free = facts.open_outcome is False
    yield flag("open_unknown", wanted="none", actual=told, passed=free)


def _mode(item: InventoryItem, policy: Policy, facts: AlterationFacts) -> RuleResult:
    mode = mode_of_item(item, policy, facts.demoted)
    decision = {
        Mode.OBSERVE: Decision.REFUSE,
        Mode.COPILOT: Decision.ALLOW if facts.approved else Decision.NEEDS_SIGN_OFF,
        Mode.AUTOPILOT: Decision.ALLOW,
    }[mode]
    return RuleResult("mode", decision, Mode.AUTOPILOT.value, mode.value, "")


def _order(
    order: AlterationOrder, quote: AlterationQuote, policy: Policy, facts: AlterationFacts
) -> Iterator[RuleResult]:
    kinds = policy.alterations.allowed
    yield flag(
        "alteration",
        wanted=", ".join(kind.value for kind in kinds) or "none",
        actual=order.alteration.value,
        passed=order.alteration in kinds,
    )
    listed = {item.commitment.commitment for item in facts.sources}
    whole = listed == set(order.sources) and bool(order.sources)
    yield flag("sources", wanted="listed", actual="listed" if whole else "missing", passed=whole)
    said = "allowed" if quote.allowed else "not allowed"
    yield flag(
        "provider_allows", wanted="allowed", actual=said, passed=quote.allowed, detail=quote.detail
    )
    if order.alteration in _RATCHETED:
        yield at_least("value_ratchet", quote.source_value_usd, quote.target_value_usd, unit="USD")


def _payments(
    quote: AlterationQuote, policy: Policy, facts: AlterationFacts
) -> Iterator[RuleResult]:
    limits = policy.alterations
    since = facts.now - DAY
    paid = None if facts.others is None else [one for one in facts.others if one.state in PAID]
    spans = (
        ("run_pay", limits.max_pay_usd_per_run, lambda one: one.run == facts.run),
        ("day_pay", limits.max_pay_usd_per_day, lambda one: _at(one) > since),
        ("total_pay", limits.max_pay_usd_in_total, lambda _: True),
    )
    for rule, limit, counts in spans:
        total = None if paid is None else quote.pay_usd + _sum(o for o in paid if counts(o))
        yield at_most(rule, limit, total, unit="USD")


def _obligation(
    quote: AlterationQuote, policy: Policy, facts: AlterationFacts
) -> Iterator[RuleResult]:
    """What obliges to more must fit under the cap on everything owed; giving back always may."""
    more = quote.target_value_usd - quote.source_value_usd
    if more > 0:
        owed = None if facts.obligation_usd is None else facts.obligation_usd + more
        yield at_most("total_obligation", policy.caps.in_total.obligation_usd, owed, unit="USD")


def _returns(
    order: AlterationOrder, policy: Policy, facts: AlterationFacts
) -> Iterator[RuleResult]:
    if order.alteration is not AlterationKind.RETURN:
        return
    since = facts.now - YEAR
    providers = {provider_of(item) for item in facts.sources}
    used = None
    if facts.others is not None:
        used = Decimal(1 + _returned(facts.others, providers, since))
    yield at_most("returns", policy.alterations.max_returns_per_year, used, unit="returns")

    if facts.approved:
        return
    # A quota is soon used up, and one return changes what the next would be worth.
    today = None
    if facts.others is not None:
        here = [one for one in facts.others if one.order.account == order.account]
        today = Decimal(1 + _returned(here, providers, facts.now - DAY))
    yield at_most("returns_today", Decimal(1), today, unit="returns")


def _refund(
    order: AlterationOrder, quote: AlterationQuote, policy: Policy, facts: AlterationFacts
) -> Iterator[RuleResult]:
    """The cash that was paid for the time that is left comes back, but for what may be lost."""
    if order.alteration is not AlterationKind.RETURN:
        return
    left = sum((_unused_cash_usd(item, order, facts.now) for item in facts.sources), Decimal(0))
    least = left * (1 - policy.alterations.return_loss_ratio)
    yield at_least("refund", least, quote.refund_usd, unit="USD")


def _unused_cash_usd(item: InventoryItem, order: AlterationOrder, now: datetime) -> Decimal:
    owned = item.commitment
    whole = Decimal((owned.end - owned.start).total_seconds())
    left = Decimal((owned.end - max(now, owned.start)).total_seconds())
    remains = sum((target.quantity for target in order.targets), Decimal(0))
    if whole <= 0 or owned.quantity <= 0:
        return item.upfront_usd
    given = 1 - min(Decimal(1), remains / owned.quantity)
    return item.upfront_usd * max(Decimal(0), left / whole) * given


def _origin(order: AlterationOrder, facts: AlterationFacts) -> Iterator[RuleResult]:
    """What others bought is theirs: nothing becomes of it without a person's yes."""
    foreign = sorted(set(order.sources) - facts.ours)
    passed = facts.approved or not foreign
    yield RuleResult(
        "origin",
        Decision.ALLOW if passed else Decision.NEEDS_SIGN_OFF,
        "bought by Tenor, or signed off",
        ", ".join(foreign) or "bought by Tenor",
        "" if passed else "somebody else bought it",
    )


def _obliged(facts: AlterationFacts) -> Obliged:
    return Obliged(
        now=facts.now,
        sources=facts.sources,
        spent=facts.spent,
        holds=facts.holds,
        approvals=max(facts.approvals, int(facts.approved)) if facts.approved else 0,
        demoted=facts.demoted,
        evidence=facts.evidence,
    )


def _returned(others: Sequence[Alteration], providers: set[str], since: datetime) -> int:
    return sum(
        one.order.alteration is AlterationKind.RETURN
        and one.provider in providers
        and one.state in PAID
        and _at(one) > since
        for one in others
    )


def _at(one: Alteration) -> datetime:
    return one.recorded_at or one.asked_at


def _sum(counted: Iterator[Alteration]) -> Decimal:
    return sum((one.pay_usd for one in counted), Decimal(0))
