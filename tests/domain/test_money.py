from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvariantError
from service.domain.money import floor_to_step, from_nano, nano, text

amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=9, allow_nan=False)


@given(amounts)
def test_nano_dollars_come_back_unchanged(usd: Decimal) -> None:
    assert from_nano(nano(usd)) == usd


def test_large_sums_keep_their_last_digit() -> None:
    assert from_nano(nano(Decimal("12345678901234.123456789"))) == Decimal(
        "12345678901234.123456789"
    )


def test_half_a_nano_dollar_rounds_to_even() -> None:
    assert (nano(Decimal("0.0000000005")), nano(Decimal("0.0000000015"))) == (0, 2)


def test_not_a_number_is_not_money() -> None:
    with pytest.raises(InvariantError):
        nano(Decimal("NaN"))


def test_text_has_no_exponent_and_no_trailing_zeros() -> None:
    assert [text(Decimal(t)) for t in ("1E+3", "0.500", "-0", "0E-9", "12.000000001")] == [
        *("1000", "0.5", "0", "0", "12.000000001")
    ]


@given(
    st.decimals(min_value=0, max_value=10**6, places=7),
    st.sampled_from([Decimal("0.001"), Decimal("0.00001"), Decimal(1), Decimal(5)]),
)
def test_rounding_to_a_step_never_rounds_up(quantity: Decimal, step: Decimal) -> None:
    rounded = floor_to_step(quantity, step)
    assert rounded <= quantity < rounded + step
    assert rounded % step == 0
