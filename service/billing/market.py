"""Bills for an optimiser: one market compiled once, then evaluated at many commitment levels.

Same order of moves as the bill, in plain float64: close to the exact bill within about 1e-12 of it.
``Stack.slope`` gives the cost and, by going through the moves backwards, what one more unit of
each commitment would change (the right derivative). Nothing here is ever shown as money: whoever
reports a result bills it again with ``Market.bill``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill, settle
from service.billing.exact import Floats, Pair, written
from service.billing.kernel import run
from service.billing.moves import Room
from service.billing.sharing import ORGANISATION, Sharing
from service.billing.waterfall import Waterfall, waterfall
from service.domain.commitments import Commitment, Offering
from service.domain.errors import InvariantError
from service.domain.ids import OfferingId
from service.domain.usage import Dataset, Sku, SkuKey, Usage


@dataclass(frozen=True, slots=True)
class Market:
    """Usage, prices and offerings, ready for many evaluations.

    ``quantity`` is lines × hours in each SKU's unit; ``on_demand_usd`` the price by line.
    """

    dataset: Dataset
    sharing: Sharing
    quantity: Pair
    on_demand_usd: Floats

    def bill(self, commitments: Sequence[Commitment]) -> Bill:
        """The exact bill under ``commitments``."""
        plan = self._waterfall(commitments)
        dataset = replace(self.dataset, commitments=tuple(commitments))
        return settle(dataset, plan, self.quantity, run(plan.rooms, plan.moves, self.quantity))

    def cost(self, commitments: Sequence[Commitment]) -> float:
        """The total of ``bill(commitments)`` in dollars, in float64."""
        stack = self.stack(commitments)
        return stack.cost(stack.levels)

    def stack(self, commitments: Sequence[Commitment]) -> Stack:
        """``commitments`` with their quantities left open: evaluate them at any levels."""
        return stack_of(self, self._waterfall(commitments))

    def _waterfall(self, commitments: Sequence[Commitment]) -> Waterfall:
        usage = self.dataset.usage
        return waterfall(
            hours=usage.hours,
            lines=usage.lines,
            skus=self.dataset.skus,
            offerings=self.dataset.offerings,
            commitments=commitments,
            sharing=self.sharing,
        )


def compile_market(
    usage: Usage,
    skus: Mapping[SkuKey, Sku],
    offerings: Mapping[OfferingId, Offering],
    *,
    sharing: Sharing = ORGANISATION,
) -> Market:
    """A market to evaluate commitments in. ``InvariantError`` when a line has no price."""
    unpriced = next((line for line in usage.lines if line.key not in skus), None)
    if unpriced is not None:
        msg = f"{unpriced} has no price"
        raise InvariantError(msg)
    return Market(
        dataset=Dataset(usage=usage, skus=skus, offerings=offerings, commitments=()),
        sharing=sharing,
        quantity=written(np.ascontiguousarray(usage.quantity.T)),
        on_demand_usd=np.array([float(skus[line.key].on_demand_usd) for line in usage.lines]),
    )


Hours = NDArray[np.intp] | slice
"""Hours by index; a run of hours is a slice, which copies nothing."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A move in float64: ``room`` is a position in ``Stack.pools``, rates by line."""

    room: int
    lines: tuple[int, ...]
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Trace:
    """What a step did: in the hours ``covered`` all usage fitted, in those ``short`` it did not.

    Steps of several lines keep what each line had in the short hours, and the share covered.
    """

    step: _Step
    covered: Hours
    short: NDArray[np.intp]
    before: tuple[Floats, ...] = ()
    share: Floats | None = None


@dataclass(slots=True)
class _Open:
    """The hours in which a pool's room still takes all that it meets, and how much is left.

    An hour in which some usage did not fit is closed for good: its next dollar belongs there.
    """

    hours: Hours
    room: Floats


