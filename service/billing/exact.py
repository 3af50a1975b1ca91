"""Arithmetic to 32 digits on whole arrays: unevaluated sums of two float64 (double-double).

Decides how close a bill comes to the exact one. One float64 carries 16 digits: on a year's bill of
ten million dollars that is a nano-dollar, too coarse to round to one. Two carry 32, and what
remains after rounding to a nano-dollar is the exact figure.

Source: T. J. Dekker, "A floating-point technique for extending the available precision",
Numer. Math. 18 (1971), and D. E. Knuth, The Art of Computer Programming 2, 4.2.2 (two-sum).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SPLITTER = 134_217_729.0  # 2**27 + 1: cuts a 53-bit significand into two halves


class Pair(NamedTuple):
    """Arrays whose sum ``high + low`` is the value; ``low`` is at most half a unit of ``high``."""

    high: Floats
    low: Floats

    def take(self, index: NDArray[np.intp]) -> Pair:
        """The elements at ``index``."""
        return Pair(self.high[index], self.low[index])

    def put(self, index: NDArray[np.intp], values: Pair) -> None:
        """Overwrite the elements at ``index``, in place."""
        self.high[index] = values.high
        self.low[index] = values.low


class Number(NamedTuple):
    """One constant factor as ``high + low``, with ``high`` already split for products."""

    high: float
    low: float
    upper: float
    lower: float


def number(value: Decimal | Fraction) -> Number:
    """The double-double nearest to an exact number."""
    exact = Fraction(value)
    high = float(exact)
    low = float(exact - Fraction(high))
    scaled = _SPLITTER * high
    upper = scaled - (scaled - high)
    return Number(high, low, upper, high - upper)


def two_sum(a: Floats, b: Floats) -> Pair:
    """``a + b`` without any error."""
    total = a + b
    shadow = total - a
    # (a - (total - shadow)) + (b - shadow), without fresh memory for each part.
    error = total - shadow
    np.subtract(a, error, out=error)
    np.subtract(b, shadow, out=shadow)
    return Pair(total, np.add(error, shadow, out=error))


def _quick(high: Floats, low: Floats) -> Pair:
    total = high + low
    error = total - high
    return Pair(total, np.subtract(low, error, out=error))


def add(a: Pair, b: Pair) -> Pair:
    """``a + b``."""
    high, error = two_sum(a.high, b.high)
    low, rest = two_sum(a.low, b.low)
    high, error = _quick(high, error + low)
    return _quick(high, error + rest)


def subtract(a: Pair, b: Pair) -> Pair:
    """``a - b``; exactly 0 where the two are the same."""
    return add(a, Pair(-b.high, -b.low))


def _split(a: Floats) -> tuple[Floats, Floats]:
    upper = _SPLITTER * a
    lower = upper - a
    np.subtract(upper, lower, out=upper)
    return upper, np.subtract(a, upper, out=lower)


def scale(a: Pair, factor: Number) -> Pair:
    """``a × factor``."""
    high = a.high * factor.high
    upper, lower = _split(a.high)
    error = upper * factor.upper
    error -= high
    error += np.multiply(upper, factor.lower, out=upper)
    error += lower * factor.upper
    error += np.multiply(lower, factor.lower, out=lower)
    rest = np.multiply(a.high, factor.low, out=upper)
    rest += np.multiply(a.low, factor.high, out=lower)
    error += rest
    return _quick(high, error)


def multiply(a: Pair, b: Pair) -> Pair:
    """``a × b``."""
    high = a.high * b.high
    a_upper, a_lower = _split(a.high)
    b_upper, b_lower = _split(b.high)
    error = ((a_upper * b_upper - high) + a_upper * b_lower + a_lower * b_upper) + a_lower * b_lower
    return _quick(high, error + (a.high * b.low + a.low * b.high))


def divide(a: Pair, b: Pair) -> Pair:
    """``a ÷ b``, by long division with three quotient digits."""
    first = a.high / b.high
    rest = subtract(a, multiply(b, Pair(first, np.zeros_like(first))))
    second = rest.high / b.high
    rest = subtract(rest, multiply(b, Pair(second, np.zeros_like(second))))
    third = rest.high / b.high
    high, low = _quick(first, second)
    return add(Pair(high, low), Pair(third, np.zeros_like(third)))


def at_most(a: Pair, b: Pair) -> NDArray[np.bool_]:
    """Where ``a ≤ b``."""
    below: NDArray[np.bool_] = (a.high < b.high) | ((a.high == b.high) & (a.low <= b.low))
    return below


def zeros(shape: tuple[int, ...]) -> Pair:
    """An array of zeros."""
    return Pair(np.zeros(shape), np.zeros(shape))


def totals(values: Pair) -> Pair:
    """Sums over the last axis of a two-dimensional array."""
    result = zeros(values.high.shape[:1])
    rows = max(1, 4 * _BLOCK // max(1, values.high.shape[1]))
    for first in range(0, len(values.high), rows):
        block = slice(first, first + rows)
        part = _halved(Pair(values.high[block], values.low[block]))
        result.high[block], result.low[block] = part
    return result


_BLOCK = 1 << 14  # elements that stay in a processor's cache while they are worked on


def _halved(values: Pair) -> Pair:
    high, low = values
    while high.shape[-1] > 1:
        half = high.shape[-1] // 2
        odd = Pair(high[..., 2 * half :], low[..., 2 * half :])
        pair = add(
            Pair(high[..., :half], low[..., :half]),
            Pair(high[..., half : 2 * half], low[..., half : 2 * half]),
        )
        high = np.concatenate((pair.high, odd.high), axis=-1)
        low = np.concatenate((pair.low, odd.low), axis=-1)
    if high.shape[-1] == 0:
        return zeros(high.shape[:-1])
    return Pair(high[..., 0], low[..., 0])


def fractions(values: Pair) -> list[Fraction]:
    """A one-dimensional array's values as exact fractions."""
    return [
        Fraction(high) + Fraction(low)
        for high, low in zip(values.high.tolist(), values.low.tolist(), strict=True)
    ]


