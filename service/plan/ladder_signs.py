"""What a pool's weeks say about its coming year, as numbers that no unit and no scale moves.

The signs are logarithms of ratios between weekly means (or correlations, or shares of a year),
so that a pool of a dollar and one of a thousand with the same course have the same signs.
They look at weekly means alone: discounts and terms do not move them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.domain.hours import DAY_HOURS, WEEK_HOURS
from service.forecast.level import Drift, Series, log_levels, median_slope, quantile, recent_drift
from service.forecast.season import YEAR_WEEKS

_BLOCKS = (4, 8, 13, 26, 39, 52, 65, 78, 104)
_WINDOWS = (13, 26, 52, 104)
_SLOPES = (8, 13, 26, 52)
_AHEAD = (8, 13, 26, 39, 52)
_GROWTHS = (4, 13, 26)
_LEAST_OVERLAP = 8
_NEWEST = 4
OLDEST_WEEKS = 3 * YEAR_WEEKS
"""Weeks that signs look back upon, and no more."""
_SMOOTH = 5
_LOWEST, _HIGHEST = -1.5, 1.0
_PRIOR_DRIFT, _INFLATION = 0.01, 2.0
_STEADY_WEEKS, _STEADY_QUANTILE, _STEEPEST = 26, 0.3, 0.02


def newest_level(seen: Series, discount_ratio: float) -> float:
    """Today's best level: the lower of the best single levels of the last 28 and 7 days."""
    return min(quantile(seen[-days * DAY_HOURS :], discount_ratio) for days in (28, 7))


def week_levels(hourly: Series) -> Series:
    """Mean of each whole week's days with use, oldest first; hours are counted from the newest.

    A lost day or week in between is no fall: a week without any use counts as the one before it
    once use has come back. Weeks at the end that are empty stay 0.
    """
    return held(*week_means(hourly))


def week_means(hourly: Series) -> tuple[Series, NDArray[np.int64]]:
    """Each whole week's mean over its days with use, and how many days those are."""
    weeks = hourly.size // WEEK_HOURS
    days = hourly[hourly.size - weeks * WEEK_HOURS :].reshape(weeks, 7, DAY_HOURS).mean(axis=2)
    used = (days > 0).sum(axis=1)
    return days.sum(axis=1) / np.maximum(used, 1), used


def held(means: Series, used: NDArray[np.int64]) -> Series:
    """``means`` of weeks, those without a day of use as the one before once use has come back."""
    last = int(np.max(np.flatnonzero(used), initial=-1))
    before = np.maximum.accumulate(np.where(used > 0, np.arange(used.size), 0))
    levels = means.copy()
    levels[: last + 1] = means[before[: last + 1]]
    return np.asarray(levels)


def signs(weekly: Series) -> dict[str, float]:
    """The signs of weekly means, oldest first, of a pool in use; at least one must be > 0.

    A sign that too short a history cannot show is 0; ``weeks_…`` say how long it is.
    """
    logs = log_levels(weekly[-OLDEST_WEEKS:])
    here = float(logs[-_NEWEST:].mean())
    found = {"newest": float(logs[-1]) - here, "before": float(logs[-2:][0]) - here}
    for near, far in pairwise(_BLOCKS):
        block = logs[max(logs.size - far, 0) : max(logs.size - near, 0)]
        found[f"block_{far}"] = float(block.mean()) - here if block.size else 0.0
    for weeks in _WINDOWS:
        window = logs[-weeks:]
        found[f"least_{weeks}"] = float(window.min()) - here
        found[f"most_{weeks}"] = float(window.max()) - here
        found[f"low_{weeks}"] = quantile(window, 0.3) - here
    for weeks in (26, 52, 65, 78, 104):
        found[f"weeks_{weeks}"] = min(logs.size / weeks, 1.0)
    found.update(_moves(logs))
    found.update(_drifts(weekly))
    found["steady"] = _steady(logs) - here
    found.update(_year_ago(logs))
    return {name: min(max(sign, _LOWEST), _HIGHEST) for name, sign in found.items()}


