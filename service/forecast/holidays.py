"""Holidays as data: what the past's holidays did says what the coming ones will do.

``holidays.yaml`` is a list; each entry has a ``name``, a ``scope`` (``*``, a pool's name, or a
part of it such as its region) and ``dates``. No effect is written anywhere: a day's share of an
ordinary day is measured on the same holiday in the pool's own past, and a holiday never seen
there changes nothing. Days are UTC days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InputError
from service.domain.hours import DAY_HOURS, HOUR, WEEK_HOURS
from service.forecast.registers import entries_of, text_of

Series = NDArray[np.float64]

KEYS = ("name", "scope", "dates")

_NEIGHBOUR_WEEKS = 4
_LEAST_NEIGHBOURS = 2


@dataclass(frozen=True, slots=True)
class Holiday:
    """One day of a named holiday, in ``scope``."""

    name: str
    scope: str
    day: date


def read_holidays(path: Path) -> tuple[Holiday, ...]:
    """The calendar in ``path``. Raises ``InputError``, naming the entry's number as the row."""
    return parse_holidays(text_of(path), file=str(path))


def parse_holidays(text: str, *, file: str) -> tuple[Holiday, ...]:
    """The calendar that ``text`` is; ``file`` is how errors call it."""
    entries = entries_of(text, file=file, what="holidays")
    days = [one for row, entry in enumerate(entries, 1) for one in _entry(entry, file, row)]
    return tuple(sorted(days, key=lambda one: (one.day, one.name, one.scope)))


def holidays_for(holidays: Sequence[Holiday], pool: str) -> tuple[Holiday, ...]:
    """Those of ``holidays`` whose scope is everything, ``pool`` or a part of its name."""
    scopes = {"*", pool, *pool.split("/")}
    return tuple(one for one in holidays if one.scope in scopes)


def without_holidays(seen: Series, *, begin: datetime, holidays: Sequence[Holiday]) -> Series:
    """``seen`` (hourly from ``begin``) with ordinary days in the places of past holidays.

    A holiday's hours become the hour-by-hour median of the same weekday's four ordinary days
    before and after it; it stays as it was where fewer than two of them have been seen.
    """
    places = _places(holidays, begin)
    ordinary = seen.copy()
    for place in places.values():
        usual = _usual(seen, place, set(places.values()))
        if usual is not None:
            ordinary[place : place + DAY_HOURS] = usual
    return ordinary


def past_shares(
    seen: Series, *, begin: datetime, holidays: Sequence[Holiday]
) -> Mapping[str, tuple[float, ...]]:
    """By name, what share of an ordinary day each of its days in ``seen`` was; oldest first."""
    places = _places(holidays, begin)
    shares: dict[str, list[float]] = {}
    for one, place in places.items():
        usual = _usual(seen, place, set(places.values()))
        if usual is not None and usual.mean() > 0:
            share = float(seen[place : place + DAY_HOURS].mean() / usual.mean())
            shares.setdefault(one.name, []).append(share)
    return {name: tuple(found) for name, found in shares.items()}


def coming_factors(
    seen: Series,
    *,
    begin: datetime,
    now: int,
    weeks: int,
    paths: int,
    holidays: Sequence[Holiday],
    generator: np.random.Generator,
) -> Series | None:
    """Factors on each path's hours from hour ``now`` on, shape (paths, weeks × 168).

    Every path draws for each coming holiday one of the shares seen in its past, so that a
    holiday that varied is uncertain. ``None`` when no coming holiday has been seen before.
    """
    shares = past_shares(seen, begin=begin, holidays=holidays)
    factors: Series | None = None
    for one, place in _places(holidays, begin).items():
        first, last = place - now, place - now + DAY_HOURS
        if one.name not in shares or last <= 0 or first >= weeks * WEEK_HOURS:
            continue
        if factors is None:
            factors = np.ones((paths, weeks * WEEK_HOURS))
        drawn = generator.choice(np.array(shares[one.name]), size=paths)
        factors[:, max(first, 0) : last] = drawn[:, None]
    return factors


def _places(holidays: Sequence[Holiday], begin: datetime) -> dict[Holiday, int]:
    """Hours from ``begin`` to the start of each holiday; one of several on a day counts."""
    places: dict[Holiday, int] = {}
    days: set[date] = set()
    for one in holidays:
        if one.day not in days:
            days.add(one.day)
            midnight = datetime(one.day.year, one.day.month, one.day.day, tzinfo=UTC)
            places[one] = (midnight - begin) // HOUR
    return places


def _usual(seen: Series, place: int, taken: set[int]) -> Series | None:
    """The ordinary day in the place of the one that starts at ``place``; ``None`` if unknown."""
    if place < 0 or place + DAY_HOURS > seen.size:
        return None
    around = [
        place + week * WEEK_HOURS
        for week in range(-_NEIGHBOUR_WEEKS, _NEIGHBOUR_WEEKS + 1)
        if week != 0
    ]
    days = [
        seen[first : first + DAY_HOURS]
        for first in around
        if first >= 0 and first + DAY_HOURS <= seen.size and first not in taken
    ]
    if len(days) < _LEAST_NEIGHBOURS:
        return None
    return np.asarray(np.median(days, axis=0))


def _entry(entry: object, file: str, row: int) -> list[Holiday]:
    if not isinstance(entry, Mapping) or set(entry) != set(KEYS):
        raise InputError(
            "not an entry of a calendar",
            file=file,
            row=row,
            remedy=f"Write exactly the keys {', '.join(KEYS)}.",
        )
    texts = []
    for key in ("name", "scope"):
        if not isinstance(entry[key], str) or not entry[key]:
            raise InputError(
                "missing or not text", file=file, row=row, column=key, remedy="Write some text."
            )
        texts.append(str(entry[key]))
    days = entry["dates"]
    plain = isinstance(days, list) and days
    if not plain or not all(isinstance(d, date) and not isinstance(d, datetime) for d in days):
        raise InputError(
            "not a list of dates",
            file=file,
            row=row,
            column="dates",
            remedy="Write dates such as [2025-12-25, 2026-12-25].",
        )
    return [Holiday(texts[0], texts[1], day) for day in days]
