"""The learnt share: its signs, its limits, and sane levels on the oddest histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InvariantError
from service.plan.ladder import tranche
from service.plan.ladder_bounds import FIRST_YEAR, LEARNT, RECORD, Caution, bounds
from service.plan.ladder_learnt import (
    HIGHEST,
    LOWEST,
    WEIGHTS,
    as_text,
    from_text,
    judged,
)
from service.plan.ladder_signs import newest_level, signs, week_levels
from service.plan.ladder_terms import PoolState, Series, Term

WEEK = 168
YEAR_TERM = Term("year", 52 * WEEK, 0.73)


def _weekly(weeks: int, *, growth: float = 0.0, seed: int = 0) -> Series:
    noise = np.random.default_rng(seed).normal(1, 0.02, weeks)
    return np.asarray(100 * np.exp(growth * np.arange(weeks)) * noise)


def _hourly(weekly: Series) -> Series:
    day = 1 + 0.2 * np.sin(2 * np.pi * np.arange(WEEK) / 24)
    return np.asarray((weekly[:, None] * day).ravel())


def _share(hourly: Series, *, blind: tuple[str, ...] = ()) -> float:
    return judged(week_levels(hourly), blind=blind).share


def _level(seen: Series) -> float:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    pool = PoolState(seen=seen, begin=begin, now=seen.size + 24, owned=np.zeros(WEEK))
    return tranche(pool, [YEAR_TERM], reasons=False).level_usd_per_hour


@pytest.mark.parametrize("weeks", [1, 3, 12, 40, 70, 110, 200])
def test_signs_are_the_same_at_any_scale_and_for_any_length_of_history(weeks: int) -> None:
    weekly = _weekly(weeks, growth=0.004)
    found = signs(weekly)
    assert found == pytest.approx(signs(weekly * 1e4), abs=1e-9)
    assert list(found) == list(signs(_weekly(150)))
    assert all(-1.5 <= sign <= 1.0 for sign in found.values())


def test_a_lost_day_or_week_is_no_fall() -> None:
    hourly = _hourly(_weekly(30))
    holed = hourly.copy()
    holed[10 * WEEK + 48 : 10 * WEEK + 72] = 0.0
    holed[20 * WEEK : 21 * WEEK] = 0.0
    assert week_levels(holed) == pytest.approx(week_levels(hourly), rel=0.1)


def test_an_end_is_no_hole() -> None:
    hourly = _hourly(_weekly(30))
    hourly[-3 * WEEK :] = 0.0
    levels = week_levels(hourly)
    assert levels[-3:] == pytest.approx(0.0)
    assert levels[-4] > 0
    assert _level(hourly) == 0.0


def test_the_newest_level_is_the_lower_of_a_months_and_a_weeks() -> None:
    falling = _hourly(_weekly(30, growth=-0.1))
    assert newest_level(falling, 0.27) == pytest.approx(np.quantile(falling[-WEEK:], 0.27))
    rising = _hourly(_weekly(30, growth=0.1))
    assert newest_level(rising, 0.27) == pytest.approx(np.quantile(rising[-4 * WEEK :], 0.27))


def test_the_weights_in_the_package_are_for_the_signs_of_the_code() -> None:
    answers = from_text(files("service.plan").joinpath(WEIGHTS).read_text())
    assert {answer.names for answer in answers} == {tuple(signs(_weekly(60)))}
    assert as_text(from_text(as_text(answers))) == as_text(answers)


def test_the_share_is_the_mean_of_the_answers_logarithms() -> None:
    answers = from_text(files("service.plan").joinpath(WEIGHTS).read_text())
    hourly = _hourly(_weekly(80, growth=-0.01))
    logs = [answer.log_share(signs(week_levels(hourly))) for answer in answers]
    assert len(set(logs)) > 1
    assert _share(hourly) == pytest.approx(np.exp(np.mean(logs)))


def test_weights_for_other_signs_are_refused() -> None:
    answers = from_text(files("service.plan").joinpath(WEIGHTS).read_text())
    with pytest.raises(InvariantError, match="learnt on"):
        replace(answers[0], names=("other",)).log_share(signs(_weekly(60)))
    with pytest.raises(InvariantError, match="do not fit"):
        from_text(as_text(answers) + "1.0 2.0\n")
    with pytest.raises(InvariantError, match="another form"):
        from_text(as_text(answers).split("\n", 2)[2])


def test_a_fall_is_owned_less_of_than_a_steady_pool_and_that_less_than_growth() -> None:
    shares = [_share(_hourly(_weekly(80, growth=drift))) for drift in (-0.01, 0.0, 0.01)]
    assert shares[0] < shares[1] - 0.02
    assert shares[1] > 0.93
    assert shares[2] > 0.93


def test_signs_that_are_not_shown_cannot_move_the_share() -> None:
    falling, rising = (_hourly(_weekly(80, growth=drift)) for drift in (-0.01, 0.01))
    everything = ("",)
    assert _share(falling, blind=everything) == pytest.approx(_share(rising, blind=everything))


@settings(max_examples=40, deadline=None)
@given(
    weeks=st.integers(1, 60),
    used=st.floats(0.001, 1.0),
    late=st.integers(0, 30),
    heavy=st.floats(0.0, 3.0),
    seed=st.integers(0, 1000),
)
def test_short_late_and_intermittent_histories_get_a_level_between_nothing_and_todays_best(
    weeks: int, used: float, late: int, heavy: float, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    hours = np.exp(heavy * draw.standard_normal(weeks * WEEK)) * (draw.random(weeks * WEEK) < used)
    seen = np.concatenate([np.zeros(late * WEEK), hours])
    level = _level(seen)
    assert np.isfinite(level)
    assert level >= 0
    first = int(np.argmax(seen > 0))
    best = newest_level(seen[first:], 0.27) if seen.any() and seen.size - first >= WEEK else 0.0
    assert best * np.exp(LOWEST) * (1 - 1e-9) <= level <= best * np.exp(HIGHEST) * (1 + 1e-9)


def test_use_in_fewer_hours_than_pay_is_not_bought_for() -> None:
    rare = np.where(np.arange(60 * WEEK) % 24 < 12, 50.0, 0.0)
    assert _level(rare) == 0.0


@pytest.mark.parametrize("weeks", [1, 2, 5, 9, 12])
def test_a_pool_of_a_few_weeks_is_bought_for_with_care(weeks: int) -> None:
    seen = _hourly(_weekly(weeks))
    assert 0.4 * newest_level(seen, 0.27) < _level(seen) <= 1.031 * newest_level(seen, 0.27)


def test_zeros_before_the_first_use_are_no_history() -> None:
    seen = _hourly(_weekly(20))
    late = np.concatenate([np.zeros(50 * WEEK + 13), seen])
    assert _level(late) == pytest.approx(_level(seen))


def _how(seen: Series, *without: str) -> tuple[str, float]:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    pool = PoolState(seen=seen, begin=begin, now=seen.size + 24, owned=np.zeros(WEEK))
    found = bounds(pool, YEAR_TERM, Caution(without=frozenset({RECORD, *without})))
    limit = min(found, key=lambda name: found[name])
    return limit, found[limit]


@pytest.mark.parametrize("weeks", [13, 26, 39])
def test_goes_from_the_single_bounds_to_the_share_within_the_first_year(weeks: int) -> None:
    young = _hourly(_weekly(weeks, growth=0.01))
    limit, level = _how(young)
    assert limit == FIRST_YEAR
    alone, single = _how(young, FIRST_YEAR), _how(young, LEARNT)
    assert alone[0] == LEARNT
    assert alone[1] != pytest.approx(single[1], rel=0.002)
    learnt = weeks / 52
    assert level == pytest.approx(learnt * alone[1] + (1 - learnt) * single[1])


def test_a_falling_pool_and_one_of_a_year_have_the_share_alone() -> None:
    falling = _hourly(_weekly(20, growth=-0.01))
    assert _how(falling) == _how(falling, FIRST_YEAR)
    old = _hourly(_weekly(52, growth=0.01))
    assert _how(old) == _how(old, FIRST_YEAR)
    assert _how(old)[0] == LEARNT
