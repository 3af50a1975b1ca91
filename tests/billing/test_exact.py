"""Arithmetic to 32 digits, and rounding that adds up."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.billing.exact import (
    Pair,
    add,
    apportioned,
    at_most,
    decimal_places,
    divide,
    fractions,
    multiply,
    number,
    rounded,
    scale,
    subtract,
    totals,
    written,
)

AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=9, allow_nan=False, allow_infinity=False)
PAIRS = st.tuples(AMOUNTS, AMOUNTS)


def pair(*values: Decimal) -> Pair:
    numbers = [number(value) for value in values]
    return Pair(np.array([one.high for one in numbers]), np.array([one.low for one in numbers]))


def close(found: Pair, truth: Fraction, size: Fraction) -> bool:
    return abs(fractions(found)[0] - truth) <= abs(size) / 10**30


@given(PAIRS)
def test_sums_differences_and_products_are_right_to_30_digits(
    values: tuple[Decimal, Decimal],
) -> None:
    a, b = Fraction(values[0]), Fraction(values[1])
    one, other = pair(values[0]), pair(values[1])
    assert close(add(one, other), a + b, a + b)
    assert close(subtract(one, other), a - b, a + b)
    assert close(multiply(one, other), a * b, a * b)
    assert close(scale(one, number(values[1])), a * b, a * b)
    if b:
        assert close(divide(one, other), a / b, a / b)
    assert bool(at_most(one, other)[0]) == (a <= b)


def test_equal_amounts_leave_nothing() -> None:
    third = divide(pair(Decimal(1)), pair(Decimal(3)))
    assert fractions(subtract(third, third)) == [0]


@given(st.lists(AMOUNTS, min_size=0, max_size=40))
def test_totals_are_right_to_30_digits(values: list[Decimal]) -> None:
    summed = totals(Pair(*(part.reshape(1, -1) for part in pair(*values))))
    truth = sum((Fraction(value) for value in values), Fraction(0))
    assert abs(fractions(summed)[0] - truth) <= truth / 10**29


@given(st.lists(st.integers(0, 10**12).map(lambda whole: whole / 10**4), min_size=1, max_size=20))
def test_a_float_is_read_as_the_decimal_it_is_written_as(values: list[float]) -> None:
    found = fractions(written(np.array(values)))
    for value, one in zip(values, found, strict=True):
        assert abs(one - Fraction(repr(value))) <= Fraction(1, 10**24)


def test_one_value_with_too_many_digits_does_not_spoil_the_others() -> None:
    found = fractions(written(np.array([0.1, 1 / 3, 1e14 / 7])))
    assert abs(found[0] - Fraction(1, 10)) < Fraction(1, 10**30)
    assert decimal_places(np.array([0.001, 1e14 / 7])) is None
    assert decimal_places(np.array([0.25, 7.0])) == 2


def test_a_tie_goes_to_the_even_nano_dollar_whatever_the_33rd_digit_says() -> None:
    noise = Fraction(1, 10**30)
    for half, nearest in (("0.0000000005", "0"), ("0.0000000015", "0.000000002")):
        for value in (Fraction(half), Fraction(half) - noise, Fraction(half) + noise):
            assert rounded(value, 9) == Decimal(nearest)
    assert rounded(Fraction(2, 3), 9) == Decimal("0.666666667")


@given(st.lists(st.fractions(min_value=0, max_value=1000), min_size=1, max_size=30))
def test_rounded_parts_add_up_to_their_rounded_total(values: list[Fraction]) -> None:
    total = rounded(sum(values, Fraction(0)), 9)
    parts = apportioned(values, total, 9)
    assert sum(parts, Decimal(0)) == total
    for part, value in zip(parts, values, strict=True):
        assert abs(Fraction(part) - value) <= Fraction(1, 10**9)
