"""Bills for an optimiser: one market compiled once, then evaluated at many commitment levels.

Same order of moves as the bill, in plain float64: close to the exact bill within about 1e-12 of it.
``Stack.slope`` gives the cost and, by going through the moves backwards, what one more unit of
each commitment would change (the right derivative). Where rules change within the hours, those of
the last hour count for all: whoever decides looks ahead. Nothing here is ever shown as money:
whoever reports a result bills it again with ``Market.bill``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill, settle
from service.billing.exact import Floats, Pair, written
from service.billing.flow import Flags, Flow, Index, Rows, Step
from service.billing.kernel import run
from service.billing.moves import ALWAYS, Room
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
    ``ordered`` is the quantity in float64 with its hours in ``order``, from the least used.
    """

    dataset: Dataset
    sharing: Sharing
    quantity: Pair
    on_demand_usd: Floats
    order: Index
    ordered: Floats

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
    quantity = written(np.ascontiguousarray(usage.quantity.T))
    price = np.array([float(skus[line.key].on_demand_usd) for line in usage.lines])
    order = np.argsort(price @ quantity.high, kind="stable")
    return Market(
        dataset=Dataset(usage=usage, skus=skus, offerings=offerings, commitments=()),
        sharing=sharing,
        quantity=quantity,
        on_demand_usd=price,
        order=order,
        ordered=np.ascontiguousarray(quantity.high[:, order]),
    )


@dataclass(frozen=True, slots=True)
class Stack:
    """A fixed list of commitments whose levels vary.

    ``levels`` are their own quantities, in dollars per hour (spend) or units of capacity;
    ``usd_per_level`` what one unit of level costs over the hours. Commitments that differ in
    nothing but quantity and id fill up as one: ``pool_of`` says which. ``quantity_by_line`` sums
    all usage over the hours, ``opened`` tells by pool in which hours of ``market.ordered`` it runs,
    ``rows`` are work space that is used again from call to call.
    """

    market: Market
    plan: Waterfall
    levels: Floats
    usd_per_level: Floats
    pool_of: NDArray[np.intp]
    pools: tuple[Room, ...]
    steps: tuple[Step, ...]
    quantity_by_line: Floats
    opened: Flags
    rows: Rows

    def cost(self, levels: Floats) -> float:
        """Total dollars over the hours at ``levels`` (≥ 0, one per commitment)."""
        with closing(self._flow(levels, noted=False)) as flow:
            return self._total(levels, flow)

    def on_demand(self, levels: Floats) -> Floats:
        """What stays on demand at ``levels``: quantity by line and hour."""
        with closing(self._flow(levels, noted=False)) as flow:
            whole = np.empty_like(self.market.ordered)
            for line, row in enumerate(whole):
                row[self.market.order] = flow.left(line)
            return whole

    def slope(self, levels: Floats) -> tuple[float, Floats]:
        """Cost in dollars at ``levels``, and its right derivative in each level."""
        with closing(self._flow(levels, noted=True)) as flow:
            value = flow.worth(self.market.on_demand_usd)
            gain = np.array([float(pool.per_quantity) for pool in self.pools]) * value
            return self._total(levels, flow), self.usd_per_level - gain[self.pool_of]

    def _flow(self, levels: Floats, *, noted: bool) -> Flow:
        if levels.shape != self.levels.shape or not (levels >= 0).all():
            msg = f"levels must be {len(self.levels)} numbers of at least 0"
            raise InvariantError(msg)
        pooled = np.bincount(self.pool_of, weights=levels, minlength=len(self.pools))
        room = [
            level * float(pool.per_quantity)
            for pool, level in zip(self.pools, pooled.tolist(), strict=True)
        ]
        flow = Flow(self.market.ordered, self.opened, room, self.rows, noted=noted)
        flow.run(self.steps)
        return flow

    def _total(self, levels: Floats, flow: Flow) -> float:
        whole = self.quantity_by_line.tolist()
        lines = np.array([flow.total(line, one) for line, one in enumerate(whole)])
        return float(self.market.on_demand_usd @ lines) + float(self.usd_per_level @ levels)


def stack_of(market: Market, plan: Waterfall) -> Stack:
    """A waterfall with its quantities left open."""
    keys: dict[object, int] = {}
    pool_of = np.array([keys.setdefault(_pool(room), len(keys)) for room in plan.rooms], dtype=int)
    first = {pool: index for index, pool in reversed(list(enumerate(pool_of.tolist())))}
    pools = tuple(plan.rooms[first[pool]] for pool in range(len(keys)))
    steps = tuple(
        Step(int(pool_of[move.room]), move.lines, tuple(float(rate) for rate in move.rates))
        for move in plan.moves
        if first[int(pool_of[move.room])] == move.room and move.last == ALWAYS
    )
    hours = np.array([room.last - room.first for room in plan.rooms], dtype=float)
    usd = [float(room.usd_per_room * Fraction(room.per_quantity)) for room in plan.rooms]
    opened = np.zeros((len(pools), len(market.order)), dtype=np.bool_)
    for flags, room in zip(opened, pools, strict=True):
        np.logical_and(market.order >= room.first, market.order < room.last, out=flags)
    return Stack(
        market=market,
        plan=plan,
        levels=np.array([float(room.commitment.quantity) for room in plan.rooms]),
        usd_per_level=hours * np.array(usd),
        pool_of=pool_of,
        pools=pools,
        steps=steps,
        quantity_by_line=market.quantity.high.sum(axis=1),
        opened=opened,
        rows=Rows(market.quantity.high.shape[1]),
    )


def _pool(room: Room) -> tuple[object, ...]:
    one = room.commitment
    return (one.offering, one.account, one.scope, one.zone, room.first, room.last)
