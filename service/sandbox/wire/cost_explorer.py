"""``ce``: what the bill says of plans, and what AWS would recommend. Protocol json.

Figures come from the world's own bills, from a day after each day's end, as text; ``End`` is
not part of a period. Hourly figures and filters are refused, as an account that has not opted
in refuses the former.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from service.billing.focus import NONE
from service.domain.hours import TERM_HOURS
from service.domain.money import NANO_PER_USD
from service.sandbox.accrual import DAY, DayBill
from service.sandbox.calendar import month_end
from service.sandbox.faults import ApiError
from service.sandbox.wire.call import Call, Fields, Handler
from service.sandbox.wire.paging import page_of
from service.sandbox.wire.recommendation import recommend
from service.sandbox.wire.words import SERVICE_NAMES
from service.sandbox.world import World

_FRESH_AFTER = timedelta(hours=24)
_DAYS_MAX = 400
_GROUPS_MAX = 2
_METRIC = "SpendCoveredBySavingsPlans"
_COST_METRICS = {"AmortizedCost": "USD", "UsageQuantity": "N/A"}
_DIMENSIONS = frozenset({"SERVICE", "REGION", "INSTANCE_FAMILY", "LINKED_ACCOUNT", "USAGE_TYPE"})
_COVERAGE_DIMENSIONS = frozenset({"SERVICE", "REGION", "INSTANCE_FAMILY"})


@dataclass(frozen=True, slots=True)
class _Period:
    start: datetime
    end: datetime

    def shown(self) -> dict[str, str]:
        return {"Start": f"{self.start:%Y-%m-%d}", "End": f"{self.end:%Y-%m-%d}"}


def coverage(world: World, call: Call) -> Mapping[str, object]:
    """``GetSavingsPlansCoverage``: in on-demand dollars; groups and granularity exclude."""
    fields = call.fields
    asked = _asked_period(fields)
    _refuse_filter(fields)
    if any(metric != _METRIC for metric in fields.texts("Metrics")):
        raise fields.invalid(f"The only metric is {_METRIC}.")
    groups = _groups(fields, _COVERAGE_DIMENSIONS)
    granularity = fields.text_or_none("Granularity")
    if groups and granularity is not None:
        raise fields.invalid("Group or give a granularity, not both.")
    periods = [asked] if groups else _split(fields, asked, granularity or "MONTHLY")
    found: list[dict[str, object]] = []
    for period in periods:
        days = _fresh_days(world, period)
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
        key = tuple(_dimension(day, index, name) for name in groups)
        sums = cells.setdefault(key, [0.0, 0.0])
        sums[0] += covered
        sums[1] += bare


def _dimension(day: DayBill, index: int, name: str) -> str:
    line = day.dataset.usage.lines[index]
    sku = day.dataset.skus[line.key]
    words = {
        "SERVICE": SERVICE_NAMES.get(sku.service, sku.service),
        "REGION": line.region,
        "INSTANCE_FAMILY": sku.family or "NoInstanceFamily",
        "LINKED_ACCOUNT": line.account,
        "USAGE_TYPE": line.sku.partition("/")[0],
    }
    return words[name]


def _coverage_shown(covered: float, bare: float) -> dict[str, str]:
    total = covered + bare
    return {
        "SpendCoveredBySavingsPlans": _text(covered),
        # What stays on demand, not all that would be: reading it as the latter misleads.
        "OnDemandCost": _text(bare),
        "TotalCost": _text(total),
        "CoveragePercentage": _text(100 * covered / total if total else 0.0),
    }


def utilization(world: World, call: Call) -> Mapping[str, object]:
    """``GetSavingsPlansUtilization``."""
    fields = call.fields
    asked = _asked_period(fields)
    _refuse_filter(fields)
    by_time: list[dict[str, object]] = []
    total = _Use()
    for period in _split(fields, asked, fields.text_or_none("Granularity") or "MONTHLY"):
        use = _Use()
        for day in _fresh_days(world, period):
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
                "TotalCommitment": _text(self.committed),
                "UsedCommitment": _text(self.used),
                "UnusedCommitment": _text(self.unused),
                "UtilizationPercentage": _text(percentage),
            },
            "Savings": {
                "NetSavings": _text(self.equivalent - self.committed),
                "OnDemandCostEquivalent": _text(self.equivalent),
            },
            "AmortizedCommitment": {
                "AmortizedRecurringCommitment": _text(self.committed - self.upfront),
                "AmortizedUpfrontCommitment": _text(self.upfront),
                "TotalAmortizedCommitment": _text(self.committed),
            },
        }


def cost_and_usage(world: World, call: Call) -> Mapping[str, object]:
    """``GetCostAndUsage``: amortised cost and usage quantity, by up to two dimensions."""
    fields = call.fields
    asked = _asked_period(fields)
    _refuse_filter(fields)
    metrics = fields.texts("Metrics")
    if not metrics or any(metric not in _COST_METRICS for metric in metrics):
        raise fields.invalid(f"Metrics must be among {', '.join(_COST_METRICS)}.")
    groups = _groups(fields, _DIMENSIONS)
    by_time = []
    for period in _split(fields, asked, fields.text("Granularity")):
        cells: dict[tuple[str, ...], list[float]] = {}
        for day in _fresh_days(world, period):
            _add_costs(day, groups, cells)
        whole = [sum(column) for column in zip(*cells.values(), strict=True)] or [0.0, 0.0]
        by_time.append(
            {
                "TimePeriod": period.shown(),
                "Total": {} if groups else _metrics_shown(metrics, whole),
                "Groups": [
                    {"Keys": list(key), "Metrics": _metrics_shown(metrics, sums)}
                    for key, sums in sorted(cells.items())
                    if groups
                ],
                "Estimated": period.end > world.now() - 2 * _FRESH_AFTER,
            }
        )
    definitions = [{"Type": "DIMENSION", "Key": name} for name in groups]
    answer: dict[str, object] = {"ResultsByTime": by_time, "DimensionValueAttributes": []}
    return answer | ({"GroupDefinitions": definitions} if groups else {})


def _add_costs(
    day: DayBill, groups: Sequence[str], cells: dict[tuple[str, ...], list[float]]
) -> None:
    rows = day.rows
    usd = rows.effective_nano_usd / NANO_PER_USD
    for index in range(len(day.dataset.usage.lines)):
        mine = rows.line == index
        key = tuple(_dimension(day, index, name) for name in groups)
        sums = cells.setdefault(key, [0.0, 0.0])
        sums[0] += float(usd[mine].sum())
        sums[1] += float(rows.quantity[mine].sum())
    idle = float(usd[rows.line == NONE].sum())
    if idle:
        key = tuple("NoInstanceFamily" if name == "INSTANCE_FAMILY" else "unused commitment"
                    for name in groups)  # fmt: skip
        cells.setdefault(key, [0.0, 0.0])[0] += idle


def _metrics_shown(metrics: Sequence[str], sums: Sequence[float]) -> dict[str, object]:
    values = dict(zip(_COST_METRICS, sums, strict=True))
    return {
        metric: {"Amount": _text(values[metric]), "Unit": _COST_METRICS[metric]}
        for metric in metrics
    }


def _asked_period(fields: Fields) -> _Period:
    part = fields.part_or_none("TimePeriod")
    if part is None:
        raise fields.invalid("TimePeriod is required.")
    start, end = (_day(part, name) for name in ("Start", "End"))
    if not start < end <= start + _DAYS_MAX * DAY:
        raise fields.invalid("Start must be before End, by at most 13 months.")
    return _Period(start, end)


def _day(fields: Fields, name: str) -> datetime:
    try:
        return datetime.strptime(fields.text(name), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise fields.invalid(f"{name} must be a date as YYYY-MM-DD.") from error


def _split(fields: Fields, asked: _Period, granularity: str) -> list[_Period]:
    if granularity not in {"DAILY", "MONTHLY"}:
        raise fields.invalid("Granularity must be DAILY or MONTHLY.")
    periods: list[_Period] = []
    start = asked.start
    while start < asked.end:
        following = start + DAY if granularity == "DAILY" else month_end(start)
        periods.append(_Period(start, min(following, asked.end)))
        start = following
    return periods


def _fresh_days(world: World, period: _Period) -> Sequence[DayBill]:
    """The period's days that Cost Explorer knows already."""
    return world.accrual.days(period.start, min(period.end, world.now() - _FRESH_AFTER))


def _groups(fields: Fields, allowed: frozenset[str]) -> list[str]:
    names: list[str] = []
    for part in fields.parts("GroupBy"):
        name = part.text("Key")
        if part.text("Type") != "DIMENSION" or name not in allowed:
            raise fields.invalid(f"Group by DIMENSION and one of {', '.join(sorted(allowed))}.")
        names.append(name)
    if len(names) > _GROUPS_MAX or len(set(names)) < len(names):
        raise fields.invalid(f"Group by at most {_GROUPS_MAX} different dimensions.")
    return names


def _refuse_filter(fields: Fields) -> None:
    if fields.part_or_none("Filter") is not None:
        raise fields.invalid("The sandbox's Cost Explorer takes no filter.")


def _some(found: list[dict[str, object]]) -> list[dict[str, object]]:
    if not found:
        raise ApiError("DataUnavailableException", "There is no data for this period yet.")
    return found


def _text(amount: float) -> str:
    return f"{amount:.10f}"


OPERATIONS: Mapping[str, Handler] = {
    "GetSavingsPlansCoverage": coverage,
    "GetSavingsPlansUtilization": utilization,
    "GetCostAndUsage": cost_and_usage,
    "GetSavingsPlansPurchaseRecommendation": recommend,
}
