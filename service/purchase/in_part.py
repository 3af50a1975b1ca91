"""Decides what is left of a plan line when a person says yes to a part of it. Pure.

The quantity is rounded down to the offering's step, and what is sold beside it shrinks with it, to
its own step. Amounts and expected savings shrink in proportion: a commitment's first units are used
the most, so the part saves at least its share.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from service.domain.commitments import Offering
from service.domain.money import CommitUsdPerHour, floor_to_step, from_nano, nano
from service.domain.plans import Companion, PlanLine


def cut_to(
    line: PlanLine, quantity: Decimal, offering: Offering, beside: Offering | None = None
) -> PlanLine | str:
    """``line`` for ``quantity`` of ``offering`` at most, or a sentence on why that cannot be.

    ``beside``: the offering of the line's companion, where it has one.
    """
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
    companion = line.companion
    if companion is not None and (beside is None or beside.beside is None):
        return f"How {companion.offering} is sold is not known; approve all of it or nothing."
    share = cut / line.quantity
    kept = None if companion is None or beside is None else _cut(companion, share, beside)
    commit = _committed(line, kept, share)
    owed = commit / line.commit_usd_per_hour if line.commit_usd_per_hour else share
    return replace(
        line,
        quantity=cut,
        companion=kept,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=_part(line.upfront_usd, share),
        total_usd=_part(line.total_usd, owed if kept is not None else share),
        expected_savings_usd_per_hour=_part(line.expected_savings_usd_per_hour, share),
        expected_savings_low_usd_per_hour=_part(line.expected_savings_low_usd_per_hour, share),
        expected_savings_high_usd_per_hour=_part(line.expected_savings_high_usd_per_hour, share),
    )


def _cut(companion: Companion, share: Decimal, offering: Offering) -> Companion:
    """``share`` of what is sold beside it, and never less than must be."""
    least = Decimal(0) if offering.beside is None else offering.beside.least
    wanted = max(floor_to_step(companion.quantity * share, offering.step), least)
    quantity = min(wanted, companion.quantity)
    commit = _part(companion.commit_usd_per_hour, quantity / companion.quantity)
    return replace(companion, quantity=quantity, commit_usd_per_hour=CommitUsdPerHour(commit))


def _committed(line: PlanLine, kept: Companion | None, share: Decimal) -> Decimal:
    """The hourly obligation of what is left: of its own offering, and of what is kept beside it."""
    if line.companion is None or kept is None:
        return _part(line.commit_usd_per_hour, share)
    own = line.commit_usd_per_hour - line.companion.commit_usd_per_hour
    return _part(own, share) + kept.commit_usd_per_hour


def _part(amount: Decimal, share: Decimal) -> Decimal:
    """``share`` (0-1) of ``amount``, in whole nano-dollars."""
    return from_nano(nano(amount * share))
