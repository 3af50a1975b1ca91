"""Turns one sized amount into a plan's line: what it costs, what it promises, and why.

Every figure comes from the ladder's forecast paths and the offering's prices; none is invented
here. Savings are against on demand, net of waste, in dollars per hour over the term.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from service.domain.commitments import Offering
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId, CycleId, LineId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import PlanLine, Shortfall
from service.domain.wording import unit_name
from service.plan.ladder_terms import Reasons, Tranche
from service.plan.pools import Pool, Reach
from service.plan.quantise import exactly
from service.plan.risk import Risk, RiskBudget

_PLACES = 6
_SMALLEST = Decimal(1).scaleb(-_PLACES)


@dataclass(frozen=True, slots=True)
class Sized:
    """An amount of one offering that a pool should own more of now.

    ``on_demand_usd_per_hour`` is what will be bought, ``wanted_usd_per_hour`` what the mix over
    the newest hours alone would buy for the pool; both in on-demand dollars.
    """

    pool: Pool
    offering: OfferingId
    on_demand_usd_per_hour: float
    wanted_usd_per_hour: float
    tranche: Tranche
    risk: Risk | None = None

    @property
    def reach(self) -> Reach:
        """The offering's reach."""
        return self.pool.reach[self.offering]

    @property
    def quantity(self) -> float:
        """The amount in the offering's own unit: $/h (spend) or capacity."""
        return self.on_demand_usd_per_hour * self.reach.rate_ratio / self.reach.usd_per_quantity


def line_of(
    sized: Sized,
    offering: Offering,
    *,
    quantity: Decimal,
    account: AccountId,
    cycle: CycleId,
    pools: Sequence[Pool],
) -> PlanLine:
    """The plan's line for ``quantity`` of ``offering`` bought in ``account``."""
    commit = commit_usd_per_hour(offering, quantity)
    hours = TERM_HOURS[offering.term_months]
    promise = _promise(sized, float(commit), hours)
    return PlanLine(
        line=LineId(_digest(cycle, offering.offering, account, quantity)),
        offering=offering.offering,
        provider=offering.provider,
        kind=offering.kind,
        account=account,
        region=offering.region,
        family=offering.family,
        term_months=offering.term_months,
        payment=offering.payment,
        quantity=quantity,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=quantity * offering.upfront_usd,
        total_usd=commit * hours,
        expected_savings_usd_per_hour=promise.expected,
        expected_savings_low_usd_per_hour=promise.low,
        expected_savings_high_usd_per_hour=promise.high,
        expected_utilization_ratio=promise.utilization,
        break_even_months=months_to_repay(sized.reach, offering.term_months),
        reason=_reason(sized, offering, quantity, commit, pools),
        shortfall=None if sized.risk is None else _shortfall(sized.risk),
    )


def months_to_repay(reach: Reach, term_months: int) -> Decimal:
    """Months of use after which a term has paid, whatever its size: its share of on demand."""
    return _rounded(reach.rate_ratio * term_months)


def _shortfall(risk: Risk) -> Shortfall:
    """Rounded up: what the guard reads is never less than what was measured."""
    pool, total = (
        exactly(usd).quantize(_SMALLEST, ROUND_CEILING)
        for usd in (risk.shortfall_usd, risk.total_shortfall_usd)
    )
    return Shortfall(pool, total, Decimal(repr(risk.budget.tail_ratio)))


def commit_usd_per_hour(offering: Offering, quantity: Decimal) -> Decimal:
    """The amortised hourly obligation of ``quantity``, upfront included."""
    if offering.kind.is_spend:
        return quantity
    (rate_usd,) = offering.rates_usd.values()
    return quantity * rate_usd


@dataclass(frozen=True, slots=True)
class _Promise:
    expected: Decimal
    low: Decimal
    high: Decimal
    utilization: Decimal


def _promise(sized: Sized, commit: float, hours: int) -> _Promise:
    """The ladder's savings of the whole tranche, for the share of it that is bought."""
    why = sized.tranche.reasons
    covers = commit / sized.reach.rate_ratio
    share = _share(sized, commit)
    if why is None or share is None:
        saving = covers - commit
        return _Promise(*(_rounded(one) for one in (saving, saving, saving, 1.0)))
    expected, low, high = (
        one * share / hours
        for one in (why.expected_savings_usd, why.low_savings_usd, why.high_savings_usd)
    )
    used = (expected + commit) / covers
    return _Promise(
        _rounded(expected), _rounded(low), _rounded(high), _rounded(min(max(used, 0.0), 1.0))
    )


