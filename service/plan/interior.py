"""The relaxation's hours inside an interior-point method: one shard of hours, four passes.

With Y the on-demand dollars of an item that a resource covers, Z those left on demand, U a
resource's idle room and x what is bought, every hour obeys Z + Σ Y = demand and
Σ rate·Y + U = active·x + owned. Its dual has the item's price π and the resource's price μ, with
slacks 1 − π for Z, rate·μ − π for Y, μ for U. Prices are kept strictly feasible, so the
slacks are never stored. Source of the method: S. Mehrotra, "On the implementation of a primal-dual
interior point method", SIAM J. Optim. 2 (1992); items, then hours, then purchases are eliminated.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.plan.elimination import Elimination, Factor

Floats = NDArray[np.float64]

_START_ROUNDS = 6
_ROOM_FILLED = 0.9


@dataclass(slots=True)
class Cell:
    """One group's items over the shard's hours: data, then the method's state."""

    resources: tuple[int, ...]
    demand: Floats
    rate: Floats
    price: Floats
    covered: list[Floats]
    left: Floats
    weight: list[Floats] = field(default_factory=list)
    """rate·Y/slack, by resource"""
    share: Floats = field(default_factory=lambda: np.empty(0))
    """1 ÷ Σ of all Y/slack and Z/slack"""
    first: Floats = field(default_factory=lambda: np.empty(0))
    second: Floats = field(default_factory=lambda: np.empty(0))
    trial: list[Floats] = field(default_factory=list)
    """Y and Z with the predictor's second-order term, Z first; later their directions"""


@dataclass(frozen=True, slots=True)
class Step:
    """What a direction does in a shard: largest relative falls, and change of objectives."""

    primal_fall: float
    dual_fall: float
    primal_change: float
    dual_change: float
    price_sums: Floats
    """Σ over hours of active·Δμ, by resource"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a shard stands: its part of the primal and dual objective and of the bound."""

    primal: float
    dual: float
    bound: float
    price_slack: Floats
    """Σ over hours of active·(1 − μ), by resource"""
    prices: Floats
    """Σ over hours of μ, by resource"""


