"""The words that every provider's rules are written in: rooms, and moves in order.

A commitment has a room in every hour: dollars (spend) or normalised units (capacity). A move lets
one room take usage of some lines, each unit of a line using up so much of the room. A provider's
rules are nothing but the order of the moves, see ``aws``, ``azure`` and ``gcp``; ``kernel`` makes
them. The order does not depend on the hour, so one move is made for all hours at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from fractions import Fraction

from service.domain.commitments import Commitment, Offering
from service.domain.ids import OfferingId
from service.domain.usage import Sku, SkuKey, UsageLine

ONE = Decimal(1)
ALWAYS = 1 << 40
"""More hours than there are."""

Order = tuple[int | str | Decimal, ...]
"""A sort key; orders that are compared have the same shape."""


@dataclass(frozen=True, slots=True)
class Room:
    """A commitment as the kernel sees it, in the hours ``[first, last)`` of the usage.

    ``per_hour`` is its room in one hour for its whole quantity, ``per_quantity`` that of one unit
    of quantity, ``usd_per_room`` what one unit of room costs, used or not.
    """

    commitment: Commitment
    offering: Offering
    per_quantity: Decimal
    usd_per_room: Fraction
    first: int
    last: int

    @property
    def per_hour(self) -> Decimal:
        """Dollars (spend) or normalised units (capacity) in one hour."""
        return self.commitment.quantity * self.per_quantity


def within(room: Room, hours: slice) -> Room:
    """The room as those hours alone see it, the first of them being hour 0."""
    first, last = max(room.first, hours.start), min(room.last, hours.stop)
    if first >= last:
        return replace(room, first=0, last=0)
    return replace(room, first=first - hours.start, last=last - hours.start)


@dataclass(frozen=True, slots=True)
class Move:
    """Room ``room`` takes what is left of ``lines``; one unit of line ``i`` uses ``rates[i]``.

    When the room is too small for all of the lines, each is covered by the same share. ``step``
    names the rule that put the move in its place, for the explanation. The move is made in the
    hours ``[first, last)``: all of them, unless the rules change on the way.
    """

    room: int
    lines: tuple[int, ...]
    rates: tuple[Decimal, ...]
    step: str
    first: int = 0
    last: int = ALWAYS


def moves_within(moves: Sequence[Move], hours: slice) -> list[Move]:
    """The moves that are made in those hours, the first of them being hour 0."""
    return [
        move
        if move.last == ALWAYS and not move.first
        else replace(
            move,
            first=max(move.first - hours.start, 0),
            last=min(move.last, hours.stop) - hours.start,
        )
        for move in moves
        if move.first < hours.stop and move.last > hours.start
    ]


@dataclass(frozen=True, slots=True)
class Match:
    """One line that one room may take, and when: ``order`` sorts, equal orders share."""

    room: int
    line: int
    rate: Decimal
    order: Order
    step: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rules look at: the lines used, the price list, the offerings."""

    lines: tuple[UsageLine, ...]
    skus: Mapping[SkuKey, Sku]
    offerings: Mapping[OfferingId, Offering]

    def sku(self, line: int) -> Sku:
        """The price list's entry of a line."""
        return self.skus[self.lines[line].key]


def in_order(matches: Iterable[Match], first: int = 0, last: int = ALWAYS) -> list[Move]:
    """The matches of hours ``[first, last)`` sorted, equal orders of a room joined in one move."""
    grouped: dict[Order, list[Match]] = {}
    for match in matches:
        grouped.setdefault((*match.order, match.room), []).append(match)
    return [
        Move(
            room=group[0].room,
            lines=tuple(match.line for match in group),
            rates=tuple(match.rate for match in group),
            step=group[0].step,
            first=first,
            last=last,
        )
        for _, group in sorted(grouped.items(), key=lambda entry: entry[0])
    ]


_WIDE = Context(prec=72)
"""Quotients of two decimals of up to 35 digits differ within 72 digits, if they differ at all."""


def cost_ratio(rate: Decimal, on_demand_usd: Decimal) -> Decimal:
    """What a plan charges for what costs $1 on demand: the lower, the higher the saving.

    Judged on the customer's own on-demand price. Usage that is free on demand comes last.
    """
    if on_demand_usd == 0:
        return Decimal(10**12) if rate else ONE
    return _WIDE.divide(rate, on_demand_usd)


def in_scope(offering: Offering, line: UsageLine, sku: Sku) -> bool:
    """True when the line lies in the offering's scope; an empty field of it means any.

    What is judged by level usage alone takes nothing else.
    """
    return (
        offering.provider == line.provider
        and offering.region in {None, line.region}
        and offering.zone in {None, line.zone}
        and offering.family in {None, sku.family}
        and offering.platform in {None, sku.platform}
        and offering.tenancy in {None, sku.tenancy}
        and (line.level or not offering.level_only)
    )


def reaches(commitment: Commitment, line: UsageLine) -> bool:
    """True when the line's account, or its resource group, is in the commitment's scope."""
    scope = commitment.scope
    return (
        scope is None
        or line.account in scope
        or (line.resource_group != "" and f"{line.account}/{line.resource_group}" in scope)
    )


def names_group(word: str) -> bool:
    """True for ``account/group``; an account may be a path itself, which begins with a slash."""
    return "/" in word[1:] and not word.startswith("/")


_EVERYONE = 1 << 30


def scope_width(commitment: Commitment) -> int:
    """How far a commitment reaches: resource groups, below all accounts, below a shared one."""
    scope = commitment.scope
    if scope is None:
        return _EVERYONE
    return len(scope) - (_EVERYONE if all(map(names_group, scope)) else 0)
