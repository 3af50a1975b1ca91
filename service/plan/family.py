"""One component at given prices of everything outside: the least that it can cost, and how.

Decides a component's levels exactly in the provider's order. A first layer's level alone is
solved by its breakpoints (``prefix.Curve``). With a second layer on top the cost is bounded from
below at every level of the first: by prices of the second layer's room, which bound everywhere at
once, and where that is loose by the second layer's exact optimum at single levels, beyond which
the cost falls no faster than if room were worth the most that it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.ids import OfferingId
from service.plan.layers import Component, Layer
from service.plan.prefix import Curve, Prefix, Shadow

Floats = NDArray[np.float64]

_MOST_CUTS = 6
_STEP_CELLS, _FEWEST_STEPS, _MOST_STEPS = 2_000_000, 20, 400
_LEAST_GAIN_RATIO = 1e-6
_GRID = 4_000  # few hours leave wide gaps between breakpoints

Units = Callable[[int], tuple[OfferingId, float]]
"""A room's offering, and the dollars per hour in one unit of its quantity."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """``lower_usd``: no levels cost less. ``gain_usd``: what ``levels`` cost less than those given.

    ``levels`` are quantities by offering.
    """

    lower_usd: float
    levels: Mapping[OfferingId, float]
    gain_usd: float


class Family:
    """A component with its demand, on-demand dollars by line and hour."""

    def __init__(self, component: Component, demand_usd: Floats, units: Units) -> None:
        self.rows = np.array(component.lines, dtype=np.intp)
        self._place = {line: place for place, line in enumerate(component.lines)}
        self.demand_usd = demand_usd[self.rows]
        self.first = [_Laid(layer, self._place, units) for layer in component.first]
        self._second = (
            None if component.second is None else _Laid(component.second, self._place, units)
        )
        grid = 0 if self._second is None else _GRID
        self.curves = [
            Curve(one.prefix.needs(self.demand_usd), one.layer.owned, one.layer.active, grid=grid)
            for one in self.first
        ]
        covered = {line for layer in component.first for line in layer.lines}
        self.bare = [self._place[line] for line in component.lines if line not in covered]

    @property
    def offerings(self) -> tuple[OfferingId, ...]:
        """What can be bought for the family."""
        laid = self.first if self._second is None else [*self.first, self._second]
        return tuple(one.name for one in laid if one.name is not None)

    def left(self, levels: Mapping[OfferingId, float]) -> Floats:
        """What the layers leave of the demand at ``levels`` (quantities by offering)."""
        at = self._read(levels)
        rest = self.after_first(at)
        return rest if self._second is None else self._second.left(rest, at[-1])

    def bound(
        self, cost: Floats, levels: Mapping[OfferingId, float], *, within_ratio: float | None
    ) -> Bounded:
        """The least cost when what is left of a line costs ``cost`` (ratio to on demand) by hour.

        ``within_ratio``: how close to the best known cost it need not come any closer; ``None``
        when only better levels are asked for, not the closest bound.
        """
        now = self._read(levels)
        now_usd = self.usd_at(now, cost)
        if self._second is None:
            lower, best = self._alone(cost)
            best_usd = lower
        else:
            search = _Search(
                self,
                self._second,
                cost,
                now=now,
                now_usd=now_usd,
                within_ratio=within_ratio or 0.0,
            )
            search.cut()
            if within_ratio is not None:
                search.sweep()
            lower, best, best_usd = search.lower_usd, search.best, search.best_usd
        laid = self.first if self._second is None else [*self.first, self._second]
        named = dict(one.named(level) for one, level in zip(laid, best, strict=True) if one.name)
        return Bounded(lower, named, now_usd - best_usd)

    def _read(self, levels: Mapping[OfferingId, float]) -> list[float]:
        laid = self.first if self._second is None else [*self.first, self._second]
        return [one.read(levels) for one in laid]

    def after_first(self, at: Sequence[float]) -> Floats:
        """What the first layers leave at their levels; a further level is not looked at."""
        rest = self.demand_usd
        for one, level in zip(self.first, at, strict=False):
            rest = one.left(rest, level)
        return rest

    def usd_at(self, at: Sequence[float], cost: Floats) -> float:
        """The cost at levels of all layers."""
        rest = self.after_first(at)
        bought = sum(one.hours * level for one, level in zip(self.first, at, strict=False))
        if self._second is not None:
            rest = self._second.left(rest, at[-1])
            bought += self._second.hours * at[-1]
        return bought + float(np.vdot(cost, rest))

    def _alone(self, cost: Floats) -> tuple[float, list[float]]:
        """Without a second layer every first layer stands alone, and its least is exact."""
        usd = cost * self.demand_usd
        lower, levels = float(usd[self.bare].sum()), []
        for one, curve in zip(self.first, self.curves, strict=True):
            least, level = (
                one.least(usd, self.demand_usd)
                if one.prefix.is_loose
                else curve.least(one.prefix.worth(usd, curve.needs))
            )
            lower += least
            levels.append(level)
        return lower, levels

    def values(self, usd: Floats) -> list[Floats]:
        """By first layer: its value at every level when its usage costs ``usd`` elsewhere."""
        return [
            curve.value(one.prefix.worth(usd, curve.needs))
            for curve, one in zip(self.curves, self.first, strict=True)
        ]


class _Laid:
    """A layer laid on a component's rows."""

    def __init__(self, layer: Layer, place: Mapping[int, int], units: Units) -> None:
        self.layer = layer
        groups = [[place[line] for line in group] for group in layer.groups]
        self.prefix = Prefix(groups, layer.rate, layer.loose)
        self.rows = [place[line] for line in layer.lines]
        self.hours = float(layer.active.sum())
        self.name: OfferingId | None = None
        self._per = 1.0
        if layer.room is not None:
            self.name, self._per = units(layer.room)

    def least(self, usd: Floats, demand: Floats) -> tuple[float, float]:
        """The least value of any level, and that level; ``usd`` is the demand's cost elsewhere."""
        needs, worth = self.prefix.cheapest(usd, demand)
        return Curve(needs, self.layer.owned, self.layer.active).least(worth)

    def read(self, levels: Mapping[OfferingId, float]) -> float:
        return 0.0 if self.name is None else float(levels.get(self.name, 0.0)) * self._per

    def named(self, level: float) -> tuple[OfferingId, float]:
        return OfferingId(self.name or ""), level / self._per

    def left(self, demand: Floats, level: float) -> Floats:
        return self.prefix.left(demand, self.layer.owned + level * self.layer.active)


