"""What the Google Cloud world costs, day by day: billed once a day is over, by the billing code."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill
from service.billing.waterfall import waterfall
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.usage import Dataset, Usage
from service.sandbox.accrual import DayBill, Totals, bill_day

if TYPE_CHECKING:
    from service.sandbox.gcp.world import GcpWorld

DAY = timedelta(days=1)


class Bills:
    """The bills of a world's past days, each made on first need and kept."""

    def __init__(self, world: GcpWorld) -> None:
        self._world = world
        self._days: dict[datetime, DayBill] = {}
        self._bills: dict[datetime, Bill] = {}

    def day(self, day: datetime) -> DayBill:
        """The day that begins at ``day``, hour by hour; it must be over."""
        with self._world.lock:
            if day not in self._days:
                self._days[day] = _billed(self._dataset(day))
            return self._days[day]

    def reported(self, day: datetime, share: NDArray[np.float64]) -> DayBill:
        """The day if only ``share`` (0-1, by usage line) of its usage is known yet."""
        with self._world.lock:
            full = self._dataset(day)
            usage = full.usage
            known = Usage(usage.hours, usage.lines, np.round(usage.quantity * share, 4))
            return _billed(Dataset(known, full.skus, full.offerings, full.commitments))

    def bill(self, day: datetime) -> Bill:
        """The exact bill of the day that begins at ``day``."""
        with self._world.lock:
            if day not in self._bills:
                self._bills[day] = self.day(day).bill()
            return self._bills[day]

    def totals(self, first: datetime, end: datetime) -> Totals:
        """The days that begin in [first, end), both at midnight, and are over, added up."""
        with self._world.lock:
            last = min(end, self._world.now())
            count = max((last - first) // DAY, 0)
            bills = [self.bill(first + index * DAY) for index in range(count)]
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
        self._world.settle()
        return self._world.dataset(HourRange(day, DAY_HOURS))


def _billed(dataset: Dataset) -> DayBill:
    plan = waterfall(
        hours=dataset.usage.hours,
        lines=dataset.usage.lines,
        skus=dataset.skus,
        offerings=dataset.offerings,
        commitments=dataset.commitments,
    )
    return bill_day(dataset, plan)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
