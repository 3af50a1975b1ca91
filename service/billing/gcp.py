"""GCP: resource commitments, then flexible commitments, then on demand.

Resource commitments cover vCPUs or memory of one machine series in one region, in the project that
bought them or, when shared, in all projects in proportion to what each used. Source: Compute
Engine, "Resource-based committed use discounts" and "Share resource-based CUDs across projects";
Cloud Billing, "Attribution of committed use discount fees and credits" (proportional attribution).

Flexible commitments are dollars an hour of discounted spend; usage with the highest discount comes
first, and where discounts are equal it shares in proportion to its discounted cost. Source: Compute
Engine, "Compute flexible committed use discounts". Before 2026-01-21 the same commitment was
expressed in dollars an hour at on-demand prices; what is read so is converted, see ``legacy_cud``.

A commitment that is limited to fewer projects comes before one of more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from service.billing.capacity import matched
from service.billing.moves import Match, Room, Scene, scope_width
from service.billing.spend import Rated


def matches(
    scene: Scene, rooms: Sequence[tuple[int, Room]], lines: Sequence[int], at: datetime
) -> Iterator[Match]:
    """Every (commitment, line) that may meet, with its place in the order."""
    rated = Rated(scene, lines)
    for index, room in rooms:
        name, width = room.commitment.commitment, scope_width(room.commitment)
        if room.offering.kind.is_spend:
            for line, rate, ratio in rated.lines(room):
                yield Match(index, line, rate, (1, width, ratio, name), "flexible commitment")
        else:
            for line, size, flexible in matched(scene, lines, room, at):
                order = (0, width, int(flexible), name)
                yield Match(index, line, size, order, "resource commitment")
