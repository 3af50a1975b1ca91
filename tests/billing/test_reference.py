"""The vectorised bill against plain Python in exact fractions, to the last digit."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.billing.bill import bill
from service.billing.exact import rounded
from service.billing.market import compile_market
from service.billing.sharing import Sharing, SharingMode
from service.domain.commitments import Kind
from service.domain.ids import AccountId
from service.domain.usage import Dataset
from tests.billing.markets import datasets
from tests.billing.reference import reference_bill
from tests.billing.worlds import held, offer, sku, used, world

HALF_NANO = Fraction(1, 2 * 10**9)
NOISE = Fraction(1, 10**17)


def near(shown: Decimal, exact: Fraction, within: Fraction = HALF_NANO) -> bool:
    return abs(Fraction(shown) - exact) <= within + NOISE


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets())
def test_agrees_with_plain_python_in_fractions_to_the_last_digit(dataset: Dataset) -> None:
    result, truth = bill(dataset), reference_bill(dataset)
    assert near(result.on_demand_equivalent_usd, truth.equivalent)
    assert near(result.on_demand_usd, truth.on_demand)
    assert near(result.commitment_usd, sum(truth.committed.values(), Fraction(0)))
    assert near(result.total_usd, truth.total, 2 * HALF_NANO)
    if truth.equivalent:
        share = Fraction(1, 10**14)
        assert near(result.coverage_ratio, 1 - truth.on_demand / truth.equivalent, share)
        by_nanos = share + 4 * HALF_NANO * (1 + truth.total / truth.equivalent) / truth.equivalent
        assert near(result.effective_savings_rate, 1 - truth.total / truth.equivalent, by_nanos)
    if result.on_demand_equivalent_usd:
        shown = Fraction(result.total_usd) / Fraction(result.on_demand_equivalent_usd)
        assert result.effective_savings_rate == rounded(1 - shown, 15)
    for name, use in result.commitments.items():
        assert near(use.committed_usd, truth.committed[name], 2 * HALF_NANO)
        assert near(use.used_usd, truth.used[name], 2 * HALF_NANO)
    for told in result.by_sku:
        lines = [line for line in truth.left if line.key == told.key]
        left = sum((truth.left[line] for line in lines), Fraction(0))
        quantity = sum((truth.quantity[line] for line in lines), Fraction(0))
        assert near(told.on_demand_quantity, left, Fraction(1, 2 * 10**12))
        assert near(told.quantity, quantity, Fraction(1, 2 * 10**12))
        price = Fraction(dataset.skus[told.key].on_demand_usd)
        assert near(told.on_demand_usd, left * price, 2 * HALF_NANO)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets(max_hours=2), st.sampled_from(list(SharingMode)))
def test_agrees_with_plain_python_however_discounts_are_shared(
    dataset: Dataset, mode: SharingMode
) -> None:
    """A and B are a group, C is alone."""

    def turn(owner: str, user: str) -> int | None:
        kin = owner == user or {owner, user} == {"A", "B"}
        if mode is SharingMode.OFF:
            return 0 if owner == user else None
        if mode is SharingMode.RESTRICTED:
            return int(owner != user) if kin else None
        if mode is SharingMode.PRIORITISED and not kin:
            return 2
        return int(owner != user)

    groups = (frozenset({AccountId("A"), AccountId("B")}),)
    result, truth = bill(dataset, sharing=Sharing(mode, groups)), reference_bill(dataset, turn=turn)
    assert near(result.on_demand_usd, truth.on_demand)
    for name, use in result.commitments.items():
        assert near(use.used_usd, truth.used[name], 2 * HALF_NANO)


def test_a_million_dollars_an_hour_are_right_to_the_nano_dollar() -> None:
    """Where float64 alone is not: sixteen digits end above a nano-dollar here."""
    rates = {f"sku-{index}": f"{1 + index / 7:.9f}" for index in range(5)}
    hours = range(60)
    dataset = world(
        [sku(name, f"{1.5 + index / 3:.9f}") for index, name in enumerate(rates)],
        [
            used(name, *(round(1e5 + 1e5 * math.sin(hour * index + hour), 3) for hour in hours))
            for index, name in enumerate(rates)
        ],
        [
            offer("one", Kind.AWS_COMPUTE_SP, rates),
            offer("two", Kind.AWS_EC2_INSTANCE_SP, {"sku-1": "1.2", "sku-3": "1.9"}),
        ],
        [held("a", "one", "77777.77777"), held("b", "one", "99999.12345", account="B"),
         held("c", "two", "33333.33333")],
    )  # fmt: skip
    result, truth = bill(dataset), reference_bill(dataset)
    assert float(result.total_usd) > 3e7
    assert near(result.on_demand_usd, truth.on_demand)
    assert near(result.total_usd, truth.total)
    for name, use in result.commitments.items():
        assert near(use.used_usd, truth.used[name])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets())
def test_the_optimisers_cost_is_the_bill_within_float_precision(dataset: Dataset) -> None:
    market = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    exact = float(bill(dataset).total_usd)
    assert abs(market.cost(dataset.commitments) - exact) <= 1e-9 * max(1.0, exact)
    assert market.bill(dataset.commitments).total_usd == bill(dataset).total_usd
