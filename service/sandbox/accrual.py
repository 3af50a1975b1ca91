"""What the world costs, day by day: decides each day's bill with the real billing code.

A day is billed once, when it is over: nothing that happens later changes who owned what in it.
Arrays are float64; money in ``DayBill.bill`` is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill, settle
from service.billing.exact import Pair, written
from service.billing.kernel import Hours, run
from service.billing.moves import Move, Room
from service.billing.waterfall import waterfall
from service.domain.commitments import Commitment
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.usage import Dataset, Usage
from service.sandbox.world import World

Floats = NDArray[np.float64]


class Cover(NamedTuple):
    """How much of one line one commitment covered, hour by hour, in the line's unit.

    ``usd_per_unit`` is what a unit used up of the commitment, in dollars.
    """

    room: int
    line: int
    quantity: Floats
    usd_per_unit: float


@dataclass(frozen=True, slots=True)
class DayBill:
    """One day. ``used`` and ``left`` are lines × hours; ``covers`` is what lies between them."""

    day: datetime
    dataset: Dataset
    rooms: tuple[Room, ...]
    used: Floats
    left: Floats
    covers: tuple[Cover, ...]
    bill: Bill


@dataclass(frozen=True, slots=True)
class Totals:
    """Days added up, in dollars."""

    days: int
    on_demand_equivalent_usd: Decimal
    on_demand_usd: Decimal
    commitment_usd: Decimal
    used_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """On demand and commitments together."""
        return self.on_demand_usd + self.commitment_usd


def bill_day(dataset: Dataset) -> DayBill:
    """The bill of a dataset of one day, with who covered what."""
    usage = dataset.usage
    plan = waterfall(
        hours=usage.hours,
        lines=usage.lines,
        skus=dataset.skus,
        offerings=dataset.offerings,
        commitments=dataset.commitments,
    )
    quantity = written(np.ascontiguousarray(usage.quantity.T))
    covers: list[Cover] = []

    def note(move: Move, line: int, hours: Hours, covered: Pair) -> None:
        by_hour = np.zeros(usage.hours.count)
        by_hour[hours] = covered.high
        room = plan.rooms[move.room]
        rate = move.rates[move.lines.index(line)]
        covers.append(Cover(move.room, line, by_hour, float(rate) * float(room.usd_per_room)))

    outcome = run(plan.rooms, plan.moves, quantity, note)
    return DayBill(
        day=usage.hours.start,
        dataset=dataset,
        rooms=plan.rooms,
        used=quantity.high,
        left=outcome.usage.high,
        covers=tuple(covers),
        bill=settle(dataset, plan, quantity, outcome),
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
            if known is not None:
                return known
            if day + timedelta(days=1) > self._world.now():
                msg = f"{day.isoformat()} is not over"
                raise InvariantError(msg)
            made = bill_day(self._dataset(day))
            self._days[day] = made
            return made

    def estimated(self, day: datetime, share: Floats) -> DayBill:
        """The bill as it first looked, with ``share`` (lines) of the usage reported so far."""
        with self._world.lock:
            full = self._dataset(day)
            usage = full.usage
            reported = Usage(usage.hours, usage.lines, np.round(usage.quantity * share, 4))
            return bill_day(Dataset(reported, full.skus, full.offerings, full.commitments))

    def days(self, first: datetime, end: datetime) -> Sequence[DayBill]:
        """The bills of the days in [first, end) that are over and within the usage."""
        with self._world.lock:
            start = self._world.usage.hours.start
            last = min(end, self._world.now())
            count = max((last - first) // timedelta(days=1), 0)
            wanted = (first + timedelta(days=index) for index in range(count))
            return [self.day(day) for day in wanted if day >= start]

    def totals(self, first: datetime, end: datetime) -> Totals:
        """The days in [first, end) added up."""
        bills = [day.bill for day in self.days(first, end)]
        return Totals(
            days=len(bills),
            on_demand_equivalent_usd=_sum(bill.on_demand_equivalent_usd for bill in bills),
            on_demand_usd=_sum(bill.on_demand_usd for bill in bills),
            commitment_usd=_sum(bill.commitment_usd for bill in bills),
            used_usd=_sum(use.used_usd for bill in bills for use in bill.commitments.values()),
        )

    def _dataset(self, day: datetime) -> Dataset:
        whole = self._world.dataset(HourRange(day, DAY_HOURS))
        end = day + timedelta(days=1)
        return Dataset(
            whole.usage,
            whole.skus,
            whole.offerings,
            tuple(c for c in whole.commitments if _touches(c, day, end)),
        )


def _touches(commitment: Commitment, first: datetime, end: datetime) -> bool:
    return commitment.start < end and commitment.end > first


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
