"""GCP: resource commitments, then flexible commitments, then sustained use and on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.billing.azure import scope_width
from service.billing.capacity import is_flexible, matched, unit_sku
from service.billing.moves import Match, Room, Scene
from service.billing.spend import Rated


def matches(
    scene: Scene, rooms: Sequence[tuple[int, Room]], lines: Sequence[int]
) -> Iterator[Match]:
    """Every (commitment, line) that may meet, with its place in the order."""
    rated = Rated(scene, lines)
    for index, room in rooms:
        name, width = room.commitment.commitment, scope_width(room.commitment)
        if room.offering.kind.is_spend:
            for line, rate, ratio in rated.lines(room):
                yield Match(index, line, rate, (1, width, ratio, name), "flexible commitment")
        else:
            unit = unit_sku(scene, room.offering)
            flexible = is_flexible(room.offering, unit)
            for line, size in matched(scene, lines, room, unit, flexible=flexible):
                yield Match(index, line, size, (0, width, 0, name), "resource commitment")
