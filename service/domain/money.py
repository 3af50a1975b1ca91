"""Money outside the numeric core: ``Decimal`` dollars and integer nano-dollars.

On-demand dollars and commitment dollars are different types: one hour of usage that costs $1.00
on demand uses up less than $1.00 of a commitment, and buying one for the other overbuys by the
discount. Both are US dollars per hour; ``mypy`` keeps them apart.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, FloatOperation
from typing import NewType

from service.domain.errors import InvariantError

OnDemandUsdPerHour = NewType("OnDemandUsdPerHour", Decimal)
CommitUsdPerHour = NewType("CommitUsdPerHour", Decimal)

NANO_PER_USD = 1_000_000_000
_EXACT = Context(prec=40, traps=[FloatOperation])


def nano(usd: Decimal) -> int:
    """Dollars as whole nano-dollars, the unit money is stored in; half rounds to even.

    Raises ``InvariantError`` for NaN and infinities.
    """
    if not usd.is_finite():
        msg = f"{usd} is not an amount of money"
        raise InvariantError(msg)
    scaled = _EXACT.multiply(usd, Decimal(NANO_PER_USD))
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def from_nano(amount_nano_usd: int) -> Decimal:
    """Whole nano-dollars as dollars, exactly."""
    return _EXACT.divide(Decimal(amount_nano_usd), Decimal(NANO_PER_USD))


def text(usd: Decimal) -> str:
    """Dollars as plain decimal text: no exponent, no trailing zeros, at least ``0``."""
    plain = format(usd, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in {"-0", ""} else plain


def floor_to_step(quantity: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of ``step`` that is not above ``quantity`` (both ≥ 0)."""
    if step <= 0:
        return quantity
    steps = (quantity / step).to_integral_value(rounding=ROUND_DOWN)
    return steps * step
