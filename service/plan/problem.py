"""The portfolio problem as arrays: who may cover what, at what share of its on-demand price.

Decides which offerings can matter at all. All amounts are on-demand or commitment US dollars per
hour, float64. What may cover what is read off the billing waterfall's moves, so that the planner
and the bill can never disagree about an offering's scope; only the order of the moves is dropped.

A *resource* is room that commitments with the same reach share: offerings that cover the same
lines at proportional rates, and owned capacity of the same reach. One unit of a resource is the
room that costs $1 an hour at its cheapest offering. An *item* is usage that the same resources
cover at the same rates, in on-demand dollars; items with the same resources form a *group*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from service.billing.waterfall import Waterfall
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.hours import HOUR, TERM_HOURS, HourRange
from service.domain.ids import AccountId, CommitmentId, OfferingId

Floats = NDArray[np.float64]

CANDIDATE = "candidate:"
"""Prefix of the commitments that stand for what could be bought."""


@dataclass(frozen=True, slots=True)
class Group:
    """Items that the same resources cover.

    ``resources``: k indices. ``demand_usd``: items × hours, on-demand dollars. ``rate``: k × items,
    units of the resource that one on-demand dollar of the item uses up.
    """

    resources: tuple[int, ...]
    demand_usd: Floats
    rate: Floats


@dataclass(frozen=True, slots=True)
class Problem:
    """The relaxation's data.

    ``active``: resources × hours, 1 where a purchase of the resource made in the first hour lasts,
    0 where it has ended or where it cannot be bought. ``owned``: resources × hours, units owned
    already. ``offering``: the offering to buy of each resource, ``None`` when only owned.
    ``units_per_quantity``: units of the resource in one unit of that offering's quantity.
    ``fixed_usd``: on-demand dollars that no resource covers, over all hours.
    ``demand_total_usd``: all usage at on-demand prices, over all hours.
    """

    groups: tuple[Group, ...]
    active: Floats
    owned: Floats
    offering: tuple[OfferingId | None, ...]
    units_per_quantity: Floats
    fixed_usd: float
    demand_total_usd: float

    @property
    def hours(self) -> int:
        """Number of hours."""
        return int(self.active.shape[1])


@dataclass(frozen=True, slots=True)
class _Reach:
    """One room's edges: the room that a unit of each line uses up, in the room's own units."""

    lines: tuple[int, ...]
    rates: tuple[Decimal, ...]


def candidate(
    offering: Offering, hours: HourRange, account: AccountId, quantity: Decimal = Decimal(1)
) -> Commitment:
    """``offering`` bought in the first hour, shared with the whole organisation."""
    return Commitment(
        commitment=CommitmentId(CANDIDATE + offering.offering),
        offering=offering.offering,
        account=account,
        scope=None,
        zone=offering.zone,
        quantity=quantity,
        start=hours.start,
        end=hours.start + TERM_HOURS[offering.term_months] * HOUR,
        state=CommitmentState.ACTIVE,
    )


def as_sized(commitments: Sequence[Commitment]) -> tuple[Commitment, ...]:
    """The commitments as sizing counts them: queued and payment-pending as if active.

    What is paid for, or will be without a further decision, is owned from its start.
    """
    return tuple(
        replace(one, state=CommitmentState.ACTIVE) for one in commitments if one.state.is_owned
    )


def pose(
    order: Waterfall,
    *,
    held: int,
    quantity: Floats,
    on_demand_usd: Floats,
    keep_dominated: bool = False,
) -> Problem:
    """The relaxation's data for a waterfall of ``held`` commitments followed by candidates.

    ``quantity`` is lines × hours, ``on_demand_usd`` the price by line. An offering that another
    beats everywhere is left out unless ``keep_dominated``.
    """
    rows = _rows_of(order, held, quantity.shape[1], on_demand_usd, keep_dominated=keep_dominated)
    return _group(rows, quantity, on_demand_usd)


def _rows_of(
    order: Waterfall, held: int, hours: int, price: Floats, *, keep_dominated: bool = False
) -> _Rows:
    reaches = _reaches(order, price)
    buyable = _useful(order, reaches, held, price)
    if not keep_dominated:
        buyable = _undominated(order, reaches, buyable)
    rows = _Rows(order, reaches, hours, price)
    for index in buyable:
        rows.offer(index)
    for index in range(held):
        rows.own(index)
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Outer:
    """Resources whose usage is yet to be told.

    By resource: the ``lines`` that it may cover, and ``rates``, units per on-demand dollar of
    each; the rest as in ``Problem``.
    """

    lines: tuple[NDArray[np.intp], ...]
    rates: tuple[Floats, ...]
    active: Floats
    owned: Floats
    offering: tuple[OfferingId | None, ...]
    units_per_quantity: Floats

    def problem(self, demand_usd: Floats) -> Problem:
        """The relaxation for on-demand dollars by line and hour."""
        covers: list[list[tuple[int, float]]] = [[] for _ in demand_usd]
        for row, (lines, rates) in enumerate(zip(self.lines, self.rates, strict=True)):
            for line, rate in zip(lines.tolist(), rates.tolist(), strict=True):
                covers[line].append((row, rate))
        total = demand_usd.sum(axis=1)
        members: dict[tuple[int, ...], list[int]] = {}
        for line, of in enumerate(covers):
            if of and total[line] > 0:
                members.setdefault(tuple(row for row, _ in of), []).append(line)
        inside = sum(float(total[lines].sum()) for lines in members.values())
        return Problem(
            groups=tuple(
                Group(
                    resources,
                    demand_usd[lines],
                    np.array([[rate for _, rate in covers[line]] for line in lines]).T.copy(),
                )
                for resources, lines in members.items()
            ),
            active=self.active,
            owned=self.owned,
            offering=self.offering,
            units_per_quantity=self.units_per_quantity,
            fixed_usd=float(total.sum()) - inside,
            demand_total_usd=float(total.sum()),
        )


def outer_of(order: Waterfall, *, held: int, hours: int, on_demand_usd: Floats) -> Outer:
    """The resources of a waterfall of ``held`` commitments followed by candidates."""
    rows = _rows_of(order, held, hours, on_demand_usd)
    edges = [_edges(reach) for reach in rows.reach]
    shape = (len(rows.reach), hours)
    return Outer(
        lines=tuple(np.array([line for line, _ in of], dtype=np.intp) for of in edges),
        rates=tuple(
            np.array([float(rate) * usd / float(on_demand_usd[line]) for line, rate in of])
            for of, usd in zip(edges, rows.usd_per_room, strict=True)
        ),
        active=np.array(rows.active).reshape(shape),
        owned=np.array(rows.owned).reshape(shape),
        offering=tuple(rows.offering),
        units_per_quantity=np.array(rows.units_per_quantity),
    )


def _reaches(order: Waterfall, price: Floats) -> list[_Reach]:
    edges: list[dict[int, Decimal]] = [{} for _ in order.rooms]
    for move in order.moves:
        for line, rate in zip(move.lines, move.rates, strict=True):
            if price[line] > 0:
                edges[move.room][line] = rate
    return [_Reach(tuple(sorted(one)), tuple(one[line] for line in sorted(one))) for one in edges]


class _Rows:
    """Resources as they are found: rooms of the same reach share one."""

    def __init__(
        self, order: Waterfall, reaches: Sequence[_Reach], hours: int, price: Floats
    ) -> None:
        self.reach: list[_Reach] = []
        self.usd_per_room: list[float] = []
        self.offering: list[OfferingId | None] = []
        self.units_per_quantity: list[float] = []
        self.active: list[Floats] = []
        self.owned: list[Floats] = []
        self._index: dict[_Reach, int] = {}
        self._order = order
        self._reaches = reaches
        self._hours = hours
        self._price = price

    def offer(self, index: int) -> None:
        """A resource for the candidate in room ``index``."""
        room = self._order.rooms[index]
        active = np.zeros(self._hours)
        active[room.first : room.last] = 1.0
        usd_per_room = float(room.usd_per_room)
        per_quantity = float(room.per_quantity) * usd_per_room
        self._add(self._reaches[index], usd_per_room, active, room.offering.offering, per_quantity)

    def own(self, index: int) -> None:
        """Room owned in ``index``, in a resource of the same reach or in one of its own."""
        room, reach = self._order.rooms[index], self._reaches[index]
        if room.first >= room.last or not reach.lines:
            return
        if reach not in self._index:
            worth = [
                float(self._price[line]) / float(rate) for line, rate in _edges(reach) if rate > 0
            ]
            usd_per_room = float(np.mean(worth)) if worth else 1.0
            self._add(reach, usd_per_room, np.zeros(self._hours), None, 0.0)
        row = self._index[reach]
        self.owned[row][room.first : room.last] += float(room.per_hour) * self.usd_per_room[row]

    def _add(
        self,
        reach: _Reach,
        usd_per_room: float,
        active: Floats,
        offering: OfferingId | None,
        per_quantity: float,
    ) -> None:
        self._index.setdefault(reach, len(self.reach))
        self.reach.append(reach)
        self.usd_per_room.append(usd_per_room)
        self.offering.append(offering)
        self.units_per_quantity.append(per_quantity)
        self.active.append(active)
        self.owned.append(np.zeros(self._hours))


def _useful(order: Waterfall, reaches: Sequence[_Reach], held: int, price: Floats) -> list[int]:
    """Candidates that begin within the hours and beat on demand for something."""
    return [
        index
        for index in range(held, len(order.rooms))
        if order.rooms[index].first < order.rooms[index].last
        and order.rooms[index].usd_per_room > 0
        and _saves(order, reaches, index, price)
    ]


def _undominated(order: Waterfall, reaches: Sequence[_Reach], useful: list[int]) -> list[int]:
    ratios = {index: _ratios(order, reaches, index) for index in useful}
    return [
        index
        for index in useful
        if not any(_dominates(order, ratios, other, index) for other in useful if other != index)
    ]


def _edges(reach: _Reach) -> list[tuple[int, Decimal]]:
    return list(zip(reach.lines, reach.rates, strict=True))


def _ratios(order: Waterfall, reaches: Sequence[_Reach], index: int) -> Mapping[int, Fraction]:
    """Dollars of commitment that one unit of each line uses up."""
    usd = order.rooms[index].usd_per_room
    return {line: Fraction(rate) * usd for line, rate in _edges(reaches[index])}


def _saves(order: Waterfall, reaches: Sequence[_Reach], index: int, price: Floats) -> bool:
    usd = float(order.rooms[index].usd_per_room)
    return any(float(rate) * usd < price[line] for line, rate in _edges(reaches[index]))


def _dominates(
    order: Waterfall, ratios: Mapping[int, Mapping[int, Fraction]], one: int, other: int
) -> bool:
    """Whether ``one`` covers all that ``other`` covers, never for more, in the same hours.

    Of two that dominate each other the first stays.
    """
    rooms = order.rooms
    mine, theirs = ratios[one], ratios[other]
    if (rooms[one].first, rooms[one].last) != (rooms[other].first, rooms[other].last):
        return False
    if len(mine) < len(theirs) or not all(
        line in mine and mine[line] <= ratio for line, ratio in theirs.items()
    ):
        return False
    return one < other or mine != theirs


def _group(rows: _Rows, quantity: Floats, price: Floats) -> Problem:
    """Merge lines that the same resources cover at the same rates, then group by resources."""
    slots: list[list[tuple[int, float]]] = [[] for _ in price]
    for row, (reach, usd) in enumerate(zip(rows.reach, rows.usd_per_room, strict=True)):
        for line, rate in _edges(reach):
            slots[line].append((row, float(rate) * usd / float(price[line])))
    fixed, total = 0.0, 0.0
    members: dict[tuple[int, ...], dict[tuple[float, ...], list[int]]] = {}
    for line, covers in enumerate(slots):
        spent = float(quantity[line].sum() * price[line])
        total += spent
        if not covers or spent == 0:
            fixed += spent
            continue
        resources = tuple(row for row, _ in covers)
        rates = tuple(rate for _, rate in covers)
        members.setdefault(resources, {}).setdefault(rates, []).append(line)
    groups = []
    for resources, items in members.items():
        demand = np.empty((len(items), quantity.shape[1]))
        for item, lines in enumerate(items.values()):
            demand[item] = price[lines] @ quantity[lines]
        groups.append(Group(resources, demand, np.array(list(items)).T.copy()))
    shape = (len(rows.reach), quantity.shape[1])
    return Problem(
        groups=tuple(groups),
        active=np.array(rows.active).reshape(shape),
        owned=np.array(rows.owned).reshape(shape),
        offering=tuple(rows.offering),
        units_per_quantity=np.array(rows.units_per_quantity),
        fixed_usd=fixed,
        demand_total_usd=total,
    )
