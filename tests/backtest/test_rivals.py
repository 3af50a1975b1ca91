"""The rivals' formulas, worked by hand on tiny series."""

from __future__ import annotations

import numpy as np
import pytest

from service.backtest.rivals import RIVALS
from service.backtest.walk import Series, View
from service.plan.ladder_terms import Term
from tests.backtest.series import BEGIN

DAY = 24
YEAR = 8736
REQUIRED = {
    *("provider-7d", "provider-30d", "provider-60d", "provider-30d-x80", "provider-30d-every-13w"),
    *("provider-coverage-0.7", "provider-coverage-0.8", "provider-coverage-0.9"),
    *("gcp-stable", "gcp-optimal", "azure-sp", "floor-p5", "coverage-80", "last-month"),
    *("mean-70", "break-even", "break-even-randomised", "rolling-min-26w", "split-min/one-shot"),
    *("split-min85/fixed", "split-optimal/halving", "split-knee/one-shot"),
}


def _bought(name: str, seen: Series, *, owned: float = 0.0, now: int | None = None) -> float:
    now = seen.size + DAY if now is None else now
    view = View(
        seen=seen,
        owned=np.full(now + YEAR, owned),
        now=now,
        step_hours=168,
        begin=BEGIN,
        menu=(Term("year", YEAR, 0.73),),
    )
    return sum(buy.quantity for buy in RIVALS[name]()(view))


def _steps(days: int) -> Series:
    """Days of 100 hours' worth: in each day the hours 1, 2, … 24, so that quantiles are plain."""
    return np.tile(np.arange(1.0, 25.0), days)


def test_every_baseline_of_the_field_is_there() -> None:
    assert set(RIVALS) >= REQUIRED


def test_a_provider_recommends_the_discount_quantile_of_its_lookback() -> None:
    seen = np.concatenate([np.full(60 * DAY, 50.0), _steps(7)])
    # 27% of 168 hours, seven of each height: between the 45th and 46th, both of height 7
    assert _bought("provider-7d", seen) == pytest.approx(7.0)
    assert _bought("provider-30d", seen) > _bought("provider-7d", seen)


def test_a_provider_nets_what_is_owned_now_and_buys_the_whole_gap() -> None:
    assert _bought("provider-7d", _steps(7), owned=3.0) == pytest.approx(4.0)
    assert _bought("provider-7d", _steps(7), owned=9.0) == 0.0


def test_eighty_percent_is_of_the_level_not_of_the_gap() -> None:
    assert _bought("provider-7d-x80", _steps(7), owned=3.0) == pytest.approx(0.8 * 7 - 3)
    assert _bought("coverage-80", _steps(7), owned=3.0) == pytest.approx(0.8 * 7 - 3)


def test_a_quarterly_cadence_waits_thirteen_weeks() -> None:
    strategy = RIVALS["provider-7d-every-13w"]()

    def ask(week: int) -> int:
        seen = np.full(week * 168, float(week))
        view = View(
            seen=seen,
            owned=np.zeros(week * 168 + YEAR),
            now=week * 168,
            step_hours=168,
            begin=BEGIN,
            menu=(Term("year", YEAR, 0.73),),
        )
        return len(strategy(view))

    assert [ask(week) for week in (20, 21, 32, 33)] == [1, 0, 0, 1]


def test_coverage_is_the_mean_of_hourly_shares() -> None:
    # half the hours 10, half 20: a level of 12 covers 1 of the first and 0.6 of the second
    seen = np.tile([10.0, 20.0], 15 * DAY)
    assert _bought("provider-coverage-0.8", seen) == pytest.approx(12.0)


def test_gcp_stable_is_the_least_hour_of_thirty_days() -> None:
    seen = np.concatenate([[0.5], _steps(30)])
    assert _bought("gcp-stable", seen) == pytest.approx(1.0)
    assert _bought("gcp-optimal", seen) == _bought("provider-30d", seen)


