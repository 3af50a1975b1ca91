"""The only way out of the float core: amounts to buy as exact decimals, never rounded up.

Decides how much of a computed amount can be bought: a multiple of the offering's step, at least
its smallest purchase, else nothing. Units are the offering's own: $/h (spend) or capacity.
"""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal

from service.domain.errors import InvariantError
from service.domain.money import floor_to_step

CONTINUOUS_STEP = Decimal("0.000000001")
"""The grain of amounts sized without an offering's step: a billionth of a unit."""


def exactly(value: float) -> Decimal:
    """A float64 as the decimal that it is written as; ``InvariantError`` when it is none."""
    if not math.isfinite(value):
        msg = f"{value} is not an amount"
        raise InvariantError(msg)
    return Decimal(repr(float(value)))


def quantise(amount: float, *, step: Decimal, min_quantity: Decimal) -> Decimal:
    """The largest multiple of ``step`` not above ``amount``; 0 when below ``min_quantity``.

    Raises ``InvariantError`` for NaN, infinities and negative amounts.
    """
    exact = exactly(amount)
    if exact < 0:
        msg = f"cannot buy {exact}"
        raise InvariantError(msg)
    quantity = floor_to_step(exact, step)
    return quantity if quantity > 0 and quantity >= min_quantity else Decimal(0)


def usd(amount: float, places: int = 6) -> Decimal:
    """Dollars for a report, rounded down to ``places`` decimals."""
    return exactly(amount).quantize(Decimal(1).scaleb(-places), rounding=ROUND_FLOOR)
