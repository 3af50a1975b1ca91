"""What a provider charges for usage under commitments: the one truth about money.

Decides nothing about the order in which commitments are applied (``aws``, ``azure``, ``gcp``), only
what the result is worth. All amounts are US dollars, exact to the nano-dollar: parts are rounded so
that they add up to their total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from service.billing.exact import (
    Floats,
    Pair,
    apportioned,
    fractions,
    rounded,
    totals,
    written,
)
from service.billing.kernel import Outcome, run
from service.billing.moves import Room, moves_within, within
from service.billing.sharing import ORGANISATION, Sharing
from service.billing.waterfall import Waterfall, waterfall
from service.domain.hours import HourRange
from service.domain.ids import CommitmentId
from service.domain.usage import Dataset, SkuKey

NANO_PLACES = 9
QUANTITY_PLACES = 12
RATIO_PLACES = 15


@dataclass(frozen=True, slots=True)
class CommitmentUse:
    """What became of one commitment over the hours, in dollars; unused = committed − used.

    Capacity: the amortised cost of the capacity owned, and of what was matched.
    """

    committed_usd: Decimal
    used_usd: Decimal
    unused_usd: Decimal
    utilization_ratio: Decimal


@dataclass(frozen=True, slots=True)
class SkuUse:
    """What became of one SKU's usage; covered + on demand = quantity, in the SKU's unit."""

    key: SkuKey
    quantity: Decimal
    covered_quantity: Decimal
    on_demand_quantity: Decimal
    on_demand_usd: Decimal


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill over ``hours``.

    ``on_demand_equivalent_usd`` is all usage at the customer's on-demand price, ``on_demand_usd``
    the usage that nothing covers, ``commitment_usd`` every hour's commitments, used or not, and
    ``total_usd`` the sum of the last two. ``coverage_ratio`` is on-demand dollars of covered usage
    over those of all usage; ``utilization_ratio`` used over committed dollars;
    ``effective_savings_rate`` 1 − total / on-demand equivalent. Each is 0 where nothing is divided.

    Arrays are float64 dollars: ``hourly_on_demand_usd`` (hours), ``hourly_used_usd`` and
    ``hourly_unused_usd`` (commitments in the order of ``commitments`` × hours).
    """

    hours: HourRange
    on_demand_equivalent_usd: Decimal
    on_demand_usd: Decimal
    commitment_usd: Decimal
    total_usd: Decimal
    coverage_ratio: Decimal
    utilization_ratio: Decimal
    effective_savings_rate: Decimal
    commitments: Mapping[CommitmentId, CommitmentUse]
    by_sku: tuple[SkuUse, ...]
    hourly_on_demand_usd: Floats
    hourly_used_usd: Floats
    hourly_unused_usd: Floats


CELLS_AT_ONCE = 1 << 23
"""Lines × hours worked on at a time: hours do not touch each other, and memory is finite."""


