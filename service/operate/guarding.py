"""Decides what the guard is told: once for a whole plan, and again for each line at execution.

At execution the line is first held against what is on sale now: a Savings Plan's quote cannot
show that its rates have risen. Then it is valued again on the newest usage, beside everything
that is owned by now. Where that is worse than what the plan promised, the guard judges the worse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from service.billing.bill import Bill
from service.billing.market import Market, compile_market
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.hours import MONTH_HOURS, TERM_HOURS, floor_hour
from service.domain.ids import CommitmentId, LineId, OfferingId, PlanId
from service.domain.plans import Decision, Plan, PlanLine, RuleResult, Verdict
from service.domain.purchases import Intent, InventoryItem
from service.guard.context import (
    GuardContext,
    PoolSize,
    Spend,
    provider_of,
    spent_so_far,
    unknown_targets,
)
from service.guard.holds import Hold
from service.guard.policy import Policy
from service.guard.results import at_most, flag
from service.guard.rules import judge
from service.operate.situation import Situation, age_hours, billed
from service.plan.estimated import RULE as ESTIMATED_HOURS
from service.plan.estimated import on_level
from service.purchase.desk import Facts
from service.store.holdings import expected

REPLAY_HOURS = 28 * 24
"""How much of the newest usage a line is valued on again before it is bought."""

RATE_TOLERANCE_RATIO = Decimal("0.001")
"""How far a covered SKU's rate may lie above the one that the line was planned at."""

_LINE = "the line itself"


def context_of(
    situation: Situation,
    *,
    gap_ratio: Decimal | None,
    coverage_ratio_after: Decimal | None,
    utilization_ratio_after: Decimal | None,
    lines: Sequence[PlanLine],
    plan: PlanId,
    intents: Sequence[Intent],
    inventory: Sequence[InventoryItem],
    halted: bool,
    holds_lease: bool,
    signed_off: frozenset[LineId] = frozenset(),
    holds: tuple[Hold, ...] = (),
    approvals: Mapping[LineId, int] | None = None,
    beside: frozenset[PlanId] = frozenset(),
    demoted: frozenset[str] = frozenset(),
    altering: tuple[Spend, ...] | None = (),
    starts_decided_at: datetime | None = None,
) -> GuardContext:
    """The facts of ``situation``, dated against its ``now``, for judging ``lines``.

    ``altering`` counts beside the purchases; ``None``: what is spent is not known. What it sets
    aside was never bought: neither the intent nor the holding counts against a cap.
    """
    now = situation.now
    intents, inventory = _without(situation.set_aside, intents, inventory)
    spent = spent_so_far(
        intents,
        inventory,
        now=now,
        run=plan,
        beside=beside,
        excluding=frozenset(line.line for line in lines),
    )
    return GuardContext(
        now=now,
        halted=halted,
        holds_lease=holds_lease,
        data_age_hours=age_hours(now, situation.usage_through),
        prices_age_hours=age_hours(now, situation.prices.taken_at),
        inventory_age_hours=oldest_reading_hours(situation),
        inventory_detail=too_old(situation),
        gap_ratio=gap_ratio,
        coverage_ratio_after=coverage_ratio_after,
        utilization_ratio_after=utilization_ratio_after,
        spent=None if altering is None else (*spent, *altering),
        open_unknown=unknown_targets(intents),
        # What is no longer sold has no pool, and is refused for that.
        pools={
            line.line: pool_of(situation, line)
            for line in lines
            if line.offering in situation.prices.offerings
        },
        signed_off=signed_off,
        holds=holds,
        approvals=approvals or {},
        demoted=demoted,
        starts_decided_at=starts_decided_at,
    )


def oldest_reading_hours(situation: Situation) -> Decimal | None:
    """The age of the oldest inventory that a cap counts, of whichever cloud; ``None``: not known.

    A cap spans every cloud, so what one that is not read may own leaves no room that is known.
    """
    read = (situation.inventory_read_at, *situation.elsewhere_read_at.values())
    ages = [None if at is None else age_hours(situation.now, at) for at in read]
    known = [age for age in ages if age is not None]
    return max(known) if len(known) == len(ages) else None


def too_old(situation: Situation) -> str:
    """Which other clouds were not read in time, and what to do; empty where there is none."""
    limit = situation.policy.freshness.max_inventory_age_hours
    late = [
        provider
        for provider, at in sorted(situation.elsewhere_read_at.items())
        if at is None or age_hours(situation.now, at) > limit
    ]
    if not late:
        return ""
    return (
        f"the caps count every cloud, and what {' and '.join(late)} lists was not read in time: "
        "mend its access (tenor doctor), or take it out of the settings"
    )


def _without(
    aside: Collection[CommitmentId], intents: Sequence[Intent], inventory: Sequence[InventoryItem]
) -> tuple[list[Intent], list[InventoryItem]]:
    """Intents and inventory without the commitments of ``aside`` and what they were bought by."""
    gone = [one for one in inventory if one.commitment.commitment in aside]
    bought_by = {one.intent for one in gone}
    kept = [
        one for one in intents if one.commitment not in aside and one.order.intent not in bought_by
    ]
    return kept, [one for one in inventory if one not in gone]


