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
from service.billing.moves import Move, Room
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


@dataclass(frozen=True, slots=True)
class _Step:
    """A move in float64: ``room`` is a position in ``Stack.pools``, rates by line."""

    room: int
    lines: tuple[int, ...]
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Trace:
    """What a step did: at ``hours``, where the room was ``enough``; shares need the amounts."""

    step: _Step
    hours: NDArray[np.intp]
    enough: NDArray[np.bool_]
    before: Floats
    share: Floats


@dataclass(frozen=True, slots=True)
class Stack:
    """A fixed list of commitments whose levels vary.

    ``levels`` are their own quantities, in dollars per hour (spend) or units of capacity;
    ``usd_per_level`` what one unit of level costs over the hours. Commitments that differ in
    nothing but quantity and id fill up as one: ``pool_of`` says which.
    """

    market: Market
    plan: Waterfall
    levels: Floats
    usd_per_level: Floats
    pool_of: NDArray[np.intp]
    pools: tuple[Room, ...]
    steps: tuple[_Step, ...]

    def cost(self, levels: Floats) -> float:
        """Total dollars over the hours at ``levels`` (≥ 0, one per commitment)."""
        left, _ = self._forward(levels, trace=False)
        return self._total(levels, left)

    def on_demand(self, levels: Floats) -> Floats:
        """What stays on demand at ``levels``: quantity by line and hour."""
        return self._forward(levels, trace=False)[0]

    def slope(self, levels: Floats) -> tuple[float, Floats]:
        """Cost in dollars at ``levels``, and its right derivative in each level."""
        left, traces = self._forward(levels, trace=True)
        value = self._backward(traces)
        gain = np.array([float(pool.per_quantity) for pool in self.pools]) * value
        return self._total(levels, left), self.usd_per_level - gain[self.pool_of]

    def _total(self, levels: Floats, left: Floats) -> float:
        on_demand = float(self.market.on_demand_usd @ left.sum(axis=1))
        return on_demand + float(self.usd_per_level @ levels)

    def _forward(self, levels: Floats, *, trace: bool) -> tuple[Floats, list[_Trace]]:
        if levels.shape != self.levels.shape or not (levels >= 0).all():
            msg = f"levels must be {len(self.levels)} numbers of at least 0"
            raise InvariantError(msg)
        left = self.market.quantity.high.copy()
        room, still_open = self._rooms(levels)
        idle = np.zeros(len(left), dtype=bool)
        shut: list[bool] = [not one.any() for one in still_open]
        traces: list[_Trace] = []
        for step in self.steps:
            if shut[step.room]:
                continue
            live = [line for line in step.lines if not idle[line]]
            if not live:
                continue
            done = _advance(step, left, room[step.room], still_open[step.room])
            if done is None:
                for line in live:
                    idle[line] = not left[line].any()
                shut[step.room] = not bool(still_open[step.room].any())
            elif trace:
                traces.append(done)
        return left, traces

    def _rooms(self, levels: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        pooled = np.bincount(self.pool_of, weights=levels, minlength=len(self.pools))
        hours = self.market.quantity.high.shape[1]
        room = np.zeros((len(self.pools), hours))
        still_open = np.zeros((len(self.pools), hours), dtype=bool)
        for index, pool in enumerate(self.pools):
            room[index, pool.first : pool.last] = pooled[index] * float(pool.per_quantity)
            still_open[index, pool.first : pool.last] = True
        return room, still_open

    def _backward(self, traces: Sequence[_Trace]) -> Floats:
        """On-demand dollars that one more unit of each pool's room would save."""
        hours = self.market.quantity.high.shape[1]
        worth = np.repeat(self.market.on_demand_usd[:, None], hours, axis=1)
        value = np.zeros((len(self.pools), hours))
        for done in reversed(traces):
            _retreat(done, worth, value[done.step.room])
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
    )


def moves_of(stack: Stack) -> tuple[Move, ...]:
    """The moves behind a stack, with their exact rates: which commitment may cover what."""
    return stack.plan.moves


def _pool(room: Room) -> tuple[object, ...]:
    one = room.commitment
    return (one.offering, one.account, one.scope, one.zone, room.first, room.last)


def _advance(
    step: _Step, left: Floats, room: Floats, still_open: NDArray[np.bool_]
) -> _Trace | None:
    """Make one step in place; ``None`` when no hour has both usage and an open room."""
    if len(step.lines) > 1:
        return _advance_many(step, left, room, still_open)
    line, rate = step.lines[0], step.rates[0]
    hours = np.flatnonzero(still_open & (left[line] > 0))
    if not len(hours):
        return None
    before, there = left[line][hours], room[hours]
    need = before * rate
    enough = need <= there
    room[hours] = np.where(enough, there - need, 0.0)
    after = np.where(enough, 0.0, before - there / rate if rate else 0.0)
    left[line][hours] = after
    still_open[hours] = enough
    return _Trace(step, hours, enough, before, after)


def _advance_many(
    step: _Step, left: Floats, room: Floats, still_open: NDArray[np.bool_]
) -> _Trace | None:
    lines, rates = np.array(step.lines), np.array(step.rates)[:, None]
    hours = np.flatnonzero(still_open & (left[lines] > 0).any(axis=0))
    if not len(hours):
        return None
    cells = np.ix_(lines, hours)
    before, there = left[cells], room[hours]
    need = (before * rates).sum(axis=0)
    enough = need <= there
    share = np.divide(there, need, out=np.ones_like(need), where=~enough)
    room[hours] = np.where(enough, there - need, 0.0)
    left[cells] = np.where(enough, 0.0, before * (1.0 - share))
    still_open[hours] = enough
    return _Trace(step, hours, enough, before, share)


def _retreat(done: _Trace, worth: Floats, value: Floats) -> None:
    """Carry the worth of a unit left, and of a unit of room, back over one step."""
    step, hours, enough = done.step, done.hours, done.enough
    there = value[hours]
    if len(step.lines) == 1:
        line, rate = step.lines[0], step.rates[0]
        unit = worth[line][hours]
        if rate:
            value[hours] = np.where(enough, there, unit / rate)
        worth[line][hours] = np.where(enough, there * rate, unit)
        return
    cells = np.ix_(np.array(step.lines), hours)
    rates = np.array(step.rates)[:, None]
    unit = worth[cells]
    need = (done.before * rates).sum(axis=0)
    marginal = np.divide(
        (unit * done.before).sum(axis=0), need, out=np.zeros_like(need), where=~enough
    )
    value[hours] = np.where(enough, there, marginal)
    shared = unit * (1.0 - done.share) + rates * done.share * marginal
    worth[cells] = np.where(enough, there * rates, shared)