def test_azure_takes_the_lower_of_three_and_thirty_days() -> None:
    falling = np.concatenate([np.full(57 * DAY, 20.0), np.full(3 * DAY, 5.0)])
    assert _bought("azure-sp", falling) == pytest.approx(5.0)
    rising = np.concatenate([np.full(57 * DAY, 5.0), np.full(3 * DAY, 20.0)])
    assert _bought("azure-sp", rising) == pytest.approx(5.0)


def test_floor_takes_the_second_lowest_of_thirty_daily_means() -> None:
    days = np.repeat(np.arange(1.0, 31.0), DAY)
    assert _bought("floor-p5", days) == pytest.approx(2.0)  # ceil(0.05 × 30) = 2
    assert _bought("floor-p5", days, owned=1.995) == 0.0  # at most a cent: holds


def test_means_of_a_month_and_of_all_history() -> None:
    seen = np.concatenate([np.full(30 * DAY, 10.0), np.full(30 * DAY, 20.0)])
    assert _bought("last-month", seen) == pytest.approx(20.0)
    assert _bought("mean-70", seen) == pytest.approx(0.7 * 15)


def test_a_split_buys_on_the_tenth_what_it_decided_on_the_first() -> None:
    # 30 days from 1 January: decided on the 31st day's month … the first call decides January
    strategy = RIVALS["split-min85/one-shot"]()

    def ask(day: int) -> float:
        now = 365 * DAY + day * DAY  # BEGIN is in a leap year: 365 days on is 31 December
        view = View(
            seen=np.full(now - DAY, 10.0),
            owned=np.zeros(now + YEAR),
            now=now,
            step_hours=168,
            begin=BEGIN,
            menu=(Term("year", YEAR, 0.73),),
        )
        return sum(buy.quantity for buy in strategy(view))

    assert ask(3) == 0.0
    assert ask(9) == 0.0
    assert ask(11) == pytest.approx(8.5)
    assert ask(18) == 0.0


@pytest.mark.parametrize(
    ("pace", "expected"), [("one-shot", 10.0), ("fixed", 1.0), ("halving", 5.0)]
)
def test_split_paces(pace: str, expected: float) -> None:
    # the minimum, 100 points, nothing owned: all, ten points, or half
    now = 376 * DAY
    assert _bought(f"split-min/{pace}", np.full(now - DAY, 10.0), now=now) == pytest.approx(
        expected
    )


def test_a_split_is_blocked_by_a_surge() -> None:
    now = 376 * DAY
    seen = np.full(now - DAY, 10.0)
    seen[-14 * DAY :] = 20.0
    assert _bought("split-min/one-shot", seen, now=now) == 0.0


def test_break_even_buys_once_on_demand_has_cost_as_much_as_the_commitment() -> None:
    needed = int(0.73 * YEAR) + 1
    assert _bought("break-even", np.full(needed - 1, 10.0)) == 0.0
    assert _bought("break-even", np.full(needed, 10.0)) == pytest.approx(10.0)


def test_the_randomised_rule_buys_a_part_earlier() -> None:
    needed = int(0.73 * YEAR) + 1
    early = _bought("break-even-randomised", np.full(needed // 2, 10.0))
    assert 0.0 < early < 10.0
    # the law e^z / (e − 1): (e^0.5 − 1) / (e − 1) of the strata have lost patience by a half
    assert early == pytest.approx(10 * (np.exp(0.5) - 1) / (np.e - 1), abs=10 / 16)


def test_rolling_minimum_follows_a_decline_down_and_growth_not_up() -> None:
    weeks = np.arange(40)
    falling = np.repeat(100 - weeks, 168).astype(np.float64)
    rising = np.repeat(60 + weeks, 168).astype(np.float64)
    assert _bought("rolling-min-26w", falling) < 61 - 20
    assert 90 < _bought("rolling-min-26w", rising) <= 100


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_nothing_is_bought_where_nothing_was_used(name: str) -> None:
    assert _bought(name, np.zeros(400 * DAY)) == 0.0
    assert _bought(name, np.zeros(0)) == 0.0
