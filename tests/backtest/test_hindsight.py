"""Hindsight is the least cost that anyone could have had: by brute force, and beside all rules."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.backtest.compare import EVERY, Setup, compare
from service.backtest.hindsight import hindsight
from service.backtest.market import DEFAULT_MENU, Walk
from service.backtest.walk import Series
from service.plan.ladder_terms import Term
from tests.backtest.series import BEGIN, SHORT_MENU, SHORT_WALK, WEEK, wavy

TINY_WALK = Walk(step_hours=2, lag_hours=0, warmup_hours=2)


def _cost(demand: Series, amounts: tuple[int, ...], terms: tuple[Term, ...], walk: Walk) -> float:
    buys = [(now, term) for now in walk.instants(demand.size) for term in terms]
    owned, total = np.zeros(demand.size), 0.0
    for amount, (now, term) in zip(amounts, buys, strict=True):
        end = min(now + term.hours, demand.size)
        owned[now:end] += amount
        total += amount * term.rate_ratio * (end - now)
    spend = demand[walk.warmup_hours :] - owned[walk.warmup_hours :]
    return total + float(np.maximum(spend, 0).sum())


def _brute_force(demand: Series, terms: tuple[Term, ...], walk: Walk, most: int) -> float:
    # demand is whole, so some optimum buys whole amounts: the constraints are intervals of time
    buys = len(walk.instants(demand.size)) * len(terms)
    return min(
        _cost(demand, amounts, terms, walk) for amounts in product(range(most + 1), repeat=buys)
    )


@settings(max_examples=60, deadline=None)
@given(
    demand=st.lists(st.integers(0, 3), min_size=5, max_size=11),
    hours=st.sampled_from([2, 4, 6]),
    rate=st.sampled_from([0.4, 0.55, 0.73]),
)
def test_equals_brute_force_on_one_term(demand: list[int], hours: int, rate: float) -> None:
    series, menu = np.array(demand, dtype=np.float64), (Term("one", hours, rate),)
    best = hindsight(series, menu=menu, walk=TINY_WALK).cost_usd
    assert best == pytest.approx(_brute_force(series, menu, TINY_WALK, 3), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(demand=st.lists(st.integers(0, 2), min_size=5, max_size=8))
def test_equals_brute_force_on_two_terms(demand: list[int]) -> None:
    series = np.array(demand, dtype=np.float64)
    menu = (Term("one", 2, 0.73), Term("three", 6, 0.53))
    best = hindsight(series, menu=menu, walk=TINY_WALK).cost_usd
    assert best == pytest.approx(_brute_force(series, menu, TINY_WALK, 2), abs=1e-6)


def test_a_commitment_is_charged_for_the_hours_inside_the_window_only() -> None:
    demand = np.full(10, 5.0)
    best = hindsight(demand, menu=(Term("long", 100, 0.5),), walk=TINY_WALK)
    assert best.cost_usd == pytest.approx(8 * 5 * 0.5)
    assert [buy.hour for buy in best.purchases] == [2]
    assert best.purchases[0].quantity == pytest.approx(5.0)


def test_buys_nothing_for_a_use_too_short_to_pay() -> None:
    demand = np.array([1.0, 1, 1, 0, 0, 0, 0, 0])
    best = hindsight(demand, menu=(Term("six", 6, 0.73),), walk=TINY_WALK)
    assert best.purchases == ()
    assert best.cost_usd == pytest.approx(1.0)


@pytest.mark.parametrize("growth", [-0.02, 0.0, 0.02])
def test_no_strategy_costs_less(growth: float) -> None:
    setup = Setup(SHORT_MENU, SHORT_WALK, BEGIN)
    scored = compare([("made", wavy(40, growth=growth))], EVERY, setup)
    assert {one.strategy for one in scored} == set(EVERY)
    for one in scored:
        assert one.figures.cost_usd >= one.best.cost_usd - 1e-6
        assert one.figures.capture_ratio <= 1 + 1e-9


def test_more_instants_to_buy_at_never_cost_more() -> None:
    demand = wavy(70, growth=0.004)
    weekly = hindsight(demand, menu=DEFAULT_MENU, walk=Walk(step_hours=WEEK)).cost_usd
    monthly = hindsight(demand, menu=DEFAULT_MENU, walk=Walk(step_hours=4 * WEEK)).cost_usd
    assert weekly <= monthly + 1e-6
