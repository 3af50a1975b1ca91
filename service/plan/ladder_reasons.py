"""Why a tranche is bought: its last unit's use, what waiting is worth, the worst case.

All on the forecast's paths, in dollars over the tranche's term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.domain.hours import WEEK_HOURS
from service.forecast.covered import Covered
from service.forecast.level import Series
from service.forecast.paths import Forecast, forecast
from service.plan.ladder_terms import PoolState, Reasons, Term

PATHS = 100
_POINTS = 42  # quantiles that stand for a week's hours


@dataclass(frozen=True, slots=True)
class Step:
    """A purchase of ``term`` between two levels (on-demand $/h), and what bounds the upper."""

    term: Term
    from_usd_per_hour: float
    to_usd_per_hour: float
    limit: str

    @property
    def quantity(self) -> float:
        """On-demand dollars per hour bought."""
        return self.to_usd_per_hour - self.from_usd_per_hour


def explain(pool: PoolState, steps: Sequence[Step], *, seed: int) -> Reasons:
    """The reasons for ``steps``, bottom up; amounts of all of them, the margin of the last."""
    step_weeks = max(round(pool.step_hours / WEEK_HOURS), 1)
    weeks = [-(-step.term.hours // WEEK_HOURS) for step in steps]
    reach = max(weeks) + step_weeks
    paths = forecast(
        pool.seen,
        begin=pool.begin,
        now=pool.now,
        weeks=reach,
        paths=PATHS,
        seed=seed,
        changes=pool.changes,
        holidays=pool.holidays,
    )
    covered = Covered(paths, _POINTS)
    low = _weekly(pool.owned, reach)
    savings, later = np.zeros(PATHS), np.zeros(PATHS)
    for step, term_weeks in zip(steps, weeks, strict=True):
        used = covered.between(low, low + step.quantity) * WEEK_HOURS
        cost = step.quantity * step.term.rate_ratio * term_weeks * WEEK_HOURS
        savings += used[:, :term_weeks].sum(axis=1) - cost
        later += used[:, step_weeks : term_weeks + step_weeks].sum(axis=1) - cost
        low = low + step.quantity
    last, term_weeks = steps[-1], weeks[-1]
    higher = low[:term_weeks] + last.quantity
    more = covered.between(low[:term_weeks], higher).sum(axis=1) * WEEK_HOURS
    cost = last.quantity * last.term.rate_ratio * term_weeks * WEEK_HOURS
    quantity = sum(step.quantity for step in steps)
    return Reasons(
        marginal_usd_per_hour=float(low[0]),
        use_probability_ratio=_use(paths, low[:term_weeks]),
        break_even_ratio=last.term.rate_ratio,
        waiting_usd=float(later.mean() - savings.mean()),
        expected_savings_usd=float(savings.mean()),
        low_savings_usd=float(np.quantile(savings, 0.1)),
        high_savings_usd=float(np.quantile(savings, 0.9)),
        worst_savings_usd=float(np.quantile(savings, 0.05)),
        limit=last.limit,
        rejected=(
            f"as much again of {last.term.offer}: "
            f"{quantity + last.quantity:.2f} instead of {quantity:.2f} USD/h"
        ),
        rejected_by_usd=float(cost - more.mean()),
    )


def _weekly(owned: Series, weeks: int) -> Series:
    padded = np.zeros(weeks * WEEK_HOURS)
    shown = owned[: padded.size]
    padded[: shown.size] = shown
    return np.asarray(padded.reshape(weeks, WEEK_HOURS).mean(axis=1))


def _use(paths: Forecast, height: Series) -> float:
    """The share of the term's hours in which demand reaches ``height``."""
    grid = np.quantile(paths.shapes, (np.arange(_POINTS) + 0.5) / _POINTS)
    levels = paths.levels[:, : height.size]
    none = np.broadcast_to(np.where(height > 0, np.inf, 0.0), levels.shape).copy()
    reached = np.divide(height, levels, out=none, where=levels > 0)
    return float(1 - np.searchsorted(grid, reached).mean() / _POINTS)
