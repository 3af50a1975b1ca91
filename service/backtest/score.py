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
    dollars. ``worst_12_month_savings_usd`` is the least saving in any 8,736 successive hours
    (the whole window when it is shorter), ``mean_12_month_usd`` the mean on-demand spend of as
    many hours: a year in which demand has gone would divide by almost nothing.
    """

    hours: int
    on_demand_usd: float
    cost_usd: float
    hindsight_usd: float
    owned_usd: float
    used_usd: float
    worst_12_month_savings_usd: float
    mean_12_month_usd: float

    @property
    def capture_ratio(self) -> float:
        """Savings over hindsight's savings.

        Where hindsight itself saves nothing: 1 when nothing was lost, else 0.
        """
        possible = self.on_demand_usd - self.hindsight_usd
        saved = self.on_demand_usd - self.cost_usd
        if possible <= 0:
            return 1.0 if saved >= 0 else 0.0
        return saved / possible

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
        """The worst twelve months' savings over a mean twelve months' on-demand spend."""
        return _ratio(self.worst_12_month_savings_usd, self.mean_12_month_usd, empty=0.0)


def score(demand: Series, run: Run, *, first: int, hindsight_usd: float) -> Figures:
    """The figures of ``run`` over ``demand[first:]``."""
    spend, owned = demand[first:], run.owned[first:]
    committed = run.commitment_usd[first:]
    used = np.minimum(spend, owned)
    saved = used - committed
    running = np.concatenate([[0.0], np.cumsum(saved)])
    year = min(YEAR_HOURS, spend.size)
    worst = float((running[year:] - running[: running.size - year]).min())
    return Figures(
        hours=int(spend.size),
        on_demand_usd=float(spend.sum()),
        cost_usd=float((spend - used).sum() + committed.sum()),
        hindsight_usd=hindsight_usd,
        owned_usd=float(owned.sum()),
        used_usd=float(used.sum()),
        worst_12_month_savings_usd=worst,
        mean_12_month_usd=float(spend.mean() * year) if spend.size else 0.0,
    )


def total(figures: Sequence[Figures]) -> Figures:
    """Figures over several pools: sums, and the worst pool's worst twelve months."""
    worst = min(figures, key=lambda figure: figure.worst_12_month_savings_ratio)
    return Figures(
        hours=sum(figure.hours for figure in figures),
        on_demand_usd=sum(figure.on_demand_usd for figure in figures),
        cost_usd=sum(figure.cost_usd for figure in figures),
        hindsight_usd=sum(figure.hindsight_usd for figure in figures),
        owned_usd=sum(figure.owned_usd for figure in figures),
        used_usd=sum(figure.used_usd for figure in figures),
        worst_12_month_savings_usd=worst.worst_12_month_savings_usd,
        mean_12_month_usd=worst.mean_12_month_usd,
    )


def _ratio(part: float, whole: float, *, empty: float) -> float:
    return part / whole if whole > 0 else empty
