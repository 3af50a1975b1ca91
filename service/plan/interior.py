"""The relaxation's hours inside an interior-point method: one shard of hours, four passes.

With Y the on-demand dollars of an item that a resource covers, Z those left on demand, U a
resource's idle room and x what is bought, every hour obeys Z + Σ Y = demand and
Σ rate·Y + U = active·x + owned. Its dual has the item's price π and the resource's price μ, with
slacks 1 − π for Z, rate·μ − π for Y, μ for U. Prices are kept strictly feasible, so the
slacks are never stored. Source of the method: S. Mehrotra, "On the implementation of a primal-dual
interior point method", SIAM J. Optim. 2 (1992); items, then hours, then purchases are eliminated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.plan.elimination import Elimination, Factor
from service.plan.interior_items import (
    Cell,
    Fall,
    Items,
    centred,
    direction,
    dot,
    second_order,
    spare,
)

Floats = NDArray[np.float64]

_ROOM_FILLED = 0.9


@dataclass(frozen=True, slots=True)
class Step:
    """What a direction does in a shard: how far it can be gone, and change of objectives."""

    lengths: Floats
    """Σ over hours, and least, of the primal and dual steps that each could take: 2 × 2"""
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
        self._kind = cells[0].demand.dtype
        self._least_slack = float(np.finfo(self._kind).eps) / 2
        shapes = {cell.demand.shape for cell in cells}
        self._spare = {shape: spare(shape, self._kind) for shape in shapes}
        self._item_price: Items = self._price.astype(self._kind)
        self._idle = np.zeros(active.shape)
        self._factor: Factor | None = None
        self._reduced = np.zeros(active.shape)
        self._room = np.zeros(active.shape)
        self._trial_idle = np.zeros(active.shape)
        self._right_first = np.zeros(active.shape)
        self._right_second = np.zeros(active.shape)
        self._price_step = np.zeros(active.shape)
        self._idle_step = np.zeros(active.shape)
        self._lengths: tuple[Items, Items] = (np.empty(0), np.empty(0))

    # -- start ---------------------------------------------------------------------------------

    def centre_items(self, barrier: float) -> Floats:
        """Put every item on the central path of ``barrier`` at the present prices.

        Returns the room used, resources × hours.
        """
        used = np.zeros(self.active.shape)
        for cell in self._cells:
            ceilings = [
                rate * self._item_price[one]
                for one, rate in zip(cell.resources, cell.rate, strict=True)
            ]
            cell.price[...] = centred(cell.demand, ceilings, barrier)
            for place, (one, ceiling) in enumerate(zip(cell.resources, ceilings, strict=True)):
                np.divide(barrier, ceiling - cell.price, out=cell.covered[place])
                used[one] += cell.rate[place, :, 0] @ cell.covered[place]
        return used

    def fit(self, bought: Floats, used: Floats) -> None:
        """Scale the coverage down to the room there is, and leave the rest on demand."""
        room = self.active * bought[:, None] + self.owned
        limit = _ROOM_FILLED * room
        scale = np.where(used > limit, limit / np.maximum(used, 1e-300), 1.0)
        item_scale = scale.astype(self._kind)
        for cell in self._cells:
            cell.left[...] = cell.demand
            for place, one in enumerate(cell.resources):
                cell.covered[place] *= item_scale[one]
                cell.left -= cell.covered[place]
        self._idle = room - used * scale

    # -- one iteration -------------------------------------------------------------------------

    def assemble(self, bought: Floats) -> tuple[Floats, Floats]:
        """Factor the hours' systems for the predictor.

        Returns the purchases' matrix and right-hand side, summed over the shard's hours.
        """
        self._room = self.active * bought[:, None] + self.owned
        diagonal = self._idle / self._price
        coupling = np.zeros((len(self._plan.entry), self.active.shape[1]))
        right = -self._room
        for cell in self._cells:
            self._assemble_cell(cell, diagonal, coupling, right)
        self._factor = Factor(self._plan, diagonal, coupling, float(np.finfo(self._kind).eps))
        self._reduced = self._factor.reduce(right)
        return self._factor.gram(self.active), self._sums(self._reduced)

    def _assemble_cell(self, cell: Cell, diagonal: Floats, coupling: Floats, right: Floats) -> None:
        spare, scaled, left = self._spare[cell.demand.shape]
        share = cell.share
        np.minimum(cell.price, 1.0 - self._least_slack, out=cell.price)
        np.subtract(1.0, cell.price, out=left)
        np.divide(cell.left, left, out=left)
        share[...] = left
        for place, one in enumerate(cell.resources):
            weight, inverse = cell.weight[place], cell.inverse[place]
            np.multiply(cell.rate[place], self._item_price[one], out=inverse)
            inverse -= cell.price
            np.maximum(inverse, self._least_slack, out=inverse)  # rounding may leave none
            np.reciprocal(inverse, out=inverse)
            np.multiply(cell.covered[place], inverse, out=weight)
            share += weight
        np.reciprocal(share, out=share)
        for place, one in enumerate(cell.resources):
            # 1 − weight·share, summed from the others: the difference would lose its digits
            spare[...] = left
            for other in range(len(cell.resources)):
                if other != place:
                    spare += cell.weight[other]
            spare *= share
            spare *= cell.weight[place]
            diagonal[one] += cell.rate[place, :, 0] ** 2 @ spare
        np.multiply(cell.demand, share, out=spare)
        for place, one in enumerate(cell.resources):
            weight = cell.weight[place]
            weight *= cell.rate[place]
            right[one] += dot(weight, spare)
            np.multiply(weight, share, out=scaled)
            for before in range(place):
                coupling[self._entry(one, cell.resources[before])] -= dot(
                    scaled, cell.weight[before]
                )

    def _entry(self, one: int, other: int) -> int:
        number = self._plan.entry.get((one, other))
        return self._plan.entry[other, one] if number is None else number

    def predict(self, bought_step: Floats) -> tuple[Step, Floats, Floats]:
        """The predictor's reach, and right-hand sides of the corrector.

        The corrector's is barrier × first + second; both are returned summed as by ``assemble``.
        """
        step = self._prices(bought_step)
        ratio = step / self._price
        other = -1.0 - ratio
        fall = Fall(self.active.shape[1])
        fall.take(other, ratio)
        curve = other * ratio * self._idle
        self._trial_idle = self._idle + curve
        self._right_first = 1.0 / self._price
        self._right_second = -self._room - curve
        primal = 0.0
        dual = -float((self.owned * step).sum())
        item_step = step.astype(self._kind)
        for cell in self._cells:
            change, worth = self._predict_cell(cell, item_step, fall)
            primal += change
            dual += worth
        factor = self._factored()
        first = self._sums(factor.reduce(self._right_first))
        second = self._sums(factor.reduce(self._right_second))
        sums = (self.active * step).sum(axis=1)
        return Step(_summed(fall.lengths(1.0)), primal, dual, sums), first, second

    def _predict_cell(self, cell: Cell, step: Items, fall: Fall) -> tuple[float, float]:
        price_step, _, ratio = self._spare[cell.demand.shape]
        first, second = cell.first, cell.second
        price_step[...] = cell.demand
        for one, weight in zip(cell.resources, cell.weight, strict=True):
            np.multiply(weight, step[one], out=ratio)
            price_step += ratio
        price_step *= cell.share
        worth = float(np.vdot(cell.demand, price_step))
        np.subtract(1.0, cell.price, out=first)
        np.reciprocal(first, out=first)
        np.multiply(price_step, first, out=ratio)
        np.negative(ratio, out=ratio)
        change = -float(cell.left.sum() + np.vdot(cell.left, ratio))
        second_order(cell.trial[0], ratio, cell.left, fall)
        np.add(cell.demand, cell.trial[0], out=second)
        np.negative(second, out=second)
        cell.trial[0] += cell.left
        for place, one in enumerate(cell.resources):
            trial, rate = cell.trial[place + 1], cell.rate[place, :, 0]
            inverse = cell.inverse[place]
            _slack_ratio(cell, place, step, price_step, ratio)
            second_order(trial, ratio, cell.covered[place], fall)
            second -= trial
            first += inverse
            self._right_first[one] += rate @ inverse
            self._right_second[one] -= rate @ trial
            trial += cell.covered[place]
        first *= cell.share
        second *= cell.share
        for one, weight in zip(cell.resources, cell.weight, strict=True):
            self._right_first[one] -= dot(weight, first)
            self._right_second[one] -= dot(weight, second)
        return change, worth

    def correct(self, bought_step: Floats, barrier: float, keep: float) -> Step:
        """The direction to take: the corrector for ``barrier``."""
        self._reduced = barrier * self._right_first + self._right_second
        step = self._price_step = self._prices(bought_step)
        inverse = 1.0 / self._price
        ratio = step * inverse
        self._idle_step = barrier * inverse - self._trial_idle - ratio * self._idle
        fall = Fall(self.active.shape[1])
        fall.take(self._idle_step / self._idle, ratio)
        item_step = step.astype(self._kind)
        for cell in self._cells:
            self._correct_cell(cell, item_step, barrier, fall)
        sums = (self.active * step).sum(axis=1)
        self._lengths = fall.lengths(keep)
        return Step(_summed(self._lengths), 0.0, 0.0, sums)

    def _correct_cell(self, cell: Cell, step: Items, barrier: float, fall: Fall) -> None:
        gain, inverse, ratio = self._spare[cell.demand.shape]
        price_step = cell.first
        price_step *= -barrier
        price_step -= cell.second
        gain[...] = 0.0
        for one, weight in zip(cell.resources, cell.weight, strict=True):
            np.multiply(weight, step[one], out=ratio)
            gain += ratio
        gain *= cell.share
        price_step += gain
        np.subtract(1.0, cell.price, out=inverse)
        np.reciprocal(inverse, out=inverse)
        np.multiply(price_step, inverse, out=ratio)
        np.negative(ratio, out=ratio)
        inverse *= barrier
        direction(cell.trial[0], inverse, ratio, cell.left, fall)
        for place, covered in enumerate(cell.covered):
            _slack_ratio(cell, place, step, price_step, ratio)
            np.multiply(cell.inverse[place], barrier, out=inverse)
            direction(cell.trial[place + 1], inverse, ratio, covered, fall)

    def move(self, together: tuple[float, float] | None) -> Standing:
        """Take the corrector's direction; where that leaves the shard.

        By the primal and dual lengths in ``together``, else every hour as far as it can.
        """
        primal, dual = self._lengths if together is None else _alike(together, self._lengths)
        self._price += dual * self._price_step
        self._item_price = self._price.astype(self._kind)
        self._idle += primal * self._idle_step
        item_primal, item_dual = primal.astype(self._kind), dual.astype(self._kind)
        for cell in self._cells:
            cell.first *= item_dual
            cell.price += cell.first
            for place, value in enumerate((cell.left, *cell.covered)):
                cell.trial[place] *= item_primal
                np.add(value, cell.trial[place], out=value)
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
        )

    def prices(self) -> Floats:
        """A copy of the resources' prices, resources × hours."""
        return self._price.copy()

    def _bound_of(self, cell: Cell) -> float:
        """The items' value at the resources' prices: each takes its cheapest cover."""
        least, cover, _ = self._spare[cell.demand.shape]
        least[...] = 1.0
        for one, rate in zip(cell.resources, cell.rate, strict=True):
            np.multiply(rate, self._item_price[one], out=cover)
            np.minimum(least, cover, out=least)
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


def _slack_ratio(cell: Cell, place: int, step: Items, price_step: Items, out: Items) -> None:
    """Into ``out``: the relative change of a cover's slack."""
    np.multiply(cell.rate[place], step[cell.resources[place]], out=out)
    out -= price_step
    out *= cell.inverse[place]


def _summed(lengths: tuple[Items, Items]) -> Floats:
    return np.array([[float(one.sum()), float(one.min(initial=1.0))] for one in lengths])


def _alike(lengths: tuple[float, float], hours: tuple[Items, Items]) -> tuple[Items, Items]:
    primal, dual = hours
    return np.full_like(primal, lengths[0]), np.full_like(dual, lengths[1])
