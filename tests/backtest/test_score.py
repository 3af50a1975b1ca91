"""A backtest small enough to be done by hand, and the figures' definitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from service.backtest.market import Walk
from service.backtest.score import Figures, score, total
from service.backtest.walk import Buy, View, walk_forward
from service.domain.errors import InvariantError
from service.plan.ladder_terms import Term
from tests.backtest.series import BEGIN

WALK = Walk(step_hours=3, lag_hours=1, warmup_hours=3)
MENU = (Term("four", 4, 0.5),)


def _figures(demand: list[float], quantities: list[float]) -> Figures:
    left = list(quantities)

    def scripted(_: View) -> Sequence[Buy]:
        return (Buy(0, left.pop(0)),)

    series = np.array(demand)
    run = walk_forward(series, scripted, menu=MENU, walk=WALK, begin=BEGIN)
    return score(series, run, first=WALK.warmup_hours, hindsight_usd=12.0)


def test_a_backtest_worked_by_hand() -> None:
    # hours        0  1  2 | 3  4  5 | 6  7  8 |      bought 2 at 3 (till 7), 1 at 6 (till 10)
    # demand       9  9  9 | 4  4  1 | 4  0  4 |
    # owned                | 2  2  2 | 3  1  1 |
    # on demand            | 2  2  0 | 1  0  3 |  8
    # commitments          | 1  1  1 |1.5 .5 .5|  5.5
    figures = _figures([9, 9, 9, 4, 4, 1, 4, 0, 4], [2, 1])
    assert figures.hours == 6
    assert figures.on_demand_usd == pytest.approx(17)
    assert figures.cost_usd == pytest.approx(13.5)
    assert figures.owned_usd == pytest.approx(11)
    assert figures.used_usd == pytest.approx(9)
    assert figures.capture_ratio == pytest.approx((17 - 13.5) / (17 - 12))
    assert figures.effective_savings_rate == pytest.approx(1 - 13.5 / 17)
    assert figures.utilization_ratio == pytest.approx(9 / 11)
    assert figures.coverage_ratio == pytest.approx(9 / 17)


def test_the_worst_twelve_months_are_measured_against_a_mean_year() -> None:
    hours, year = 3 * 8736, 8736
    demand = np.concatenate([np.full(year, 4.0), np.zeros(hours - year)])

    def once(view: View) -> Sequence[Buy]:
        return (Buy(0, 1.0),) if view.now == year else ()

    menu, walk = (Term("year", year, 0.73),), Walk(year, 0, 0)
    run = walk_forward(demand, once, menu=menu, walk=walk, begin=BEGIN)
    figures = score(demand, run, first=0, hindsight_usd=1.0)
    # the second year: owned for all its 8,736 hours and used in none
    assert figures.worst_12_month_savings_ratio == pytest.approx(-0.73 * year / (4 * year / 3))


def test_totals_add_dollars_and_hours_and_their_savings_hour_by_hour() -> None:
    one, other = _figures([9, 9, 9, 4, 4, 1], [2]), _figures([9, 9, 9, 1, 1, 1], [0])
    both = total([one, other])
    assert both.on_demand_usd == pytest.approx(12)
    assert both.cost_usd == pytest.approx(one.cost_usd + other.cost_usd)
    assert both.saved_usd.tolist() == (one.saved_usd + other.saved_usd).tolist()
    assert both.worst_series_ratio == min(one.worst_series_ratio, other.worst_series_ratio)


def test_refuses_a_strategy_that_sells() -> None:
    def seller(_: View) -> Sequence[Buy]:
        return (Buy(0, -1.0),)

    with pytest.raises(InvariantError, match="bought -1"):
        walk_forward(np.ones(9), seller, menu=MENU, walk=WALK, begin=BEGIN)


def test_a_purchase_begins_in_the_hour_of_its_decision_and_ends_with_its_term() -> None:
    def first(view: View) -> Sequence[Buy]:
        return (Buy(0, 2.0),) if view.now == 3 else ()

    run = walk_forward(np.ones(12), first, menu=MENU, walk=WALK, begin=BEGIN)
    assert run.owned.tolist() == [0, 0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 0]
    assert run.commitment_usd.sum() == pytest.approx(4.0)