class _Search:
    """The search for the least cost of a component with a second layer."""

    def __init__(
        self,
        family: Family,
        second: _Laid,
        cost: Floats,
        *,
        now: Sequence[float],
        now_usd: float,
        within_ratio: float,
    ) -> None:
        self._family = family
        self._second = second
        self._cost = cost
        self._within_ratio = within_ratio
        self.best, self.best_usd = list(now), now_usd
        self.lower_usd = -np.inf
        self._least: Floats | None = None
        self._rate = np.empty(len(cost))
        self._rate[second.rows] = second.layer.rate

    @property
    def _enough_usd(self) -> float:
        return self.best_usd * (1.0 - self._within_ratio)

    def cut(self) -> None:
        """Prices of the second layer's room, until the bound stops rising."""
        family, layer, rate = self._family, self._second.layer, self._rate
        shadow = Shadow(self._cost / rate[:, None], rate, layer.owned, layer.active)
        levels = self.best[:-1]
        for number in range(_MOST_CUTS):
            price, level = shadow.prices(family.after_first(levels), self.best[-1])
            if number:
                self._try([*levels, level])
            usd = np.minimum(self._cost, rate[:, None] * price) * family.demand_usd
            fixed = float(usd[family.bare].sum()) - float(layer.owned @ price)
            before = self.lower_usd
            levels = self._lowest(family.values(usd), fixed)
            if self.lower_usd >= self._enough_usd:
                break
            if self.lower_usd - before <= _LEAST_GAIN_RATIO * abs(self.lower_usd):
                break

    def _lowest(self, values: Sequence[Floats], fixed: float) -> list[float]:
        """Take the values of one cut in; the first layers' levels where the bound is lowest."""
        curves = self._family.curves
        if len(values) > 1:
            places = [int(one.argmin()) for one in values]
            found = sum(float(one[place]) for one, place in zip(values, places, strict=True))
            self.lower_usd = max(self.lower_usd, found + fixed)
            return [float(one.at[place]) for one, place in zip(curves, places, strict=True)]
        value = values[0]
        cells = cells_of(value)
        cells += fixed
        self._least = cells if self._least is None else np.maximum(self._least, cells)
        place = int(self._least.argmin())
        self.lower_usd = float(self._least[place])
        place += int(value[place : place + 2].argmin())
        return [float(curves[0].at[place])]

    def sweep(self) -> None:
        """Raise the bound where it is low, from left to right, by the second layer's optimum.

        Only where there is one first layer.
        """
        least = self._least
        if least is None or self.lower_usd >= self._enough_usd:
            return
        at = self._family.curves[0].at
        fall = self._steepest()
        begin = -1
        most = min(max(_STEP_CELLS // least.size, _FEWEST_STEPS), _MOST_STEPS)
        for _ in range(most):
            low = np.flatnonzero(least < self._enough_usd)
            if not low.size or int(low[0]) == begin:
                break
            begin = int(low[0])
            level, value = self._exact(float(at[begin]))
            self._take([float(at[begin]), level], value)
            curve = fall[begin:] + (value - fall[begin])
            np.maximum(least[begin:], cells_of(curve), out=least[begin:])
        self.lower_usd = float(least.min())

    def _steepest(self) -> Floats:
        """The first layer's value if a unit of its room were worth the most that it can be.

        A unit of usage covered earlier frees room of the second layer, which goes to usage at or
        behind it in the second layer's order: worth at most the best of that.
        """
        second, rate = self._second, self._rate
        worth = self._cost / rate[:, None]
        most = np.array([worth[rows].max(axis=0) for rows in second.prefix.rows])
        most = np.maximum.accumulate(most[::-1], axis=0)[::-1]
        dearest = np.empty_like(self._cost)
        for rows, of in zip(second.prefix.rows, most, strict=True):
            dearest[rows] = rate[rows, None] * of
        return self._family.values(dearest * self._family.demand_usd)[0]

    def _exact(self, level: float) -> tuple[float, float]:
        """The second layer's best level when the first is at ``level``, and the cost of both."""
        left = self._family.after_first([level])
        value, best = self._second.least(self._cost * left, left)
        return best, self._family.first[0].hours * level + value

    def _try(self, levels: list[float]) -> None:
        self._take(levels, self._family.usd_at(levels, self._cost))

    def _take(self, levels: list[float], usd: float) -> None:
        if usd < self.best_usd:
            self.best, self.best_usd = levels, usd


def cells_of(value: Floats) -> Floats:
    """The least value between each level and the next: the lower of both ends."""
    cells = value.copy()
    np.minimum(value[:-1], value[1:], out=cells[:-1])
    return cells
