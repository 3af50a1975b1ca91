"""Why a tranche is bought: its last unit's use, what waiting is worth, the worst case.

All on the forecast's paths, in dollars over the tranche's term.
"""

from __future__ import annotations

import numpy as np

from service.domain.hours import WEEK_HOURS
from service.forecast.level import Series
from service.forecast.paths import Forecast, forecast
from service.plan.ladder_terms import PoolState, Reasons, Term

PATHS = 100


def explain(
    pool: PoolState, term: Term, quantity_usd_per_hour: float, limit: str, *, seed: int
) -> Reasons:
    """The reasons for buying ``quantity_usd_per_hour`` of ``term`` on top of what is owned."""
    weeks = -(-term.hours // WEEK_HOURS)
    step_weeks = max(round(pool.step_hours / WEEK_HOURS), 1)
    paths = forecast(
        pool.seen,
        begin=pool.begin,
        now=pool.now,
        weeks=weeks + step_weeks,
        paths=PATHS,
        seed=seed,
        changes=pool.changes,
    )
    owned = _weekly(pool.owned, weeks + step_weeks)
    top = owned + quantity_usd_per_hour
    used = _used_usd(paths, owned, top)
    savings = used[:, :weeks].sum(axis=1) - quantity_usd_per_hour * term.rate_ratio * weeks * (
        WEEK_HOURS
    )
    later = used[:, step_weeks : weeks + step_weeks].sum(axis=1) - (
        quantity_usd_per_hour * term.rate_ratio * weeks * WEEK_HOURS
    )
    double = _used_usd(paths, top, top + quantity_usd_per_hour)[:, :weeks].sum(axis=1) - (
        quantity_usd_per_hour * term.rate_ratio * weeks * WEEK_HOURS
    )
    worst = np.sort(savings)[: max(PATHS // 20, 1)]
    return Reasons(
        marginal_usd_per_hour=float(top[0]),
        use_probability_ratio=_use(paths, top[:weeks]),
        break_even_ratio=term.rate_ratio,
        waiting_usd=float(later.mean() - savings.mean()),
        expected_savings_usd=float(savings.mean()),
        low_savings_usd=float(np.quantile(savings, 0.1)),
        high_savings_usd=float(np.quantile(savings, 0.9)),
        worst_savings_usd=float(worst[-1]),
        limit=limit,
        rejected=f"{2 * quantity_usd_per_hour:.2f} instead of {quantity_usd_per_hour:.2f} $/h",
        rejected_by_usd=float(-double.mean()),
    )


def _weekly(owned: Series, weeks: int) -> Series:
    padded = np.zeros(weeks * WEEK_HOURS)
    shown = owned[: padded.size]
    padded[: shown.size] = shown
    return np.asarray(padded.reshape(weeks, WEEK_HOURS).mean(axis=1))


def _used_usd(paths: Forecast, low: Series, high: Series) -> Series:
    """On-demand dollars between two levels per path and week: what such a slice covers."""
    total = np.zeros_like(paths.levels)
    for shape in range(paths.shapes.shape[0]):
        taken = paths.picks == shape
        grid = np.quantile(paths.shapes[shape], (np.arange(42) + 0.5) / 42)
        hourly = paths.levels[:, :, None] * grid
        slices = np.clip(hourly - low[:, None], 0.0, (high - low)[:, None]).mean(axis=2)
        total = np.where(taken, slices * WEEK_HOURS, total)
    return total


def _use(paths: Forecast, height: Series) -> float:
    """The share of the term's hours in which demand reaches ``height``."""
    grid = np.quantile(paths.shapes, (np.arange(42) + 0.5) / 42)
    levels = paths.levels[:, : height.size]
    return float((levels[:, :, None] * grid >= height[:, None]).mean())
