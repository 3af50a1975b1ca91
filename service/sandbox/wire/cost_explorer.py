"""``ce``: what the bill says of plans, and what AWS would recommend. Protocol json.

Figures come from the world's own bills, from a day after each day's end, as text; ``End`` is
not part of a period. Hourly figures and filters are refused here; ``cost_and_usage`` knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.billing.focus import NONE
from service.domain.hours import TERM_HOURS
from service.domain.money import NANO_PER_USD
from service.sandbox.accrual import DayBill
from service.sandbox.faults import ApiError
from service.sandbox.wire.call import Call, Handler
from service.sandbox.wire.cost_periods import (
    asked_period,
    dimension_of,
    figure,
    fresh_days,
    groups_of,
    refuse_filter,
    split_period,
)
from service.sandbox.wire.paging import page_of
from service.sandbox.wire.recommendation import recommend
from service.sandbox.world import World

_METRIC = "SpendCoveredBySavingsPlans"
_COVERAGE_DIMENSIONS = frozenset({"SERVICE", "REGION", "INSTANCE_FAMILY"})


def coverage(world: World, call: Call) -> Mapping[str, object]:
    """``GetSavingsPlansCoverage``: in on-demand dollars; groups and granularity exclude."""
    fields = call.fields
    asked = asked_period(fields)
    refuse_filter(fields)
    if any(metric != _METRIC for metric in fields.texts("Metrics")):
        raise fields.invalid(f"The only metric is {_METRIC}.")
    groups = groups_of(fields, _COVERAGE_DIMENSIONS)
    granularity = fields.text_or_none("Granularity")
    if groups and granularity is not None:
        raise fields.invalid("Group or give a granularity, not both.")
    periods = [asked] if groups else split_period(fields, asked, granularity or "MONTHLY")
    found: list[dict[str, object]] = []
    for period in periods:
        days = fresh_days(world, period)
        cells: dict[tuple[str, ...], list[float]] = {}
        for day in days:
            _add_coverage(day, groups, cells)
        found.extend(
            {
                "Attributes": dict(zip(groups, key, strict=True)),
                "Coverage": _coverage_shown(*sums),
                "TimePeriod": period.shown(),
            }
            for key, sums in sorted(cells.items())
        )
    page, following = page_of(
        _some(found),
        token=fields.text_or_none("NextToken"),
        limit=fields.integer_or_none("MaxResults") or world.options.page_size,
        fingerprint=fields.fingerprint(),
        invalid_code="InvalidNextTokenException",
    )
    answer: dict[str, object] = {"SavingsPlansCoverages": list(page)}
    return answer | ({"NextToken": following} if following else {})


def _add_coverage(
    day: DayBill, groups: Sequence[str], cells: dict[tuple[str, ...], list[float]]
) -> None:
    """Add each line's covered and uncovered on-demand dollars to its group."""
    rows = day.rows
    spend = np.array(
        [day.dataset.offerings[one.offering].kind.is_spend for one in day.dataset.commitments]
        + [False]
    )
    for index, line in enumerate(day.dataset.usage.lines):
        sku = day.dataset.skus[line.key]
        price = float(sku.on_demand_usd)
        mine = rows.line == index
        covered = float(rows.quantity[mine & spend[rows.commitment]].sum()) * price
        bare = float(rows.quantity[mine & (rows.commitment == NONE)].sum()) * price
        key = tuple(dimension_of(day, index, name) for name in groups)
        sums = cells.setdefault(key, [0.0, 0.0])
        sums[0] += covered
        sums[1] += bare


def _coverage_shown(covered: float, bare: float) -> dict[str, str]:
    total = covered + bare
    return {
        "SpendCoveredBySavingsPlans": figure(covered),
        # What stays on demand, not all that would be: reading it as the latter misleads.
        "OnDemandCost": figure(bare),
        "TotalCost": figure(total),
        "CoveragePercentage": figure(100 * covered / total if total else 0.0),
    }


def utilization(world: World, call: Call) -> Mapping[str, object]:
    """``GetSavingsPlansUtilization``."""
    fields = call.fields
    asked = asked_period(fields)
    refuse_filter(fields)
    by_time: list[dict[str, object]] = []
    total = _Use()
    for period in split_period(fields, asked, fields.text_or_none("Granularity") or "MONTHLY"):
        use = _Use()
        for day in fresh_days(world, period):
            use.add(day)
        if use.committed:
            by_time.append({"TimePeriod": period.shown(), **use.shown()})
            total.merge(use)
    if not by_time:
        raise ApiError("DataUnavailableException", "There are no Savings Plans in this period.")
    return {"SavingsPlansUtilizationsByTime": by_time, "Total": total.shown()}


@dataclass(slots=True)
class _Use:
    """Commitment dollars, used and unused, and what the covered usage costs on demand."""

    used: float = 0.0
    unused: float = 0.0
    equivalent: float = 0.0
    upfront: float = 0.0

    @property
    def committed(self) -> float:
        return self.used + self.unused

    def add(self, day: DayBill) -> None:
        rows = day.rows
        for index, owned in enumerate(day.dataset.commitments):
            offering = day.dataset.offerings[owned.offering]
            if not offering.kind.is_spend:
                continue
            mine = rows.commitment == index
            used = mine & (rows.line != NONE)
            usd = rows.effective_nano_usd / NANO_PER_USD
            self.used += float(usd[used].sum())
            self.unused += float(usd[mine & (rows.line == NONE)].sum())
            prices = np.array(
                [float(day.dataset.skus[one.key].on_demand_usd) for one in day.dataset.usage.lines]
            )
            self.equivalent += float((rows.quantity[used] * prices[rows.line[used]]).sum())
            share = float(offering.upfront_usd) / TERM_HOURS[offering.term_months]
            self.upfront += float(usd[mine].sum()) * share

    def merge(self, other: _Use) -> None:
        self.used += other.used
        self.unused += other.unused
        self.equivalent += other.equivalent
        self.upfront += other.upfront

    def shown(self) -> dict[str, object]:
        percentage = 100 * self.used / self.committed if self.committed else 0.0
        return {
            "Utilization": {
                "TotalCommitment": figure(self.committed),
                "UsedCommitment": figure(self.used),
                "UnusedCommitment": figure(self.unused),
                "UtilizationPercentage": figure(percentage),
            },
            "Savings": {
                "NetSavings": figure(self.equivalent - self.committed),
                "OnDemandCostEquivalent": figure(self.equivalent),
            },
            "AmortizedCommitment": {
                "AmortizedRecurringCommitment": figure(self.committed - self.upfront),
                "AmortizedUpfrontCommitment": figure(self.upfront),
                "TotalAmortizedCommitment": figure(self.committed),
            },
        }


def _some(found: list[dict[str, object]]) -> list[dict[str, object]]:
    if not found:
        raise ApiError("DataUnavailableException", "There is no data for this period yet.")
    return found


OPERATIONS: Mapping[str, Handler] = {
    "GetSavingsPlansCoverage": coverage,
    "GetSavingsPlansUtilization": utilization,
    "GetSavingsPlansPurchaseRecommendation": recommend,
}
