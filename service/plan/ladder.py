"""How much of a pool to own now, and over which terms: buy only what waiting would not better.

The level to own is the least of several answers, each in on-demand dollars per hour: the best
level of the last days and weeks, a level that a burst of some weeks cannot move, and the level
that would pay over the term should the recent drift go on. Next week can always buy more, so
an upward drift never raises the level above what pays today.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.domain.hours import DAY_HOURS, WEEK_HOURS
from service.forecast.level import (
    MIN_WEEKS,
    Series,
    log_levels,
    median_slope,
    recent_drift,
    whole_weeks,
)
from service.plan.ladder_reasons import explain
from service.plan.ladder_terms import PoolState, Term, TermTranche, Tranche

_NEGLIGIBLE = 1e-6


def tranche(
    pool: PoolState, terms: Sequence[Term], *, seed: int = 0, reasons: bool = True
) -> Tranche:
    """What to buy for ``pool`` now from ``terms``. Deterministic in its arguments.

    Buys nothing where no term has a discount, nothing has been used, or enough is owned.
    ``reasons=False`` skips the explanation, which backtests do not read.
    """
    paying = [term for term in terms if term.discount_ratio > 0]
    if not paying or not pool.seen.size:
        return Tranche(0.0, pool.owned_now, (), None)
    term = min(paying, key=lambda one: (one.hours, one.rate_ratio))
    level, limit = level_to_own(pool, term)
    gap = level - pool.owned_now
    if gap <= _NEGLIGIBLE:
        return Tranche(level, pool.owned_now, (), None)
    why = explain(pool, term, gap, limit, seed=seed) if reasons else None
    return Tranche(level, pool.owned_now, (TermTranche(term.offer, gap),), why)


def level_to_own(pool: PoolState, term: Term) -> tuple[float, str]:
    """The capacity worth owning now and the name of the consideration that bounds it."""
    discount = term.discount_ratio
    bounds = {
        "the last 7 days": best_level(pool.seen[-7 * DAY_HOURS :], discount),
        "the last 28 days": best_level(pool.seen[-28 * DAY_HOURS :], discount),
        "a level that no burst moves": _steady_level(pool.seen, discount),
        "the drift going on over the term": _drifting_level(pool, term),
    }
    limit = min(bounds, key=lambda name: bounds[name])
    return bounds[limit], limit


def best_level(spend: Series, discount_ratio: float) -> float:
    """The cheapest single level over these hours: their ``discount_ratio`` quantile; 0 if none."""
    return float(np.quantile(spend, discount_ratio)) if spend.size else 0.0


def _steady_level(seen: Series, discount: float) -> float:
    weeks = whole_weeks(seen, 26)
    if weeks.shape[0] < MIN_WEEKS:
        return best_level(seen, discount)
    levels = np.quantile(weeks, discount, axis=1)
    if levels.max() <= 0:
        return 0.0
    logs = log_levels(levels)
    slope = float(np.clip(median_slope(logs), -0.05, 0.02))
    return float(np.exp(np.quantile(logs + slope * np.arange(logs.size - 1, -1, -1), 0.3)))


def _drifting_level(pool: PoolState, term: Term) -> float:
    means = whole_weeks(pool.seen, 13).mean(axis=1)
    drift = recent_drift(means, prior_deviation=0.01, inflation=2.0)
    slope = drift.mean - drift.deviation
    ratios = np.linspace(0.02, 0.98, 25)
    shape = np.quantile(pool.seen[-28 * DAY_HOURS :], ratios)
    ahead = np.exp(slope * np.arange(term.hours // WEEK_HOURS))
    return float(np.quantile(np.outer(ahead, shape), term.discount_ratio))
