"""How far chance moves a capture: the same families from regions and cases drawn again.

Cases made from one region resemble each other, so regions are drawn first, each with all its
families, and the cases of a family within it afterwards. A case of no single region stands in
every draw. With two regions the intervals are wide, and rightly so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.backtest.compare import Scored

DRAWS = 1000
CHANCE = 0.9

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """The middle ``CHANCE`` of the draws; 0 to 0 where hindsight itself saves nothing."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Intervals of one strategy's capture: per family, and of the mean over the goal families."""

    families: Mapping[str, Interval]
    mean: Interval


def spreads(
    scored: Mapping[str, Sequence[Scored]], goal_families: Sequence[str], *, seed: int = 0
) -> Mapping[str, Spread]:
    """Strategy → intervals. All strategies meet the same draws, so they can be compared."""
    names = list(dict.fromkeys(one.strategy for ones in scored.values() for one in ones))
    return {name: _spread(scored, name, goal_families, seed) for name in names}


def _spread(
    scored: Mapping[str, Sequence[Scored]], name: str, goal_families: Sequence[str], seed: int
) -> Spread:
    generator = np.random.default_rng(seed)
    regions = list(
        dict.fromkeys(one.region for ones in scored.values() for one in ones if one.region)
    )
    drawn = generator.integers(0, max(len(regions), 1), (DRAWS, len(regions)))
    captured = {
        family: _captured([one for one in ones if one.strategy == name], regions, drawn, generator)
        for family, ones in scored.items()
    }
    goals = [captured[family] for family in goal_families if family in captured]
    mean = np.mean(goals, axis=0) if goals else np.zeros(DRAWS)
    return Spread({family: _middle(one) for family, one in captured.items()}, _middle(mean))


def _captured(
    cases: Sequence[Scored],
    regions: Sequence[str],
    drawn: NDArray[np.int64],
    generator: np.random.Generator,
) -> Floats:
    """The family's capture in each draw; NaN where no drawn region has a case of it."""
    everywhere = _savings(cases, "").sum(axis=0)
    saved, possible = np.full(DRAWS, everywhere[0]), np.full(DRAWS, everywhere[1])
    for place, region in enumerate(regions):
        own = _savings(cases, region)
        for column in range(drawn.shape[1] if own.size else 0):
            taken = drawn[:, column] == place
            picks = generator.integers(0, len(own), (DRAWS, len(own)))
            sums = own[picks].sum(axis=1) * taken[:, None]
            saved += sums[:, 0]
            possible += sums[:, 1]
    ratios = np.divide(saved, possible, out=np.full(DRAWS, np.nan), where=possible > 0)
    return np.asarray(ratios, dtype=np.float64)


def _savings(cases: Sequence[Scored], region: str) -> Floats:
    """What was saved and what could be, per case of ``region``, shape (cases, 2)."""
    sums = [
        (one.figures.on_demand_usd - one.figures.cost_usd, one.figures.possible_usd)
        for one in cases
        if one.region == region
    ]
    return np.array(sums, dtype=np.float64).reshape(-1, 2)


def _middle(draws: Floats) -> Interval:
    real = draws[np.isfinite(draws)]
    if not real.size:
        return Interval(0.0, 0.0)
    low, high = np.quantile(real, [(1 - CHANCE) / 2, (1 + CHANCE) / 2])
    return Interval(float(low), float(high))
