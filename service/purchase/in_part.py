"""Decides what is left of a plan line when a person says yes to a part of it. Pure.

The quantity is rounded down to the offering's step. Amounts and expected savings shrink in
proportion: a commitment's first units are used the most, so the part saves at least its share.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from service.domain.commitments import Offering
from service.domain.money import CommitUsdPerHour, floor_to_step, from_nano, nano
from service.domain.plans import PlanLine


def cut_to(line: PlanLine, quantity: Decimal, offering: Offering) -> PlanLine | str:
    """``line`` for ``quantity`` of ``offering`` at most, or a sentence on why that cannot be."""
    if not quantity.is_finite() or quantity <= 0:
        return f"{quantity} is no quantity to approve."
    if quantity > line.quantity:
        return f"At most the proposed {line.quantity} can be approved, not {quantity}."
    if quantity == line.quantity:
        return line
    cut = floor_to_step(quantity, offering.step)
    if cut <= 0 or cut < offering.min_quantity:
        return (
            f"{quantity} is less than can be bought: at least {offering.min_quantity}, "
            f"in steps of {offering.step}."
        )
    share = cut / line.quantity
    return replace(
        line,
        quantity=cut,
        commit_usd_per_hour=CommitUsdPerHour(_part(line.commit_usd_per_hour, share)),
        upfront_usd=_part(line.upfront_usd, share),
        total_usd=_part(line.total_usd, share),
        expected_savings_usd_per_hour=_part(line.expected_savings_usd_per_hour, share),
        expected_savings_low_usd_per_hour=_part(line.expected_savings_low_usd_per_hour, share),
        expected_savings_high_usd_per_hour=_part(line.expected_savings_high_usd_per_hour, share),
    )


def _part(amount: Decimal, share: Decimal) -> Decimal:
    """``share`` (0-1) of ``amount``, in whole nano-dollars."""
    return from_nano(nano(amount * share))