@dataclass(frozen=True, slots=True)
class Stack:
    """A fixed list of commitments whose levels vary.

    ``levels`` are their own quantities, in dollars per hour (spend) or units of capacity;
    ``usd_per_level`` what one unit of level costs over the hours. Commitments that differ in
    nothing but quantity and id fill up as one: ``pool_of`` says which. ``quantity_by_line`` sums
    all usage over the hours.
    """

    market: Market
    plan: Waterfall
    levels: Floats
    usd_per_level: Floats
    pool_of: NDArray[np.intp]
    pools: tuple[Room, ...]
    steps: tuple[_Step, ...]
    quantity_by_line: Floats

    def cost(self, levels: Floats) -> float:
        """Total dollars over the hours at ``levels`` (≥ 0, one per commitment)."""
        left, _ = self._forward(levels, trace=False)
        return self._total(levels, left)

    def on_demand(self, levels: Floats) -> Floats:
        """What stays on demand at ``levels``: quantity by line and hour."""
        left, _ = self._forward(levels, trace=False)
        whole = self.market.quantity.high.copy()
        for line, rest in left.items():
            whole[line] = rest
        return whole

    def slope(self, levels: Floats) -> tuple[float, Floats]:
        """Cost in dollars at ``levels``, and its right derivative in each level."""
        left, traces = self._forward(levels, trace=True)
        value = self._backward(traces)
        gain = np.array([float(pool.per_quantity) for pool in self.pools]) * value
        return self._total(levels, left), self.usd_per_level - gain[self.pool_of]

    def _total(self, levels: Floats, left: Mapping[int, Floats]) -> float:
        price = self.market.on_demand_usd
        lines = self.quantity_by_line.copy()
        for line, rest in left.items():
            lines[line] = rest.sum()
        return float(price @ lines) + float(self.usd_per_level @ levels)

    def _forward(self, levels: Floats, *, trace: bool) -> tuple[dict[int, Floats], list[_Trace]]:
        """What is left of the lines that some commitment may cover, and what was done."""
        if levels.shape != self.levels.shape or not (levels >= 0).all():
            msg = f"levels must be {len(self.levels)} numbers of at least 0"
            raise InvariantError(msg)
        left: dict[int, Floats] = {}
        rooms = self._rooms(levels)
        closed = [not len(room.room) for room in rooms]
        idle: set[int] = set()
        traces: list[_Trace] = []
        for step in self.steps:
            if closed[step.room] or idle.issuperset(step.lines):
                continue
            pool = rooms[step.room]
            for line in step.lines:
                if line not in left:
                    left[line] = self.market.quantity.high[line].copy()
            done = _advance(step, [left[line] for line in step.lines], pool)
            if done is None:
                idle.update(line for line in step.lines if not left[line].any())
            else:
                closed[step.room] = not len(pool.room)
                if trace:
                    traces.append(done)
        return left, traces

    def _rooms(self, levels: Floats) -> list[_Open]:
        pooled = np.bincount(self.pool_of, weights=levels, minlength=len(self.pools))
        rooms = []
        for pool, level in zip(self.pools, pooled.tolist(), strict=True):
            room = np.full(pool.last - pool.first, level * float(pool.per_quantity))
            rooms.append(_Open(slice(pool.first, pool.last), room))
        return rooms

    def _backward(self, traces: Sequence[_Trace]) -> Floats:
        """On-demand dollars that one more unit of each pool's room would save."""
        hours = self.market.quantity.high.shape[1]
        worth: dict[int, Floats] = {}
        value = np.zeros((len(self.pools), hours))
        for done in reversed(traces):
            for line in done.step.lines:
                if line not in worth:
                    worth[line] = np.full(hours, self.market.on_demand_usd[line])
            _retreat(done, [worth[line] for line in done.step.lines], value[done.step.room])
        saved: Floats = value.sum(axis=1)
        return saved


