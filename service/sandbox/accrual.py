"""What the world costs, day by day: decides each day's bill with the real billing code.

A day is billed once, when it is over: nothing that happens later changes who owned what in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill, bill
from service.billing.focus import FocusRows, focus_rows
from service.domain.commitments import Commitment
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.usage import Dataset, Usage
from service.sandbox.world import World

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayBill:
    """One day's bill, and its rows: what was covered by what, hour by hour."""

    day: datetime
    dataset: Dataset
    bill: Bill
    rows: FocusRows


@dataclass(frozen=True, slots=True)
class Totals:
    """Days added up, in dollars, exact to the nano-dollar. Ratios are 0 where nothing divides."""

    days: int
    on_demand_equivalent_usd: Decimal
    on_demand_usd: Decimal
    commitment_usd: Decimal
    used_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """On demand and commitments together."""
        return self.on_demand_usd + self.commitment_usd

    @property
    def effective_savings_rate(self) -> Decimal:
        """1 − total / on-demand equivalent."""
        if not self.on_demand_equivalent_usd:
            return Decimal(0)
        return 1 - self.total_usd / self.on_demand_equivalent_usd


def bill_day(dataset: Dataset) -> DayBill:
    """The bill of a dataset of one day."""
    result = bill(dataset)
    return DayBill(
        day=dataset.usage.hours.start,
        dataset=dataset,
        bill=result,
        rows=focus_rows(dataset, result),
    )


class Accrual:
    """The bills of a world's past days, each made on first need and kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._days: dict[datetime, DayBill] = {}

    def day(self, day: datetime) -> DayBill:
        """The bill of the day that begins at ``day``; it must be over."""
        with self._world.lock:
            known = self._days.get(day)
            if known is None:
                known = bill_day(self._dataset(day))
                self._days[day] = known
            return known

    def reported(self, day: datetime, share: NDArray[np.float64]) -> DayBill:
        """The day's bill if only ``share`` (0–1, by usage line) of its usage is known yet."""
        with self._world.lock:
            full = self._dataset(day)
            usage = full.usage
            known = Usage(usage.hours, usage.lines, np.round(usage.quantity * share, 4))
            return bill_day(Dataset(known, full.skus, full.offerings, full.commitments))

    def days(self, first: datetime, end: datetime) -> Sequence[DayBill]:
        """The bills of the days that begin in [first, end) and are over, within the usage."""
        with self._world.lock:
            begin = max(first, self._world.usage.hours.start)
            last = min(end, self._world.now())
            count = max((last - begin) // DAY, 0)
            return [self.day(begin + index * DAY) for index in range(count)]

    def totals(self, first: datetime, end: datetime) -> Totals:
        """The days in [first, end) added up; both at midnight."""
        bills = [day.bill for day in self.days(first, end)]
        return Totals(
            days=len(bills),
            on_demand_equivalent_usd=_sum(one.on_demand_equivalent_usd for one in bills),
            on_demand_usd=_sum(one.on_demand_usd for one in bills),
            commitment_usd=_sum(one.commitment_usd for one in bills),
            used_usd=_sum(use.used_usd for one in bills for use in one.commitments.values()),
        )

    def _dataset(self, day: datetime) -> Dataset:
        if day + DAY > self._world.now():
            msg = f"{day.isoformat()} is not over"
            raise InvariantError(msg)
        whole = self._world.dataset(HourRange(day, DAY_HOURS))
        owned = tuple(c for c in whole.commitments if _touches(c, day, day + DAY))
        return Dataset(whole.usage, whole.skus, whole.offerings, owned)


def _touches(commitment: Commitment, first: datetime, end: datetime) -> bool:
    return commitment.start < end and commitment.end > first


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