_MOST_PLACES = 17
_WHOLE = 2.0**53  # whole numbers up to here are exact in float64


def decimal_places(values: Floats) -> int | None:
    """The fewest decimals that write every value exactly; ``None`` when 17 are too few.

    A float64 is taken for the shortest decimal that rounds to it, as its text form is. Values
    are ≥ 0 and finite.
    """
    flat = values.reshape(-1)
    largest = float(flat.max(initial=0.0))
    places, first = 0, 0
    while first < len(flat):
        factor = 10.0**places
        if places > _MOST_PLACES or largest * factor >= _WHOLE:
            return None
        block = flat[first : first + _BLOCK]
        if (np.rint(block * factor) / factor == block).all():
            first += _BLOCK
        else:
            places += 1
    return places


def written(values: Floats) -> Pair:
    """The decimals that float64 values are written as: 0.1 is a tenth, not its nearest float.

    Values with more digits than a float64 can tell apart are taken as they are.
    """
    low = np.zeros_like(values)
    places = decimal_places(values)
    if places is not None:
        return Pair(values, _beyond(values, places) if places else low)
    todo = np.ones(values.shape, dtype=bool)
    for places in range(1, _MOST_PLACES + 1):
        factor = 10.0**places
        with np.errstate(over="ignore"):
            fits = todo & (values * factor < _WHOLE) & (np.rint(values * factor) / factor == values)
        low[fits] = _beyond(values[fits], places)
        todo &= ~fits
    return Pair(values, low)


def _beyond(values: Floats, places: int) -> Floats:
    """What the decimals have beyond their nearest float64."""
    ten = number(Decimal(10) ** places)
    flat = values.reshape(-1)
    low = np.empty_like(flat)
    for first in range(0, len(flat), _BLOCK):
        block = flat[first : first + _BLOCK]
        product = scale(Pair(block, np.zeros_like(block)), ten)
        rest = (np.rint(block * ten.high) - product.high) - product.low
        low[first : first + _BLOCK] = rest / ten.high
    return low.reshape(values.shape)


def rounded(value: Fraction, places: int) -> Decimal:
    """The nearest decimal with so many places; a tie goes to the even one.

    Rounded to twice the places first, so that the 33rd digit of a double-double decides no tie.
    """
    fine = round(value * 10 ** (2 * places))
    coarse, rest = divmod(fine, 10**places)
    half = 10**places - 2 * rest
    if half < 0 or (half == 0 and coarse % 2):
        coarse += 1
    return Decimal(coarse).scaleb(-places)


def apportioned(values: Sequence[Fraction], total: Decimal, places: int) -> list[Decimal]:
    """Every value as a decimal within one unit of its last place, adding up to ``total``.

    Rounded down, then the units that miss go to the largest remainders, the first at a tie.
    """
    unit = 10**places
    exact = [Fraction(round(value * unit**2), unit) for value in values]
    floors = [one.numerator // one.denominator for one in exact]
    missing = int(total.scaleb(places)) - sum(floors)
    by_remainder = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    whole, rest = divmod(missing, len(exact)) if exact else (0, 0)
    for rank, index in enumerate(by_remainder):
        floors[index] += whole + (1 if rank < rest else 0)
    return [Decimal(one).scaleb(-places) for one in floors]
