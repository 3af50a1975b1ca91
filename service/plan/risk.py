"""What a plan could lose against on demand, and how much of it a budget leaves.

Decides the share of each pool's purchases that stays within the expected shortfall allowed, per
pool and over all pools. Losses are taken on the forecast's sampled paths: what the purchases cost
over their terms less the on-demand dollars that they replace, above everything owned. Scenarios of
one number meet the same draws in every pool, so demand falls everywhere at once: the cautious
reading of the total. Dollars over the terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InvariantError
from service.domain.hours import WEEK_HOURS
from service.forecast.covered import Covered
from service.forecast.paths import forecast
from service.plan.ladder_terms import PoolState

Floats = NDArray[np.float64]

SCENARIOS = 100
TAIL_RATIO = 0.05
"""The worst scenarios whose mean is the expected shortfall: one in twenty."""

_SHAPE_POINTS = 28
_STEPS = 8  # shares of a pool's purchases that are weighed against each other
_HALVINGS = 12
_WEIGHT_HALVINGS = 40
_MOST_WEIGHT = 1e6


@dataclass(frozen=True, slots=True)
class RiskBudget:
    """The expected shortfall allowed, USD; ``None``: any. ``tail_ratio``: of the worst so many."""

    per_pool_usd: float | None = None
    total_usd: float | None = None
    tail_ratio: float = TAIL_RATIO

    def __post_init__(self) -> None:
        if not 0 < self.tail_ratio <= 1:
            msg = f"{self.tail_ratio} is no share of the scenarios"
            raise InvariantError(msg)


ANY_RISK = RiskBudget()


@dataclass(frozen=True, slots=True)
class Slice:
    """Capacity bought, in on-demand dollars per hour, for ``hours`` at ``rate_ratio`` of them."""

    quantity_usd_per_hour: float
    hours: int
    rate_ratio: float

    @property
    def weeks(self) -> int:
        """Its term in weeks, rounded up."""
        return -(-self.hours // WEEK_HOURS)


@dataclass(frozen=True, slots=True)
class Risk:
    """A pool's purchases, after any were left out.

    ``share_ratio`` of them stays. ``expected_loss_usd``: mean over the scenarios of what is lost,
    0 where they save. ``shortfall_usd``: mean loss of the worst ``budget.tail_ratio``, negative
    where even those save; ``total_shortfall_usd`` the same over all pools.
    """

    share_ratio: float
    expected_loss_usd: float
    shortfall_usd: float
    total_shortfall_usd: float
    budget: RiskBudget


class Exposure:
    """One pool's purchases over the scenarios; ``below``: what this plan buys beneath them."""

    def __init__(
        self, state: PoolState, slices: Sequence[Slice], below: Sequence[Slice], *, seed: int
    ) -> None:
        self._slices = slices
        weeks = max(one.weeks for one in slices)
        paths = forecast(
            state.seen,
            begin=state.begin,
            now=state.now,
            weeks=weeks,
            paths=SCENARIOS,
            seed=seed,
            changes=state.changes,
            holidays=state.holidays,
        )
        self._covered = Covered(paths, _SHAPE_POINTS)
        self._low = _weekly(state.owned, weeks)
        for one in below:
            self._low[: one.weeks] += one.quantity_usd_per_hour

    def losses(self, share_ratio: float) -> Floats:
        """What a share of the purchases loses in each scenario; negative where it saves."""
        low = self._low
        total = np.zeros(SCENARIOS)
        for one in self._slices:
            amount = one.quantity_usd_per_hour * share_ratio
            used = self._covered.between(low[: one.weeks], low[: one.weeks] + amount).sum(axis=1)
            total += (amount * one.rate_ratio * one.weeks - used) * WEEK_HOURS
            low = low + amount
        return total


def shortfall(losses: Floats, tail_ratio: float) -> float:
    """The mean of the worst ``tail_ratio`` of equally likely losses, at least of the worst one."""
    worst = max(round(tail_ratio * losses.size), 1)
    return float(np.sort(losses)[-worst:].mean())


def within(exposures: Sequence[Exposure], budget: RiskBudget) -> list[Risk]:
    """The share of each pool's purchases that ``budget`` leaves, and what it risks."""
    tail = budget.tail_ratio
    shares = [_affordable(one, budget.per_pool_usd, tail) for one in exposures]
    losses = [one.losses(share) for one, share in zip(exposures, shares, strict=True)]
    limit = budget.total_usd
    if limit is not None and losses and shortfall(np.sum(losses, axis=0), tail) > limit:
        shares, losses = _traded(exposures, shares, limit, tail)
    total = shortfall(np.sum(losses, axis=0), tail) if losses else 0.0
    return [
        Risk(
            share_ratio=share,
            expected_loss_usd=float(np.maximum(of, 0.0).mean()),
            shortfall_usd=shortfall(of, tail),
            total_shortfall_usd=total,
            budget=budget,
        )
        for share, of in zip(shares, losses, strict=True)
    ]


def _affordable(exposure: Exposure, limit: float | None, tail: float) -> float:
    """The largest share within ``limit``; the shortfall is convex in it and 0 at none."""
    if limit is None or shortfall(exposure.losses(1.0), tail) <= limit:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if shortfall(exposure.losses(middle), tail) <= limit:
            low = middle
        else:
            high = middle
    return low


def _traded(
    exposures: Sequence[Exposure], most: Sequence[float], limit: float, tail: float
) -> tuple[list[float], list[Floats]]:
    """Shares whose joint shortfall is within ``limit``: saving is given up where it risks most.

    Each pool takes the share with the most expected saving less a weight times its shortfall; the
    weight is the least that is enough.
    """
    shares = [[share * step / _STEPS for step in range(_STEPS + 1)] for share in most]
    options = [
        np.array([one.losses(share) for share in of])
        for one, of in zip(exposures, shares, strict=True)
    ]
    means = [of.mean(axis=1) for of in options]
    worst = [np.array([shortfall(one, tail) for one in of]) for of in options]

    def chosen(weight: float) -> list[int]:
        return [int((mean + weight * bad).argmin()) for mean, bad in zip(means, worst, strict=True)]

    def fits(places: Sequence[int]) -> bool:
        joint = np.sum([of[place] for of, place in zip(options, places, strict=True)], axis=0)
        return shortfall(joint, tail) <= limit

    low, high = 0.0, 1.0
    while not fits(chosen(high)) and high < _MOST_WEIGHT:
        low, high = high, high * 4
    for _ in range(_WEIGHT_HALVINGS):
        middle = (low + high) / 2
        if fits(chosen(middle)):
            high = middle
        else:
            low = middle
    places = chosen(high)
    if not fits(places):  # shortfalls that no share avoids: nothing is bought
        places = [0] * len(options)
    return (
        [of[place] for of, place in zip(shares, places, strict=True)],
        [of[place] for of, place in zip(options, places, strict=True)],
    )


def _weekly(owned: Floats, weeks: int) -> Floats:
    hourly = np.zeros(weeks * WEEK_HOURS)
    shown = owned[: hourly.size]
    hourly[: shown.size] = shown
    mean: Floats = hourly.reshape(weeks, WEEK_HOURS).mean(axis=1)
    return mean
