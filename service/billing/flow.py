"""Makes moves in float64 and carries worth back over them: the arithmetic below ``market``.

Hours do not touch each other, so they may stand in any order. In the order of what is used in them
a room is open, and something is left of a line, in runs of hours that are nearly whole. A move is a
few passes over one run, without choosing hours: where a room is used up or a line is gone, the
arithmetic comes out as no change. Rows are used again from call to call, since fresh memory costs
more than the arithmetic.

An hour of a room in which some usage did not fit is closed for good: its next dollar belongs there.
For slopes it is noted which hours each step closed, and which room took the rest of a line that had
been short before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.billing.exact import Floats

Index = NDArray[np.intp]
Flags = NDArray[np.bool_]
_TRUE = b"\x01"
_LEAST = float(np.finfo(np.float64).tiny)


class Step(NamedTuple):
    """A move in float64: ``room`` is the position of a pool, rates by line."""

    room: int
    lines: tuple[int, ...]
    rates: tuple[float, ...]


class Rows:
    """Rows of ``hours`` numbers to be used again; any thread may take and give."""

    def __init__(self, hours: int) -> None:
        self._hours = hours
        self._free: list[Floats] = []

    def take(self) -> Floats:
        """A row that nobody else has; what it holds is left over from before."""
        try:
            return self._free.pop()
        except IndexError:
            return np.empty(self._hours)

    def give(self, *rows: Floats) -> None:
        """Let go of rows."""
        self._free.extend(rows)


@dataclass(frozen=True, slots=True)
class _Covered:
    """In ``hours`` a room took all that was left of a line."""

    room: int
    line: int
    rate: float
    hours: Index


@dataclass(frozen=True, slots=True)
class _Short:
    """In ``hours`` a room was used up by one line."""

    room: int
    line: int
    rate: float
    hours: Index


@dataclass(frozen=True, slots=True)
class _Shared:
    """In ``hours`` a room was used up by several lines, of each of which it took ``share``.

    ``parts``: line, rate, what the line had in those hours, whether it had been short before.
    """

    room: int
    hours: Index
    share: Floats
    need: Floats
    parts: tuple[tuple[int, float, Floats, bool], ...]


@dataclass(slots=True)
class _Run:
    """A row that is all zero outside ``[first, last)``, and within where no flag is."""

    row: Floats
    flags: Flags
    first: int
    last: int

    def shrink(self, first: int, last: int, flags: Flags) -> None:
        """Within ``[first, last)`` it is now zero where no flag is; drop that from the ends."""
        if self.first < first and last < self.last:
            return
        if not flags.any():
            if self.first >= first:
                self.first = min(last, self.last)
            else:
                self.last = first
            return
        if self.first >= first:
            self.first = first + int(flags.argmax())
        if self.last <= last:
            # As bytes: the last of them is found many times as fast.
            self.last = first + flags.tobytes().rfind(_TRUE) + 1


@dataclass(slots=True)
class _Pool:
    """A room as it stands by hour; ``open`` counts the hours that are not closed."""

    run: _Run
    open: int


class Flow:
    """Lines × hours of usage going through rooms, step by step, on rows of ``rows``.

    ``opened`` (pools × hours) tells in which hours a pool has its ``room``. ``noted``: note what
    ``worth`` needs. Close it when done: the rows go back.
    """

    def __init__(
        self, quantity: Floats, opened: Flags, room: Sequence[float], rows: Rows, *, noted: bool
    ) -> None:
        self._quantity, self._rows, self._noted = quantity, rows, noted
        self._hours = quantity.shape[1]
        self._events: list[_Covered | _Short | _Shared] = []
        self._need, self._rest, self._ones = rows.take(), rows.take(), rows.take()
        self._ones.fill(1.0)
        self._left: dict[int, _Run] = {}
        self._gone: set[int] = set()
        # Where a line was short and nothing has taken the rest since.
        self._pending: dict[int, Flags] = {}
        self._pools = [self._pool(*pair) for pair in zip(opened.copy(), room, strict=True)]

    def _pool(self, opened: Flags, room: float) -> _Pool:
        row = self._rows.take()
        count = int(np.count_nonzero(opened))
        if count == self._hours:
            row.fill(room)
        else:
            np.multiply(opened, room, out=row)
        run = _Run(row, opened, 0, self._hours)
        run.shrink(0, self._hours, opened)
        return _Pool(run, count if room > 0.0 or self._noted else 0)

    def close(self) -> None:
        """Give all rows back; the flow is not to be used after."""
        self._rows.give(self._need, self._rest, self._ones)
        self._rows.give(*(pool.run.row for pool in self._pools))
        self._rows.give(*(run.row for run in self._left.values()))

    def run(self, steps: Sequence[Step]) -> None:
        """Make the steps in order."""
        pools, gone = self._pools, self._gone
        for room, lines, rates in steps:
            if not pools[room].open:
                continue
            if len(lines) > 1:
                if not gone.issuperset(lines):
                    self._many(room, lines, rates)
            elif lines[0] not in gone:
                self._one(room, lines[0], rates[0])

    def left(self, line: int) -> Floats:
        """What is left of a line in every hour; not to be changed."""
        if line in self._gone:
            return np.zeros(self._hours)
        known = self._left.get(line)
        row: Floats = self._quantity[line] if known is None else known.row
        return row

    def total(self, line: int, whole: float) -> float:
        """The sum of what is left of a line over the hours; ``whole`` when no step met it."""
        if line in self._gone:
            return 0.0
        known = self._left.get(line)
        if known is None:
            return whole
        # A product with ones adds up twice as fast as a sum.
        hours = slice(known.first, known.last)
        return float(known.row[hours] @ self._ones[hours])

    def _one(self, at: int, line: int, rate: float) -> None:
        pool, known = self._pools[at], self._left.get(line)
        first, last = pool.run.first, pool.run.last
        if known is None:
            before = self._quantity[line]
        else:
            before = known.row
            first, last = max(first, known.first), min(last, known.last)
            if not np.logical_and(pool.run.flags[first:last], known.flags[first:last]).any():
                return
        need, rest = self._need[first:last], self._rest[first:last]
        room = pool.run.row[first:last]
        np.multiply(before[first:last], rate, out=need)
        np.subtract(room, need, out=rest)
        late = rest < 0.0
        if self._noted and line in self._pending:
            self._note_cover(at, line, rate, first, late)
        short = self._close(pool, first, last, late)
        if short is not None and self._noted:
            hours = short.nonzero()[0] + first
            self._events.append(_Short(at, line, rate, hours))
            self._pend(line, first, last, short)
        np.maximum(rest, 0.0, out=room)
        if late.any():
            np.minimum(rest, 0.0, out=rest)
            np.multiply(rest, -1.0 / rate, out=self._row(line, first, last))
        else:
            self._row(line, first, last).fill(0.0)
        self._shrink(line, first, last, late)

    def _many(self, at: int, lines: tuple[int, ...], rates: tuple[float, ...]) -> None:
        """Several lines meet a room; where it is too small, each is covered by the same share."""
        pool = self._pools[at]
        first, last = pool.run.first, pool.run.last
        need, rest = self._need[first:last], self._rest[first:last]
        room = pool.run.row[first:last]
        pairs = [pair for pair in zip(lines, rates, strict=True) if pair[0] not in self._gone]
        need.fill(0.0)
        for line, rate in pairs:
            np.multiply(self.left(line)[first:last], rate, out=rest)
            np.add(need, rest, out=need)
        np.subtract(room, need, out=rest)
        late = rest < 0.0
        if self._noted:
            for line, rate in pairs:
                if line in self._pending:
                    self._note_cover(at, line, rate, first, late)
        short = self._close(pool, first, last, late)
        if short is not None and self._noted:
            self._note_shared(at, pairs, first, short)
        np.maximum(rest, 0.0, out=room)
        # The share that is left: 0 where all fitted, 1 where there was no room, else between.
        np.minimum(rest, 0.0, out=rest)
        np.maximum(need, _LEAST, out=need)
        np.divide(rest, need, out=need)
        np.negative(need, out=need)
        for line, _ in pairs:
            before = self.left(line)[first:last]
            np.multiply(before, need, out=self._row(line, first, last))
            self._shrink(line, first, last, late)

    def _close(self, pool: _Pool, first: int, last: int, late: Flags) -> Flags | None:
        """Close the room in the hours that are late; returns which were open, ``None`` for none."""
        opened = pool.run.flags[first:last]
        short: Flags = np.logical_and(late, opened)
        count = int(np.count_nonzero(short))
        if not count:
            return None
        np.logical_xor(opened, short, out=opened)
        pool.open -= count
        pool.run.shrink(first, last, opened)
        return short

    def _row(self, line: int, first: int, last: int) -> Floats:
        """The line's row in ``[first, last)``, to be written; what it holds does not matter."""
        known = self._left.get(line)
        if known is None:
            known = self._left[line] = _Run(
                self._rows.take(), np.ones(self._hours, dtype=np.bool_), 0, self._hours
            )
            whole = self._quantity[line]
            known.row[:first] = whole[:first]
            known.row[last:] = whole[last:]
        return known.row[first:last]

    def _shrink(self, line: int, first: int, last: int, late: Flags) -> None:
        known = self._left[line]
        known.flags[first:last] = late
        known.shrink(first, last, late)
        if known.first >= known.last:
            self._gone.add(line)
            self._rows.give(self._left.pop(line).row)

    def _pend(self, line: int, first: int, last: int, short: Flags) -> None:
        pending = self._pending.get(line)
        if pending is None:
            pending = self._pending[line] = np.zeros(self._hours, dtype=np.bool_)
        np.logical_or(pending[first:last], short, out=pending[first:last])

    def _note_cover(self, at: int, line: int, rate: float, first: int, late: Flags) -> None:
        """Note where a room took all the rest of a line that had been short before."""
        pending = self._pending[line][first : first + len(late)]
        done = np.greater(pending, late)
        hours = done.nonzero()[0]
        if len(hours):
            np.logical_xor(pending, done, out=pending)
            self._events.append(_Covered(at, line, rate, hours + first))

    def _note_shared(
        self, at: int, pairs: Sequence[tuple[int, float]], first: int, short: Flags
    ) -> None:
        hours = short.nonzero()[0]
        need = self._need[first : first + len(short)][hours]
        hours += first
        share = self._pools[at].run.row[hours] / need
        parts = tuple(
            (line, rate, self.left(line)[hours], line in self._pending) for line, rate in pairs
        )
        self._events.append(_Shared(at, hours, share, need, parts))
        for line, _ in pairs:
            self._pend(line, first, first + len(short), short)

    def worth(self, on_demand_usd: Floats) -> Floats:
        """On-demand dollars that one more unit of each room in every hour would save.

        A unit of a line is worth its price, unless a later room would take it; a unit of room, what
        it would take. So worth is carried backwards over what was noted.
        """
        value = [self._rows.take() for _ in self._pools]
        for room in value:
            room.fill(0.0)
        unit = {line: self._rows.take() for line in self._pending}
        for line, row in unit.items():
            # Where something took the rest the worth comes with it; elsewhere it is never asked.
            row[self._pending[line].nonzero()[0]] = on_demand_usd[line]
        for event in reversed(self._events):
            room, hours = value[event.room], event.hours
            if isinstance(event, _Covered):
                unit[event.line][hours] = room[hours] * event.rate
            elif isinstance(event, _Short):
                room[hours] = unit[event.line][hours] / event.rate
            else:
                room[hours] = _share_back(event, unit)
        saved = np.array([room @ self._ones for room in value])
        self._rows.give(*unit.values(), *value)
        return saved


def _share_back(event: _Shared, unit: dict[int, Floats]) -> Floats:
    """What a unit of room is worth; the worth of each line's unit before the step is written."""
    lost = np.zeros(len(event.hours))
    worth = [unit[line][event.hours] for line, _, _, _ in event.parts]
    for one, (_, _, had, _) in zip(worth, event.parts, strict=True):
        lost += one * had
    marginal: Floats = lost / event.need
    for one, (line, rate, _, short_before) in zip(worth, event.parts, strict=True):
        if short_before:
            unit[line][event.hours] = one * (1.0 - event.share) + rate * event.share * marginal
    return marginal