def bill(
    dataset: Dataset, *, sharing: Sharing = ORGANISATION, cells_at_once: int = CELLS_AT_ONCE
) -> Bill:
    """Apply the dataset's commitments to its usage, hour by hour, as the providers do.

    Memory grows with ``cells_at_once`` (lines × hours), the result does not depend on it.
    """
    usage = dataset.usage
    plan = waterfall(
        hours=usage.hours,
        lines=usage.lines,
        skus=dataset.skus,
        offerings=dataset.offerings,
        commitments=dataset.commitments,
        sharing=sharing,
    )
    parts = []
    for hours in _blocks(usage.hours.count, cells_at_once // max(1, len(usage.lines))):
        quantity = written(np.ascontiguousarray(usage.quantity[hours].T))
        rooms = [within(room, hours) for room in plan.rooms]
        parts.append(
            _sums(dataset, quantity, run(rooms, moves_within(plan.moves, hours), quantity))
        )
    return _bill(dataset, plan, parts)


def settle(dataset: Dataset, plan: Waterfall, quantity: Pair, outcome: Outcome) -> Bill:
    """The bill of a waterfall's outcome; ``quantity`` is lines × hours."""
    return _bill(dataset, plan, [_sums(dataset, quantity, outcome)])


@dataclass(frozen=True, slots=True)
class _Sums:
    """What some hours add up to: exact sums by line and by room, float64 dollars by hour."""

    used: list[Fraction]
    left: list[Fraction]
    room_left: list[Fraction]
    hourly_on_demand_usd: Floats
    hourly_room_left: Floats


def _blocks(hours: int, size: int) -> Iterator[slice]:
    for first in range(0, hours, max(1, size)):
        yield slice(first, min(first + max(1, size), hours))


def _sums(dataset: Dataset, quantity: Pair, outcome: Outcome) -> _Sums:
    prices = [float(dataset.skus[line.key].on_demand_usd) for line in dataset.usage.lines]
    return _Sums(
        used=fractions(totals(quantity)),
        left=fractions(totals(outcome.usage)),
        room_left=fractions(totals(outcome.room)),
        hourly_on_demand_usd=np.array(prices) @ outcome.usage.high,
        hourly_room_left=outcome.room.high,
    )


def _bill(dataset: Dataset, plan: Waterfall, parts: Sequence[_Sums]) -> Bill:
    keys = [line.key for line in dataset.usage.lines]
    used = _sums_by_key(keys, [part.used for part in parts])
    left = _sums_by_key(keys, [part.left for part in parts])
    price = {key: Fraction(dataset.skus[key].on_demand_usd) for key in used}
    equivalent = sum((used[key] * price[key] for key in used), Fraction(0))
    uncovered = {key: left[key] * price[key] for key in used}
    on_demand = sum(uncovered.values(), Fraction(0))
    committed = [_committed(room) for room in plan.rooms]
    all_committed = sum(committed, Fraction(0))
    spent = [
        one - sum((part.room_left[index] for part in parts), Fraction(0)) * room.usd_per_room
        for index, (room, one) in enumerate(zip(plan.rooms, committed, strict=True))
    ]
    equivalent_usd = rounded(equivalent, NANO_PLACES)
    on_demand_usd = rounded(on_demand, NANO_PLACES)
    commitment_usd = rounded(all_committed, NANO_PLACES)
    total_usd = on_demand_usd + commitment_usd
    hourly_used, hourly_unused = _hourly(plan, parts)
    return Bill(
        hours=dataset.usage.hours,
        on_demand_equivalent_usd=equivalent_usd,
        on_demand_usd=on_demand_usd,
        commitment_usd=commitment_usd,
        total_usd=total_usd,
        coverage_ratio=_ratio(equivalent - on_demand, equivalent),
        utilization_ratio=_ratio(sum(spent, Fraction(0)), all_committed),
        # From the dollars as shown, so that whoever divides them gets the same rate.
        effective_savings_rate=_ratio(
            Fraction(equivalent_usd - total_usd), Fraction(equivalent_usd)
        ),
        commitments=_uses(plan.rooms, committed, spent, commitment_usd),
        by_sku=tuple(_sku_uses(used, left, uncovered, on_demand_usd)),
        hourly_on_demand_usd=np.concatenate([part.hourly_on_demand_usd for part in parts]),
        hourly_used_usd=hourly_used,
        hourly_unused_usd=hourly_unused,
    )


def _sums_by_key(
    keys: Sequence[SkuKey], parts: Sequence[Sequence[Fraction]]
) -> dict[SkuKey, Fraction]:
    sums = dict.fromkeys(sorted(set(keys)), Fraction(0))
    for part in parts:
        for key, value in zip(keys, part, strict=True):
            sums[key] += value
    return sums


def _committed(room: Room) -> Fraction:
    return Fraction(room.per_hour) * room.usd_per_room * (room.last - room.first)


def _hourly(plan: Waterfall, parts: Sequence[_Sums]) -> tuple[Floats, Floats]:
    usd = np.array([float(room.usd_per_room) for room in plan.rooms]).reshape(-1, 1)
    unused = np.concatenate([part.hourly_room_left for part in parts], axis=1) * usd
    used = np.zeros_like(unused)
    for index, room in enumerate(plan.rooms):
        span = slice(room.first, room.last)
        used[index, span] = float(room.per_hour) * usd[index] - unused[index, span]
    return np.maximum(used, 0.0), unused


def _ratio(part: Fraction, whole: Fraction) -> Decimal:
    return rounded(part / whole, RATIO_PLACES) if whole else Decimal(0)


def _uses(
    rooms: Sequence[Room],
    committed: Sequence[Fraction],
    spent: Sequence[Fraction],
    commitment_usd: Decimal,
) -> dict[CommitmentId, CommitmentUse]:
    uses = {}
    shown = apportioned(committed, commitment_usd, NANO_PLACES)
    for room, all_usd, exact, used in zip(rooms, shown, committed, spent, strict=True):
        used_usd = min(rounded(used, NANO_PLACES), all_usd)
        uses[room.commitment.commitment] = CommitmentUse(
            committed_usd=all_usd,
            used_usd=used_usd,
            unused_usd=all_usd - used_usd,
            utilization_ratio=_ratio(used, exact),
        )
    return uses


def _sku_uses(
    used: Mapping[SkuKey, Fraction],
    left: Mapping[SkuKey, Fraction],
    uncovered: Mapping[SkuKey, Fraction],
    on_demand_usd: Decimal,
) -> Iterator[SkuUse]:
    shown = apportioned(list(uncovered.values()), on_demand_usd, NANO_PLACES)
    for key, usd in zip(used, shown, strict=True):
        quantity = rounded(used[key], QUANTITY_PLACES)
        on_demand = rounded(left[key], QUANTITY_PLACES)
        yield SkuUse(key, quantity, quantity - on_demand, on_demand, usd)