def pool_of(situation: Situation, line: PlanLine) -> PoolSize:
    """The usage that the line's purchase covers, and its on-demand cost now, in USD/h."""
    sold = situation.prices.offerings
    on_demand = sum(
        (
            usd
            for offering, _ in line.contents
            if offering in sold
            for usd, _ in covered_usd_per_hour(situation, sold[offering])
        ),
        Decimal(0),
    )
    name = "/".join((line.provider, line.region or "any region", line.family or "any family"))
    return PoolSize(pool=name, on_demand_usd_per_hour=on_demand)


def covered_usd_per_hour(situation: Situation, offering: Offering) -> list[tuple[Decimal, Decimal]]:
    """What the usage that ``offering`` covers costs an hour: on demand, and at its rates.

    One pair for each line of usage, deepest discount first, as commitments are used up. Means of
    the newest four weeks, everything covered, in USD per hour.
    """
    usage = situation.dataset(REPLAY_HOURS).usage
    covered = []
    for label, mean in zip(usage.lines, usage.quantity.mean(axis=0), strict=True):
        if situation.estimated_days and not (label.level or offering.kind.is_spend):
            continue  # as in planning: see service.plan.estimated
        rate = offering.rate_usd(label.region, label.sku)
        price = situation.prices.skus[label.key].on_demand_usd
        if rate is not None and offering.region in {None, label.region} and price > 0 < mean:
            amount = Decimal(repr(float(mean)))
            covered.append((amount * price, amount * rate))
    return sorted(covered, key=lambda one: one[1] / one[0])


