"""Holidays: what they did before is expected again, and nothing is where none was seen."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from service.domain.errors import InputError
from service.forecast.holidays import (
    Holiday,
    coming_factors,
    holidays_for,
    past_shares,
    read_holidays,
    without_holidays,
)
from service.forecast.level import Series
from service.forecast.paths import forecast

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = 168
DAY = 24


def _day(number: int) -> date:
    return (BEGIN + timedelta(days=number)).date()


def _feast(*days: int, name: str = "feast") -> tuple[Holiday, ...]:
    return tuple(Holiday(name, "*", _day(number)) for number in days)


def _seen(weeks: int, *, low_days: dict[int, float] | None = None) -> Series:
    hour = np.arange(weeks * WEEK)
    weekend = np.where(hour // DAY % 7 >= 5, 0.7, 1.0)
    seen = 100 * weekend * (1 + 0.2 * np.sin(2 * np.pi * hour / DAY))
    for number, share in (low_days or {}).items():
        seen[number * DAY : (number + 1) * DAY] *= share
    return np.asarray(seen)


def test_a_past_holiday_is_measured_against_the_same_weekday_around_it() -> None:
    seen = _seen(30, low_days={100: 0.4, 150: 0.6})
    shares = past_shares(seen, begin=BEGIN, holidays=_feast(100, 150))
    assert shares["feast"] == pytest.approx((0.4, 0.6))


def test_a_holiday_beside_another_is_not_measured_against_it() -> None:
    seen = _seen(30, low_days={100: 0.4, 107: 0.4, 93: 0.4})
    shares = past_shares(seen, begin=BEGIN, holidays=_feast(93, 100, 107))
    assert shares["feast"] == pytest.approx((0.4, 0.4, 0.4))


def test_ordinary_days_stand_where_holidays_were_and_nowhere_else() -> None:
    seen = _seen(30, low_days={100: 0.1})
    ordinary = without_holidays(seen, begin=BEGIN, holidays=_feast(100))
    assert ordinary == pytest.approx(_seen(30))
    untouched = without_holidays(seen, begin=BEGIN, holidays=())
    assert np.array_equal(untouched, seen)


def test_a_history_that_starts_within_a_day_finds_the_midnights() -> None:
    seen = _seen(30, low_days={100: 0.5})[7:]
    begin = BEGIN + timedelta(hours=7)
    assert past_shares(seen, begin=begin, holidays=_feast(100))["feast"] == pytest.approx((0.5,))


def test_a_holiday_never_seen_before_changes_nothing() -> None:
    seen = _seen(30)
    ahead = {"begin": BEGIN, "now": seen.size + DAY, "weeks": 8, "seed": 1}
    plain = forecast(seen, **ahead)  # type: ignore[arg-type]
    marked = forecast(seen, **ahead, holidays=_feast(220, 225))  # type: ignore[arg-type]
    assert marked.holidays is None
    assert np.array_equal(plain.levels, marked.levels)


def test_a_coming_holiday_goes_as_those_of_its_name_went() -> None:
    seen = _seen(30, low_days={100: 0.2})
    now = seen.size + DAY
    calendar = (*_feast(100, 220), *_feast(228, name="other"))
    found = forecast(seen, begin=BEGIN, now=now, weeks=4, seed=1, holidays=calendar)
    hourly = found.scenarios().reshape(found.levels.shape[0], -1, DAY).mean(axis=2)
    day, ordinary = 220 - now // DAY, 227 - now // DAY
    assert np.median(hourly[:, day] / hourly[:, ordinary]) == pytest.approx(0.2, rel=0.2)
    other = 228 - now // DAY
    assert np.median(hourly[:, other] / hourly[:, 221 - now // DAY]) == pytest.approx(1, rel=0.15)
    weekly = found.scenarios().reshape(found.levels.shape[0], -1, WEEK).mean(axis=2)
    assert weekly == pytest.approx(found.levels)


def test_a_holiday_that_varied_is_uncertain() -> None:
    seen = _seen(40, low_days={60: 0.2, 120: 0.9})
    drawn = coming_factors(
        seen,
        begin=BEGIN,
        now=seen.size,
        weeks=2,
        paths=200,
        holidays=_feast(60, 120, 283),
        generator=np.random.default_rng(0),
    )
    assert drawn is not None
    on_the_day = drawn[:, 3 * DAY]
    assert set(np.round(on_the_day, 6)) == {0.2, 0.9}
    assert (drawn[:, : 3 * DAY] == 1).all()
    assert (drawn[:, 4 * DAY :] == 1).all()


def test_the_future_of_the_history_does_not_move_what_was_known_before() -> None:
    seen = _seen(30, low_days={100: 0.3})
    changed = seen.copy()
    changed[120 * DAY :] *= 5
    calendar = _feast(100, 160)
    now = 118 * DAY
    before, after = (
        past_shares(one[:now], begin=BEGIN, holidays=calendar) for one in (seen, changed)
    )
    assert before == after


def test_scopes_are_a_pools_name_a_part_of_it_or_everything() -> None:
    here, there = Holiday("a", "eu-west-1", _day(1)), Holiday("b", "us-east-1", _day(1))
    everywhere = Holiday("c", "*", _day(2))
    found = holidays_for((here, there, everywhere), "aws/eu-west-1/m5")
    assert found == (here, everywhere)
    assert holidays_for((there,), "us-east-1") == (there,)


def test_reads_a_calendar(tmp_path: Path) -> None:
    path = tmp_path / "holidays.yaml"
    path.write_text("- {name: new year, scope: '*', dates: [2025-01-01, 2024-01-01]}\n")
    assert [(one.name, one.day.year) for one in read_holidays(path)] == [
        ("new year", 2024),
        ("new year", 2025),
    ]
    path.write_text("")
    assert read_holidays(path) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "YAML"),
        ("name: x", "list"),
        ("- {name: x, scope: '*'}", "keys"),
        ("- {name: x, scope: '*', dates: 2025-01-01}", "dates"),
        ("- {name: x, scope: '*', dates: [soon]}", "dates"),
        ("- {name: '', scope: '*', dates: [2025-01-01]}", "text"),
    ],
)
def test_refuses_what_is_no_calendar(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "holidays.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_holidays(path)
    assert "holidays.yaml" in str(caught.value)


def test_refuses_a_calendar_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_holidays(tmp_path / "none.yaml")
