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

from collections.abc import Iterator, Mapping
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
from service.billing.moves import within
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
        groups = _groups(dataset, theirs, month.first, pooled=pooled)
        if not groups:
            continue
        first, last = usage.hours.clip(month.hours.start, month.hours.end)
        span = slice(first, last)
        quantity = written(np.ascontiguousarray(usage.quantity[span, theirs].T))
        left = run([within(room, span) for room in plan.rooms], plan.moves, quantity).usage
        for group, places in groups.items():
            together = Pair(left.high[places[0]], left.low[places[0]])
            for place in places[1:]:
                together = add(together, Pair(left.high[place], left.low[place]))
            units = discounted_units(together, month.hours.count, group.tiers.charged_ratio)
            credit += units * Fraction(dataset.skus[group.key].on_demand_usd)
    return rounded(credit, NANO_PLACES)


def discounted_units(
    quantity: Pair, month_hours: int, charged_ratio: tuple[Fraction, ...]
) -> Fraction:
    """How many units a month's discount is worth; ``quantity`` is by hour, in any order.

    A month of ``month_hours`` of which ``quantity`` holds some or all; the rest is unused.
    """
    order = np.lexsort((quantity.low, quantity.high))[::-1]
    falling = quantity.take(order)
    worth = Fraction(0)
    for tier, charged in enumerate(charged_ratio):
        start = Fraction(month_hours * tier, len(charged_ratio))
        end = Fraction(month_hours * (tier + 1), len(charged_ratio))
        if charged != 1:
            worth += (1 - charged) * (_up_to(falling, end) - _up_to(falling, start))
    return worth


def _up_to(falling: Pair, hours: Fraction) -> Fraction:
    """The sum of the first ``hours``, of which the last may be a part."""
    whole = floor(hours)
    first = Pair(falling.high[None, :whole], falling.low[None, :whole])
    (total,) = fractions(totals(first))
    if hours > whole and whole < len(falling.high):
        (next_one,) = fractions(Pair(falling.high[[whole]], falling.low[[whole]]))
        total += next_one * (hours - whole)
    return total


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


@dataclass(frozen=True, slots=True)
class _Group:
    """What is summed up: one SKU of one project, or (``""``) of all of them."""

    key: SkuKey
    account: str
    tiers: Tiers


def _groups(
    dataset: Dataset, theirs: list[int], month: date, *, pooled: bool
) -> Mapping[_Group, list[int]]:
    groups: dict[_Group, list[int]] = {}
    for place, index in enumerate(theirs):
        line = dataset.usage.lines[index]
        sku = dataset.skus[line.key]
        tiers = next((one for one in rules().tiers if one.holds(sku, month)), None)
        if tiers is not None:
            group = _Group(line.key, "" if pooled else line.account, tiers)
            groups.setdefault(group, []).append(place)
    return groups


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
