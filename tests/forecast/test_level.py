"""Drift is a slope with its doubt; jumps, bursts and start-up zeros are not drift."""

from __future__ import annotations

import numpy as np
import pytest

from service.forecast.level import (
    Drift,
    Series,
    median_slope,
    quantile,
    recent_drift,
    whole_weeks,
)

WEEKS = 52


def _levels(*, slope: float = 0.0, seed: int = 0) -> Series:
    noise = np.random.default_rng(seed).normal(0, 0.02, WEEKS)
    return np.asarray(100 * np.exp(slope * np.arange(WEEKS) + noise))


def _drift(levels: Series, *, steps: bool = True) -> Drift:
    return recent_drift(levels, prior_deviation=0.01, inflation=2.0, steps=steps)


@pytest.mark.parametrize("share", [0.0, 0.27, 0.3, 0.5, 1.0])
def test_a_quantile_is_that_of_numpy_to_the_last_bit(share: float) -> None:
    draw = np.random.default_rng(3)
    for size in (1, 2, 3, 4, 7, 26, 104, 672):
        numbers = draw.lognormal(0, 1, size).round(2)
        assert quantile(numbers, share) == float(np.quantile(numbers, share))


@pytest.mark.parametrize("slope", [-0.01, 0.0, 0.005])
def test_finds_a_steady_slope_within_its_own_doubt(slope: float) -> None:
    for steps in (False, True):
        found = _drift(_levels(slope=slope), steps=steps)
        assert found.mean == pytest.approx(slope, abs=3 * found.deviation)
        assert found.deviation < 0.002


def test_a_step_down_is_no_decline_when_steps_are_looked_for() -> None:
    levels = _levels()
    levels[30:] *= 0.6
    assert _drift(levels, steps=False).mean < -0.008
    assert abs(_drift(levels).mean) < 0.003


def test_a_burst_is_two_steps() -> None:
    levels = _levels(slope=0.004)
    levels[35:44] *= 1.7
    found = _drift(levels)
    assert found.mean == pytest.approx(0.004, abs=0.003)
    assert found.deviation < _drift(levels, steps=False).deviation


def test_a_steady_decline_is_not_explained_away_by_steps() -> None:
    for seed in range(8):
        levels = _levels(slope=-0.008, seed=seed)
        assert _drift(levels).mean == pytest.approx(_drift(levels, steps=False).mean, abs=0.002)


@pytest.mark.parametrize("levels", [np.zeros(0), np.zeros(20), np.array([5.0, 6.0])])
def test_nothing_to_go_by_leaves_the_prior(levels: Series) -> None:
    assert _drift(levels) == Drift(0.0, 0.01)


def test_a_short_history_is_shrunk_to_no_drift() -> None:
    levels = 100 * np.exp(0.05 * np.arange(5) + np.array([0.1, -0.1, 0.1, -0.1, 0.1]))
    assert abs(_drift(levels).mean) < 0.01


def test_the_median_slope_ignores_a_few_wild_weeks() -> None:
    logs = 0.01 * np.arange(26.0)
    logs[5], logs[20] = 9.0, -9.0
    assert median_slope(logs) == pytest.approx(0.01, abs=0.001)
    assert median_slope(np.zeros(1)) == 0.0


def test_weeks_are_counted_back_from_the_newest_hour_and_forward_from_first_use() -> None:
    seen = np.concatenate([np.zeros(500), np.ones(10), np.full(168, 2.0), np.full(168, 3.0)])
    weeks = whole_weeks(seen, 10)
    assert weeks.shape == (2, 168)
    assert weeks.mean(axis=1).tolist() == [2.0, 3.0]
    assert whole_weeks(np.zeros(400), 10).sum() == 0.0
