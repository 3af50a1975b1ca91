"""``ce``: ``GetCostAndUsage``, by month, day or hour. Protocol json.

Hours are known for fourteen days, as for an account that has opted in and pays for them. Filters
name linked accounts and record types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from service.billing.focus import NONE
from service.domain.hours import DAY_HOURS, HOUR, iso
from service.domain.money import NANO_PER_USD
from service.sandbox.accrual import DAY, DayBill
from service.sandbox.wire.call import Call, Fields, Handler
from service.sandbox.wire.cost_periods import (
    Period,
    asked_period,
    dimension_of,
    figure,
    fresh_days,
    groups_of,
    split_period,
)
from service.sandbox.wire.paging import page_of
from service.sandbox.world import World

HOURLY_DAYS = 14
_METRICS = {"AmortizedCost": "USD", "UsageQuantity": "N/A"}
_DIMENSIONS = frozenset(
    {"SERVICE", "REGION", "INSTANCE_FAMILY", "LINKED_ACCOUNT", "USAGE_TYPE", "OPERATION"}
)
_FILTERS = frozenset({"LINKED_ACCOUNT", "RECORD_TYPE"})
_HOURLY = "HOURLY"
_USAGE, _DISCOUNTED, _COVERED = "Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"
_ESTIMATED_FOR = timedelta(hours=48)
Cells = dict[tuple[str, ...], list[float]]
Floats = NDArray[np.float64]


def cost_and_usage(world: World, call: Call) -> Mapping[str, object]:
    """``GetCostAndUsage``: amortised cost and usage quantity, by up to two dimensions."""
    fields = call.fields
    granularity = fields.text("Granularity")
    asked = asked_period(fields, hourly=granularity == _HOURLY)
    accounts = _filtered(fields, "LINKED_ACCOUNT")
    records = _filtered(fields, "RECORD_TYPE")
    metrics = fields.texts("Metrics")
    if not metrics or any(metric not in _METRICS for metric in metrics):
        raise fields.invalid(f"Metrics must be among {', '.join(_METRICS)}.")
    groups = groups_of(fields, _DIMENSIONS)
    periods = (
        _hours(world, fields, asked)
        if granularity == _HOURLY
        else split_period(fields, asked, granularity)
    )
    page, following = page_of(
        periods,
        token=fields.text_or_none("NextPageToken"),
        limit=world.options.page_size * DAY_HOURS if granularity == _HOURLY else len(periods),
        fingerprint=fields.fingerprint(),
        invalid_code="InvalidNextTokenException",
    )
    known = fresh_days(world, Period(_midnight(page[0].start), _midnight(page[-1].end) + DAY))
    sums = {day.day: _sums(day, accounts, records) for day in known}
    by_time = []
    for period in page:
        cells = _cells(period, sums, groups)
        by_time.append(
            {
                "TimePeriod": _shown(period, hourly=granularity == _HOURLY),
                "Total": {} if groups else _metrics_shown(metrics, _whole(cells)),
                "Groups": [
                    {"Keys": list(key), "Metrics": _metrics_shown(metrics, amounts)}
                    for key, amounts in sorted(cells.items())
                    if groups
                ],
                "Estimated": period.end > world.now() - _ESTIMATED_FOR,
            }
        )
    answer: dict[str, object] = {"ResultsByTime": by_time, "DimensionValueAttributes": []}
    if groups:
        answer["GroupDefinitions"] = [{"Type": "DIMENSION", "Key": name} for name in groups]
    return answer | ({"NextPageToken": following} if following else {})


def _hours(world: World, fields: Fields, asked: Period) -> list[Period]:
    if asked.start < world.now() - HOURLY_DAYS * DAY:
        raise fields.invalid(f"Hourly figures go back {HOURLY_DAYS} days.")
    count = (asked.end - asked.start) // HOUR
    return [Period(asked.start + n * HOUR, asked.start + (n + 1) * HOUR) for n in range(count)]


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _shown(period: Period, *, hourly: bool) -> dict[str, str]:
    if hourly:
        return {"Start": iso(period.start), "End": iso(period.end)}
    return period.shown()


@dataclass(frozen=True, slots=True)
class _Sums:
    """One day's dollars and quantities, lines × hours, and idle dollars by hour."""

    day: DayBill
    usd: Floats
    quantity: Floats
    idle_usd: Floats


def _sums(day: DayBill, accounts: set[str], records: set[str]) -> _Sums:
    rows, lines = day.rows, day.dataset.usage.lines
    usd = rows.effective_nano_usd / NANO_PER_USD
    shown = np.array([not accounts or line.account in accounts for line in lines] + [False])
    used = shown[rows.line]
    if records:
        offerings = (day.dataset.offerings[one.offering] for one in day.dataset.commitments)
        types = [_COVERED if one.kind.is_spend else _DISCOUNTED for one in offerings]
        # The index of what no commitment covers is the last.
        used &= np.array([one in records for one in (*types, _USAGE)])[rows.commitment]
    cell = rows.line[used] * DAY_HOURS + rows.hour[used]
    shape, size = (len(lines), DAY_HOURS), len(lines) * DAY_HOURS
    idle = (rows.line == NONE) & (not accounts)
    return _Sums(
        day,
        _added(cell, usd[used], size).reshape(shape),
        _added(cell, rows.quantity[used], size).reshape(shape),
        _added(rows.hour[idle], usd[idle], DAY_HOURS),
    )


def _added(index: NDArray[np.int64], amounts: Floats, size: int) -> Floats:
    return np.bincount(index, amounts, size).astype(np.float64)


def _cells(period: Period, sums: Mapping[datetime, _Sums], groups: Sequence[str]) -> Cells:
    cells: Cells = {}
    for start, one in sums.items():
        first = max((period.start - start) // HOUR, 0)
        last = min(-((start - period.end) // HOUR), DAY_HOURS)
        if first >= last:
            continue
        usd = one.usd[:, first:last].sum(axis=1)
        quantity = one.quantity[:, first:last].sum(axis=1)
        for index in np.flatnonzero(quantity):
            key = tuple(dimension_of(one.day, int(index), name) for name in groups)
            amounts = cells.setdefault(key, [0.0, 0.0])
            amounts[0] += float(usd[index])
            amounts[1] += float(quantity[index])
        idle = float(one.idle_usd[first:last].sum())
        if idle:
            key = tuple(
                "NoInstanceFamily" if name == "INSTANCE_FAMILY" else "unused commitment"
                for name in groups
            )
            cells.setdefault(key, [0.0, 0.0])[0] += idle
    return cells


def _filtered(fields: Fields, key: str) -> set[str]:
    """What a filter names of one dimension; empty for all."""
    part = fields.part_or_none("Filter")
    if part is None:
        return set()
    found: set[str] = set()
    for one in part.parts("And") or (part,):
        dimension = one.part_or_none("Dimensions")
        name = "" if dimension is None else dimension.text("Key")
        if dimension is None or name not in _FILTERS:
            raise fields.invalid(f"Filter by dimensions among {', '.join(sorted(_FILTERS))}.")
        if name == key:
            found |= set(dimension.texts("Values"))
    return found


def _whole(cells: Cells) -> list[float]:
    return [sum(column) for column in zip(*cells.values(), strict=True)] or [0.0, 0.0]


def _metrics_shown(metrics: Sequence[str], sums: Sequence[float]) -> dict[str, object]:
    values = dict(zip(_METRICS, sums, strict=True))
    return {
        metric: {"Amount": figure(values[metric]), "Unit": _METRICS[metric]} for metric in metrics
    }


OPERATIONS: Mapping[str, Handler] = {"GetCostAndUsage": cost_and_usage}
