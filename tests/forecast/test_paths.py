"""The forecast's paths: where they start, how far they spread, and what they never invent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from service.forecast.changes import PlannedChange
from service.forecast.level import Series
from service.forecast.paths import Forecast, forecast
from service.forecast.season import agreement, expected_weeks

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = 168


def _seen(weeks: int, *, growth: float = 0.0, noise: float = 0.03, seed: int = 0) -> Series:
    hour = np.arange(weeks * WEEK)
    shake = np.repeat(np.random.default_rng(seed).normal(1.0, noise, weeks).clip(0.3), WEEK)
    day = 1 + 0.3 * np.sin(2 * np.pi * hour / 24)
    return np.asarray(100 * np.exp(growth * hour / WEEK) * day * shake)


def _ahead(seen: Series, weeks: int = 52, changes: tuple[PlannedChange, ...] = ()) -> Forecast:
    return forecast(
        seen, begin=BEGIN, now=seen.size + 24, weeks=weeks, paths=200, seed=3, changes=changes
    )


def test_starts_at_the_newest_level_and_widens_with_the_horizon() -> None:
    limits = _ahead(_seen(80)).quantiles([0.1, 0.5, 0.9])
    assert limits[1, 0] == pytest.approx(100, rel=0.1)
    spread = limits[2] - limits[0]
    assert spread[51] > spread[0] > 0


def test_follows_growth_with_doubt() -> None:
    limits = _ahead(_seen(80, growth=0.01)).quantiles([0.1, 0.5, 0.9])
    today = 100 * np.exp(0.01 * 80)
    assert limits[1, 25] > 1.1 * today
    assert limits[0, 51] < today * np.exp(0.52) < limits[2, 51]


def test_noisier_demand_has_wider_intervals() -> None:
    calm, noisy = (_ahead(_seen(80, noise=noise)).quantiles([0.1, 0.9]) for noise in (0.02, 0.15))
    assert (noisy[1] - noisy[0])[0] > 1.5 * (calm[1] - calm[0])[0]


def test_the_same_seed_gives_the_same_paths() -> None:
    one, other = _ahead(_seen(40)), _ahead(_seen(40))
    assert np.array_equal(one.levels, other.levels)
    assert np.array_equal(one.scenarios(), other.scenarios())


def test_scenarios_keep_the_hours_of_the_day_in_their_places() -> None:
    seen = _seen(40, noise=0.0)
    hourly = _ahead(seen, weeks=2).scenarios()
    assert hourly.shape == (200, 2 * WEEK)
    # the decision falls a day after the last hour seen: the same hour of day as hour 0
    mean_day = hourly.mean(axis=0)[:24]
    assert int(np.argmax(mean_day)) == int(np.argmax(seen[:24]))


@pytest.mark.parametrize("seen", [np.zeros(0), np.zeros(40 * WEEK), np.ones(100)])
def test_nothing_used_forecasts_nothing(seen: Series) -> None:
    assert _ahead(seen).levels.max() == 0.0


def test_a_sudden_stop_forecasts_nothing_once_a_month_is_empty() -> None:
    seen = _seen(60)
    seen[-4 * WEEK :] = 0.0
    assert _ahead(seen).levels.max() == 0.0


def test_a_short_or_intermittent_history_stays_finite_and_near_what_was_seen() -> None:
    short = _seen(2)
    rare = np.where(np.random.default_rng(1).random(60 * WEEK) < 0.02, 50.0, 0.0)
    for seen in (short, rare):
        median = _ahead(seen).quantiles([0.5])[0]
        assert np.isfinite(median).all()
        assert median.max() < 4 * max(seen[-4 * WEEK :].mean(), 1e-9)


def test_start_up_zeros_are_not_history() -> None:
    seen = _seen(30)
    late = np.concatenate([np.zeros(60 * WEEK), seen])
    one, other = _ahead(seen).quantiles([0.5]), _ahead(late).quantiles([0.5])
    assert one == pytest.approx(other, rel=1e-9)


def test_a_planned_change_comes_on_its_date_with_its_chance() -> None:
    seen = _seen(60)
    at = BEGIN + timedelta(hours=seen.size + 24 + 10 * WEEK)
    sure = PlannedChange("move", "*", at, 0.5, 10.0, 1.0)
    plain, changed = _ahead(seen).levels, _ahead(seen, changes=(sure,)).levels
    assert np.median(changed[:, :10]) == pytest.approx(np.median(plain[:, :10]), rel=0.05)
    assert np.median(changed[:, 11:20]) == pytest.approx(
        0.5 * np.median(plain[:, 11:20]) + 10, rel=0.1
    )
    maybe = PlannedChange("move", "*", at, 0.0, 0.0, 0.3)
    gone = (_ahead(seen, changes=(maybe,)).levels[:, 20] == 0).mean()
    assert gone == pytest.approx(0.3, abs=0.12)


def test_a_year_is_expected_again_when_two_agree() -> None:
    weeks = np.arange(52 * 2 + 30)
    noise = np.random.default_rng(2).normal(1, 0.02, weeks.size)
    seasonal = 100 * (1 + 0.3 * np.sin(2 * np.pi * weeks / 52)) * noise
    assert agreement(seasonal) > 0.9
    expected = expected_weeks(seasonal, 26)
    assert expected is not None
    truth = 1 + 0.3 * np.sin(2 * np.pi * (weeks[-1] + 1 + np.arange(26)) / 52)
    assert expected * np.median(seasonal[-4:]) / 100 == pytest.approx(truth, rel=0.12)
    assert expected_weeks(100 * noise, 26) is None
    assert agreement(seasonal[:70]) == 0.0
