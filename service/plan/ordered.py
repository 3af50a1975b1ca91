"""A lower bound that knows the order of application, and the purchases that it points to.

Decides what no portfolio can beat. The rooms that reach across families are priced hour by hour,
as in ``relaxation``; at those prices every family stands alone, and there its layers keep the
provider's order (see ``layers``, ``family``). For any prices μ ≥ 0 that add up to no more than a
purchase costs, the bill of every portfolio is at least

    Σ over families  min over levels [ levels' cost + Σ left(levels)·min(1, rate·μ) ]  −  owned·μ

since giving up the order of the outer rooms and their limits hour by hour only lowers it. The
prices are those that the outer rooms have beside a portfolio: near the best one the bound is
lower than its bill by no more than what families could gain on their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.billing.waterfall import Waterfall
from service.domain.ids import OfferingId
from service.plan.family import Family
from service.plan.layers import layers_of
from service.plan.prefix import Shadow
from service.plan.problem import Outer, outer_of
from service.plan.relaxation import relax

Floats = NDArray[np.float64]

_THREADS = 2
_ROUNDING_RATIO = 1e-11
_HALVINGS = 60
_FREE_USD = 1e-9
"""What usage that costs nothing on demand counts as: it takes room, and its needs are in shares of
its price. What that adds to the bound is taken off again."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of outer room by resource and hour, and the outer levels (quantities) beside them."""

    by_resource: tuple[Floats, ...]
    fitted: Mapping[OfferingId, float]

    def towards(self, other: Prices, share: float) -> Prices:
        """A mixture: no purchase gains from it either, so it bounds as well."""
        mixed = zip(self.by_resource, other.by_resource, strict=True)
        return Prices(tuple(one + share * (two - one) for one, two in mixed), self.fitted)


@dataclass(frozen=True, slots=True)
class Gain:
    """What one family would save by other levels (quantities), the others staying as they are."""

    usd: float
    levels: Mapping[OfferingId, float]


@dataclass(frozen=True, slots=True)
class Found:
    """A proven bound over the hours, owned commitments' cost left out.

    ``fitted``: the levels asked about with the outer offerings' best amounts beside the others.
    ``gains``: families that could do better, largest gain first.
    """

    lower_bound_usd: float
    fitted: Mapping[OfferingId, float]
    gains: tuple[Gain, ...]


