from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvariantError
from service.domain.hours import HOUR, HourRange, Waiting, floor_hour, iso

START = datetime(2026, 3, 1, tzinfo=UTC)
seconds = st.integers(min_value=0, max_value=1_000_000)
offsets = st.integers(min_value=-500, max_value=500)


def test_naive_instants_are_refused() -> None:
    with pytest.raises(InvariantError, match="naive"):
        floor_hour(datetime(2026, 1, 1))  # noqa: DTZ001 - the very thing that must be refused


def test_a_range_starts_on_the_hour() -> None:
    with pytest.raises(InvariantError):
        HourRange(START + timedelta(minutes=1), 3)


def test_instants_are_written_in_utc_with_a_z() -> None:
    cairo = timezone(timedelta(hours=2))
    assert iso(datetime(2026, 1, 1, 2, tzinfo=cairo)) == "2026-01-01T00:00:00Z"


@given(offsets, offsets, st.integers(min_value=0, max_value=59))
def test_clip_keeps_exactly_the_hours_that_begin_inside(
    first: int, last: int, minutes: int
) -> None:
    hours = HourRange(START, 200)
    start = START + first * HOUR + timedelta(minutes=minutes)
    end = START + last * HOUR
    low, high = hours.clip(start, end)
    inside = [h for h in range(hours.count) if start <= hours.hour(h) < end]
    assert list(range(low, high)) == inside


def test_what_was_dated_by_a_clock_set_ahead_is_waited_for_anew() -> None:
    set_back = datetime(2026, 3, 1, tzinfo=UTC)
    ahead, grace = set_back + timedelta(days=30), timedelta(hours=1)
    soon, late = set_back + grace / 2, set_back + grace
    assert not Waiting(soon, soon, grace, set_back).is_over_for(ahead)
    assert Waiting(late, late, grace, set_back).is_over_for(ahead)
    assert not Waiting(late, late, grace, None).is_over_for(ahead)


@given(seconds, seconds, seconds, st.one_of(st.none(), seconds))
def test_a_reading_proves_nothing_of_what_moved_after_it_began(
    before: int, first: int, second: int, steady: int | None
) -> None:
    """However long ago the clock was set, and whatever the hour."""
    read_at = START + timedelta(seconds=before)
    moved_at = read_at + timedelta(seconds=min(first, second))
    now = read_at + timedelta(seconds=max(first, second))
    since = None if steady is None else START + timedelta(seconds=steady)
    waiting = Waiting(read_at, now, timedelta(seconds=1), since)
    assert not waiting.is_over_for(moved_at)


def test_a_reading_dated_ahead_of_the_clock_as_it_is_now_has_waited_for_nothing() -> None:
    grace = timedelta(hours=1)
    ahead = START + timedelta(hours=5)
    assert not Waiting(ahead, START + grace / 2, grace, START).is_over_for(ahead)
    assert Waiting(START + grace, START + grace, grace, START).is_over_for(START)
