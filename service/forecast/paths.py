"""Demand over the coming weeks as sample paths: a level per week times a shape per hour.

The level walks from where the last weeks put it, with a drift drawn from its posterior; the
shape is drawn in whole weeks from those seen last. All in on-demand dollars per hour; the same
seed gives the same paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from service.domain.hours import WEEK_HOURS
from service.forecast.changes import PlannedChange, factors
from service.forecast.holidays import Holiday, coming_factors, without_holidays
from service.forecast.level import (
    MIN_WEEKS,
    Drift,
    Series,
    log_levels,
    recent_drift,
    whole_weeks,
)
from service.forecast.season import expected_weeks

_SHAPE_WEEKS = 8
_LEVEL_WEEKS = 4
_DRIFT_WEEKS = 26
_LONG_LAG_WEEKS = 13
_PRIOR_DRIFT = 0.006
_PRIOR_WALK = 0.03
_PRIOR_WIDENING = {1: 1.4, 4: 1.2, 13: 1.4}
"""By weeks ahead, the factor that forecasts of a pool without a past need: what those of the
public regions needed on average (docs/model.md)."""

_PRIOR_MISSES = 10.0
_MOST_SURPRISE = 16.0  # one jump of four deviations must not widen every later forecast
_TAIL_FREEDOM = 5
_SMALLEST_MEAN = 1e-9


@dataclass(frozen=True, slots=True)
class Forecast:
    """Paths of one pool's demand from the decision on.

    ``levels[path, week]``: mean on-demand $/h of each coming week. ``shapes[week, hour]``: seen
    weeks as ratios to their mean, first hour aligned with the decision's. ``picks[path, week]``:
    which shape a path's week takes. ``holidays[path, hour]``: factors within the weeks that the
    levels already have in their means; ``None`` where no holiday is to come.
    """

    levels: Series
    shapes: Series
    picks: NDArray[np.int64]
    holidays: Series | None = None

    def quantiles(self, chances: Sequence[float]) -> Series:
        """Quantiles of the weekly level, shape (chances, weeks)."""
        return np.asarray(np.quantile(self.levels, list(chances), axis=0))

    def scenarios(self) -> Series:
        """Hourly demand per path, shape (paths, weeks × 168)."""
        shaped = self.shapes[self.picks]
        if self.holidays is not None:
            shaped = shaped * self.holidays.reshape(shaped.shape)
            shaped /= np.maximum(shaped.mean(axis=2, keepdims=True), _SMALLEST_MEAN)
        hourly = self.levels[:, :, None] * shaped
        return np.asarray(hourly.reshape(self.levels.shape[0], -1))


def forecast(
    seen: Series,
    *,
    begin: datetime,
    now: int,
    weeks: int,
    paths: int = 100,
    seed: int = 0,
    changes: Sequence[PlannedChange] = (),
    holidays: Sequence[Holiday] = (),
) -> Forecast:
    """Paths of ``weeks`` weeks from hour ``now`` (from ``begin``), given the hours ``seen``.

    A pool with less than a week of use is forecast at zero: nothing is bought on it.
    """
    ordinary = without_holidays(seen, begin=begin, holidays=holidays)
    history = whole_weeks(ordinary, 104)
    generator = np.random.default_rng(seed)
    if not history.size or history[-_LEVEL_WEEKS:].max() <= 0:
        return _nothing(paths, weeks)
    means = history.mean(axis=1)
    gap_weeks = (now - seen.size) / WEEK_HOURS
    levels = _level_paths(means, gap_weeks, weeks, paths, generator)
    if changes:
        chances, scales, shifts = factors(
            changes, begin=begin, seen_hours=seen.size, now=now, weeks=weeks
        )
        drawn = generator.choice(chances.size, size=paths, p=chances)
        levels = np.maximum(levels * scales[drawn] + shifts[drawn], 0.0)
    used = history[-_SHAPE_WEEKS:][means[-_SHAPE_WEEKS:] > 0]
    shapes = used / used.mean(axis=1, keepdims=True)
    shapes = np.roll(shapes, -((now - seen.size) % WEEK_HOURS), axis=1)
    picks = generator.integers(0, shapes.shape[0], size=(paths, weeks))
    drawn_days = coming_factors(
        seen,
        begin=begin,
        now=now,
        weeks=weeks,
        paths=paths,
        holidays=holidays,
        generator=generator,
    )
    if drawn_days is not None:
        levels = levels * drawn_days.reshape(paths, weeks, WEEK_HOURS).mean(axis=2)
    return Forecast(levels, shapes, picks, drawn_days)


def _level_paths(
    means: Series, gap_weeks: float, weeks: int, paths: int, generator: np.random.Generator
) -> Series:
    drift = recent_drift(means[-_DRIFT_WEEKS:], prior_deviation=_PRIOR_DRIFT, inflation=1.5)
    walk, noise = _deviations(log_levels(means))
    ahead = gap_weeks + np.arange(1, weeks + 1)
    wider = _widening(means, walk, noise, np.arange(1.0, weeks + 1))
    slopes = drift.mean + wider * drift.deviation * generator.standard_normal((paths, 1))
    misread = generator.standard_normal((paths, 1)) * noise / np.sqrt(_LEVEL_WEEKS)
    walked = np.cumsum(generator.standard_normal((paths, weeks)) * walk, axis=1)
    heavy = np.sqrt(1 - 2 / _TAIL_FREEDOM)  # a t's deviation brought back to 1
    shaken = generator.standard_t(_TAIL_FREEDOM, (paths, weeks)) * heavy * noise
    strayed = misread + walked + shaken
    season = expected_weeks(means, weeks)
    if season is not None:
        # the course of the past year has its growth in it: only the drift's doubt remains
        course, slopes = np.log(season), slopes - drift.mean
    else:
        course = np.zeros(weeks)
    return np.asarray(np.exp(_start(means) + course + slopes * ahead + wider * strayed))


def _start(means: Series) -> float:
    recent = means[-_LEVEL_WEEKS:]
    return float(np.log(max(float(np.median(recent)), float(recent.max()) * 0.02)))


def _widening(means: Series, walk: float, noise: float, ahead: Series) -> Series:
    """Factor on all deviations ``ahead`` weeks on: how far this very pool's forecasts missed.

    The mean squared ratio of past 1-, 4- and 13-week misses to what the model expected of them,
    each shrunk towards a prior factor; misses that overlap count as one. Between the horizons
    it goes by their logarithm, and beyond the last it stays.
    """
    logs = log_levels(means)
    known: dict[int, tuple[float, Drift]] = {}  # what each past week would have been told
    for origin in range(_LONG_LAG_WEEKS, logs.size):
        past = means[max(origin - _DRIFT_WEEKS, 0) : origin]
        if past[-_LEVEL_WEEKS:].max() > 0:
            drift = recent_drift(past, prior_deviation=_PRIOR_DRIFT, inflation=1.5)
            known[origin] = (_start(past), drift)
    wider: list[float] = []
    for horizon, prior in _PRIOR_WIDENING.items():
        ratios = []
        for origin, (start, drift) in known.items():
            if origin > logs.size - horizon:
                break
            miss = float(logs[origin + horizon - 1]) - start - drift.mean * horizon
            expected = (drift.deviation * horizon) ** 2 + walk**2 * horizon
            expected += noise**2 * (1 + 1 / _LEVEL_WEEKS)
            ratios.append(min(miss * miss / expected, _MOST_SURPRISE))
        squares = prior**2 * _PRIOR_MISSES + float(np.sum(ratios)) / horizon
        wider.append(float(np.sqrt(squares / (_PRIOR_MISSES + len(ratios) / horizon))))
    return np.asarray(np.interp(np.log(ahead), np.log(list(_PRIOR_WIDENING)), wider))


def _deviations(logs: Series) -> tuple[float, float]:
    """Weekly deviation of the level's walk, and of the noise around it, in logarithm.

    From the mean square change over one and over thirteen weeks, drift removed: noise counts
    twice in both, the walk once and thirteen times.
    """
    lag = min(_LONG_LAG_WEEKS, logs.size // 2)
    if logs.size < MIN_WEEKS or lag <= 1:
        return _PRIOR_WALK, 0.0
    short, long = np.diff(logs), logs[lag:] - logs[:-lag]
    near, far = float(short.var()), float(long.var())
    walk = max((far - near) / (lag - 1), (_PRIOR_WALK / 3) ** 2)
    return float(np.sqrt(walk)), float(np.sqrt(max((near - walk) / 2, 0.0)))


def _nothing(paths: int, weeks: int) -> Forecast:
    return Forecast(
        np.zeros((paths, weeks)),
        np.ones((1, WEEK_HOURS)),
        np.zeros((paths, weeks), dtype=np.int64),
    )
