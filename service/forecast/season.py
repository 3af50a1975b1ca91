"""A yearly cycle, recognised only where two years agree, and the year it leads one to expect.

The newest weeks' levels, less a straight line, are compared with those of the same weeks a year
before. One year alone proves nothing: growth and the first half of a cycle look the same.
"""

from __future__ import annotations

import numpy as np

from service.domain.hours import WEEK_HOURS
from service.forecast.level import Series, log_levels

YEAR_WEEKS = 52
MIN_OVERLAP_WEEKS = 20
"""So many weeks must lie a year after others before a cycle can be called yearly."""

MIN_AGREEMENT = 0.6
"""Least correlation of the two years: demand without a cycle stays below it."""

MIN_ALIKE_WEEKS = 8
"""From so many weeks a year after others on, another crest like last year's may be suspected."""

MIN_LIKENESS = 0.75
"""Least correlation, slopes kept, to suspect that this year goes the way of the last."""

_GROWTH_WEEKS = (4, 13, 26)
_YEARS = 2


def agreement(weekly: Series) -> float:
    """Correlation of the newest weeks' detrended log levels with a year before, −1 to 1.

    0 when fewer than ``MIN_OVERLAP_WEEKS`` weeks have a year before them.
    """
    overlap = min(weekly.size - YEAR_WEEKS, YEAR_WEEKS)
    if overlap < MIN_OVERLAP_WEEKS or weekly.max() <= 0:
        return 0.0
    logs = log_levels(weekly)
    new = _detrended(logs[-overlap:])
    old = _detrended(logs[-YEAR_WEEKS - overlap : -YEAR_WEEKS])
    scale = float(np.sqrt((new @ new) * (old @ old)))
    return float(new @ old) / scale if scale > 0 else 0.0


def likeness(weekly: Series) -> float:
    """Correlation of the newest weeks' log levels with a year before, their means removed.

    Unlike ``agreement`` it keeps the slope: two rises are alike whether they are growth or a
    cycle. 0 while fewer than ``MIN_ALIKE_WEEKS`` weeks have a year before them.
    """
    overlap = min(weekly.size - YEAR_WEEKS, YEAR_WEEKS)
    if overlap < MIN_ALIKE_WEEKS or weekly.max() <= 0:
        return 0.0
    logs = log_levels(weekly)
    new, old = logs[-overlap:], logs[-YEAR_WEEKS - overlap : -YEAR_WEEKS]
    new, old = new - new.mean(), old - old.mean()
    scale = float(np.sqrt((new @ new) * (old @ old)))
    return float(new @ old) / scale if scale > 0 else 0.0


def suspected_year(seen: Series, weekly: Series) -> Series | None:
    """As ``expected_year``, already where the newest weeks only go the way of a year before.

    Harmless after steady growth: the year to expect then only grows on.
    """
    return _year(seen, weekly) if likeness(weekly) >= MIN_LIKENESS else None


def expected_year(seen: Series, weekly: Series) -> Series | None:
    """The next year's hours, in any order, if the past years repeat at the growth since them.

    ``None`` where no yearly cycle is recognised. Each of the last two years is scaled by how
    much higher the newest weeks are than the same weeks then (the median of 4, 13 and 26).
    """
    return _year(seen, weekly) if agreement(weekly) >= MIN_AGREEMENT else None


def _year(seen: Series, weekly: Series) -> Series | None:
    years: list[Series] = []
    for back in range(1, min(_YEARS, (weekly.size - _GROWTH_WEEKS[0]) // YEAR_WEEKS) + 1):
        offset = back * YEAR_WEEKS
        growths = [
            float(weekly[-weeks:].mean() / weekly[-weeks - offset : -offset].mean())
            for weeks in _GROWTH_WEEKS
            if weekly.size >= weeks + offset and weekly[-weeks - offset : -offset].mean() > 0
        ]
        if not growths:
            break
        first = seen.size - offset * WEEK_HOURS
        years.append(seen[first : first + YEAR_WEEKS * WEEK_HOURS] * float(np.median(growths)))
    return np.concatenate(years) if years else None


def expected_weeks(weekly: Series, weeks: int) -> Series | None:
    """The coming weeks' levels as ratios to the newest four's, as the past year went.

    Smoothed over five weeks, so that last year's accidents are not expected again; repeated at
    the same growth beyond a year. ``None`` where no yearly cycle is recognised.
    """
    if agreement(weekly) < MIN_AGREEMENT:
        return None
    then = float(np.median(weekly[-YEAR_WEEKS - 4 : -YEAR_WEEKS]))
    padded = np.pad(weekly[-YEAR_WEEKS - 2 :], (0, 2), mode="edge")
    smooth = np.maximum(np.convolve(padded, np.full(5, 0.2), mode="valid"), 0.02 * weekly.max())
    if then <= 0:
        return None
    ratios = smooth / then
    ahead = np.arange(weeks)
    return np.asarray(ratios[ahead % YEAR_WEEKS] * ratios[-1] ** (ahead // YEAR_WEEKS))


def _detrended(logs: Series) -> Series:
    weeks = np.arange(logs.size) - (logs.size - 1) / 2
    slope = float(weeks @ logs) / float(weeks @ weeks)
    return np.asarray(logs - logs.mean() - slope * weeks)