class Ordered:
    """One market's families and outer rooms, compiled once and bounded at many portfolios."""

    def __init__(
        self, order: Waterfall, *, held: int, quantity: Floats, on_demand_usd: Floats
    ) -> None:
        hours = quantity.shape[1]
        free = on_demand_usd <= 0
        on_demand_usd = np.where(free, _FREE_USD, on_demand_usd)
        self._never_usd = _FREE_USD * float(quantity[free].sum())
        taken = layers_of(order, held=held, hours=hours, on_demand_usd=on_demand_usd)
        self._order = order
        self._alone = list(taken.alone)
        self._demand: Floats = quantity * on_demand_usd[:, None]
        self._total_usd = float(self._demand.sum())
        with ThreadPoolExecutor(_THREADS) as pool:
            self._families = list(
                pool.map(lambda one: Family(one, self._demand, self._units), taken.components)
            )
        self._outer = outer_of(taken.outer, held=held, hours=hours, on_demand_usd=on_demand_usd)

    @property
    def knows(self) -> bool:
        """Whether there is an order to know; without one the relaxation is as good."""
        return bool(self._families)

    @property
    def offerings(self) -> frozenset[OfferingId]:
        """Offerings that a bound may name."""
        families = (name for family in self._families for name in family.offerings)
        return frozenset(families) | {name for name in self._outer.offering if name is not None}

    def prices(self, levels: Mapping[OfferingId, float]) -> Prices:
        """What outer room is worth beside the families' part of ``levels`` (quantities)."""
        with ThreadPoolExecutor(_THREADS) as pool:
            left = self._left(levels, pool)
        outer = self._outer
        expected = [
            0.0 if name is None else levels.get(name, 0.0) * float(per)
            for name, per in zip(outer.offering, outer.units_per_quantity, strict=True)
        ]
        found = _prices(outer, left, expected)
        fitted = {
            name: level / float(per)
            for name, per, (_, level) in zip(
                outer.offering, outer.units_per_quantity, found, strict=True
            )
            if name is not None
        }
        return Prices(tuple(price for price, _ in found), fitted)

    def bound(
        self,
        levels: Mapping[OfferingId, float],
        *,
        prices: Prices | None = None,
        within_ratio: float | None = None,
    ) -> Found:
        """The bound at ``prices``, by default those that the portfolio ``levels`` leads to.

        ``within_ratio``: how close to its own best cost each family is to be bounded; ``None``
        when only gains are asked for.
        """
        at = self.prices(levels) if prices is None else prices
        cost, owned_usd = self._costs(at)
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(
                pool.map(
                    lambda one: one.bound(cost[one.rows], levels, within_ratio=within_ratio),
                    self._families,
                )
            )
        lower = float(np.vdot(cost[self._alone], self._demand[self._alone])) - owned_usd
        lower += sum(one.lower_usd for one in found) - _ROUNDING_RATIO * self._total_usd
        lower -= self._never_usd
        gains = [Gain(one.gain_usd, one.levels) for one in found if one.gain_usd > 0]
        fitted = {**levels, **at.fitted}
        return Found(lower, fitted, tuple(sorted(gains, key=lambda one: -one.usd)))

    def stepped(
        self, prices: Prices, levels: Mapping[OfferingId, float], rise_usd: float
    ) -> Prices:
        """Prices a step up the bound's slope at ``prices``: as far as would raise it ``rise_usd``.

        ``levels`` are the families' best ones there. What an outer room's price adds to the bound
        is the room that they use of it less what is owned; no prices may add up to more than a
        purchase costs.
        """
        active = [one.astype(np.float64) for one in self._outer.active]
        rises = [
            one - of * (float(of @ one) / max(float(of @ of), 1.0))
            for one, of in zip(self._used(prices, levels), active, strict=True)
        ]
        steep = sum(float(one @ one) for one in rises)
        if steep <= 0.0:
            return prices
        moved = zip(prices.by_resource, rises, active, strict=True)
        stepped = tuple(
            _affordable(price + rise_usd / steep * rise, of) for price, rise, of in moved
        )
        return Prices(stepped, prices.fitted)

    def _used(self, prices: Prices, levels: Mapping[OfferingId, float]) -> list[Floats]:
        """Room of each outer resource by hour that cheapest covers use, less what is owned."""
        outer = self._outer
        with ThreadPoolExecutor(_THREADS) as pool:
            left = self._left(levels, pool)
        cost = np.ones_like(self._demand)
        taker = np.full(cost.shape, -1, dtype=np.intp)
        for number, price in enumerate(prices.by_resource):
            for line, rate in zip(outer.lines[number], outer.rates[number], strict=True):
                cheaper = rate * price < cost[line]
                cost[line] = np.where(cheaper, rate * price, cost[line])
                taker[line][cheaper] = number
        used = [-one.astype(np.float64) for one in outer.owned]
        for number in range(len(used)):
            for line, rate in zip(outer.lines[number], outer.rates[number], strict=True):
                used[number] += np.where(taker[line] == number, rate * left[line], 0.0)
        return used

    def fitted(self, levels: Mapping[OfferingId, float]) -> dict[OfferingId, float]:
        """``levels`` with the outer offerings' best amounts beside the others."""
        return {**levels, **self.prices(levels).fitted}

    def _left(self, levels: Mapping[OfferingId, float], pool: ThreadPoolExecutor) -> Floats:
        left = np.empty_like(self._demand)
        left[self._alone] = self._demand[self._alone]
        rests = pool.map(lambda one: one.left(levels), self._families)
        for family, rest in zip(self._families, rests, strict=True):
            left[family.rows] = rest
        return left

    def _units(self, room: int) -> tuple[OfferingId, float]:
        of = self._order.rooms[room]
        return of.offering.offering, float(of.per_quantity) * float(of.usd_per_room)

    def _costs(self, prices: Prices) -> tuple[Floats, float]:
        """What a dollar of each line costs by hour at most, and the owned outer rooms' worth."""
        outer = self._outer
        cost = np.ones_like(self._demand)
        owned_usd = 0.0
        each = zip(outer.lines, outer.rates, outer.owned, prices.by_resource, strict=True)
        for lines, rates, owned, price in each:
            owned_usd += float(owned @ price)
            for line, rate in zip(lines, rates, strict=True):
                np.minimum(cost[line], rate * price, out=cost[line])
        return cost, owned_usd


def _affordable(prices: Floats, active: Floats) -> Floats:
    """The nearest prices ≥ 0 that add up to no more than an hour's dollar in active hours."""
    most = float(active.sum())
    nearest = np.maximum(prices, 0.0)
    if float(active @ nearest) <= most:
        return nearest
    low, high = 0.0, float(nearest.max())
    for _ in range(_HALVINGS):
        cut = (low + high) / 2
        if float(active @ np.maximum(prices - cut * active, 0.0)) > most:
            low = cut
        else:
            high = cut
    return np.maximum(prices - high * active, 0.0) * (1.0 - _ROUNDING_RATIO)


def _prices(outer: Outer, left: Floats, near: Sequence[float]) -> list[tuple[Floats, float]]:
    """By outer resource: its price in each hour, and the level bought."""
    reached = np.zeros(len(left), dtype=int)
    for rows in outer.lines:
        reached[rows] += 1
    if reached.max(initial=0) > 1:
        solved = relax(outer.problem(left))
        return list(zip(solved.prices, solved.bought.tolist(), strict=True))
    prices = []
    each = zip(outer.lines, outer.rates, outer.owned, outer.active, near, strict=True)
    for rows, rate, owned, active, level in each:
        order = np.argsort(rate, kind="stable")  # alone, it saves most where its rate is lowest
        rising = np.maximum(rate[order], 1e-12)
        worth = np.broadcast_to(1.0 / rising[:, None], (len(rows), left.shape[1]))
        shadow = Shadow(worth, rate[order], owned, active, ordered=True)
        prices.append(shadow.prices(left[rows[order]], level))
    return prices
