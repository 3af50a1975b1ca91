"""Makes the moves of a waterfall, for all hours at once, to 32 digits.

One state runs through: what is left of each line and of each room in each hour. A move looks only
at the hours in which both are left, so the work is that of what is covered, not of every pairing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.billing.exact import (
    Floats,
    Number,
    Pair,
    add,
    at_most,
    divide,
    multiply,
    number,
    scale,
    subtract,
    zeros,
)
from service.billing.moves import Move, Room

Hours = NDArray[np.intp]

Sink = Callable[[Move, int, Hours, Pair], None]
"""Told of every move: the move, the line, the hours and how much of the line was covered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left: ``usage`` by line and hour in the line's unit, ``room`` by room and hour."""

    usage: Pair
    room: Pair


def run(
    rooms: Sequence[Room], moves: Sequence[Move], usage: Pair, sink: Sink | None = None
) -> Outcome:
    """Make ``moves`` on ``usage`` (lines × hours), which is not changed."""
    left = Pair(usage.high.copy(), usage.low.copy())
    room = zeros((len(rooms), usage.high.shape[1]))
    for index, one in enumerate(rooms):
        capacity = number(one.per_hour)
        room.high[index, one.first : one.last] = capacity.high
        room.low[index, one.first : one.last] = capacity.low
    numbers: dict[object, Number] = {}
    shut = [one.first >= one.last or not one.per_hour for one in rooms]
    idle = [not line.any() for line in left.high]
    for move in moves:
        if shut[move.room] or all(idle[line] for line in move.lines):
            continue
        for rate in move.rates:
            if rate not in numbers:
                numbers[rate] = number(rate)
        rates = [numbers[rate] for rate in move.rates]
        room_of = rooms[move.room]
        span = slice(max(room_of.first, move.first), min(room_of.last, move.last))
        if span.start >= span.stop:
            continue
        have = Pair(room.high[move.room], room.low[move.room])
        if not _make(move, rates, left, have, span=span, sink=sink):
            # Nothing met: either the room is used up in every hour, or the usage is.
            shut[move.room] = not have.high.any()
            for line in move.lines:
                idle[line] = not left.high[line].any()
    return Outcome(left, room)


def _make(
    move: Move, rates: list[Number], left: Pair, have: Pair, *, span: slice, sink: Sink | None
) -> bool:
    wanted: Floats = left.high[move.lines[0], span]
    if len(move.lines) > 1:
        wanted = left.high[list(move.lines), span].sum(axis=0)
    hours = np.flatnonzero((have.high[span] > 0) & (wanted > 0)) + span.start
    if not len(hours):
        return False
    before = [Pair(left.high[line][hours], left.low[line][hours]) for line in move.lines]
    needs = [scale(one, rate) for one, rate in zip(before, rates, strict=True)]
    need = needs[0]
    for more in needs[1:]:
        need = add(need, more)
    there = have.take(hours)
    enough = at_most(need, there)
    short = np.flatnonzero(~enough)
    rest = subtract(there, need)
    rest.high[short] = 0.0
    rest.low[short] = 0.0
    have.put(hours, rest)
    share = divide(there.take(short), need.take(short)) if len(short) else None
    for line, one in zip(move.lines, before, strict=True):
        after = zeros((len(hours),))
        if share is not None:
            kept = one.take(short)
            after.put(short, subtract(kept, multiply(kept, share)))
        left.high[line][hours] = after.high
        left.low[line][hours] = after.low
        if sink is not None:
            sink(move, line, hours, subtract(one, after))
    return True
