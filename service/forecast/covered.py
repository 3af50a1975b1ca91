"""What capacity between two levels covers of a pool's demand paths, without walking their hours.

A shape's hours above a height are piecewise linear in that height, so their sum is one look-up
per path and week, however many hours stand behind it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.forecast.level import Series
from service.forecast.paths import Forecast


class Covered:
    """The paths of ``forecast``, each week's shape taken at ``points`` quantiles of its hours."""

    def __init__(self, forecast: Forecast, points: int) -> None:
        self._levels = forecast.levels
        chances = (np.arange(points) + 0.5) / points
        grids = np.quantile(forecast.shapes, chances, axis=1).T
        self._curves = [_above(grid) for grid in grids]
        self._places: list[NDArray[np.bool_]] = [
            (forecast.picks == number) & (forecast.levels > 0) for number in range(len(grids))
        ]

    def between(self, low: Series, high: Series) -> Series:
        """Mean on-demand $/h between ``low`` and ``high``, per path and week.

        ``low`` and ``high`` give one level a week, for as many weeks as they have; shape (paths,
        weeks).
        """
        weeks = low.size
        covered = np.zeros((self._levels.shape[0], weeks))
        for (heights, above), picked in zip(self._curves, self._places, strict=True):
            rows, columns = np.nonzero(picked[:, :weeks])
            levels = self._levels[rows, columns]
            over_low = np.interp(low[columns] / levels, heights, above)
            over_high = np.interp(high[columns] / levels, heights, above)
            covered[rows, columns] = levels * (over_low - over_high)
        return covered


def _above(grid: Series) -> tuple[Series, Series]:
    """Heights, and the mean of what lies above each; in between it is linear, beyond it 0."""
    heights = np.concatenate([[0.0], grid])
    return heights, np.maximum(grid - heights[:, None], 0.0).mean(axis=1)
