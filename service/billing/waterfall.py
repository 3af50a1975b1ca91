"""The whole order of an organisation's bill: every provider's moves, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from service.billing import aws, azure, gcp
from service.billing.capacity import room_per_quantity, unit_sku
from service.billing.flexibility import is_flexible, rule_changes
from service.billing.moves import ALWAYS, ONE, Move, Room, Scene, in_order
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
) -> Waterfall:
    """What may cover what, in order, in each hour by the rules that hold in it.

    ``InvariantError`` for an offering that is not known.
    """
    scene = Scene(tuple(lines), skus, offerings)
    kinds = {offerings[one.offering].kind for one in commitments if one.offering in offerings}
    cuts = [0, *rule_changes(kinds, hours), ALWAYS]
    starts = [hours.hour(cut) for cut in cuts[:-1]]
    rooms = tuple(_room(scene, hours, commitment, starts) for commitment in commitments)
    moves: list[Move] = []
    for first, last, at in zip(cuts, cuts[1:], starts, strict=False):
        moves += _moves(scene, rooms, (first, last), at, sharing)
    return Waterfall(rooms, tuple(moves))


def _moves(
    scene: Scene, rooms: Sequence[Room], hours: tuple[int, int], at: datetime, sharing: Sharing
) -> Iterator[Move]:
    """The moves of the hours ``[first, last)``, in which the rules at ``at`` hold."""
    first, last = hours
    for provider in ("aws", "azure", "gcp"):
        theirs = [
            (index, room)
            for index, room in enumerate(rooms)
            if room.offering.provider == provider and max(room.first, first) < min(room.last, last)
        ]
        used = [index for index, line in enumerate(scene.lines) if line.provider == provider]
        if provider == "aws":
            yield from in_order(aws.matches(scene, theirs, used, at, sharing), first, last)
        elif provider == "azure":
            yield from in_order(azure.matches(scene, theirs, used, at), first, last)
        else:
            yield from in_order(gcp.matches(scene, theirs, used, at), first, last)


def _room(
    scene: Scene, hours: HourRange, commitment: Commitment, starts: Sequence[datetime]
) -> Room:
    """The room, in normalised units when it floats at any of ``starts``."""
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
    flexible = any(is_flexible(offering, unit, at) for at in starts)
    size = room_per_quantity(unit, flexible=flexible)
    (rate_usd,) = offering.rates_usd.values()
    return Room(commitment, offering, size, Fraction(rate_usd) / Fraction(size), first, last)
