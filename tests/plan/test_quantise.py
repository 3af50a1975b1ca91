from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvariantError
from service.plan.quantise import exactly, quantise, usd

amounts = st.floats(min_value=0, max_value=1e9, allow_nan=False)
steps = st.sampled_from([Decimal("0.001"), Decimal("0.01"), Decimal(1), Decimal(5)])


@given(amounts, steps, st.sampled_from([Decimal(0), Decimal("0.001"), Decimal(2)]))
def test_never_rounds_up_and_lands_on_a_step(
    amount: float, step: Decimal, min_quantity: Decimal
) -> None:
    quantity = quantise(amount, step=step, min_quantity=min_quantity)
    assert 0 <= quantity <= exactly(amount)
    assert quantity % step == 0
    assert quantity == 0 or quantity >= min_quantity


@given(amounts, steps)
def test_leaves_less_than_one_step_unbought(amount: float, step: Decimal) -> None:
    assert exactly(amount) - quantise(amount, step=step, min_quantity=Decimal(0)) < step


@given(amounts, amounts, steps)
def test_a_larger_amount_is_never_rounded_to_less(one: float, other: float, step: Decimal) -> None:
    low, high = sorted((one, other))
    least = Decimal("0.01")
    assert quantise(low, step=step, min_quantity=least) <= quantise(
        high, step=step, min_quantity=least
    )


def test_below_the_smallest_purchase_nothing_is_bought() -> None:
    step, least = Decimal("0.001"), Decimal("0.5")
    assert quantise(0.4999, step=step, min_quantity=least) == 0
    assert quantise(0.5, step=step, min_quantity=least) == Decimal("0.5")


def test_a_tenth_is_a_tenth_and_not_its_nearest_float() -> None:
    assert quantise(0.3, step=Decimal("0.1"), min_quantity=Decimal(0)) == Decimal("0.3")


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1.0])
def test_refuses_what_is_no_amount(amount: float) -> None:
    with pytest.raises(InvariantError):
        quantise(amount, step=Decimal(1), min_quantity=Decimal(0))


@given(st.floats(min_value=-1e9, max_value=1e9, allow_nan=False))
def test_reported_dollars_are_never_above_the_computed_ones(amount: float) -> None:
    assert 0 <= exactly(amount) - usd(amount) <= Decimal("0.000001")