def _share(sized: Sized, commit: float) -> float | None:
    """How much of the ladder's tranche ``commit`` dollars an hour buy; ``None`` without one."""
    whole = sum(buy.quantity_usd_per_hour for buy in sized.tranche.buys)
    return commit / sized.reach.rate_ratio / whole if whole > 0 else None


def _reason(
    sized: Sized, offering: Offering, quantity: Decimal, commit: Decimal, pools: Sequence[Pool]
) -> str:
    payment = str(offering.payment).replace("_", " ")
    level = sized.tranche
    unit = "USD/h" if offering.kind.is_spend else unit_name(offering.kind, quantity)
    covers = float(commit) / sized.reach.rate_ratio
    what = (
        f"{sized.pool.name}: {level.level_usd_per_hour:.2f} USD/h of on-demand use is worth owning "
        f"now and {level.owned_usd_per_hour:.2f} is owned; buy {quantity.normalize():f} {unit} "
        f"({commit:.4f} USD/h committed) for {offering.term_months} months, {payment}, covering "
        f"{covers:.2f} USD/h at {sized.reach.rate_ratio:.1%} of on demand"
    )
    parts = [what]
    share = _share(sized, float(commit))
    if level.reasons is not None and share is not None:
        parts += _because(level.reasons, share)
    if sized.risk is not None:
        parts += _at_risk(sized.risk)
    parts.append(
        f"the newest hours alone would buy {sized.wanted_usd_per_hour:.2f} USD/h for this pool"
    )
    rivals = [pool.name for pool in pools if _is_rival(sized.pool, pool)]
    if rivals:
        parts.append(f"preferred for this part of the usage to {', '.join(rivals[:3])}")
    return "; ".join(parts)


def _at_risk(risk: Risk) -> list[str]:
    """What the pool's purchases could lose; amounts before rounding down."""
    loses = (
        f"the pool's purchases in this plan lose {risk.expected_loss_usd:.2f} USD over their terms "
        f"in expectation and {risk.shortfall_usd:.2f} in the worst {risk.budget.tail_ratio:.0%} of "
        f"scenarios, those of all pools {risk.total_shortfall_usd:.2f}; allowed: "
        f"{limits_of(risk.budget)}"
    )
    parts = [loses]
    if risk.share_ratio < 1:
        parts.append(f"held to {risk.share_ratio:.0%} of its size by that")
    return parts


def limits_of(budget: RiskBudget) -> str:
    """The expected shortfall allowed, in words."""
    pool, total = (
        "any" if limit is None else f"{limit:.2f} USD"
        for limit in (budget.per_pool_usd, budget.total_usd)
    )
    return f"{pool} per pool, {total} in total"


def _because(why: Reasons, share: float) -> list[str]:
    """The ladder's reasons; its amounts are of the whole tranche, the line buys ``share`` of it."""
    saved, low, high, worst, later = (
        amount * share
        for amount in (
            why.expected_savings_usd,
            why.low_savings_usd,
            why.high_savings_usd,
            why.worst_savings_usd,
            why.waiting_usd,
        )
    )
    use = (
        f"the last unit worth owning is used in {why.use_probability_ratio:.0%} of the term's "
        f"hours and needs {why.break_even_ratio:.0%}"
    )
    saves = (
        f"this purchase saves {saved:.2f} USD over the term ({low:.2f} to {high:.2f}), "
        f"{worst:.2f} in the worst case in twenty"
    )
    waiting = (
        f"bought one step later it would save {abs(later):.2f} USD "
        f"{'less' if later < 0 else 'more'} over its own term, and nothing in the meantime"
    )
    rejected = f"rejected: {why.rejected}, worse by {why.rejected_by_usd:.2f} USD"
    return [use, f"limited by {why.limit}", saves, waiting, rejected]


def _is_rival(mine: Pool, other: Pool) -> bool:
    return other is not mine and bool(set(mine.lines) & set(other.lines))


def _rounded(value: float) -> Decimal:
    return round(exactly(value), _PLACES)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
