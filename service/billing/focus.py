"""A bill's hours as FOCUS 1.2 rows: usage covered, usage on demand, commitment not used.

Decides which row says what and how cents are kept: every row's cost is whole nano-dollars, the rows
of a commitment add up to its used and unused dollars, the rows of a SKU to its on-demand dollars,
and so all rows to the bill's total.

Source: FOCUS 1.2, columns of the Cost and Usage dataset: SKU, pricing unit and quantity are asked
for in rows of unused commitment too, where they are those of what was bought. Purchases are not
among the rows: their cost is spread over the hours (EffectiveCost) as used and unused commitment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill
from service.billing.exact import Floats, Pair, number, scale, written
from service.billing.kernel import Hours, run
from service.billing.moves import Move
from service.billing.sharing import ORGANISATION, Sharing
from service.billing.waterfall import Waterfall, waterfall
from service.domain.errors import InputError, InvariantError
from service.domain.money import NANO_PER_USD, nano
from service.domain.usage import Dataset

NONE = -1
MOST_USD = 9e9  # a row's dollars, so that their nano-dollars fit 64 bits
NOTHING = 1e-18  # what 32 digits leave where exact arithmetic would leave nothing

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FocusRows:
    """Rows by hour, then line, then commitment, as columns.

    ``line`` indexes the usage lines (``NONE``: unused commitment), ``commitment`` the dataset's
    commitments (``NONE``: on demand). ``quantity`` is in the SKU's unit (0 when unused),
    ``commitment_quantity`` in dollars (spend) or units (capacity); ``effective_nano_usd`` whole
    nano-dollars.
    """

    hour: Ints
    line: Ints
    commitment: Ints
    quantity: Floats
    commitment_quantity: Floats
    effective_nano_usd: Ints


@dataclass(frozen=True, slots=True)
class _Part:
    hour: Ints
    line: Ints
    commitment: Ints
    quantity: Floats
    commitment_quantity: Floats
    usd: Pair


def focus_rows(dataset: Dataset, result: Bill, *, sharing: Sharing = ORGANISATION) -> FocusRows:
    """The rows of ``result``, which is the bill of ``dataset`` under ``sharing``."""
    usage = dataset.usage
    plan = waterfall(
        hours=usage.hours,
        lines=usage.lines,
        skus=dataset.skus,
        offerings=dataset.offerings,
        commitments=dataset.commitments,
        sharing=sharing,
    )
    parts: list[_Part] = []

    def note(move: Move, line: int, hours: Hours, covered: Pair) -> None:
        some = np.flatnonzero(covered.high > NOTHING)
        parts.append(_used(plan, move, line, hours[some], covered.take(some)))

    quantity = written(np.ascontiguousarray(usage.quantity.T))
    outcome = run(plan.rooms, plan.moves, quantity, note)
    used = _joined(parts)
    unused = _joined([_unused(plan, index, outcome.room) for index in range(len(plan.rooms))])
    bare = _joined([_bare(dataset, line, outcome.usage) for line in range(len(usage.lines))])
    uses = list(result.commitments.values())
    skus = [use.key for use in result.by_sku]
    place = {key: index for index, key in enumerate(skus)}
    sku_of_line = np.array([place[line.key] for line in usage.lines], dtype=np.int64)
    costs = [
        _whole_nanos(used.usd, used.commitment, [nano(use.used_usd) for use in uses]),
        _whole_nanos(unused.usd, unused.commitment, [nano(use.unused_usd) for use in uses]),
        _whole_nanos(
            bare.usd, sku_of_line[bare.line], [nano(use.on_demand_usd) for use in result.by_sku]
        ),
    ]
    rows = _sorted([used, unused, bare], costs)
    if _sum(rows.effective_nano_usd) != nano(result.total_usd):
        msg = "the FOCUS rows do not add up to the bill"
        raise InvariantError(msg)
    return rows


def _used(plan: Waterfall, move: Move, line: int, hours: Hours, covered: Pair) -> _Part:
    room = plan.rooms[move.room]
    rate = move.rates[move.lines.index(line)]
    taken = scale(covered, number(rate))
    count = len(hours)
    return _Part(
        hour=hours.astype(np.int64),
        line=np.full(count, line, dtype=np.int64),
        commitment=np.full(count, move.room, dtype=np.int64),
        quantity=covered.high,
        commitment_quantity=taken.high / float(room.per_quantity),
        usd=scale(taken, number(room.usd_per_room)),
    )


def _unused(plan: Waterfall, index: int, left: Pair) -> _Part:
    room = plan.rooms[index]
    hours = np.flatnonzero(left.high[index] > NOTHING)
    rest = Pair(left.high[index], left.low[index]).take(hours)
    return _Part(
        hour=hours.astype(np.int64),
        line=np.full(len(hours), NONE, dtype=np.int64),
        commitment=np.full(len(hours), index, dtype=np.int64),
        quantity=np.zeros(len(hours)),
        commitment_quantity=rest.high / float(room.per_quantity),
        usd=scale(rest, number(room.usd_per_room)),
    )


def _bare(dataset: Dataset, line: int, left: Pair) -> _Part:
    hours = np.flatnonzero(left.high[line] > NOTHING)
    rest = Pair(left.high[line], left.low[line]).take(hours)
    price = dataset.skus[dataset.usage.lines[line].key].on_demand_usd
    return _Part(
        hour=hours.astype(np.int64),
        line=np.full(len(hours), line, dtype=np.int64),
        commitment=np.full(len(hours), NONE, dtype=np.int64),
        quantity=rest.high,
        commitment_quantity=np.zeros(len(hours)),
        usd=scale(rest, number(price)),
    )


def _joined(parts: list[_Part]) -> _Part:
    nothing = np.zeros(0)
    none = np.zeros(0, dtype=np.int64)
    return _Part(
        hour=np.concatenate([none, *(part.hour for part in parts)]),
        line=np.concatenate([none, *(part.line for part in parts)]),
        commitment=np.concatenate([none, *(part.commitment for part in parts)]),
        quantity=np.concatenate([nothing, *(part.quantity for part in parts)]),
        commitment_quantity=np.concatenate(
            [nothing, *(part.commitment_quantity for part in parts)]
        ),
        usd=Pair(
            np.concatenate([nothing, *(part.usd.high for part in parts)]),
            np.concatenate([nothing, *(part.usd.low for part in parts)]),
        ),
    )


def _whole_nanos(usd: Pair, group: Ints, targets: list[int]) -> Ints:
    """Each amount rounded to whole nano-dollars so that every group adds up to its target.

    The nanos that rounding leaves over or short go to the rows that were rounded the most the
    other way.
    """
    if usd.high.max(initial=0.0) > MOST_USD:
        raise too_dear()
    dollars = np.floor(usd.high)
    rest = ((usd.high - dollars) + usd.low) * 1e9
    near = np.rint(rest)
    nanos = dollars.astype(np.int64) * NANO_PER_USD + near.astype(np.int64)
    over = near - rest
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(targets) + 1))
    for index, target in enumerate(targets):
        rows = order[bounds[index] : bounds[index + 1]]
        missing = target - _sum(nanos[rows])
        if not missing:
            continue
        if not len(rows):
            if abs(missing) > 1:
                msg = f"{missing} nano-dollars have no row"
                raise InvariantError(msg)
            continue
        turn = np.argsort(over[rows] if missing > 0 else -over[rows], kind="stable")
        step = 1 if missing > 0 else -1
        able = rows[turn]
        if step < 0:
            able = able[nanos[able] > 0]
        each, extra = divmod(abs(missing), len(able))
        nanos[able] += step * each
        nanos[able[:extra]] += step
    return nanos


def too_dear() -> InputError:
    """What to say of a row whose nano-dollars do not fit 64 bits."""
    return InputError(
        f"one hour of one line costs more than ${MOST_USD:.0f}",
        file="--out",
        remedy="Mend the quantity or the price: rows hold 64-bit nano-dollars",
    )


def _sum(nanos: Ints) -> int:
    """The exact sum, however large: 64 bits hold nine billion dollars."""
    dollars, rest = np.divmod(nanos, NANO_PER_USD)
    return int(dollars.sum()) * NANO_PER_USD + int(rest.sum())


def _sorted(parts: list[_Part], costs: list[Ints]) -> FocusRows:
    whole = _joined(parts)
    order = np.lexsort((whole.commitment, whole.line, whole.hour))
    return FocusRows(
        hour=whole.hour[order],
        line=whole.line[order],
        commitment=whole.commitment[order],
        quantity=whole.quantity[order],
        commitment_quantity=whole.commitment_quantity[order],
        effective_nano_usd=np.concatenate(costs)[order],
    )
