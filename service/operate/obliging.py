"""Decides what the targets of an alteration are worth: billed over the newest weeks, in its place.

The same evidence that a purchase has at execution: what is owned is billed with and without what
would be made, the sources left out, since they are given for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

import numpy as np

from service.billing.bill import Bill
from service.billing.market import compile_market
from service.domain.alterations import AlterationKind, AlterationOrder, AlterationQuote, Target
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId, CommitmentId, LineId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import PlanLine, Shortfall
from service.domain.purchases import InventoryItem, is_part_of
from service.guard.obliging import TargetEvidence, commit_usd_per_hour, new_targets
from service.operate.guarding import REPLAY_HOURS, pool_of
from service.operate.replaying import live
from service.operate.situation import Situation, age_hours

WEEK_HOURS = 7 * 24


class Risks(Protocol):
    """What would be made, by offering, beside all that is owned but what is given for it."""

    def __call__(
        self,
        situation: Situation,
        *,
        account: AccountId,
        given: Collection[CommitmentId],
        made: Mapping[OfferingId, Decimal],
        offerings: Mapping[OfferingId, Offering],
    ) -> Mapping[OfferingId, Shortfall]:
        """The expected shortfall of each, where it is limited and can be measured."""
        ...


def evidence_for(
    situation: Situation, order: AlterationOrder, quote: AlterationQuote, *, risks: Risks
) -> TargetEvidence | None:
    """What ``order`` would make, valued; ``None`` where a source or an offering is not known."""
    sources = [item for item in situation.inventory if item.commitment.commitment in order.sources]
    targets = new_targets(order, quote, sources)
    sold = [_offering(situation, order, quote, one) for one in targets]
    if not targets or len(sources) != len(order.sources):
        return None
    known = [one for one in sold if one is not None]
    if len(known) != len(sold) or any(one.term_months not in TERM_HOURS for one in targets):
        return None
    dataset = situation.dataset(REPLAY_HOURS)
    market = compile_market(
        dataset.usage, dataset.skus, {**dataset.offerings, **{one.offering: one for one in known}}
    )
    risked = _risked(situation, order, targets, known, risks)
    owned = [one for one in live(situation) if one.commitment not in order.sources]
    bills = [market.bill(tuple(owned))]
    lines = []
    for number, (target, offering) in enumerate(zip(targets, known, strict=True)):
        made = _made(situation, target, offering, sources[0], number)
        owned.append(made)
        bills.append(market.bill(tuple(owned)))
        line = _line(order, target, offering, made, bills[-2:])
        lines.append(replace(line, shortfall=risked.get(offering.offering)))
    return TargetEvidence(
        lines=tuple(lines),
        pools={
            one.line: pool_of(situation, one)
            for one in lines
            if one.offering in situation.prices.offerings
        },
        data_age_hours=age_hours(situation.now, situation.usage_through),
        prices_age_hours=age_hours(situation.now, situation.prices.taken_at),
        coverage_ratio_after=bills[-1].coverage_ratio,
        utilization_ratio_after=bills[-1].utilization_ratio,
    )


def _risked(
    situation: Situation,
    order: AlterationOrder,
    targets: Sequence[Target],
    known: Sequence[Offering],
    risks: Risks,
) -> Mapping[OfferingId, Shortfall]:
    made: dict[OfferingId, Decimal] = {}
    for target, offering in zip(targets, known, strict=True):
        made[offering.offering] = made.get(offering.offering, Decimal(0)) + target.quantity
    return risks(
        situation,
        account=order.account,
        given=order.sources,
        made=made,
        offerings={one.offering: one for one in known},
    )


def _offering(
    situation: Situation, order: AlterationOrder, quote: AlterationQuote, target: Target
) -> Offering | None:
    """The target's offering on sale, or the source's own for another term."""
    if target.offering is not None:
        sold = target.offering in situation.on_sale
        return situation.prices.offerings[target.offering] if sold else None
    own = situation.owned.get(order.sources[0])
    if own is None:
        return None
    longer = replace(own, term_months=target.term_months, payment=target.payment)
    again_usd = owed_anew(situation.inventory, order, quote)
    if again_usd is None or own.kind.is_spend:
        return longer
    # The rate is what the provider quotes for all of it, spread over the term.
    hours = TERM_HOURS.get(target.term_months, max(TERM_HOURS.values()))
    rate_usd = again_usd / hours / target.quantity
    return replace(longer, rates_usd=dict.fromkeys(own.rates_usd, rate_usd))


def owed_anew(
    inventory: Sequence[InventoryItem], order: AlterationOrder, quote: AlterationQuote
) -> Decimal | None:
    """What is owed for the target where the source's own rate does not tell, in USD.

    A longer term has another rate, and what was bought together renews together, with all that is
    listed apart. ``None``: the own rate holds.
    """
    if order.alteration is AlterationKind.UPGRADE_TERM:
        return quote.target_value_usd
    whole = [one for one in inventory if one.commitment.commitment in order.sources]
    parts = any(is_part_of(item, one) for item in inventory for one in whole)
    return quote.target_value_usd - quote.source_value_usd if parts else None


def _made(
    situation: Situation, target: Target, offering: Offering, source: InventoryItem, number: int
) -> Commitment:
    hours = situation.dataset(REPLAY_HOURS).usage.hours
    return Commitment(
        commitment=CommitmentId(f"target {number}"),
        offering=offering.offering,
        account=source.commitment.account,
        scope=source.commitment.scope,
        zone=target.zone,
        quantity=target.quantity,
        start=hours.start,
        end=hours.end,
        state=CommitmentState.ACTIVE,
    )


def _line(
    order: AlterationOrder,
    target: Target,
    offering: Offering,
    made: Commitment,
    bills: list[Bill],
) -> PlanLine:
    before, after = bills
    commit = commit_usd_per_hour(offering, target.quantity)
    saving = (before.total_usd - after.total_usd) / after.hours.count
    replaced = commit + saving
    share = min(Decimal(1), commit / replaced) if replaced > 0 else Decimal(1)
    return PlanLine(
        line=LineId(f"{order.intent}/{made.commitment}"),
        offering=offering.offering,
        provider=offering.provider,
        kind=offering.kind,
        account=order.account,
        region=offering.region,
        family=offering.family,
        term_months=target.term_months,
        payment=target.payment,
        quantity=target.quantity,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=Decimal(0),
        total_usd=commit * TERM_HOURS[target.term_months],
        expected_savings_usd_per_hour=saving,
        expected_savings_low_usd_per_hour=min(saving, _worst_week(before, after)),
        expected_savings_high_usd_per_hour=saving,
        expected_utilization_ratio=after.commitments[made.commitment].utilization_ratio,
        break_even_months=share * target.term_months,
        reason=f"{order.alteration}",
    )


def _worst_week(before: Bill, after: Bill) -> Decimal:
    """The mean saving of the week in which least was saved, in USD per hour."""
    saved = _hourly_usd(before) - _hourly_usd(after)
    weeks = max(1, saved.size // WEEK_HOURS)
    return Decimal(repr(min(float(week.mean()) for week in np.array_split(saved, weeks))))


def _hourly_usd(bill: Bill) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    committed = bill.hourly_used_usd.sum(axis=0) + bill.hourly_unused_usd.sum(axis=0)
    return np.asarray(bill.hourly_on_demand_usd + committed, dtype=np.float64)
