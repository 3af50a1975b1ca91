"""Decides whether a machine type is being phased out, and what its successor inherits.

A type's own history says nothing before its end: it rises until another takes its place within
weeks, while the sum of the region goes on. What does say something is its kin. The same type
was replaced in another region: that is a migration, and the next region's turn is a matter of
time. And what takes over from a type inherits its past, so that a new name is no new demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from service.domain.hours import HOUR, WEEK_HOURS
from service.forecast.changes import PlannedChange
from service.forecast.level import Series
from service.forecast.season import YEAR_WEEKS

_ENDED_RATIO = 0.2  # of its highest level: no more than this is left of what was replaced
_MATERIAL_RATIO = 0.01  # of its region's highest level: smaller types come and go by chance
_TAKEN_RATIO = 0.5  # of what a type lost must have been gained by others for it to be replaced
_LEVEL_WEEKS = 4
_BEFORE_WEEKS = 8
_LEAST_WEEKS = 2
_YEARS = 3  # the longest term


@dataclass(frozen=True, slots=True)
class Kin:
    """One machine type in one region: ``seen``, its hourly on-demand dollars up to the lag.

    ``name`` is what the type is called in every region. All kin are seen over the same hours.
    """

    region: str
    name: str
    seen: Series


class _Course(NamedTuple):
    """Whether a type is in use, and for how many weeks it has been replaced, if it was."""

    in_use: bool
    replaced_weeks: int | None


class _Region(NamedTuple):
    """All types of a region together: hourly on-demand dollars, and the highest week's mean."""

    hourly: Series
    highest: float


class Kindred:
    """All types of all regions, and what is worked out of them once for many pools."""

    def __init__(self, kin: Sequence[Kin]) -> None:
        self._kin = tuple(kin)
        self._regions: dict[str, _Region] = {}
        self._courses: dict[tuple[str, str], _Course] = {}

    def namesakes(self, name: str) -> list[Kin]:
        """The types called ``name``, one a region."""
        return [one for one in self._kin if one.name == name]

    def siblings(self, mine: Kin) -> list[Kin]:
        """The other types of ``mine``'s region."""
        return [one for one in self._kin if one.region == mine.region and one.name != mine.name]

    def course(self, one: Kin) -> _Course:
        """How ``one`` goes."""
        key = (one.region, one.name)
        if key not in self._courses:
            self._courses[key] = _course(one, self._region(one.region))
        return self._courses[key]

    def _region(self, region: str) -> _Region:
        if region not in self._regions:
            hourly = np.zeros_like(self._kin[0].seen)
            for one in self._kin:
                if one.region == region:
                    hourly += one.seen
            highest = float(np.max(_weekly(hourly), initial=0.0))
            self._regions[region] = _Region(hourly, highest)
        return self._regions[region]


def suspected(
    mine: Kin, kindred: Kindred, *, begin: datetime, now: int
) -> tuple[PlannedChange, ...]:
    """The phase-out that ``mine`` has to expect since other regions had it; empty if none had.

    A region's chance to be next within a year follows the rule of succession: with k regions
    where the type was replaced, and m years that regions with the type in use have lasted since
    the first, (k + 1) / (k + m + 2). One replacement makes a likely migration, which every year
    without another makes less likely. ``begin`` is the instant of hour 0, ``now`` the decision's
    hour. It may come in any week of a year, so it is dated in the middle of each.
    """
    courses = {one.region: kindred.course(one) for one in kindred.namesakes(mine.name)}
    replaced = [of.replaced_weeks for of in courses.values() if of.replaced_weeks is not None]
    if not replaced or not courses[mine.region].in_use:
        return ()
    lasted_years = sum(of.in_use for of in courses.values()) * max(replaced) / YEAR_WEEKS
    chance = (len(replaced) + 1) / (len(replaced) + lasted_years + 2)
    year = timedelta(weeks=YEAR_WEEKS)
    return tuple(
        PlannedChange(
            what=f"{mine.name} was replaced in {len(replaced)} of {len(courses)} regions",
            scope="*",
            at=begin + now * HOUR + (place + 0.5) * year,
            ratio=0.0,
            usd_per_hour=0.0,
            probability=chance,
            suspected=True,
        )
        for place in range(_YEARS)
    )


def inherited(mine: Kin, kindred: Kindred) -> Series:
    """``mine``'s hours, before its beginning those of the type that it took over from.

    Taken over from: a type of the region that was replaced within eight weeks of the first use
    of ``mine``, which at once carried at least half of what that type lost. The past is scaled
    so that the levels on both sides of the handover agree: machines differ in what they can do.
    """
    begun = int(np.argmax(mine.seen > 0)) if mine.seen.any() else 0
    if begun < _BEFORE_WEEKS * WEEK_HOURS:
        return mine.seen
    best, most = mine.seen, 0.0
    for other in kindred.siblings(mine):
        weeks = kindred.course(other).replaced_weeks
        if weeks is None:
            continue
        handover = mine.seen.size - weeks * WEEK_HOURS
        if abs(handover - begun) > _BEFORE_WEEKS * WEEK_HOURS:
            continue
        lost, taken = _around(other.seen, handover), _around(mine.seen, handover)
        if lost[0] <= most or taken[1] < _TAKEN_RATIO * (lost[0] - lost[1]):
            continue
        scale = taken[1] / (lost[0] + taken[0])
        past = (other.seen + mine.seen)[:handover] * scale
        best, most = np.concatenate([past, mine.seen[handover:]]), lost[0]
    return best


def _course(one: Kin, region: _Region) -> _Course:
    weekly = _weekly(one.seen)
    if weekly.size < _BEFORE_WEEKS:
        return _Course(in_use=bool(weekly.any()), replaced_weeks=None)
    held = np.median(np.lib.stride_tricks.sliding_window_view(weekly, _LEVEL_WEEKS), axis=1)
    highest = float(held.max())
    if highest <= _MATERIAL_RATIO * region.highest:
        return _Course(in_use=False, replaced_weeks=None)
    if float(weekly[-_LEAST_WEEKS:].mean()) > _ENDED_RATIO * highest:
        return _Course(in_use=True, replaced_weeks=None)
    since = weekly.size - 1 - int(np.flatnonzero(weekly > highest / 2)[-1])
    handover = one.seen.size - since * WEEK_HOURS
    before, after = _around(one.seen, handover)
    gained = _around(region.hourly - one.seen, handover)
    replaced = since >= _LEAST_WEEKS and gained[1] - gained[0] >= _TAKEN_RATIO * (before - after)
    return _Course(in_use=False, replaced_weeks=since if replaced else None)


def _weekly(seen: Series) -> Series:
    weeks = seen.size // WEEK_HOURS
    last = seen[seen.size - weeks * WEEK_HOURS :]
    return np.asarray(last.reshape(weeks, WEEK_HOURS).mean(axis=1))


def _around(seen: Series, hour: int) -> tuple[float, float]:
    """Means of the eight weeks before ``hour`` and of the four after it."""
    before = seen[max(hour - _BEFORE_WEEKS * WEEK_HOURS, 0) : hour]
    return float(before.mean()), float(seen[hour : hour + _LEVEL_WEEKS * WEEK_HOURS].mean())