def stack_of(market: Market, plan: Waterfall) -> Stack:
    """A waterfall with its quantities left open."""
    keys: dict[object, int] = {}
    pool_of = np.array([keys.setdefault(_pool(room), len(keys)) for room in plan.rooms], dtype=int)
    first = {pool: index for index, pool in reversed(list(enumerate(pool_of.tolist())))}
    steps = tuple(
        _Step(int(pool_of[move.room]), move.lines, tuple(float(rate) for rate in move.rates))
        for move in plan.moves
        if first[int(pool_of[move.room])] == move.room
    )
    hours = np.array([room.last - room.first for room in plan.rooms], dtype=float)
    usd = [float(room.usd_per_room * Fraction(room.per_quantity)) for room in plan.rooms]
    return Stack(
        market=market,
        plan=plan,
        levels=np.array([float(room.commitment.quantity) for room in plan.rooms]),
        usd_per_level=hours * np.array(usd),
        pool_of=pool_of,
        pools=tuple(plan.rooms[first[pool]] for pool in range(len(keys))),
        steps=steps,
        quantity_by_line=market.quantity.high.sum(axis=1),
    )


def _pool(room: Room) -> tuple[object, ...]:
    one = room.commitment
    return (one.offering, one.account, one.scope, one.zone, room.first, room.last)


def _advance(step: _Step, left: Sequence[Floats], pool: _Open) -> _Trace | None:
    """Make one step in place; ``None`` when there is no usage left in the pool's open hours."""
    if len(step.lines) > 1:
        return _advance_many(step, left, pool)
    (rate,), (line,) = step.rates, left
    hours, before = pool.hours, line[pool.hours]
    if not before.any():
        return None
    rest = pool.room - before * rate
    short = (rest < 0.0).nonzero()[0]
    line[hours] = 0.0
    if not len(short):
        pool.room = rest
        return _Trace(step, hours, short)
    late = _pick(hours, short)
    line[late] = rest[short] / -rate
    fits = (rest >= 0.0).nonzero()[0]
    pool.hours, pool.room = _pick(hours, fits), rest[fits]
    return _Trace(step, pool.hours, late)


def _advance_many(step: _Step, left: Sequence[Floats], pool: _Open) -> _Trace | None:
    hours = pool.hours
    before = [line[hours] for line in left]
    if not any(one.any() for one in before):
        return None
    need = np.zeros(len(pool.room))
    for one, rate in zip(before, step.rates, strict=True):
        need += one * rate
    rest = pool.room - need
    short = (rest < 0.0).nonzero()[0]
    fits = (rest >= 0.0).nonzero()[0]
    share = pool.room[short] / need[short]
    had = tuple(one[short] for one in before)
    late = _pick(hours, short)
    for line, was in zip(left, had, strict=True):
        line[hours] = 0.0
        line[late] = was * (1.0 - share)
    pool.hours, pool.room = _pick(hours, fits), rest[fits]
    return _Trace(step, pool.hours, late, had, share)


def _pick(hours: Hours, index: NDArray[np.intp]) -> NDArray[np.intp]:
    if isinstance(hours, slice):
        picked: NDArray[np.intp] = index + hours.start
        return picked
    return hours[index]


def _retreat(done: _Trace, worth: Sequence[Floats], value: Floats) -> None:
    """Carry the worth of a unit left, and of a unit of room, back over one step."""
    step, covered, short = done.step, done.covered, done.short
    there = value[covered]
    if done.share is None:
        (rate,), (line,) = step.rates, worth
        line[covered] = there * rate
        value[short] = line[short] / rate if rate else 0.0
        return
    need = np.zeros(len(short))
    lost = np.zeros(len(short))
    for line, was, rate in zip(worth, done.before, step.rates, strict=True):
        need += was * rate
        lost += line[short] * was
    marginal = lost / need
    for line, rate in zip(worth, step.rates, strict=True):
        line[covered] = there * rate
        line[short] = line[short] * (1.0 - done.share) + rate * done.share * marginal
    value[short] = marginal