def _moves(logs: Series) -> dict[str, float]:
    changes = np.diff(logs)
    found = {}
    for weeks in _SLOPES:
        window = logs[-weeks:]
        centred = np.arange(window.size) - (window.size - 1) / 2
        spread = float(centred @ centred)
        slope = float(centred @ window) / spread if spread > 0 else 0.0
        rest = window - window.mean() - slope * centred
        found[f"slope_{weeks}"] = slope * window.size
        found[f"rough_{weeks}"] = 4 * float(rest.std())
    for weeks in (13, 52):
        newest = changes[-weeks:]
        found[f"jumpy_{weeks}"] = 4 * float(newest.std()) if newest.size else 0.0
        found[f"jump_{weeks}"] = float(newest[np.argmax(np.abs(newest))]) if newest.size else 0.0
    return found


def _drifts(weekly: Series) -> dict[str, float]:
    short = recent_drift(weekly[-13:], prior_deviation=_PRIOR_DRIFT, inflation=_INFLATION)
    long = short
    if weekly.size >= YEAR_WEEKS:
        long = recent_drift(
            weekly[-YEAR_WEEKS:], prior_deviation=_PRIOR_DRIFT, inflation=_INFLATION, steps=True
        )
    found = {}
    for name, drift in (("short", short), ("long", long)):
        found[f"drift_{name}"] = drift.mean * YEAR_WEEKS
        found[f"doubt_{name}"] = drift.deviation * YEAR_WEEKS
    found["fear"] = max(_fear(short), _fear(long))
    return found


def _fear(drift: Drift) -> float:
    """Where half a year of the drift at two deviations below its mean leads; never above 0."""
    return min((drift.mean - 2 * drift.deviation) * YEAR_WEEKS / 2, 0.0)


def _steady(logs: Series) -> float:
    """The level that no burst moves: see ``ladder_bounds``."""
    weeks = logs[-_STEADY_WEEKS:]
    slope = min(max(median_slope(weeks), 0.0), _STEEPEST)
    carried = weeks + slope * np.arange(weeks.size - 1, -1, -1)
    return quantile(carried, _STEADY_QUANTILE)


def _year_ago(logs: Series) -> dict[str, float]:
    """How alike the newest weeks and those a year before are, and how those went on."""
    overlap = min(logs.size - YEAR_WEEKS, YEAR_WEEKS)
    names = ["alike", "alike_bare", *(f"grown_{weeks}" for weeks in _GROWTHS)]
    names += [f"{kind}_{weeks}" for weeks in _AHEAD for kind in ("went", "would")]
    if overlap < _LEAST_OVERLAP:
        return dict.fromkeys(names, 0.0)
    smooth = _smoothed(logs)
    new, old = smooth[-overlap:], smooth[-YEAR_WEEKS - overlap : -YEAR_WEEKS]
    found = {"alike": _correlation(_straightened(new), _straightened(old))}
    found["alike_bare"] = _correlation(new - new.mean(), old - old.mean())
    for weeks in _GROWTHS:
        span = min(weeks, overlap)
        same = logs[logs.size - YEAR_WEEKS - span : logs.size - YEAR_WEEKS]
        found[f"grown_{weeks}"] = float(logs[-span:].mean() - same.mean())
    then = float(logs[-YEAR_WEEKS - _NEWEST : -YEAR_WEEKS].mean())
    after = logs[-YEAR_WEEKS:]
    for weeks in _AHEAD:
        went = quantile(after[:weeks], 0.3) - then
        found[f"went_{weeks}"] = went
        found[f"would_{weeks}"] = went * max(found["alike"], 0.0)
    return found


def _smoothed(logs: Series) -> Series:
    padded = np.pad(logs, _SMOOTH // 2, mode="edge")
    return np.asarray(np.convolve(padded, np.full(_SMOOTH, 1 / _SMOOTH), mode="valid"))


def _straightened(logs: Series) -> Series:
    weeks = np.arange(logs.size) - (logs.size - 1) / 2
    return np.asarray(logs - logs.mean() - float(weeks @ logs) / float(weeks @ weeks) * weeks)


def _correlation(one: Series, other: Series) -> float:
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 0 else 0.0
