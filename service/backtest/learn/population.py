"""Made demand of many kinds, to learn from: courses, shocks, seasons and noise, by seed.

Most courses come from the regions of a given demand file, mixed, spliced and run faster or
slower; the others are walks with drifts that change. No date, size or season is that of a
stress family. All draws come from the generator of one case, so a case is its kind and seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.hours import DAY_HOURS, WEEK_HOURS

Series = NDArray[np.float64]
Generator = np.random.Generator

_WEEKS = (156, 156, 208)
_YEAR_WEEKS = 52.18
_FROM_REGIONS = 0.7
_WITH_HOLES = 0.1
_LEVEL = 100.0
_NOTHING = 0.05


def case(kind: str, seed: int, regions: Sequence[Series]) -> Series:
    """Hourly demand of ``kind`` (a key of ``KINDS``); ``regions`` are weekly logarithms."""
    draw = np.random.default_rng([seed, list(KINDS).index(kind)])
    weeks = int(draw.choice(_WEEKS))
    rise = abs(draw.normal(0.006, 0.004))
    from_region = draw.random() < _FROM_REGIONS
    course = _from_regions(draw, weeks, regions) if from_region else _walk(draw, weeks, rise)
    logs = KINDS[kind](draw, course)
    hourly = _LEVEL * np.exp(_to_hours(logs)) * _hours(draw, weeks)
    hourly[hourly < _NOTHING] = 0.0
    if draw.random() < _WITH_HOLES:
        for _ in range(3):
            at = int(draw.uniform(0.2, 0.9) * hourly.size)
            hourly[at : at + DAY_HOURS * int(draw.integers(1, 10))] = 0.0
    return np.asarray(hourly)


def _grow(_: Generator, course: Series) -> Series:
    return course


def _decline(_: Generator, course: Series) -> Series:
    return course[::-1].copy()


def _flat(_: Generator, course: Series) -> Series:
    return _detrended(course, 1)


def _drop(draw: Generator, course: Series) -> Series:
    to, weeks = draw.uniform(0.4, 0.75), draw.uniform(1, 14)
    return _any_trend(draw, course) + _ramp(course.size, _date(draw, course), weeks, to)


def _surge(draw: Generator, course: Series) -> Series:
    surged, at = _any_trend(draw, course), int(_date(draw, course))
    surged[at : at + int(draw.integers(6, 13))] += np.log(draw.uniform(1.4, 2))
    return surged


def _step(draw: Generator, course: Series) -> Series:
    to, weeks = draw.uniform(1.2, 2.0), draw.uniform(0, 6)
    return course + _ramp(course.size, _date(draw, course), weeks, to)


def _seasonal(draw: Generator, course: Series) -> Series:
    trend = draw.choice([0, 0, 0, 0.001, 0.002, 0.004, -0.001, -0.002])
    swing = draw.uniform(0.08, 0.35)
    second = draw.uniform(0, 0.5) if draw.random() < 0.4 else 0.0  # noqa: PLR2004 - a share
    season = _year(draw, course.size, swing, second * swing)
    return np.asarray(_detrended(course, 2) + trend * np.arange(course.size) + season)


def _two_crests(draw: Generator, course: Series) -> Series:
    """Summer and winter, weather, little trend: electricity is like this."""
    calm = draw.random() < 0.5  # noqa: PLR2004 - a share
    rest = _reverting(draw, course.size, 0.02, 0.5) if calm else _detrended(course, 2)
    trend = draw.choice([0, 0, 0.0006, -0.0006, 0.0015])
    swing = draw.uniform(0.06, 0.2)
    season = _year(draw, course.size, draw.uniform(0, 0.6) * swing, swing)
    weather = _reverting(draw, course.size, draw.uniform(0.02, 0.06), 0.4)
    return np.asarray(rest + trend * np.arange(course.size) + season + weather)


def _mixed(draw: Generator, course: Series) -> Series:
    logs = _walk(draw, course.size, draw.normal(0.002, 0.006))
    years = course.size / _YEAR_WEEKS
    for _ in range(draw.poisson(0.35 * years)):
        to = float(np.exp(draw.uniform(-0.7, 0.6)))
        logs += _ramp(logs.size, draw.uniform(0, logs.size), draw.uniform(0, 14), to)
    for _ in range(draw.poisson(0.3 * years)):
        at = int(draw.uniform(0, logs.size))
        logs[at : at + int(draw.integers(2, 13))] += np.log(draw.uniform(1.2, 2))
    if draw.random() < 0.4:  # noqa: PLR2004 - a share
        logs += _year(draw, logs.size, draw.uniform(0.08, 0.35), 0.0)
    return logs


def _type(draw: Generator, course: Series) -> Series:
    """Rises at its launch, and in three of five cases its successor ends it."""
    weeks = np.arange(course.size)
    start = int(draw.integers(10, course.size - 50)) if draw.random() < 0.5 else 0  # noqa: PLR2004
    ends = draw.random() < 0.6 and start + 30 < course.size  # noqa: PLR2004 - a share, weeks
    end = draw.integers(start + 20, course.size) if ends else 2 * course.size
    rising = np.clip((weeks - start + 1) / draw.choice([1, 4, 26]), 0, 1)
    falling = np.clip((end - weeks) / draw.choice([1, 4, 16]), 0, 1)
    return np.asarray(course - course.max() + np.log(np.maximum(rising * falling, 1e-5)))


KINDS: Mapping[str, Callable[[Generator, Series], Series]] = {
    "grow": _grow,
    "decline": _decline,
    "flat": _flat,
    "drop": _drop,
    "surge": _surge,
    "step": _step,
    "seasonal": _seasonal,
    "two-crests": _two_crests,
    "mixed": _mixed,
    "type": _type,
}
"""Each takes a course of weekly logarithms and gives another."""


def _date(draw: Generator, course: Series) -> float:
    return float(draw.uniform(0.15, 0.9) * course.size)


def _any_trend(draw: Generator, course: Series) -> Series:
    return course.copy() if draw.random() < 0.8 else _detrended(course, 1)  # noqa: PLR2004


def _from_regions(draw: Generator, weeks: int, regions: Sequence[Series]) -> Series:
    one, other = (regions[int(place)] for place in draw.integers(0, len(regions), 2))
    size = min(one.size, other.size)
    match draw.integers(4):
        case 0:
            share = draw.random()
            course = np.log(share * np.exp(one[:size]) + (1 - share) * np.exp(other[:size]))
        case 1:
            cut = int(draw.uniform(0.25, 0.75) * size)
            course = np.concatenate([one[:cut], other[cut:] - other[cut] + one[cut - 1]])
        case _:
            course = one
    at = np.arange(weeks) * draw.uniform(0.6, 1.4)
    end = course.size - 1
    run = np.interp(at % end, np.arange(course.size), course)
    run = run + (at // end) * (course[-1] - course[0])
    return np.asarray(run + _reverting(draw, weeks, 0.015, 0.5) * draw.random())


def _walk(draw: Generator, weeks: int, rise: float) -> Series:
    drifts, at, drift = np.zeros(weeks), 0, rise
    while at < weeks:
        span = int(draw.exponential(70)) + 8
        drifts[at : at + span] = drift
        at, drift = at + span, rise * draw.uniform(0.2, 1.8)
    steps = draw.standard_normal(weeks) * draw.choice([0, 0.004, 0.008, 0.015, 0.025])
    logs = np.cumsum(drifts) + np.cumsum(steps)
    logs += _reverting(draw, weeks, draw.choice([0.005, 0.01, 0.02, 0.035]), draw.uniform(0.2, 0.9))
    for _ in range(draw.poisson(0.5)):
        to = draw.uniform(1.05, 1.3)
        logs += _ramp(weeks, draw.uniform(0, weeks), draw.uniform(0, 5), to)
    return np.asarray(logs)


def _reverting(draw: Generator, weeks: int, deviation: float, memory: float) -> Series:
    shocks = draw.standard_normal(weeks) * deviation * np.sqrt(1 - memory**2)
    logs = np.zeros(weeks)
    for week in range(1, weeks):
        logs[week] = memory * logs[week - 1] + shocks[week]
    return logs


def _ramp(size: int, at: float, weeks: float, to: float) -> Series:
    done = np.clip((np.arange(size) - at) / max(weeks, 1e-9), 0, 1)
    return np.asarray(np.log(1 + (to - 1) * done))


def _year(draw: Generator, size: int, swing: float, second: float) -> Series:
    years = np.arange(size) / _YEAR_WEEKS
    once = swing * np.sin(2 * np.pi * (years + draw.random()))
    twice = second * np.sin(4 * np.pi * (years + draw.random()))
    return np.asarray(np.log(np.maximum(1 + once + twice, 0.15)))


def _detrended(course: Series, degree: int) -> Series:
    weeks = np.arange(course.size)
    return np.asarray(course - np.polyval(np.polyfit(weeks, course, degree), weeks))


def _to_hours(logs: Series) -> Series:
    middles = (np.arange(logs.size) + 0.5) * WEEK_HOURS
    return np.asarray(np.interp(np.arange(logs.size * WEEK_HOURS), middles, logs))


def _hours(draw: Generator, weeks: int) -> Series:
    """Daily and weekly cycles with noise per hour and per day."""
    hour = np.arange(weeks * WEEK_HOURS)
    swing = draw.choice([0, 0.05, 0.1, 0.2, 0.35]) * draw.uniform(0.5, 1.2)
    wave = np.sin(2 * np.pi * (hour / DAY_HOURS + draw.random()))
    if draw.random() < 0.3:  # noqa: PLR2004 - a share
        wave = 0.8 * np.sign(wave)
    weekend = (hour // DAY_HOURS + int(draw.integers(7))) % 7 >= 5  # noqa: PLR2004 - Saturday
    noise = draw.choice([0.005, 0.02, 0.05]) * draw.standard_normal(hour.size)
    days = draw.choice([0.005, 0.02, 0.04]) * draw.standard_normal(weeks * 7)
    quiet = np.where(weekend, draw.choice([1, 0.95, 0.85, 0.7]), 1.0)
    return np.asarray((1 + swing * wave) * quiet * np.exp(noise + np.repeat(days, DAY_HOURS)))
