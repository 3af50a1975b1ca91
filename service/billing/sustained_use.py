"""Google's sustained use discount: a month's credit on what no commitment covers.

Decides nothing about commitments: it starts from what they leave. vCPUs and memory of a series are
summed over the machines of a region, SKU by SKU. Stacked up, the amount that ran throughout the
month has run for all of it, what came on top for a part of it; and every layer is charged less, the
longer it ran. That is the same as sorting the month's hours by usage, the greatest first, and
charging the hours of each part of the month at that part's share of the price. Part of an hour
counts as a smaller amount all hour long.

The shares, the series and the dates are rows of ``sustained_use.yaml``. Hours of a month that are
not in the dataset count as unused, so a cut-off month has a smaller credit than the whole one.

Source: Compute Engine, "Sustained use discounts" (eligible series, tiers by quarter of a month, not
on usage that committed use discounts cover, resource-based pricing). Only self-serve billing
accounts get it, which a dataset does not tell: whoever asks for it says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import resources
from math import ceil, floor
from zoneinfo import ZoneInfo

import numpy as np
import yaml

from service.billing.bill import NANO_PLACES
from service.billing.exact import Pair, add, fractions, rounded, totals, written
from service.billing.kernel import run
from service.billing.moves import moves_within, within
from service.billing.waterfall import waterfall
from service.domain.hours import HOUR, HourRange
from service.domain.usage import Dataset, Sku, SkuKey


@dataclass(frozen=True, slots=True)
class Tiers:
    """One row of the data: which SKUs, when, and what each equal part of a month is charged."""

    series: frozenset[str]
    units: frozenset[str]
    charged_ratio: tuple[Fraction, ...]
    start: date | None
    end: date | None
    source: str

    def holds(self, sku: Sku, month: date) -> bool:
        """True when usage of the SKU has this discount in the month that begins on ``month``."""
        return (
            sku.key.provider == "gcp"
            and sku.service == "compute"
            and (sku.family or "").lower() in self.series
            and sku.unit.lower() in self.units
            and (self.start is None or month >= self.start)
            and (self.end is None or month < self.end)
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """The data as shipped."""

    zone: ZoneInfo
    tiers: tuple[Tiers, ...]


@dataclass(frozen=True, slots=True)
class Month:
    """A billing month: its first day, and its whole hours in UTC."""

    first: date
    hours: HourRange


def sustained_use_usd(dataset: Dataset, *, pooled: bool = False) -> Decimal:
    """The credit (≥ 0) in dollars over the dataset's hours, exact to the nano-dollar.

    Usage is summed within each project, or over all of them when ``pooled``.
    """
    usage = dataset.usage
    theirs = [index for index, line in enumerate(usage.lines) if line.provider == "gcp"]
    credit = Fraction(0)
    if not theirs:
        return rounded(credit, NANO_PLACES)
    plan = waterfall(
        hours=usage.hours,
        lines=[usage.lines[index] for index in theirs],
        skus=dataset.skus,
        offerings=dataset.offerings,
        commitments=[
            one for one in dataset.commitments if dataset.offerings[one.offering].provider == "gcp"
        ],
    )
    for month in months(usage.hours):
        first, last = usage.hours.clip(month.hours.start, month.hours.end)
        span = slice(first, last)
        grouped = _groups(dataset, theirs, month.first, pooled=pooled)
        if not grouped:
            continue
        quantity = written(np.ascontiguousarray(usage.quantity[span, theirs].T))
        left = run(
            [within(room, span) for room in plan.rooms], moves_within(plan.moves, span), quantity
        ).usage
        for tiers, groups in grouped.items():
            together = _summed(left, list(groups.values()))
            units = discounted_units(together, month.hours.count, tiers.charged_ratio)
            for (key, _), worth in zip(groups, units, strict=True):
                credit += worth * Fraction(dataset.skus[key].on_demand_usd)
    return rounded(credit, NANO_PLACES)


def discounted_units(
    quantity: Pair, month_hours: int, charged_ratio: tuple[Fraction, ...]
) -> list[Fraction]:
    """How many units a month's discount is worth, row by row.

    ``quantity`` is rows × hours in any order: some or all of the ``month_hours``; the rest of the
    month is unused.
    """
    order = np.lexsort((quantity.low, quantity.high))[:, ::-1]
    falling = Pair(
        np.take_along_axis(quantity.high, order, axis=1),
        np.take_along_axis(quantity.low, order, axis=1),
    )
    parts = len(charged_ratio)
    up_to = [_up_to(falling, Fraction(month_hours * part, parts)) for part in range(parts + 1)]
    return [
        sum(
            (
                (1 - charged) * (up_to[part + 1][row] - up_to[part][row])
                for part, charged in enumerate(charged_ratio)
            ),
            Fraction(0),
        )
        for row in range(len(falling.high))
    ]


def _up_to(falling: Pair, hours: Fraction) -> list[Fraction]:
    """Each row's sum of its first ``hours``, of which the last may be a part."""
    whole = floor(hours)
    sums = fractions(totals(Pair(falling.high[:, :whole], falling.low[:, :whole])))
    if hours == whole or whole >= falling.high.shape[1]:
        return sums
    after = fractions(Pair(falling.high[:, whole], falling.low[:, whole]))
    return [total + one * (hours - whole) for total, one in zip(sums, after, strict=True)]


def _summed(values: Pair, groups: Sequence[Sequence[int]]) -> Pair:
    """The rows of each group added up."""
    firsts = np.array([group[0] for group in groups], dtype=np.intp)
    result = values.take(firsts)
    for row, group in enumerate(groups):
        for other in group[1:]:
            so_far = Pair(result.high[row], result.low[row])
            more = add(so_far, Pair(values.high[other], values.low[other]))
            result.high[row], result.low[row] = more
    return result


def months(hours: HourRange) -> Iterator[Month]:
    """The billing months that ``hours`` fall in."""
    zone = rules().zone
    day = hours.start.astimezone(zone).date().replace(day=1)
    while (start := _midnight(day, zone)) < hours.end:
        later = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        yield Month(day, HourRange(start, ceil((_midnight(later, zone) - start) / HOUR)))
        day = later


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _groups(
    dataset: Dataset, theirs: Sequence[int], month: date, *, pooled: bool
) -> Mapping[Tiers, Mapping[tuple[SkuKey, str], list[int]]]:
    """What is summed up, by its tiers: places in ``theirs`` by SKU and project (pooled: ``""``)."""
    grouped: dict[Tiers, dict[tuple[SkuKey, str], list[int]]] = {}
    for place, index in enumerate(theirs):
        line = dataset.usage.lines[index]
        sku = dataset.skus[line.key]
        tiers = next((one for one in rules().tiers if one.holds(sku, month)), None)
        if tiers is not None:
            group = (line.key, "" if pooled else line.account)
            grouped.setdefault(tiers, {}).setdefault(group, []).append(place)
    return grouped


@cache
def rules() -> Rules:
    """The tiers as shipped."""
    data = yaml.safe_load(
        resources.files("service.billing").joinpath("sustained_use.yaml").read_text("utf-8")
    )
    return Rules(
        zone=ZoneInfo(data["month_zone"]),
        tiers=tuple(
            Tiers(
                series=frozenset(row["series"]),
                units=frozenset(row["units"]),
                charged_ratio=tuple(Fraction(ratio) for ratio in row["charged_ratio"]),
                start=row.get("from"),
                end=row.get("until"),
                source=row["source"],
            )
            for row in data["rules"]
        ),
    )
