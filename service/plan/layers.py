"""Which rooms of a waterfall take usage in an order that nothing else disturbs.

Decides what may be bounded exactly. Rooms that cover the same lines form a *layer*: where they go
through groups of lines in the same sequence, they cover a prefix of that sequence together, whoever
takes what. Dearer offerings of a layer are left out: what they cover the cheapest covers for less.
A layer is *first* when nothing else touches its lines before it is done, *second* when only first
layers do. All other rooms are *outer*: their order is given up and their room is priced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from operator import or_

import numpy as np
from numpy.typing import NDArray

from service.billing.moves import Move
from service.billing.waterfall import Waterfall

Floats = NDArray[np.float64]

_ALIKE_RATIO = Fraction(1, 100)  # rates so close to proportional count as proportional

Sequenced = tuple[tuple[int, ...], ...]
"""Groups of lines in the order in which a room takes them; lines of one group share."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Rooms that cover a prefix of ``groups`` together. Amounts are commitment dollars per hour.

    ``room``: the candidate to buy, ``None`` when nothing can be bought. Of a ``loose`` group the
    rooms do not agree on the order inside. ``rate``: dollars of commitment that one on-demand
    dollar of each line uses up, group by group. ``owned``: what is owned in each hour;
    ``active``: 1 where a purchase made in the first hour lasts.
    """

    room: int | None
    groups: Sequenced
    loose: tuple[bool, ...]
    rate: Floats
    owned: Floats
    active: Floats

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines, group by group."""
        return tuple(line for group in self.groups for line in group)


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """Layers that share lines: first ones on disjoint lines, and at most one second."""

    lines: tuple[int, ...]
    first: tuple[Layer, ...]
    second: Layer | None


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """A waterfall taken apart. ``alone``: lines that no layer covers. ``outer``: what is left."""

    components: tuple[Component, ...]
    alone: tuple[int, ...]
    outer: Waterfall


def layers_of(order: Waterfall, *, held: int, hours: int, on_demand_usd: Floats) -> Layers:
    """The layers of ``held`` commitments followed by candidates."""
    moves: list[list[Move]] = [[] for _ in order.rooms]
    for move in order.moves:
        moves[move.room].append(move)
    found: dict[tuple[bool, frozenset[int]], list[int]] = {}
    for index, of in enumerate(moves):
        if of:
            reach = frozenset(line for move in of for line in move.lines)
            spend = order.rooms[index].offering.kind.is_spend
            found.setdefault((spend, reach), []).append(index)
    maker = _Maker(order, moves, held, hours, on_demand_usd)
    made = [(rooms, maker.layer(rooms)) for rooms in found.values()]
    layers = [(rooms, layer) for rooms, layer in made if layer is not None]
    label = {room: number for number, (rooms, _) in enumerate(layers) for room in rooms}
    first = _undisturbed(order.moves, label, range(len(layers)), frozenset())
    rest = [
        number
        for number in range(len(layers))
        if number not in first and _is_inner(order, layers[number][0])
    ]
    second = _undisturbed(order.moves, label, rest, first)
    components, inner = _components([one for _, one in layers], first, second)
    kept = {room for number in inner for room in layers[number][0]}
    covered = {line for one in components for line in one.lines}
    return Layers(
        components=tuple(components),
        alone=tuple(line for line in range(len(on_demand_usd)) if line not in covered),
        outer=Waterfall(order.rooms, tuple(one for one in order.moves if one.room not in kept)),
    )