@dataclass(frozen=True, slots=True)
class Replay:
    """What a line would have done over the newest hours, beside all that is owned by now."""

    savings_usd_per_hour: Decimal
    utilization_ratio: Decimal
    coverage_ratio_after: Decimal
    utilization_ratio_after: Decimal


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan was decided on: its proven gap, and the offerings as they were sold then."""

    gap_ratio: Decimal
    offerings: Mapping[OfferingId, Offering]


class FreshJudge:
    """The guard at execution (``purchase.desk.Judge``), on facts read just now.

    ``policy`` reads the policy in force; it may have been tightened since the facts were read.
    ``plans`` are those whose lines may be judged.
    """

    def __init__(
        self,
        situation: Situation,
        plans: Mapping[PlanId, Planned],
        policy: Callable[[], Policy],
    ) -> None:
        self._situation = situation
        self._plans = plans
        self._policy = policy
        dataset = situation.dataset(REPLAY_HOURS)
        proven = situation.on_sale if situation.estimated_days else ()
        sold = on_level(dataset.offerings, proven)
        self._market: Market = compile_market(dataset.usage, dataset.skus, sold)

    def __call__(self, line: PlanLine, facts: Facts) -> Verdict:
        """The verdict on ``line`` at its fresh price, valued again on the newest usage."""
        in_the_way = tuple(self._in_the_way(line, facts))
        if in_the_way:
            return Verdict(line.line, Decision.REFUSE, in_the_way)
        ours = tuple(item for item in facts.holdings if provider_of(item) == line.provider)
        listed = billed(ours, self._situation.owned)
        # Bought since the facts were read: billed at what is on sale, which it was bought at.
        known = {one.commitment for one in listed}
        fresh = tuple(
            item.commitment
            for item in ours
            if item.commitment.commitment not in known
            and item.commitment.offering in self._situation.on_sale
        )
        shown = {item.intent for item in ours}
        unlisted = tuple(
            commitment
            for one in facts.intents
            if one.order.intent not in shown and one.line.provider == line.provider
            for commitment in expected(one)
        )
        owned = (*listed, *fresh, *unlisted)
        seen = self.replay(line, owned)
        valued = _worse_of(line, seen)
        context = context_of(
            replace(self._situation, now=facts.now),
            gap_ratio=self._plans[facts.plan].gap_ratio,
            coverage_ratio_after=seen.coverage_ratio_after,
            utilization_ratio_after=seen.utilization_ratio_after,
            lines=(valued,),
            plan=facts.plan,
            intents=facts.intents,
            inventory=facts.holdings,
            halted=False,
            holds_lease=True,
            signed_off=frozenset({line.line}) if facts.signed_off else frozenset(),
            holds=facts.holds,
            approvals={line.line: facts.approvals},
            beside=facts.run,
            demoted=facts.demoted,
            altering=facts.altering,
            starts_decided_at=facts.starts_decided_at,
        )
        return judge((valued,), policy=self._policy(), context=context)[0]

    def _in_the_way(self, line: PlanLine, facts: Facts) -> Iterator[RuleResult]:
        """Refusals that come before any valuation: nothing could be valued rightly."""
        for item in facts.holdings:
            if provider_of(item) != line.provider:
                continue
            one = item.commitment
            counted = one.commitment in self._situation.owned or self._is_sold(one.offering)
            if not counted and one.state.is_owned and one.end > facts.now:
                yield flag(
                    "unpriced_commitment", wanted="none", actual=one.commitment, passed=False
                )
        days = self._situation.estimated_days
        proven = line.kind.is_spend or any(one.level for one in self._situation.usage.lines)
        if days and not proven:  # as in planning
            actual = f"none in {days} days"
            yield flag(ESTIMATED_HOURS, wanted="level usage", actual=actual, passed=False)
        plan = self._plans.get(facts.plan)
        for name, _ in line.contents:
            yield from self._moved(name, None if plan is None else plan.offerings.get(name))

    def _moved(self, name: OfferingId, before: Offering | None) -> Iterator[RuleResult]:
        """What is not sold as it was planned: not at all, or at a higher rate."""
        if before is None or not self._is_sold(name):
            yield flag("on_sale", wanted="sold", actual="not sold as planned", passed=False)
            return
        for sku, rate_usd in self._situation.prices.offerings[name].rates_usd.items():
            known = before.rates_usd.get(sku)
            most = None if known is None else known * (1 + RATE_TOLERANCE_RATIO)
            if most is not None and rate_usd > most:
                yield at_most("rate_moved", most, rate_usd, unit="USD", detail=sku)

    def _is_sold(self, offering: OfferingId) -> bool:
        return offering in self._situation.on_sale

    def replay(self, line: PlanLine, owned: Sequence[Commitment]) -> Replay:
        """Bill the newest hours with ``owned``, without and with the line."""
        base = tuple(
            over_window(one, self._situation) for one in owned if _lasts(one, self._situation)
        )
        without = self._market.bill(base)
        extra = tuple(over_window(one, self._situation) for one in _bought(line, self._situation))
        bill = self._market.bill((*base, *extra))
        hours = bill.hours.count
        return Replay(
            savings_usd_per_hour=(without.total_usd - bill.total_usd) / hours,
            utilization_ratio=_used(bill, extra),
            coverage_ratio_after=bill.coverage_ratio,
            utilization_ratio_after=bill.utilization_ratio,
        )


def plan_context(
    situation: Situation,
    plan: Plan,
    *,
    intents: Sequence[Intent],
    inventory: Sequence[InventoryItem],
    halted: bool,
    beside: frozenset[PlanId] = frozenset(),
    demoted: frozenset[str] = frozenset(),
    holds: tuple[Hold, ...] = (),
) -> GuardContext:
    """The facts for judging a whole plan as it is proposed."""
    return context_of(
        situation,
        gap_ratio=plan.gap_ratio,
        coverage_ratio_after=plan.coverage_ratio,
        utilization_ratio_after=plan.utilization_ratio,
        lines=plan.lines,
        plan=plan.plan,
        intents=intents,
        inventory=inventory,
        halted=halted,
        holds_lease=True,
        beside=beside,
        demoted=demoted,
        holds=holds,
    )


def over_window(one: Commitment, situation: Situation) -> Commitment:
    """``one`` as if it had been active over the replayed hours: owned counts from now on."""
    hours = situation.dataset(REPLAY_HOURS).usage.hours
    return replace(one, start=hours.start, end=hours.end, state=CommitmentState.ACTIVE)


def _bought(line: PlanLine, situation: Situation) -> tuple[Commitment, ...]:
    return tuple(
        Commitment(
            commitment=CommitmentId(f"{_LINE} {number}"),
            offering=offering,
            account=line.account,
            scope=None,
            zone=None,
            quantity=quantity,
            start=floor_hour(situation.now),
            end=floor_hour(situation.now) + timedelta(hours=TERM_HOURS[line.term_months]),
            state=CommitmentState.ACTIVE,
        )
        for number, (offering, quantity) in enumerate(line.contents)
    )


def _lasts(one: Commitment, situation: Situation) -> bool:
    """Owned and not gone within the lead time: what is about to lapse is not counted on."""
    lead = timedelta(hours=int(situation.policy.timing.lead_time_hours))
    return one.state.is_owned and one.end > situation.now + lead


def _used(bill: Bill, bought: Sequence[Commitment]) -> Decimal:
    """How much of what the line obliges to was used, 0-1."""
    uses = [bill.commitments[one.commitment] for one in bought]
    committed = sum((use.committed_usd for use in uses), Decimal(0))
    if len(uses) == 1 or not committed:
        return uses[0].utilization_ratio
    return sum((use.used_usd for use in uses), Decimal(0)) / committed


def _worse_of(line: PlanLine, seen: Replay) -> PlanLine:
    savings = min(line.expected_savings_usd_per_hour, seen.savings_usd_per_hour)
    fell = line.expected_savings_usd_per_hour - savings
    pays = line.commit_usd_per_hour + seen.savings_usd_per_hour > 0
    worst_months = Decimal(TERM_HOURS[line.term_months]) / MONTH_HOURS
    return replace(
        line,
        expected_savings_usd_per_hour=savings,
        expected_savings_low_usd_per_hour=line.expected_savings_low_usd_per_hour - fell,
        expected_utilization_ratio=min(line.expected_utilization_ratio, seen.utilization_ratio),
        break_even_months=line.break_even_months if pays else worst_months,
    )
