"""AWS: the order in which Reserved Instances and Savings Plans take an hour's usage.

1. Zonal EC2 Reserved Instances: instance size, zone, platform and tenancy must match. One of
   another account comes before a regional one of the user's own, so that neither is stranded.
2. Regional reservations (EC2, RDS, ElastiCache, OpenSearch, Redshift, MemoryDB): flexible in size
   where the service is, from the smallest instance to the largest by normalisation factor, and part
   of a larger one. Instances of one size share. Source for 1 and 2: EC2 user guide, "How Reserved
   Instance discounts are applied" (scenarios 1-4) and "How you are billed" (usage billing: parts
   of hours add up, and concurrent instances share at the same time).
3. EC2 Instance Savings Plans, then Compute Savings Plans; Database and SageMaker plans cover usage
   of their own. Each pair of plan and usage has a saving against what this customer pays on demand:
   the highest percentage first, at equal percentages the lowest plan rate, at equal rates usage
   shares. Usage without any saving comes last but still takes commitment; what an hour leaves is
   lost.
   Source: Savings Plans user guide, "Understanding how Savings Plans apply to your usage".

Within each step the owner's account comes first, then its sharing group, then the others. Source:
AWS Billing user guide, "Reserved Instances and Savings Plans discount sharing".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from service.billing.capacity import matched
from service.billing.moves import Match, Room, Scene
from service.billing.sharing import Sharing
from service.billing.spend import Rated
from service.domain.commitments import Kind

_PLAN_STEP = {
    Kind.AWS_SAGEMAKER_SP: 2,
    Kind.AWS_DATABASE_SP: 2,
    Kind.AWS_EC2_INSTANCE_SP: 3,
    Kind.AWS_COMPUTE_SP: 4,
}

_TURN_WORDS = ("the owner's account", "shared", "shared beyond the group")


def matches(
    scene: Scene,
    rooms: Sequence[tuple[int, Room]],
    lines: Sequence[int],
    at: datetime,
    sharing: Sharing,
) -> Iterator[Match]:
    """Every (commitment, line) that may meet, with its place in the order."""
    rated = Rated(scene, lines)
    for index, room in rooms:
        if room.offering.kind.is_spend:
            yield from _plan(scene, rated, index, room, sharing)
        else:
            matching = matched(scene, lines, room, at)
            yield from _reservation(scene, matching, index, room, sharing=sharing)


def _plan(scene: Scene, rated: Rated, index: int, room: Room, sharing: Sharing) -> Iterator[Match]:
    step = _PLAN_STEP[room.offering.kind]
    name = room.commitment.commitment
    for line, rate, ratio in rated.lines(room):
        turn = sharing.turn(room.commitment.account, scene.lines[line].account)
        if turn is not None:
            order = (step, turn, ratio, rate, name)
            yield Match(index, line, rate, order, f"savings plan, {_TURN_WORDS[turn]}")


def _reservation(
    scene: Scene,
    matching: Iterable[tuple[int, Decimal, bool]],
    index: int,
    room: Room,
    *,
    sharing: Sharing,
) -> Iterator[Match]:
    zonal = room.offering.kind is Kind.AWS_RI_ZONAL
    zone = room.commitment.zone if zonal else None
    name = room.commitment.commitment
    words = "zonal" if zonal else "regional"
    for line, size, flexible in matching:
        label = scene.lines[line]
        turn = sharing.turn(room.commitment.account, label.account)
        if turn is None or zone not in {None, label.zone}:
            continue
        order = (0 if zonal else 1, turn, size if flexible else 0, int(flexible), name)
        yield Match(index, line, size, order, f"{words} reservation, {_TURN_WORDS[turn]}")
