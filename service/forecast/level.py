"""A pool's weekly level and its drift, estimated so that a burst of some weeks moves neither.

Weeks are counted backwards from the last hour seen, so that the newest one is always whole.
Levels are in on-demand dollars per hour, drifts in natural logarithm per week.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.hours import WEEK_HOURS

Series = NDArray[np.float64]

_SMALLEST_SHARE = 0.2
"""A week below this share of the largest counts as this share: a logarithm of nearly nothing,
as a hole in the data leaves it, would make every slope absurd."""

_JUMP_MARGIN_WEEKS = 4
_NOTHING = 1e-9
_JUMP_EVIDENCE = 40.0
"""F statistic that a step needs: the best of many places, on autocorrelated weeks, exceeds
the textbook's 4 by chance alone."""

MIN_WEEKS = 4
"""Fewer weeks than these carry no slope."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A pool's drift per week: posterior mean and standard deviation."""

    mean: float
    deviation: float


def quantile(numbers: Series, share: float) -> float:
    """``numpy.quantile`` of a line of finite numbers, to the last bit, at a tenth of its time."""
    place = share * (numbers.size - 1)
    low = min(int(place), numbers.size - 2)
    if low < 0:
        return float(numbers[0])
    ranked = np.partition(numbers, (low, low + 1))
    below, above, beyond = float(ranked[low]), float(ranked[low + 1]), place - low
    if beyond < 0.5:  # noqa: PLR2004 - counted from the nearer of the two, as numpy does
        return below + (above - below) * beyond
    return above - (above - below) * (1 - beyond)


def whole_weeks(seen: Series, most: int) -> Series:
    """The last ``most`` whole weeks of ``seen``, or as many as there are, shape (weeks, 168).

    Hours before the pool was first used at all are not history.
    """
    first = int(np.argmax(seen > 0)) if seen.size else 0
    used = seen[first:]
    weeks = min(used.size // WEEK_HOURS, most)
    return used[used.size - weeks * WEEK_HOURS :].reshape(weeks, WEEK_HOURS)


def log_levels(levels: Series) -> Series:
    """Logarithms of weekly levels, floored at a small share of the largest; it must be > 0."""
    return np.asarray(np.log(np.maximum(levels, _SMALLEST_SHARE * levels.max())))


def recent_drift(
    levels: Series, *, prior_deviation: float, inflation: float, steps: bool = False
) -> Drift:
    """Least-squares slope of weekly ``levels``, shrunk to zero by its own uncertainty.

    Residuals of demand are autocorrelated, so their deviation is multiplied by ``inflation``.
    With ``steps``, up to two jumps of the level that explain far more than chance are fitted
    beside the slope: a migration or the end of a burst is a step, not a drift.
    """
    if levels.size < MIN_WEEKS or levels.max(initial=0.0) <= 0:
        return Drift(0.0, prior_deviation)
    logs = log_levels(levels)
    weeks = np.asarray(np.arange(logs.size) - (logs.size - 1) / 2, dtype=np.float64)
    jumps = _jumps(logs, weeks) if steps else []
    others = np.column_stack([np.ones(logs.size), *jumps])
    basis = np.linalg.qr(others)[0]
    alone = weeks - basis @ (basis.T @ weeks)
    spread = float(alone @ alone)
    rest = logs - basis @ (basis.T @ logs)
    slope = float(alone @ rest) / spread
    residual = rest - slope * alone
    freedom = logs.size - others.shape[1] - 1
    noise = max(float(residual @ residual) / freedom, 1e-4) * inflation**2
    prior, error = prior_deviation**2, noise / spread
    return Drift(slope * prior / (prior + error), float(np.sqrt(prior * error / (prior + error))))


def _jumps(logs: Series, weeks: Series) -> list[Series]:
    """No step, one or two beside a straight line, each as 0 … 0, 1 … 1.

    The best pair of all is weighed before the best single one: neither edge of a burst explains
    much without the other.
    """
    places = np.arange(_JUMP_MARGIN_WEEKS, logs.size - _JUMP_MARGIN_WEEKS + 1)
    if not places.size:
        return []
    every = (np.arange(logs.size)[:, None] >= places).astype(np.float64)
    basis = np.linalg.qr(np.column_stack([np.ones(logs.size), weeks]))[0]
    residual = logs - basis @ (basis.T @ logs)
    free = every - basis @ (basis.T @ every)
    shared, pull = free.T @ free, free.T @ residual
    own = np.diag(shared)
    single = pull**2 / own
    apart = np.maximum(np.outer(own, own) - shared**2, _NOTHING)
    cross = np.outer(pull**2, own)
    pairs = (cross + cross.T - 2 * np.outer(pull, pull) * shared) / apart
    pairs[np.abs(np.subtract.outer(places, places)) < _JUMP_MARGIN_WEEKS] = 0.0
    one = int(np.argmax(single))
    first, second = divmod(int(np.argmax(pairs)), places.size)
    whole, freedom = float(residual @ residual), logs.size - 4
    two = float(pairs[first, second])
    noise = max(whole - two, _NOTHING) / freedom
    if two - float(single[one]) > _JUMP_EVIDENCE * noise and two > 2 * _JUMP_EVIDENCE * noise:
        return [every[:, first], every[:, second]]
    noise = max(whole - float(single[one]), _NOTHING) / freedom
    return [every[:, one]] if float(single[one]) > _JUMP_EVIDENCE * noise else []


def median_slope(logs: Series) -> float:
    """Theil–Sen: the median of all pairs' slopes, per week."""
    first, second = np.triu_indices(logs.size, 1)
    if not first.size:
        return 0.0
    return float(np.median((logs[second] - logs[first]) / (second - first)))
