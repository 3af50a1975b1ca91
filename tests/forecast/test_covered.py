"""What capacity covers of the paths: the look-up gives what walking every hour gives."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.hours import WEEK_HOURS
from service.forecast.covered import Covered
from service.forecast.paths import Forecast, forecast

POINTS = 28


def _walked(
    paths: Forecast, low: float, high: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    chances = (np.arange(POINTS) + 0.5) / POINTS
    grids = np.quantile(paths.shapes, chances, axis=1).T
    hourly = paths.levels[:, :, None] * grids[paths.picks]
    return np.asarray(np.clip(hourly - low, 0.0, high - low).mean(axis=2))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5), st.floats(0, 250), st.floats(0, 200))
def test_a_look_up_covers_what_every_hour_covers(seed: int, low: float, width: float) -> None:
    draw = np.random.default_rng(seed)
    seen = 100 * np.exp(0.3 * draw.standard_normal(30 * WEEK_HOURS))
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    paths = forecast(seen, begin=begin, now=seen.size, weeks=9, paths=20, seed=seed)
    levels = np.full(9, low)
    found = Covered(paths, POINTS).between(levels, levels + width)
    assert found == pytest.approx(_walked(paths, low, low + width), abs=1e-9)


def test_a_path_that_has_ended_uses_nothing() -> None:
    paths = Forecast(np.zeros((3, 2)), np.ones((1, WEEK_HOURS)), np.zeros((3, 2), dtype=np.int64))
    assert not Covered(paths, POINTS).between(np.zeros(2), np.ones(2)).any()
