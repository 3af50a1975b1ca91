"""Tells what covered what in one hour, in what order, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from service.billing.bill import NANO_PLACES, QUANTITY_PLACES
from service.billing.exact import Pair, fractions, rounded, written
from service.billing.kernel import Hours, run
from service.billing.moves import Move
from service.billing.sharing import ORGANISATION, Sharing
from service.billing.waterfall import Waterfall, waterfall
from service.domain.hours import HourRange, iso
from service.domain.ids import CommitmentId
from service.domain.money import text
from service.domain.usage import Dataset, UsageLine

_PERCENT_PLACES = 4


@dataclass(frozen=True, slots=True)
class Cover:
    """One move that covered something. Money is dollars in that hour, ``saving_ratio`` ≤ 1.

    ``rate`` is the room that one unit of usage takes: dollars of commitment (spend) or normalised
    units (capacity); ``room_left`` is what the commitment has left afterwards, in the same unit.
    """

    commitment: CommitmentId
    rule: str
    line: UsageLine
    quantity: Decimal
    rate: Decimal
    used_usd: Decimal
    on_demand_usd: Decimal
    saving_ratio: Decimal
    room_left: Decimal
    whole: bool


@dataclass(frozen=True, slots=True)
class Left:
    """Usage that nothing covered."""

    line: UsageLine
    quantity: Decimal
    on_demand_usd: Decimal
    why: str


@dataclass(frozen=True, slots=True)
class Idle:
    """A commitment's dollars that the hour lost, or why it took no part (then 0)."""

    commitment: CommitmentId
    unused_usd: Decimal
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One hour: ``covers`` in the order in which they were made."""

    hour: str
    covers: tuple[Cover, ...]
    on_demand: tuple[Left, ...]
    idle: tuple[Idle, ...]

    def as_json(self) -> dict[str, object]:
        """Plain fields, decimals as they are."""
        return {
            "hour": self.hour,
            "covers": [
                {
                    "commitment": one.commitment,
                    "rule": one.rule,
                    **_label(one.line),
                    "quantity": one.quantity,
                    "rate": one.rate,
                    "used_usd": one.used_usd,
                    "on_demand_usd": one.on_demand_usd,
                    "saving_ratio": one.saving_ratio,
                    "room_left": one.room_left,
                }
                for one in self.covers
            ],
            "on_demand": [
                {
                    **_label(one.line),
                    "quantity": one.quantity,
                    "on_demand_usd": one.on_demand_usd,
                    "why": one.why,
                }
                for one in self.on_demand
            ],
            "idle": [
                {"commitment": one.commitment, "unused_usd": one.unused_usd, "why": one.why}
                for one in self.idle
            ],
        }

    def sentences(self) -> Iterator[str]:
        """The hour told in words, one sentence a line."""
        yield f"In the hour from {self.hour}:"
        for number, one in enumerate(self.covers, start=1):
            yield f"{number}. {_cover_words(one)}"
        for left in self.on_demand:
            yield (
                f"On demand: {text(left.quantity)} of {_line_words(left.line)} cost"
                f" ${text(left.on_demand_usd)}; {left.why}."
            )
        for idle in self.idle:
            yield f"{idle.commitment}: {idle.why}."


def explain(dataset: Dataset, hour: int, *, sharing: Sharing = ORGANISATION) -> Explanation:
    """What happened in the dataset's hour number ``hour``; the same as in the whole bill."""
    usage = dataset.usage
    hours = HourRange(usage.hours.hour(hour), 1)
    plan = waterfall(
        hours=hours,
        lines=usage.lines,
        skus=dataset.skus,
        offerings=dataset.offerings,
        commitments=dataset.commitments,
        sharing=sharing,
    )
    # Digits are those of the whole dataset: the hour alone could read a quantity otherwise.
    column = np.ascontiguousarray(usage.quantity[hour : hour + 1].T)
    covers: list[Cover] = []
    spent: dict[int, Fraction] = {}

    def note(move: Move, line: int, _: Hours, covered: Pair) -> None:
        (quantity,) = fractions(covered)
        if not rounded(quantity, QUANTITY_PLACES):
            return
        covers.append(_cover(dataset, plan, move, line, quantity=quantity, spent=spent))

    outcome = run(plan.rooms, plan.moves, written(column), note)
    left = fractions(Pair(outcome.usage.high[:, 0], outcome.usage.low[:, 0]))
    return Explanation(
        hour=iso(hours.start),
        covers=tuple(covers),
        on_demand=tuple(_left(dataset, plan, left)),
        idle=tuple(_idle(plan, spent)),
    )