class Shard:
    """Consecutive hours of one market and their part of every step."""

    def __init__(
        self,
        plan: Elimination,
        cells: list[Cell],
        active: Floats,
        owned: Floats,
        price: float,
    ) -> None:
        self._plan = plan
        self._cells = cells
        self.active = active
        self.owned = owned
        self._price = np.full(active.shape, price)
        self._idle = np.zeros(active.shape)
        self._factor: Factor | None = None
        self._reduced = np.zeros(active.shape)
        self._trial_idle = np.zeros(active.shape)
        self._right_first = np.zeros(active.shape)
        self._right_second = np.zeros(active.shape)
        self._price_step = np.zeros(active.shape)
        self._idle_step = np.zeros(active.shape)

    # -- start ---------------------------------------------------------------------------------

    def centre_items(self, barrier: float) -> Floats:
        """Put every item on the central path of ``barrier`` at the present prices.

        Returns the room used, resources × hours.
        """
        used = np.zeros(self.active.shape)
        for cell in self._cells:
            ceilings = [np.ones((len(cell.demand), 1))]
            ceilings += [
                rate[:, None] * self._price[one]
                for one, rate in zip(cell.resources, cell.rate, strict=True)
            ]
            least = ceilings[0]
            for ceiling in ceilings[1:]:
                least = np.minimum(least, ceiling)
            price = least - len(ceilings) * barrier / cell.demand
            for _ in range(_START_ROUNDS):
                value = -cell.demand
                slope = np.zeros_like(cell.demand)
                for ceiling in ceilings:
                    part = barrier / (ceiling - price)
                    value = value + part
                    slope += part / (ceiling - price)
                price = np.minimum(price - value / slope, price + 0.9 * (least - price))
            cell.price = price
            cell.covered = [barrier / (ceiling - price) for ceiling in ceilings[1:]]
            for one, rate, covered in zip(cell.resources, cell.rate, cell.covered, strict=True):
                used[one] += rate @ covered
        return used

    def fit(self, bought: Floats, used: Floats) -> None:
        """Scale the coverage down to the room there is, and leave the rest on demand."""
        room = self.active * bought[:, None] + self.owned
        limit = _ROOM_FILLED * room
        scale = np.where(used > limit, limit / np.maximum(used, 1e-300), 1.0)
        for cell in self._cells:
            left = cell.demand.copy()
            for place, one in enumerate(cell.resources):
                cell.covered[place] *= scale[one]
                left -= cell.covered[place]
            cell.left = left
        self._idle = room - used * scale

    # -- one iteration -------------------------------------------------------------------------

    def assemble(self, bought: Floats) -> tuple[Floats, Floats]:
        """Factor the hours' systems for the predictor.

        Returns the purchases' matrix and right-hand side, summed over the shard's hours.
        """
        diagonal = self._idle / self._price
        coupling = np.zeros((len(self._plan.entry), self.active.shape[1]))
        right = -(self.active * bought[:, None] + self.owned)
        for cell in self._cells:
            self._assemble_cell(cell, diagonal, coupling, right)
        self._factor = Factor(self._plan, diagonal, coupling)
        self._reduced = self._factor.reduce(right)
        return self._factor.gram(self.active), self._sums(self._reduced)

    def _assemble_cell(self, cell: Cell, diagonal: Floats, coupling: Floats, right: Floats) -> None:
        share = cell.left / (1.0 - cell.price)
        cell.weight = []
        for place, one in enumerate(cell.resources):
            rate = cell.rate[place][:, None]
            weight = rate * self._price[one]
            weight -= cell.price
            np.divide(cell.covered[place], weight, out=weight)
            share += weight
            weight *= rate
            diagonal[one] += cell.rate[place] @ weight
            cell.weight.append(weight)
        np.reciprocal(share, out=share)
        cell.share = share
        alone = cell.demand * share
        for place, one in enumerate(cell.resources):
            weight = cell.weight[place]
            right[one] += _dot(weight, alone)
            scaled = weight * share
            diagonal[one] -= _dot(scaled, weight)
            for before in range(place):
                other = cell.resources[before]
                number = self._plan.entry.get((one, other))
                if number is None:
                    number = self._plan.entry[other, one]
                coupling[number] -= _dot(scaled, cell.weight[before])

    def predict(self, bought_step: Floats) -> tuple[Step, Floats, Floats]:
        """The predictor's reach, and right-hand sides of the corrector.

        The corrector's is barrier × first + second; both are returned summed as by ``assemble``.
        """
        step = self._prices(bought_step)
        ratio = step / self._price
        other = -1.0 - ratio
        fall = _Fall()
        fall.take(other, ratio)
        self._trial_idle = (1.0 + other * ratio) * self._idle
        self._right_first = 1.0 / self._price
        self._right_second = -self._trial_idle
        primal = 0.0
        dual = -float((self.owned * step).sum())
        for cell in self._cells:
            change, worth = self._predict_cell(cell, step, fall)
            primal += change
            dual += worth
        factor = self._factored()
        first = self._sums(factor.reduce(self._right_first))
        second = self._sums(factor.reduce(self._right_second))
        sums = (self.active * step).sum(axis=1)
        return Step(fall.primal, fall.dual, primal, dual, sums), first, second

    def _predict_cell(self, cell: Cell, step: Floats, fall: _Fall) -> tuple[float, float]:
        price_step = cell.demand.copy()
        for one, weight in zip(cell.resources, cell.weight, strict=True):
            price_step += weight * step[one]
        price_step *= cell.share
        worth = float(np.vdot(cell.demand, price_step))
        inverse = 1.0 / (1.0 - cell.price)
        ratio = -price_step * inverse
        other = -1.0 - ratio
        fall.take(other, ratio)
        change = float(np.vdot(cell.left, other))
        other *= ratio
        other += 1.0
        other *= cell.left
        cell.trial = [other]
        first, second = inverse, -other
        for place, one in enumerate(cell.resources):
            inverse, ratio = self._slack(cell, place, one, step, price_step)
            other = -1.0 - ratio
            fall.take(other, ratio)
            other *= ratio
            other += 1.0
            other *= cell.covered[place]
            cell.trial.append(other)
            second -= other
            first += inverse
            self._right_first[one] += cell.rate[place] @ inverse
            self._right_second[one] -= cell.rate[place] @ other
        first *= cell.share
        second *= cell.share
        for one, weight in zip(cell.resources, cell.weight, strict=True):
            self._right_first[one] -= _dot(weight, first)
            self._right_second[one] -= _dot(weight, second)
        cell.first, cell.second = first, second
        return change, worth

    def correct(self, bought_step: Floats, barrier: float) -> Step:
        """The direction to take: the corrector for ``barrier``."""
        self._reduced = barrier * self._right_first + self._right_second
        step = self._price_step = self._prices(bought_step)
        inverse = 1.0 / self._price
        ratio = step * inverse
        self._idle_step = barrier * inverse - self._trial_idle - ratio * self._idle
        fall = _Fall()
        fall.take(self._idle_step / self._idle, ratio)
        for cell in self._cells:
            self._correct_cell(cell, step, barrier, fall)
        sums = (self.active * step).sum(axis=1)
        return Step(fall.primal, fall.dual, 0.0, 0.0, sums)

    def _correct_cell(self, cell: Cell, step: Floats, barrier: float, fall: _Fall) -> None:
        price_step = cell.first
        price_step *= -barrier
        price_step -= cell.second
        gain = cell.weight[0] * step[cell.resources[0]]
        for one, weight in zip(cell.resources[1:], cell.weight[1:], strict=True):
            gain += weight * step[one]
        gain *= cell.share
        price_step += gain
        inverse = 1.0 / (1.0 - cell.price)
        ratio = -price_step * inverse
        directions = [_direction(barrier, inverse, ratio, cell.trial[0], cell.left)]
        fall.take(directions[0] / cell.left, ratio)
        for place, one in enumerate(cell.resources):
            inverse, ratio = self._slack(cell, place, one, step, price_step)
            covered = cell.covered[place]
            change = _direction(barrier, inverse, ratio, cell.trial[place + 1], covered)
            fall.take(change / covered, ratio)
            directions.append(change)
        cell.trial = directions
        cell.weight = []

    def move(self, primal: float, dual: float) -> Standing:
        """Take the corrector's direction so far; where that leaves the shard."""
        self._price += dual * self._price_step
        self._idle += primal * self._idle_step
        for cell in self._cells:
            cell.first *= dual
            cell.price += cell.first
            cell.left += primal * cell.trial[0]
            for place in range(len(cell.covered)):
                cell.covered[place] += primal * cell.trial[place + 1]
            cell.trial = []
        return self.standing()

    def standing(self) -> Standing:
        """Where the shard stands now."""
        owned = float((self.owned * self._price).sum())
        worth = sum(float(np.vdot(cell.demand, cell.price)) for cell in self._cells)
        return Standing(
            primal=sum(float(cell.left.sum()) for cell in self._cells),
            dual=worth - owned,
            bound=sum(self._bound_of(cell) for cell in self._cells) - owned,
            price_slack=(self.active * (1.0 - self._price)).sum(axis=1),
            prices=self._price.sum(axis=1),
        )

    def _bound_of(self, cell: Cell) -> float:
        """The items' value at the resources' prices: each takes its cheapest cover."""
        least = np.ones_like(cell.demand)
        for one, rate in zip(cell.resources, cell.rate, strict=True):
            np.minimum(least, rate[:, None] * self._price[one], out=least)
        return float(np.vdot(cell.demand, least))

    # -- small pieces --------------------------------------------------------------------------

    def _factored(self) -> Factor:
        if self._factor is None:
            self.assemble(np.zeros(len(self.active)))
            return self._factored()
        return self._factor

    def _sums(self, reduced: Floats) -> Floats:
        sums: Floats = (self.active * self._factored().recover(reduced)).sum(axis=1)
        return sums

    def _prices(self, bought_step: Floats) -> Floats:
        factor = self._factored()
        right = factor.reduce(-self.active * bought_step[:, None])
        right += self._reduced
        return factor.recover(right)

    def _slack(
        self, cell: Cell, place: int, one: int, step: Floats, price_step: Floats
    ) -> tuple[Floats, Floats]:
        """1 ÷ the slack of a cover, and the slack's relative change."""
        rate = cell.rate[place][:, None]
        inverse = rate * self._price[one]
        inverse -= cell.price
        np.reciprocal(inverse, out=inverse)
        ratio = rate * step[one]
        ratio -= price_step
        ratio *= inverse
        return inverse, ratio


class _Fall:
    """The largest relative falls seen, as negative numbers; 0 when nothing falls."""

    def __init__(self) -> None:
        self.primal = 0.0
        self.dual = 0.0

    def take(self, primal: Floats, dual: Floats) -> None:
        self.primal = min(self.primal, float(primal.min()))
        self.dual = min(self.dual, float(dual.min()))


def _dot(one: Floats, other: Floats) -> Floats:
    """Σ over items, by hour."""
    return np.einsum("nt,nt->t", one, other)


def _direction(
    barrier: float, inverse: Floats, ratio: Floats, trial: Floats, value: Floats
) -> Floats:
    inverse *= barrier
    inverse -= trial
    ratio_value = ratio * value
    inverse -= ratio_value
    return inverse
