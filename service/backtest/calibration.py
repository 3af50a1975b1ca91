"""How often the forecast's intervals held: the share of weeks inside them, by horizon.

From every decision instant the forecast is made on what could be seen then, and each coming
week's mean demand is compared with its central 50%, 80% and 95% intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.backtest.compare import Setup
from service.backtest.walk import Series
from service.domain.hours import WEEK_HOURS
from service.forecast.holidays import holidays_for
from service.forecast.paths import forecast

HORIZON_WEEKS = (1, 4, 13, 26, 52)
INTERVALS = (0.5, 0.8, 0.95)

_PATHS = 200
_EVERY = 2


@dataclass(frozen=True, slots=True)
class Calibration:
    """Share of actual weeks inside each central interval, and how many weeks were compared."""

    inside: Mapping[float, float]
    weeks: int


def calibrate(
    demands: Sequence[Series], setup: Setup, *, regions: Sequence[str] = ()
) -> Mapping[int, Calibration]:
    """Per horizon in weeks, over all series and every second decision instant.

    ``regions`` names each series' region, for its holidays; without it only those of every
    region count.
    """
    chances = [(1 - share) / 2 for share in INTERVALS] + [(1 + share) / 2 for share in INTERVALS]
    held: dict[int, list[list[bool]]] = {horizon: [] for horizon in HORIZON_WEEKS}
    for demand, region in zip(demands, regions or [""] * len(demands), strict=True):
        holidays = holidays_for(setup.holidays, region)
        for number, now in enumerate(setup.walk.instants(demand.size)[::_EVERY]):
            paths = forecast(
                demand[: max(now - setup.walk.lag_hours, 0)],
                begin=setup.begin,
                now=now,
                weeks=max(HORIZON_WEEKS),
                paths=_PATHS,
                seed=number,
                holidays=holidays,
            )
            limits = paths.quantiles(chances)
            for horizon in HORIZON_WEEKS:
                week = demand[now + (horizon - 1) * WEEK_HOURS : now + horizon * WEEK_HOURS]
                if week.size == WEEK_HOURS:
                    low, high = np.split(limits[:, horizon - 1], 2)
                    held[horizon].append(list((low <= week.mean()) & (week.mean() <= high)))
    return {
        horizon: Calibration(
            inside=dict(
                zip(INTERVALS, np.mean(rows, axis=0).tolist() if rows else [], strict=False)
            ),
            weeks=len(rows),
        )
        for horizon, rows in held.items()
    }
