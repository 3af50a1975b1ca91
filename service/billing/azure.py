"""Azure: reservations, then savings plans, then pay as you go.

Reservations: the narrowest scope first, flexible in size within a flexibility group by ratio.
Savings plans: the narrowest scope first, three-year plans before one-year plans, within a plan the
greatest discount first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.billing.capacity import is_flexible, matched, unit_sku
from service.billing.moves import Match, Room, Scene
from service.billing.spend import Rated
from service.domain.commitments import Commitment

_EVERYONE = 1 << 30


def matches(
    scene: Scene, rooms: Sequence[tuple[int, Room]], lines: Sequence[int]
) -> Iterator[Match]:
    """Every (commitment, line) that may meet, with its place in the order."""
    rated = Rated(scene, lines)
    for index, room in rooms:
        name, width = room.commitment.commitment, scope_width(room.commitment)
        if room.offering.kind.is_spend:
            for line, rate, ratio in rated.lines(room):
                order = (1, width, -room.offering.term_months, ratio, rate, name)
                yield Match(index, line, rate, order, "savings plan")
        else:
            unit = unit_sku(scene, room.offering)
            flexible = is_flexible(room.offering, unit)
            for line, size in matched(scene, lines, room, unit, flexible=flexible):
                yield Match(index, line, size, (0, width, 0, 0, 0, name), "reservation")


def scope_width(commitment: Commitment) -> int:
    """How many accounts a commitment is limited to; more than any for a shared one."""
    return _EVERYONE if commitment.scope is None else len(commitment.scope)
