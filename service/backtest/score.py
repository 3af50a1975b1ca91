"""The figures of a run: capture of hindsight's savings, savings rate, use, worst twelve months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.backtest.market import YEAR_HOURS
from service.backtest.walk import Run, Series


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums in dollars over a window of ``hours``; ratios follow from them.

    ``owned_usd`` is the capacity owned and ``used_usd`` the part of it used, both in on-demand
    dollars. ``saved_usd`` is each hour's saving against on demand. ``worst_series_ratio`` is the
    worst twelve months of the worst single series in the sum.
    """

    hours: int
    on_demand_usd: float
    cost_usd: float
    hindsight_usd: float
    owned_usd: float
    used_usd: float
    saved_usd: Series
    worst_series_ratio: float

    @property
    def possible_usd(self) -> float:
        """What hindsight saves."""
        return self.on_demand_usd - self.hindsight_usd

    @property
    def capture_ratio(self) -> float:
        """Savings over hindsight's savings.

        Where hindsight itself saves nothing: 1 when nothing was lost, else 0.
        """
        saved = self.on_demand_usd - self.cost_usd
        if self.possible_usd <= 0:
            return 1.0 if saved >= 0 else 0.0
        return saved / self.possible_usd

    @property
    def effective_savings_rate(self) -> float:
        """1 − cost over on demand."""
        return 1.0 - _ratio(self.cost_usd, self.on_demand_usd, empty=1.0)

    @property
    def utilization_ratio(self) -> float:
        """Capacity used over capacity owned; 1 when none was owned."""
        return _ratio(self.used_usd, self.owned_usd, empty=1.0)

    @property
    def coverage_ratio(self) -> float:
        """On-demand-equivalent spend covered by capacity."""
        return _ratio(self.used_usd, self.on_demand_usd, empty=0.0)

    @property
    def worst_12_month_savings_ratio(self) -> float:
        """The least saving in any 8,736 successive hours, over a mean such year's spend.

        Of the whole window when it is shorter. Over the mean spend, not that year's: a year in
        which demand has gone would divide by almost nothing.
        """
        return _worst(self.saved_usd, self.on_demand_usd)


def score(demand: Series, run: Run, *, first: int, hindsight_usd: float) -> Figures:
    """The figures of ``run`` over ``demand[first:]``."""
    spend, owned = demand[first:], run.owned[first:]
    committed = run.commitment_usd[first:]
    used = np.minimum(spend, owned)
    saved, on_demand_usd = used - committed, float(spend.sum())
    return Figures(
        hours=int(spend.size),
        on_demand_usd=on_demand_usd,
        cost_usd=float((spend - used).sum() + committed.sum()),
        hindsight_usd=hindsight_usd,
        owned_usd=float(owned.sum()),
        used_usd=float(used.sum()),
        saved_usd=saved,
        worst_series_ratio=_worst(saved, on_demand_usd),
    )


def total(figures: Sequence[Figures]) -> Figures:
    """Figures over several series: dollars added, and savings hour by hour of the window.

    Series of unequal length are added from their common start.
    """
    saved = np.zeros(max(figure.saved_usd.size for figure in figures))
    for figure in figures:
        saved[: figure.saved_usd.size] += figure.saved_usd
    return Figures(
        hours=sum(figure.hours for figure in figures),
        on_demand_usd=sum(figure.on_demand_usd for figure in figures),
        cost_usd=sum(figure.cost_usd for figure in figures),
        hindsight_usd=sum(figure.hindsight_usd for figure in figures),
        owned_usd=sum(figure.owned_usd for figure in figures),
        used_usd=sum(figure.used_usd for figure in figures),
        saved_usd=saved,
        worst_series_ratio=min(figure.worst_series_ratio for figure in figures),
    )


def _worst(saved_usd: Series, on_demand_usd: float) -> float:
    year = min(YEAR_HOURS, saved_usd.size)
    running = np.concatenate([[0.0], np.cumsum(saved_usd)])
    worst = float((running[year:] - running[: running.size - year]).min())
    mean_year_usd = on_demand_usd * year / saved_usd.size if saved_usd.size else 0.0
    return _ratio(worst, mean_year_usd, empty=0.0)


def _ratio(part: float, whole: float, *, empty: float) -> float:
    return part / whole if whole > 0 else empty
