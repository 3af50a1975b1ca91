"""How much to own now: what the ladder must do on any history, and on those worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InvariantError
from service.forecast.changes import PlannedChange
from service.forecast.holidays import Holiday
from service.plan.ladder import ladder, tranche
from service.plan.ladder_bounds import (
    ALIKE,
    DRIFT,
    LEARNT,
    PLANNED,
    RECENT,
    STEADY,
    YEAR,
    YOUNG,
    Caution,
    bounds,
)
from service.plan.ladder_terms import PoolState, Series, Term

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = 168
YEAR_TERM = Term("year", 52 * WEEK, 0.73)
THREE_YEARS = Term("three", 156 * WEEK, 0.53)
BOUND_BY_BOUND = Caution(without=frozenset({LEARNT}))


def _wavy(weeks: int, *, growth: float = 0.0, seed: int = 0) -> Series:
    hour = np.arange(weeks * WEEK)
    noise = np.random.default_rng(seed).normal(1.0, 0.03, hour.size).clip(0.5)
    return np.asarray(
        100 * np.exp(growth * hour / WEEK) * (1 + 0.2 * np.sin(hour * np.pi / 12)) * noise
    )


def _pool(
    seen: Series, *, owned: float = 0.0, changes: tuple[PlannedChange, ...] = ()
) -> PoolState:
    return PoolState(
        seen=seen,
        begin=BEGIN,
        now=seen.size + 24,
        owned=np.full(200 * WEEK, owned),
        changes=changes,
    )


def _level(seen: Series, term: Term = YEAR_TERM) -> float:
    return tranche(_pool(seen), [term], reasons=False).level_usd_per_hour


def test_owns_the_discount_quantile_of_a_steady_pool() -> None:
    seen = _wavy(120)
    assert _level(seen) == pytest.approx(float(np.quantile(seen[-28 * 24 :], 0.27)), rel=0.031)


@settings(max_examples=30, deadline=None)
@given(
    weeks=st.integers(1, 130),
    growth=st.sampled_from([-0.02, 0.0, 0.02]),
    cheap=st.floats(0.3, 0.9),
    cheaper=st.floats(0.0, 0.25),
)
def test_a_higher_discount_never_owns_less(
    weeks: int, growth: float, cheap: float, cheaper: float
) -> None:
    seen = _wavy(weeks, growth=growth)
    dear = _level(seen, Term("dear", 52 * WEEK, cheap))
    assert _level(seen, Term("less", 52 * WEEK, cheap - cheaper)) >= dear - 1e-9


@settings(max_examples=30, deadline=None)
@given(weeks=st.integers(0, 110), scale=st.floats(1e-6, 1e6))
def test_what_is_owned_grows_with_the_pool_and_in_no_other_way(weeks: int, scale: float) -> None:
    seen = _wavy(weeks)
    assert _level(seen * scale) == pytest.approx(_level(seen) * scale, rel=1e-6)


def test_buys_the_gap_to_what_is_owned_and_nothing_beyond() -> None:
    seen = _wavy(60)
    whole = tranche(_pool(seen), [YEAR_TERM])
    part = tranche(_pool(seen, owned=40.0), [YEAR_TERM])
    assert part.buys[0].quantity_usd_per_hour == pytest.approx(whole.level_usd_per_hour - 40)
    enough = tranche(_pool(seen, owned=whole.level_usd_per_hour), [YEAR_TERM])
    assert enough.buys == ()
    assert enough.reasons is None


@pytest.mark.parametrize("seen", [np.zeros(0), np.zeros(60 * WEEK), np.full(100, 5.0)])
def test_buys_nothing_without_a_week_of_use(seen: Series) -> None:
    assert tranche(_pool(seen), [YEAR_TERM]).buys == ()


def test_buys_nothing_that_saves_nothing() -> None:
    assert tranche(_pool(_wavy(60)), [Term("dear", 52 * WEEK, 1.0)]).buys == ()
    assert tranche(_pool(_wavy(60)), []).buys == ()


def test_a_pool_that_has_stopped_is_bought_nothing_for() -> None:
    seen = _wavy(60)
    seen[-3 * WEEK :] = 0.0
    assert tranche(_pool(seen), [YEAR_TERM]).buys == ()


def test_zeros_before_first_use_change_nothing() -> None:
    seen = _wavy(30)
    late = np.concatenate([np.zeros(50 * WEEK), seen])
    assert _level(late) == pytest.approx(_level(seen))


def test_the_same_state_gives_the_same_tranche() -> None:
    pool = _pool(_wavy(80, growth=0.004), owned=20.0)
    assert tranche(pool, [YEAR_TERM], seed=4) == tranche(pool, [YEAR_TERM], seed=4)


def test_a_steady_decline_owns_less_than_it_uses_today() -> None:
    seen = _wavy(40, growth=-0.01)
    today = float(np.quantile(seen[-28 * 24 :], 0.27))
    assert 0.5 * today < _level(seen) < 0.93 * today
    found = bounds(_pool(seen), YEAR_TERM, BOUND_BY_BOUND)
    assert found[DRIFT] < 0.9 * found[RECENT]
    assert found[DRIFT] >= 0.8 * found[RECENT] - 1e-9
    without = Caution(without=frozenset({LEARNT, DRIFT}))
    alone = tranche(_pool(seen), [YEAR_TERM], caution=without).level_usd_per_hour
    assert alone > min(found.values())


def test_growth_is_followed_but_bought_ahead_by_no_more_than_the_next_weeks() -> None:
    seen = _wavy(120, growth=0.01)
    today = float(np.quantile(seen[-28 * 24 :], 0.27))
    assert 0.93 * today < _level(seen) <= 1.031 * today


def test_a_burst_of_nine_weeks_is_not_bought() -> None:
    seen = _wavy(100)
    calm = _level(seen)
    seen[-9 * WEEK :] *= 1.7
    found = bounds(_pool(seen), YEAR_TERM, BOUND_BY_BOUND)
    assert found[RECENT] > 1.5 * calm
    assert found[STEADY] < 1.15 * calm
    assert _level(seen) < 1.15 * calm


def test_a_step_up_that_stays_is_bought_in_the_end() -> None:
    seen = _wavy(130)
    calm = _level(seen)
    seen[-26 * WEEK :] *= 1.5
    assert _level(seen) == pytest.approx(1.5 * calm, rel=0.1)


def _seasonal(weeks: int, swing: float = 0.25) -> Series:
    hour = np.arange(weeks * WEEK)
    return _wavy(weeks) * (1 + swing * np.sin(2 * np.pi * hour / (52 * WEEK)))


def test_a_yearly_cycle_is_recognised_when_two_years_agree() -> None:
    seen = _seasonal(52 * 2 + 13)  # the crest of the third year
    found = bounds(_pool(seen), YEAR_TERM, BOUND_BY_BOUND)
    assert YEAR in found
    assert found[YEAR] < 0.9 * found[RECENT]


def test_a_second_crest_is_not_bought_as_growth() -> None:
    seen = _seasonal(52 + 13)  # a year and a quarter: too little to call it a cycle
    found = bounds(_pool(seen), YEAR_TERM, BOUND_BY_BOUND)
    assert YEAR not in found
    assert found[ALIKE] < 0.9 * found[RECENT]


def test_steady_growth_is_alike_every_year_and_not_held_back_for_it() -> None:
    found = bounds(_pool(_wavy(80, growth=0.01)), YEAR_TERM, BOUND_BY_BOUND)
    assert found[ALIKE] > found[RECENT]


def test_no_yearly_cycle_is_invented_before_two_years_or_without_one() -> None:
    assert YEAR not in bounds(_pool(_seasonal(60)), YEAR_TERM, BOUND_BY_BOUND)
    assert YOUNG in bounds(_pool(_seasonal(60)), YEAR_TERM, BOUND_BY_BOUND)
    flat = bounds(_pool(_wavy(130)), YEAR_TERM, BOUND_BY_BOUND)
    assert YEAR not in flat
    assert YOUNG not in flat


def _change(weeks_ahead: float, ratio: float, probability: float) -> PlannedChange:
    at = BEGIN + timedelta(hours=60 * WEEK + weeks_ahead * WEEK)
    return PlannedChange("migration", "*", at, ratio, 0.0, probability)


def test_a_planned_decommission_lowers_what_is_bought_before_it_happens() -> None:
    seen = _wavy(60)
    half = tranche(_pool(seen, changes=(_change(10, 0.5, 1.0),)), [YEAR_TERM])
    assert half.level_usd_per_hour == pytest.approx(0.5 * _level(seen), rel=0.15)
    assert half.reasons is not None
    assert half.reasons.limit == PLANNED


def test_an_unlikely_change_and_one_after_the_term_change_little() -> None:
    seen = _wavy(60)
    for change in (_change(10, 0.5, 0.1), _change(60, 0.0, 1.0)):
        level = tranche(_pool(seen, changes=(change,)), [YEAR_TERM]).level_usd_per_hour
        assert level == pytest.approx(_level(seen), rel=0.06)


def test_a_planned_launch_is_waited_for() -> None:
    seen = _wavy(60)
    launch = tranche(_pool(seen, changes=(_change(4, 3.0, 1.0),)), [YEAR_TERM])
    assert launch.level_usd_per_hour == pytest.approx(_level(seen))


def test_three_years_carry_a_growing_pool_and_only_the_core_of_a_shrinking_one() -> None:
    both = [YEAR_TERM, THREE_YEARS]
    growing = tranche(_pool(_wavy(110, growth=0.006)), both)
    assert growing.buys[0].offer == "three"
    shrinking = tranche(_pool(_wavy(110, growth=-0.008)), both)
    amounts = {buy.offer: buy.quantity_usd_per_hour for buy in shrinking.buys}
    assert set(amounts) == {"three", "year"}
    assert amounts["three"] < 0.75 * shrinking.level_usd_per_hour


def test_a_holiday_week_that_the_calendar_names_does_not_lower_what_is_owned() -> None:
    seen = _wavy(60)
    days = range(60 * 7 - 5, 60 * 7)
    quiet = seen.copy()
    for day in days:
        quiet[day * 24 : (day + 1) * 24] *= 0.4
    calendar = tuple(Holiday("feast", "*", (BEGIN + timedelta(days=day)).date()) for day in days)
    assert _level(quiet) < 0.8 * _level(seen)
    known = tranche(replace(_pool(quiet), holidays=calendar), [YEAR_TERM], reasons=False)
    assert known.level_usd_per_hour == pytest.approx(_level(seen), rel=0.05)


def test_only_the_cheapest_term_of_each_length_and_none_undercut_is_considered() -> None:
    menu = [YEAR_TERM, replace(YEAR_TERM, offer="dear", rate_ratio=0.8), THREE_YEARS]
    assert [term.offer for term in ladder(menu)] == ["three", "year"]
    long_and_dear = Term("long", 156 * WEEK, 0.75)
    assert [term.offer for term in ladder([YEAR_TERM, long_and_dear])] == ["year"]


def test_reasons_say_what_the_last_unit_and_the_worst_case_are() -> None:
    seen = _wavy(110, growth=0.003)
    decided = tranche(_pool(seen, owned=30.0), [YEAR_TERM], seed=1)
    why = decided.reasons
    assert why is not None
    assert why.marginal_usd_per_hour == pytest.approx(decided.level_usd_per_hour)
    assert why.break_even_ratio == 0.73
    assert 0.6 < why.use_probability_ratio <= 1
    assert why.worst_savings_usd <= why.low_savings_usd <= why.expected_savings_usd
    assert why.expected_savings_usd <= why.high_savings_usd
    assert why.limit == LEARNT
    assert why.rejected_by_usd > 0
    quantity = decided.buys[0].quantity_usd_per_hour
    most = quantity * YEAR_TERM.discount_ratio * YEAR_TERM.hours
    assert 0.5 * most < why.expected_savings_usd <= most


def test_waiting_is_worth_less_on_growth_than_on_decline() -> None:
    def waiting(growth: float) -> float:
        why = tranche(_pool(_wavy(110, growth=growth)), [YEAR_TERM]).reasons
        assert why is not None
        return why.waiting_usd / why.marginal_usd_per_hour

    assert waiting(0.01) > waiting(-0.02)


def test_refuses_a_state_that_cannot_be() -> None:
    with pytest.raises(InvariantError, match="sees"):
        PoolState(seen=np.ones(10), begin=BEGIN, now=5, owned=np.zeros(5))
    with pytest.raises(InvariantError, match="seen"):
        PoolState(seen=np.array([np.nan]), begin=BEGIN, now=5, owned=np.zeros(5))
    with pytest.raises(InvariantError, match="owned"):
        PoolState(seen=np.ones(1), begin=BEGIN, now=5, owned=np.array([-1.0]))
    with pytest.raises(InvariantError, match="not a term"):
        Term("free", WEEK, 0.0)