def _cover(
    dataset: Dataset,
    plan: Waterfall,
    move: Move,
    line: int,
    *,
    quantity: Fraction,
    spent: dict[int, Fraction],
) -> Cover:
    room = plan.rooms[move.room]
    rate = move.rates[move.lines.index(line)]
    label = dataset.usage.lines[line]
    price = dataset.skus[label.key].on_demand_usd
    taken = quantity * Fraction(rate)
    spent[move.room] = spent.get(move.room, Fraction(0)) + taken
    rate_usd = Fraction(rate) * room.usd_per_room
    ratio = rate_usd / Fraction(price) if price else Fraction(1)
    rest = Fraction(room.per_hour) - spent[move.room]
    return Cover(
        commitment=room.commitment.commitment,
        rule=move.step,
        line=label,
        quantity=rounded(quantity, QUANTITY_PLACES),
        rate=rate,
        used_usd=rounded(taken * room.usd_per_room, NANO_PLACES),
        on_demand_usd=rounded(quantity * Fraction(price), NANO_PLACES),
        saving_ratio=rounded(1 - ratio, _PERCENT_PLACES + 2),
        room_left=rounded(rest, QUANTITY_PLACES),
        whole=rounded(rest, QUANTITY_PLACES) > 0,
    )


def _left(dataset: Dataset, plan: Waterfall, left: list[Fraction]) -> Iterator[Left]:
    reached = {dataset.usage.lines[line] for move in plan.moves for line in move.lines}
    for line, quantity in zip(dataset.usage.lines, left, strict=True):
        shown = rounded(quantity, QUANTITY_PLACES)
        if shown:
            usd = quantity * Fraction(dataset.skus[line.key].on_demand_usd)
            why = (
                "the commitments that may cover it had no room left"
                if line in reached
                else "no commitment of that hour may cover it"
            )
            yield Left(line, shown, rounded(usd, NANO_PLACES), why)


def _idle(plan: Waterfall, spent: dict[int, Fraction]) -> Iterator[Idle]:
    for index, room in enumerate(plan.rooms):
        one = room.commitment
        if room.first == room.last:
            why = f"takes no part: it is {one.state}, from {iso(one.start)} to {iso(one.end)}"
            yield Idle(one.commitment, Decimal(0), why)
            continue
        rest = (Fraction(room.per_hour) - spent.get(index, Fraction(0))) * room.usd_per_room
        unused = rounded(rest, NANO_PLACES)
        if unused:
            why = f"${text(unused)} of it was not used and is lost with the hour"
            yield Idle(one.commitment, unused, why)


def _cover_words(one: Cover) -> str:
    saving = text(rounded(Fraction(one.saving_ratio) * 100, _PERCENT_PLACES))
    after = f"{text(one.room_left)} of it is left for the next" if one.whole else "that used it up"
    return (
        f"{one.commitment} ({one.rule}) covered {text(one.quantity)} of {_line_words(one.line)},"
        f" each taking {text(one.rate)} of its room: ${text(one.used_usd)} of commitment in place"
        f" of ${text(one.on_demand_usd)} on demand, a saving of {saving}%; {after}."
    )


def _line_words(line: UsageLine) -> str:
    place = line.zone or line.region
    group = f", resource group {line.resource_group}" if line.resource_group else ""
    return f"{line.sku} in {place}, account {line.account}{group}"


def _label(line: UsageLine) -> dict[str, str]:
    return {name: word for name, word in line._asdict().items() if word or name != "resource_group"}