class _Maker:
    """Makes a layer of rooms that cover the same lines, where their amounts add up."""

    def __init__(
        self,
        order: Waterfall,
        moves: Sequence[Sequence[Move]],
        held: int,
        hours: int,
        price: Floats,
    ) -> None:
        self._order = order
        self._moves = moves
        self._held = held
        self._hours = hours
        self._price = price

    def layer(self, rooms: Sequence[int]) -> Layer | None:
        """``None`` where a room's amount cannot be told in another's dollars."""
        groups, loose = self._agreed(rooms)
        lines = [line for group in groups for line in group]
        if any(len(self._lines(room)) > len(lines) for room in rooms):
            return None
        usd = {room: self._usd(room) for room in rooms}
        if not all(value > 0 for of in usd.values() for value in of.values()):
            return None
        if not all(self._price[line] > 0 for line in lines):
            return None
        offered = [room for room in rooms if room >= self._held]
        best = self._best(offered, usd)
        if offered and best is None:
            return None
        unit = rooms[0] if best is None else best
        owned, active = np.zeros(self._hours), np.zeros(self._hours)
        for room in rooms:
            if room < self._held:
                scale = _scale(usd[room], usd[unit])
                if scale is None:
                    return None
                of = self._order.rooms[room]
                amount = Fraction(of.per_hour) * of.usd_per_room
                owned[of.first : of.last] += float(amount * scale)
        if best is not None:
            of = self._order.rooms[best]
            active[of.first : of.last] = 1.0
        rate = np.array([float(usd[unit][line]) / self._price[line] for line in lines])
        return Layer(best, groups, loose, rate, owned, active)

    def _agreed(self, rooms: Sequence[int]) -> tuple[Sequenced, tuple[bool, ...]]:
        """Groups cut where all rooms have been through the same lines; loose unless one move."""
        taken = [[tuple(sorted(move.lines)) for move in self._moves[room]] for room in rooms]
        if all(one == taken[0] for one in taken):
            return tuple(taken[0]), (False,) * len(taken[0])
        ends = [_prefixes(one) for one in taken]
        groups: list[tuple[int, ...]] = []
        before: frozenset[int] = frozenset()
        for end in ends[0]:
            if all(end in other for other in ends[1:]):
                groups.append(tuple(sorted(end - before)))
                before = end
        moved = [set(one) for one in taken]
        return tuple(groups), tuple(not all(one in of for of in moved) for one in groups)

    def _lines(self, room: int) -> list[int]:
        return [line for move in self._moves[room] for line in move.lines]

    def _usd(self, room: int) -> dict[int, Fraction]:
        """Commitment dollars that a unit of each line uses up."""
        usd = self._order.rooms[room].usd_per_room
        return {
            line: Fraction(rate) * usd
            for move in self._moves[room]
            for line, rate in zip(move.lines, move.rates, strict=True)
        }

    def _best(self, offered: Sequence[int], usd: dict[int, dict[int, Fraction]]) -> int | None:
        """The one that covers no line dearer than any other does, in the same hours."""
        rooms = self._order.rooms
        for one in offered:
            if all(
                (rooms[one].first, rooms[one].last) == (rooms[other].first, rooms[other].last)
                and all(usd[one][line] <= of for line, of in usd[other].items())
                for other in offered
            ):
                return one
        return None


def _prefixes(taken: Sequence[tuple[int, ...]]) -> list[frozenset[int]]:
    """The lines gone through after each move."""
    return [frozenset(one) for one in accumulate(map(set, taken), or_)]


def _scale(of: Mapping[int, Fraction], unit: Mapping[int, Fraction]) -> Fraction | None:
    """How many of the unit's dollars one dollar is worth at most; ``None`` where that varies.

    Counting it at its most anywhere leaves the layer covering more than it does: a lower bound
    stays one, and is lower by no more than the ratios vary.
    """
    scales = [unit[line] / one for line, one in of.items()]
    return max(scales) if max(scales) <= (1 + _ALIKE_RATIO) * min(scales) else None


def _undisturbed(
    moves: Iterable[Move], label: dict[int, int], among: Iterable[int], before: frozenset[int]
) -> frozenset[int]:
    """Layers whose lines nobody but themselves and ``before`` has touched when they are done."""
    touched: dict[int, set[int]] = {}
    disturbed: set[int] = set()
    for move in moves:
        mine = label.get(move.room, -1)
        for line in move.lines:
            others = touched.setdefault(line, set())
            if others - before - {mine}:
                disturbed.add(mine)
            others.add(mine)
    return frozenset(among) - disturbed


def _is_inner(order: Waterfall, rooms: Sequence[int]) -> bool:
    """Whether another plan reaches all that these rooms cover."""
    reach: dict[int, set[int]] = {}
    for move in order.moves:
        if order.rooms[move.room].offering.kind.is_spend:
            reach.setdefault(move.room, set()).update(move.lines)
    mine = reach.get(rooms[0])
    return mine is not None and any(
        mine <= other for room, other in reach.items() if room not in rooms
    )


def _components(
    layers: Sequence[Layer], first: frozenset[int], second: frozenset[int]
) -> tuple[list[Component], set[int]]:
    """Second layers with the first ones beneath them, then first ones that stand alone."""
    components: list[Component] = []
    inner: set[int] = set()
    for number in sorted(second):
        lines = set(layers[number].lines)
        beneath = [one for one in sorted(first) if lines & set(layers[one].lines)]
        fits = all(
            set(layers[one].lines) <= lines and not any(layers[one].loose) for one in beneath
        )
        if inner & set(beneath) or not fits:
            continue
        components.append(
            Component(
                lines=tuple(sorted(lines)),
                first=tuple(layers[one] for one in beneath),
                second=layers[number],
            )
        )
        inner.update((number, *beneath))
    for number in sorted(first - inner):
        lines = set(layers[number].lines)
        components.append(Component(tuple(sorted(lines)), (layers[number],), None))
        inner.add(number)
    return components, inner
