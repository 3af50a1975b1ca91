"""What is sized becomes lines: rounded to what is sold, within the caps, in whole purchases.

Decides what falls below the smallest purchase, and joins what is sold together only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from service.domain.commitments import Offering
from service.domain.ids import AccountId, CycleId, OfferingId
from service.domain.plans import PlanLine, Refusal
from service.plan.explain import Sized, line_of
from service.plan.joint import amounts, companions, joined, least_of
from service.plan.pools import Pool
from service.plan.quantise import quantise


class Room(Protocol):
    """How much of an offering may still be bought beside the lines planned already."""

    def __call__(
        self, offering: Offering, lines: Sequence[PlanLine], begun: PlanLine | None = None, /
    ) -> Decimal:
        """A quantity. ``begun``: the line that it would join, which is none of ``lines``."""
        ...


@dataclass(frozen=True, slots=True)
class Drafting:
    """What lines are made from besides the sizes; see ``DecisionRequest``."""

    offerings: Mapping[OfferingId, Offering]
    menu: Sequence[OfferingId]
    accounts: Mapping[str, AccountId]
    cycle: CycleId
    pools: Sequence[Pool]
    room: Room | None


def lines_of(sized: Sequence[Sized], drafting: Drafting) -> tuple[list[PlanLine], list[Refusal]]:
    """Rounded, capped lines, and what fell below the smallest purchase or cannot be had alone."""
    offerings = drafting.offerings
    lines: list[PlanLine] = []
    refusals: list[Refusal] = []
    named = {one.offering: one for one in sized}
    beside = companions(offerings, drafting.menu)
    for one in sized:
        offering = offerings[one.offering]
        if offering.beside is not None:
            continue
        wanted = _within_room(drafting, offering, one.quantity, lines)
        amount = quantise(wanted, step=offering.step, min_quantity=offering.min_quantity)
        line = _line(drafting, one, amount) if amount > 0 else None
        other = beside.get(one.offering)
        if line is not None and other is not None:
            # What the caps leave of its own offering, they leave of what is sold beside it.
            part = wanted / one.quantity if one.quantity > 0 else 1.0
            with_it = (other, named.get(other.offering), part)
            line = _whole(drafting, one, line, with_it, lines)
        if line is None:
            refusals.append(_too_little(one, offering, wanted))
        else:
            lines.append(line)
    bought = {name for line in lines for name, _ in line.contents}
    refusals += [
        Refusal("beside", name, "what it is sold beside is not bought")
        for name in named
        if offerings[name].beside is not None and name not in bought
    ]
    return lines, refusals


def _too_little(one: Sized, offering: Offering, wanted: float) -> Refusal:
    """Why nothing is bought: the policy's caps leave too little, or too little is worth owning."""
    uncapped = quantise(one.quantity, step=offering.step, min_quantity=offering.min_quantity)
    if wanted < one.quantity and uncapped > 0:
        detail = (
            f"{one.quantity:.6f} is worth buying now, the policy's caps leave {wanted:.6f}: below "
            "the smallest purchase or step of the offering"
        )
        return Refusal("caps", one.offering, detail)
    detail = f"{wanted:.6f} is below the smallest purchase or step of the offering"
    return Refusal("min_quantity", one.offering, detail)


def _within_room(
    drafting: Drafting, offering: Offering, wanted: float, lines: Sequence[PlanLine]
) -> float:
    """What the caps leave of ``wanted``."""
    if drafting.room is None:
        return wanted
    return min(wanted, float(max(drafting.room(offering, lines), Decimal(0))))


def _line(drafting: Drafting, one: Sized, quantity: Decimal) -> PlanLine:
    offering = drafting.offerings[one.offering]
    return line_of(
        one,
        offering,
        quantity=quantity,
        account=drafting.accounts[offering.provider],
        cycle=drafting.cycle,
        pools=drafting.pools,
    )


def _whole(
    drafting: Drafting,
    one: Sized,
    line: PlanLine,
    beside: tuple[Offering, Sized | None, float],
    lines: Sequence[PlanLine],
) -> PlanLine | None:
    """``line`` with what is sold in the same purchase; ``None`` when not both fit.

    ``beside``: what that is, how much of it is worth owning, and the share (0-1) of it to buy.
    """
    other, sized, part = beside
    room = drafting.room
    worth = 0.0 if sized is None else sized.quantity * part
    wanted = worth if worth == 0 else _within_room(drafting, other, worth, lines)
    left = None if room is None else max(room(other, lines, line), Decimal(0))
    own, more = amounts(drafting.offerings[one.offering], line.quantity, other, wanted, left)
    if own == 0:
        return None
    whole = line if own == line.quantity else _line(drafting, one, own)
    if more == 0 or other.beside is None:
        return whole
    joins = least_of(whole, other, more) if sized is None else _line(drafting, sized, more)
    return joined(whole, joins, other.beside.unit)
