"""One picture per pool and strategy: demand, capacity owned, hindsight's capacity, purchases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from service.backtest.walk import Series
from service.domain.hours import DAY_HOURS, HOUR

if TYPE_CHECKING:
    from service.backtest.compare import Scored, Setup


def draw(folder: Path, scored: Scored, demand: Series, setup: Setup) -> Path:
    """Write ``<region>.<strategy>.png`` into ``folder`` and return its path.

    Demand is shown as each day's mean and range, everything in on-demand dollars per hour.
    """
    days = demand.size // DAY_HOURS
    daily = demand[: days * DAY_HOURS].reshape(days, DAY_HOURS)
    dates = [setup.begin + day * DAY_HOURS * HOUR for day in range(days)]
    noon = np.arange(days) * DAY_HOURS
    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    above.fill_between(
        dates, daily.min(axis=1), daily.max(axis=1), color="0.85", label="demand, a day's range"
    )
    above.plot(dates, daily.mean(axis=1), color="0.5", linewidth=0.8, label="demand, daily mean")
    above.plot(dates, scored.best.owned[noon], color="tab:green", label="hindsight's capacity")
    above.plot(dates, scored.run.owned[noon], color="tab:blue", label="capacity owned")
    above.set_ylabel("on-demand $/h")
    above.set_ylim(bottom=0)
    above.legend(loc="upper left", fontsize="small")
    above.set_title(
        f"{scored.name}, {scored.strategy}: {scored.figures.capture_ratio:.1%} of hindsight's "
        f"savings, {scored.figures.utilization_ratio:.1%} used"
    )
    bought = [setup.begin + buy.hour * HOUR for buy in scored.purchases]
    below.bar(bought, [buy.quantity for buy in scored.purchases], width=5, color="tab:blue")
    below.set_ylabel("bought")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{scored.name}.{scored.strategy}")
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=110)
    return path
