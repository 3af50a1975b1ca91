"""What the world costs, day by day: decides each day's bill with the real billing code.

A day is billed once, when it is over: nothing that happens later changes who owned what in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from threading import RLock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill, settle
from service.billing.exact import Floats, Pair, written
from service.billing.focus import NONE, FocusRows
from service.billing.kernel import Hours, Outcome, run
from service.billing.moves import Move
from service.billing.waterfall import Waterfall, waterfall
from service.domain.commitments import Commitment
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.money import NANO_PER_USD
from service.domain.usage import Dataset, Usage

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayBill:
    """One day as billed: ``rows`` says what was covered by what, hour by hour."""

    day: datetime
    dataset: Dataset
    plan: Waterfall
    quantity: Pair
    outcome: Outcome
    rows: FocusRows

    def bill(self) -> Bill:
        """The day's bill, exact to the nano-dollar."""
        return settle(self.dataset, self.plan, self.quantity, self.outcome)


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


def bill_day(dataset: Dataset, plan: Waterfall) -> DayBill:
    """Make the moves of ``plan``, which is the dataset's own, and note them as rows."""
    usage = dataset.usage
    quantity = written(np.ascontiguousarray(usage.quantity.T))
    noted = _Notes(plan, usage.hours.count)
    outcome = run(plan.rooms, plan.moves, quantity, noted.cover)
    for index in range(len(plan.rooms)):
        noted.unused(index, outcome.room.high[index])
    for index, line in enumerate(usage.lines):
        price = float(dataset.skus[line.key].on_demand_usd)
        noted.on_demand(index, outcome.usage.high[index], price)
    return DayBill(usage.hours.start, dataset, plan, quantity, outcome, noted.rows())


class _Notes:
    """Gathers a day's rows as columns: hour, line, commitment, quantity, its own, dollars."""

    def __init__(self, plan: Waterfall, hours: int) -> None:
        self._plan = plan
        self._room_usd = [float(room.usd_per_room) for room in plan.rooms]
        self._per_unit = [float(room.per_quantity) for room in plan.rooms]
        self._all_hours = np.arange(hours)
        self._parts: list[tuple[Hours, int, int, Floats, Floats, Floats]] = []

    def cover(self, move: Move, line: int, hours: Hours, covered: Pair) -> None:
        taken = covered.high * float(move.rates[move.lines.index(line)])
        usd = taken * self._room_usd[move.room]
        units = taken / self._per_unit[move.room]
        self._parts.append((hours, line, move.room, covered.high, units, usd))

    def unused(self, room: int, left: Floats) -> None:
        hours = np.flatnonzero(left > 0)
        rest = left[hours]
        units, usd = rest / self._per_unit[room], rest * self._room_usd[room]
        self._parts.append((hours, NONE, room, np.zeros(len(hours)), units, usd))

    def on_demand(self, line: int, left: Floats, price_usd: float) -> None:
        hours = np.flatnonzero(left > 0)
        rest = left[hours]
        self._parts.append((hours, line, NONE, rest, np.zeros(len(hours)), rest * price_usd))

    def rows(self) -> FocusRows:
        counts = [len(part[0]) for part in self._parts]
        hour = np.concatenate([part[0] for part in self._parts]).astype(np.int64)
        order = np.argsort(hour, kind="stable")
        usd = np.concatenate([part[5] for part in self._parts])
        return FocusRows(
            hour=hour[order],
            line=np.repeat([part[1] for part in self._parts], counts)[order],
            commitment=np.repeat([part[2] for part in self._parts], counts)[order],
            quantity=np.concatenate([part[3] for part in self._parts])[order],
            commitment_quantity=np.concatenate([part[4] for part in self._parts])[order],
            effective_nano_usd=np.rint(usd * NANO_PER_USD).astype(np.int64)[order],
        )


class BilledWorld(Protocol):
    """What a bill needs of a world, whichever cloud it is. ``lock`` guards all of it."""

    lock: RLock
    usage: Usage

    def now(self) -> datetime:
        """The current virtual instant."""
        ...

    def dataset(self, hours: HourRange) -> Dataset:
        """Usage, prices, and what was owned over ``hours``, at its own rates."""
        ...


class Accrual:
    """The bills of a world's past days, each made on first need and kept."""

    def __init__(self, world: BilledWorld) -> None:
        self._world = world
        self._days: dict[datetime, DayBill] = {}
        self._bills: dict[datetime, Bill] = {}
        self._plans: dict[tuple[object, ...], Waterfall] = {}

    def day(self, day: datetime) -> DayBill:
        """The bill of the day that begins at ``day``; it must be over."""
        with self._world.lock:
            known = self._days.get(day)
            if known is None:
                dataset = self._dataset(day)
                known = bill_day(dataset, self._plan(dataset))
                self._days[day] = known
            return known

    def bill(self, day: datetime) -> Bill:
        """The exact bill of the day that begins at ``day``."""
        with self._world.lock:
            if day not in self._bills:
                self._bills[day] = self.day(day).bill()
            return self._bills[day]

    def reported(self, day: datetime, share: NDArray[np.float64]) -> DayBill:
        """The day's bill if only ``share`` (0–1, by usage line) of its usage is known yet."""
        with self._world.lock:
            full = self._dataset(day)
            usage = full.usage
            known = Usage(usage.hours, usage.lines, np.round(usage.quantity * share, 4))
            return bill_day(
                Dataset(known, full.skus, full.offerings, full.commitments), self._plan(full)
            )

    def days(self, first: datetime, end: datetime) -> Sequence[DayBill]:
        """The bills of the days that begin in [first, end) and are over, within the usage."""
        with self._world.lock:
            begin = max(first, self._world.usage.hours.start)
            last = min(end, self._world.now())
            count = max((last - begin) // DAY, 0)
            return [self.day(begin + index * DAY) for index in range(count)]

    def totals(self, first: datetime, end: datetime) -> Totals:
        """The days in [first, end) added up; both at midnight."""
        with self._world.lock:
            bills = [self.bill(day.day) for day in self.days(first, end)]
        return Totals(
            days=len(bills),
            on_demand_equivalent_usd=_sum(one.on_demand_equivalent_usd for one in bills),
            on_demand_usd=_sum(one.on_demand_usd for one in bills),
            commitment_usd=_sum(one.commitment_usd for one in bills),
            used_usd=_sum(use.used_usd for one in bills for use in one.commitments.values()),
        )

    def _plan(self, dataset: Dataset) -> Waterfall:
        """The order of the day's moves, made anew only when holdings differ from known days'."""
        hours = dataset.usage.hours
        key = tuple(
            (one.commitment, one.offering, hours.clip(one.start, one.end))
            for one in dataset.commitments
        )
        if key not in self._plans:
            self._plans[key] = waterfall(
                hours=hours,
                lines=dataset.usage.lines,
                skus=dataset.skus,
                offerings=dataset.offerings,
                commitments=dataset.commitments,
            )
        return self._plans[key]

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
