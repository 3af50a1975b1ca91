"""Improves a portfolio on the true bill, where the order of application is not convex.

Decides nothing that could make the bill worse: every change is kept only when the bill falls.
Levels are quantities of the commitments that may change; costs are dollars over the hours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.billing.market import Stack

Floats = NDArray[np.float64]

_LEAST_GAIN_RATIO = 1e-7
_CORRECTIONS = 30
_FEW = 40  # below so many evaluations a quasi-Newton method does not get going
_CREEPS = 24
_FIRST_STEP_RATIO = 0.02
_ITERATIONS, _ITERATIONS_JOLTED = 200, 25
_SEED, _SOME_RATIO, _SPREAD = 1, 0.3, 0.3


@dataclass(slots=True)
class _Budget:
    left: int

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


class _Spent(Exception):  # noqa: N818 - ends a search, is no error
    pass


class Bills:
    """The true bill as a function of the levels that may change; the first ``held`` may not."""

    def __init__(self, stack: Stack, held: int, evaluations: int) -> None:
        self._stack = stack
        self._held = stack.levels[:held]
        self.usd_per_level = stack.usd_per_level[held:]
        self._budget = _Budget(evaluations)
        self.best = np.zeros(len(self.usd_per_level))
        self.best_usd = np.inf

    @property
    def left(self) -> int:
        """Evaluations that may still be asked for."""
        return self._budget.left

    def slope(self, levels: Floats) -> tuple[float, Floats]:
        """Cost and its right derivative in each level that may change."""
        if not self._budget.spend():
            raise _Spent
        whole = np.concatenate((self._held, levels))
        cost, slope = self._stack.slope(whole)
        self._keep(levels, cost)
        return cost, slope[len(self._held) :]

    def cost(self, levels: Floats) -> float:
        """Cost alone; not counted against the budget's evaluations, so call it sparingly."""
        cost = self._stack.cost(np.concatenate((self._held, levels)))
        self._keep(levels, cost)
        return cost

    def _keep(self, levels: Floats, cost: float) -> None:
        if cost < self.best_usd:
            self.best_usd, self.best = cost, levels.copy()


def polish(
    bills: Bills,
    start: Floats,
    siblings: Sequence[Sequence[int]],
    expired: Callable[[], bool],
) -> Floats:
    """The best levels found from ``start``: slopes first, then dropping or moving whole amounts.

    ``siblings[i]`` are the levels that cover what level ``i`` covers and could replace it.
    """
    bills.cost(start)
    try:
        if bills.left > _FEW:
            _descend(bills, start)
        _creep(bills)
        _replace(bills, siblings, expired)
    except _Spent:
        pass
    return bills.best


def jolt(bills: Bills, start: Floats, expired: Callable[[], bool]) -> Floats:
    """The best levels found by descending again and again from near the best so far.

    Leaves valleys that no slope leads out of. Draws are seeded: the same bills, the same levels.
    """
    draws = np.random.default_rng(_SEED)
    bills.cost(start)
    try:
        while not expired():
            _descend(bills, _jolted(bills.best, draws), _ITERATIONS_JOLTED)
    except _Spent:
        pass
    return bills.best


def _jolted(levels: Floats, draws: np.random.Generator) -> Floats:
    """Some levels anywhere up to twice as high, or all a little off, or one gone for another."""
    sort, count = int(draws.integers(3)), len(levels)
    if sort == 0:
        some = draws.random(count) < _SOME_RATIO
        return np.where(some, levels * draws.uniform(0.0, 2.0, count), levels)
    if sort == 1:
        return np.asarray(levels * np.exp(_SPREAD * draws.normal(size=count)))
    moved = levels.copy()
    moved[draws.integers(count)] = 0.0
    moved[draws.integers(count)] *= draws.uniform(0.5, 2.0)
    return moved


def _descend(bills: Bills, start: Floats, iterations: int = _ITERATIONS) -> None:
    """Quasi-Newton on the bill: piecewise linear, but with so many hours nearly smooth."""
    usd = bills.usd_per_level
    scale = max(bills.best_usd, 1e-300)

    def value(spend: Floats) -> tuple[float, Floats]:
        cost, slope = bills.slope(np.maximum(spend, 0.0) / usd)
        return 100.0 * cost / scale, 100.0 * slope / usd / scale

    from scipy.optimize import minimize  # noqa: PLC0415 - a second that a start can do without

    minimize(
        value,
        start * usd,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * len(start),
        options={"maxcor": _CORRECTIONS, "maxiter": iterations},
    )


def _creep(bills: Bills) -> None:
    """Steps by the signs of the slopes: longer while a sign stays, shorter once it turns.

    Gets on where the bill has a kink, as it has at the relaxation's optimum. Source: M. Riedmiller,
    H. Braun, "RPROP", IEEE Int. Conf. Neural Networks (1993).
    """
    levels = bills.best.copy()
    spend = levels * bills.usd_per_level
    step = (_FIRST_STEP_RATIO * spend + 1e-4 * spend.max(initial=0.0)) / bills.usd_per_level
    before = np.zeros_like(levels)
    for _ in range(_CREEPS):
        _, slope = bills.slope(levels)
        sign = -np.sign(slope)
        step *= np.where(sign * before > 0, 1.3, np.where(sign * before < 0, 0.5, 1.0))
        before = sign
        levels = np.maximum(levels + sign * step, 0.0)


def _replace(bills: Bills, siblings: Sequence[Sequence[int]], expired: Callable[[], bool]) -> None:
    """Try each purchase without, or moved to a sibling, until none lowers the bill."""
    improved = True
    while improved and not expired():
        improved = False
        for one in range(len(siblings)):
            if bills.best[one] <= 0 or expired():
                continue
            before = bills.best_usd
            for other in (None, *siblings[one]):
                _descend(bills, _moved(bills, one, other))
            improved |= bills.best_usd < before * (1.0 - _LEAST_GAIN_RATIO)


def _moved(bills: Bills, one: int, other: int | None) -> Floats:
    levels = bills.best.copy()
    amount = levels[one] * bills.usd_per_level[one]
    levels[one] = 0.0
    if other is not None:
        levels[other] += amount / bills.usd_per_level[other]
    return levels
