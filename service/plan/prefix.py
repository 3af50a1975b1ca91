"""Room that covers a prefix of usage, hour by hour: what it leaves, and what it should be.

Decides levels of one layer exactly. The value of a level is piecewise linear in it, summed over
hours: all its breakpoints sorted give the least value over every level there is. Amounts are
dollars per hour; arrays are things × hours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Prefix:
    """Usage in the order in which one layer takes it.

    ``groups``: rows of the demand, group by group, lines of one group sharing; ``rate``:
    commitment dollars per on-demand dollar, by row of ``groups`` laid flat. In a ``loose`` group
    any order is possible.
    """

    def __init__(
        self, groups: Sequence[Sequence[int]], rate: Floats, loose: Sequence[bool]
    ) -> None:
        self.is_loose = any(loose)
        self._loose = loose
        self.rows = [np.array(group, dtype=np.intp) for group in groups]
        cuts = np.cumsum([len(group) for group in groups])[:-1]
        self._rates = np.split(rate, cuts)

    def needs(self, demand: Floats) -> Floats:
        """Room that each group takes when all of it is covered: groups × hours."""
        return np.array(
            [rate @ demand[rows] for rows, rate in zip(self.rows, self._rates, strict=True)]
        )

    def left(self, demand: Floats, room: Floats) -> Floats:
        """What ``room`` (by hour) leaves of ``demand``, as a new array."""
        rest = demand.copy()
        room = room.copy()
        for rows, rate in zip(self.rows, self._rates, strict=True):
            if not room.any():
                break
            need = rate @ demand[rows]
            used = np.minimum(need, room)
            room -= used
            rest[rows] *= 1.0 - np.divide(used, need, out=np.zeros_like(need), where=need > 0)
        return rest

    def worth(self, usd: Floats, needs: Floats) -> Floats:
        """Dollars saved per dollar of room spent on each group; ``usd`` is each row's cost."""
        total = np.array([usd[rows].sum(axis=0) for rows in self.rows])
        ratio: Floats = np.divide(total, needs, out=np.zeros_like(total), where=needs > 0)
        return ratio

    def cheapest(self, usd: Floats, demand: Floats) -> tuple[Floats, Floats]:
        """Needs and worth when every loose group is taken in the order that saves most.

        Groups × hours, one for each row of a loose group.
        """
        needs, worth = [], []
        each = zip(self.rows, self._rates, self._loose, strict=True)
        for rows, rate, loose in each:
            need, cost = rate[:, None] * demand[rows], usd[rows]
            if not loose:
                need, cost = need.sum(axis=0, keepdims=True), cost.sum(axis=0, keepdims=True)
            of = np.divide(cost, need, out=np.zeros_like(need), where=need > 0)
            if loose:
                order = np.argsort(-of, axis=0)
                need = np.take_along_axis(need, order, 0)
                of = np.take_along_axis(of, order, 0)
            needs.append(need)
            worth.append(of)
        return np.concatenate(needs), np.concatenate(worth)


class Curve:
    """The value of one layer as a function of the level bought, for any worth of its groups.

    ``needs``: groups × hours. The level is added to ``owned`` in hours that are ``active``.
    ``grid``: so many levels more at which the value is told, evenly spaced.
    """

    def __init__(self, needs: Floats, owned: Floats, active: Floats, *, grid: int = 0) -> None:
        self.needs = needs
        ends = np.cumsum(needs, axis=0)
        self._covered = np.clip(owned - (ends - needs), 0.0, needs)
        self._on = active > 0
        ends -= owned
        points = np.maximum(ends[:, self._on], 0.0).ravel()
        self._straight = np.zeros(grid)
        evenly = np.linspace(0.0, float(points.max(initial=0.0)), grid)
        points = np.concatenate((points, evenly))
        self._order = np.argsort(points)
        self.at = np.concatenate(([0.0], points[self._order]))
        self._gaps = np.diff(self.at)
        self._hours = float(np.count_nonzero(self._on))

    def value(self, worth: Floats) -> Floats:
        """Dollars at every level in ``at``: a level costs what it is, and saves what it covers.

        Linear between those levels and rising after the last. ``worth`` is groups × hours.
        """
        base = float((worth * (self.needs - self._covered)).sum())
        there = worth[:, self._on]
        fall = there.copy()
        fall[:-1] -= there[1:]
        slope = np.empty(self.at.size)
        slope[0] = self._hours - float(there[0].sum()) if len(there) else self._hours
        falls = np.concatenate((fall.ravel(), self._straight))
        np.cumsum(falls[self._order], out=slope[1:])
        slope[1:] += slope[0]
        value = np.empty(self.at.size)
        value[0] = base
        np.cumsum(slope[:-1] * self._gaps, out=value[1:])
        value[1:] += base
        return value

    def least(self, worth: Floats) -> tuple[float, float]:
        """The least value, and the level that has it."""
        value = self.value(worth)
        place = int(value.argmin())
        return float(value[place]), float(self.at[place])


class Shadow:
    """Room without an order: what an hour's last dollar of it is worth, at any level.

    ``worth`` (rows × hours): dollars saved by a dollar of room, row by row; ``ordered`` when
    it falls from row to row in every hour.
    """

    def __init__(
        self, worth: Floats, rate: Floats, owned: Floats, active: Floats, *, ordered: bool = False
    ) -> None:
        self._order = None if ordered else np.argsort(-worth, axis=0)
        none = np.zeros((1, worth.shape[1]))
        self._worth = np.concatenate((self._sorted(worth), none))
        self._rate = rate
        self._owned = owned
        self._active = active > 0
        self._room_hours = float(np.count_nonzero(self._active))

    def prices(self, demand: Floats, near: float = 0.0) -> tuple[Floats, float]:
        """Prices by hour that no purchase can gain from, and the level bought at them.

        ``near``: about where that level is expected, when that is known.
        """
        ends = np.cumsum(self._sorted(self._rate[:, None] * demand), axis=0)
        ends -= self._owned
        dear = self._at(ends, 0.0)
        if self._over(dear) <= 0:
            return dear, 0.0
        low, high = 0.0, float(ends[-1].max(initial=0.0)) + 1.0
        fair = self._at(ends, high)
        for step in range(_HALVINGS):
            middle = (low + high) / 2
            if step < len(_NEAR) and low < near * _NEAR[step] < high:
                middle = near * _NEAR[step]
            prices = self._at(ends, middle)
            if self._over(prices) > 0:
                low, dear = middle, prices
            else:
                high, fair = middle, prices
            if high - low < _NARROW_RATIO * high:
                break
        over, under = self._over(dear), self._over(fair)
        share = -under / (over - under) if over > under else 0.0
        return fair + share * (1.0 - 1e-12) * (dear - fair), high

    def _sorted(self, rows: Floats) -> Floats:
        if self._order is None:
            return rows
        ordered: Floats = np.take_along_axis(rows, self._order, 0)
        return ordered

    def _over(self, prices: Floats) -> float:
        return float(prices[self._active].sum()) - self._room_hours

    def _at(self, ends: Floats, level: float) -> Floats:
        place = (ends <= np.where(self._active, level, 0.0)).sum(axis=0, dtype=np.int16)
        chosen: Floats = self._worth[place, np.arange(place.size)]
        return chosen


_HALVINGS = 40
_NARROW_RATIO = 1e-5
_NEAR = (1.01, 0.99)
