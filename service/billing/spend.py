"""What a spend commitment may cover: the SKUs that its offering has a rate for, in its scope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from service.billing.moves import Room, Scene, cost_ratio, in_scope, reaches
from service.domain.commitments import Offering
from service.domain.ids import OfferingId
from service.domain.usage import UsageLine


class Rated:
    """The lines that an offering covers, each with its rate and what it costs per $1 on demand.

    Worked out once for an offering, however many commitments share it.
    """

    def __init__(self, scene: Scene, lines: Sequence[int]) -> None:
        self._scene = scene
        self._lines = lines
        self._known: dict[OfferingId, list[tuple[int, Decimal, Decimal]]] = {}

    def lines(self, room: Room) -> Iterator[tuple[int, Decimal, Decimal]]:
        """Line, rate and cost ratio for all lines within the offering's and commitment's scope."""
        offering = room.offering
        if offering.offering not in self._known:
            self._known[offering.offering] = [
                (line, rate, cost_ratio(rate, sku.on_demand_usd))
                for line in self._lines
                if (rate := _rate(offering, self._scene.lines[line])) is not None
                and in_scope(offering, self._scene.lines[line], sku := self._scene.sku(line))
            ]
        for line, rate, ratio in self._known[offering.offering]:
            if reaches(room.commitment, self._scene.lines[line]):
                yield line, rate, ratio


def _rate(offering: Offering, line: UsageLine) -> Decimal | None:
    return offering.rate_usd(line.region, line.sku)
