"""The compiled form for optimisers: costs, slopes, pooling."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from service.billing.market import compile_market
from service.domain.commitments import Kind
from service.domain.errors import InvariantError
from service.domain.usage import Dataset
from tests.billing.markets import datasets
from tests.billing.worlds import held, offer, sku, used, world

STEP = 1e-7


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets())
def test_the_slope_is_what_one_more_unit_of_each_commitment_changes(dataset: Dataset) -> None:
    stack = compile_market(dataset.usage, dataset.skus, dataset.offerings).stack(
        dataset.commitments
    )
    cost, slope = stack.slope(stack.levels)
    assert cost == stack.cost(stack.levels)
    for index in range(len(stack.levels)):
        more = stack.levels.copy()
        more[index] += STEP
        measured = (stack.cost(more) - cost) / STEP
        # Usage of a millionth of an hour is used up within the step: allow for its worth.
        assert measured == pytest.approx(slope[index], rel=1e-4, abs=20.0)
        if abs(measured - slope[index]) > 1e-4 * max(1.0, abs(slope[index])):
            smallest = dataset.usage.quantity[dataset.usage.quantity > 0].min()
            assert smallest <= 1e-5


def test_the_slope_at_level_0_sees_the_best_usage_first() -> None:
    dataset = world(
        [sku("good", "1"), sku("poor", "1")],
        [used("good", 2, 2), used("poor", 5, 0)],
        [offer("plan", Kind.AWS_COMPUTE_SP, {"good": "0.5", "poor": "0.8"})],
        [held("sp", "plan", "0")],
    )
    stack = compile_market(dataset.usage, dataset.skus, dataset.offerings).stack(
        dataset.commitments
    )
    cost, slope = stack.slope(np.array([0.0]))
    assert cost == 9.0
    assert slope[0] == 2.0 - 2 * (1 / 0.5)
    cost, slope = stack.slope(np.array([1.5]))
    assert cost == 9.0 - 2 * 2.0 - 0.5 / 0.8 + 3.0
    assert slope[0] == 2.0 - 1 / 0.8


def test_commitments_that_differ_in_nothing_but_their_quantity_fill_up_as_one() -> None:
    dataset = world(
        [sku("m5.large", "1")],
        [used("m5.large", 3)],
        [offer("plan", Kind.AWS_COMPUTE_SP, {"m5.large": "0.5"})],
        [held("one", "plan", "1"), held("two", "plan", "0.25")],
    )
    market = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    stack = market.stack(dataset.commitments)
    assert stack.pool_of.tolist() == [0, 0]
    assert stack.cost(stack.levels) == float(market.bill(dataset.commitments).total_usd)
    assert stack.on_demand(stack.levels).tolist() == [[0.5]]


def test_levels_that_are_not_one_per_commitment_or_below_0_are_refused() -> None:
    dataset = world([sku("m5.large", "1")], [used("m5.large", 3)])
    stack = compile_market(dataset.usage, dataset.skus, dataset.offerings).stack(())
    with pytest.raises(InvariantError):
        stack.cost(np.array([1.0]))
    with pytest.raises(InvariantError):
        compile_market(dataset.usage, {}, {})


def test_a_market_bills_what_is_given_and_not_what_the_dataset_owns() -> None:
    dataset = world(
        [sku("m5.large", "1")],
        [used("m5.large", 3)],
        [offer("plan", Kind.AWS_COMPUTE_SP, {"m5.large": "0.5"})],
        [held("sp", "plan", "1")],
    )
    market = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    assert market.bill(()).total_usd == 3
    more = replace(dataset.commitments[0], quantity=Decimal("1.5"))
    assert market.bill((more,)).total_usd == Decimal("1.5")
