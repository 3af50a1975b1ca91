from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvariantError
from service.domain.hours import HOUR, HourRange, floor_hour, has_waited, iso

START = datetime(2026, 3, 1, tzinfo=UTC)
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
    assert not has_waited(ahead, set_back + grace / 2, grace, set_back)
    assert has_waited(ahead, set_back + grace, grace, set_back)
    assert not has_waited(ahead, set_back + grace, grace, None)
