"""The whole order of an organisation's bill: every provider's moves, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from service.billing import aws, azure, gcp
from service.billing.capacity import room_per_quantity, unit_sku
from service.billing.flexibility import is_flexible
from service.billing.moves import ONE, Move, Room, Scene, in_order
from service.billing.sharing import ORGANISATION, Sharing
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.errors import InvariantError
from service.domain.hours import HourRange
from service.domain.ids import OfferingId
from service.domain.usage import Sku, SkuKey, UsageLine


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Rooms by commitment, and the moves in the order in which the providers make them."""

    rooms: tuple[Room, ...]
    moves: tuple[Move, ...]


def waterfall(
    *,
    hours: HourRange,
    lines: Sequence[UsageLine],
    skus: Mapping[SkuKey, Sku],
    offerings: Mapping[OfferingId, Offering],
    commitments: Sequence[Commitment],
    sharing: Sharing = ORGANISATION,
    rules_at: datetime | None = None,
) -> Waterfall:
    """What may cover what, in order, by the rules in force at ``rules_at`` (the first hour).

    ``InvariantError`` for an offering that is not known.
    """
    at = hours.start if rules_at is None else rules_at
    scene = Scene(tuple(lines), skus, offerings)
    rooms = tuple(_room(scene, hours, commitment, at) for commitment in commitments)
    moves: list[Move] = []
    for provider in ("aws", "azure", "gcp"):
        theirs = [
            (index, room)
            for index, room in enumerate(rooms)
            if room.offering.provider == provider and room.first < room.last
        ]
        used = [index for index, line in enumerate(lines) if line.provider == provider]
        if provider == "aws":
            moves += in_order(aws.matches(scene, theirs, used, at, sharing))
        elif provider == "azure":
            moves += in_order(azure.matches(scene, theirs, used, at))
        else:
            moves += in_order(gcp.matches(scene, theirs, used, at))
    return Waterfall(rooms, tuple(moves))


def _room(scene: Scene, hours: HourRange, commitment: Commitment, at: datetime) -> Room:
    offering = scene.offerings.get(commitment.offering)
    if offering is None:
        msg = f"commitment {commitment.commitment}: offering {commitment.offering} is not known"
        raise InvariantError(msg)
    first, last = hours.clip(commitment.start, commitment.end)
    if commitment.state is not CommitmentState.ACTIVE:
        first = last = 0
    if offering.kind.is_spend:
        return Room(commitment, offering, ONE, Fraction(1), first, last)
    unit = unit_sku(scene, offering)
    flexible = is_flexible(offering, unit, at)
    size = room_per_quantity(unit, flexible=flexible)
    (rate_usd,) = offering.rates_usd.values()
    return Room(commitment, offering, size, Fraction(rate_usd) / Fraction(size), first, last)
