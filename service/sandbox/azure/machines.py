"""One day's bill by single machines: decides which machine ran when, and what covered its hours.

Hours of machines become machines: the first runs whenever anything does, the next whenever there is
work for two, and so on; every day one of those that run all day is replaced by another on the way.
Which machine a reservation or plan covers in an hour Azure does not say: here another one first in
each hour, so that a machine that runs all day is covered for some hours and not for others. Loads
that scale by themselves are scale sets: one resource, whose row is all of its machines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.billing.focus import NONE, FocusRows
from service.domain.hours import DAY_HOURS
from service.domain.usage import UsageLine
from service.sandbox.accrual import DayBill

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_Number = TypeVar("_Number", np.float64, np.int64)

_PLACES = 6
_REPLACED_AT = 9
_SEED = 2_027
_FEWEST_TO_REPLACE = 4


@dataclass(frozen=True, slots=True)
class MachineRows:
    """A day's rows, and the resource that each is of; unused commitments have none."""

    rows: FocusRows
    resources: tuple[str | None, ...]


def by_machine(day: DayBill, scale_sets: frozenset[str]) -> MachineRows:
    """The day's hours added up: a row for each machine and what covered it, as Azure exports days.

    ``scale_sets``: the resource groups whose machines are those of a scale set.
    """
    parts: list[FocusRows] = []
    resources: list[str | None] = []
    for line in (NONE, *range(len(day.dataset.usage.lines))):
        mine = _of(day.rows, line)
        if line == NONE:
            parts.append(_summed(mine))
            resources += [None] * len(parts[-1].hour)
            continue
        label = day.dataset.usage.lines[line]
        if label.resource_group in scale_sets:
            parts.append(_summed(mine))
            resources += [_path(label, "virtualmachinescalesets", "set")] * len(parts[-1].hour)
            continue
        rows, names = _machines(mine, label, day)
        parts.append(rows)
        resources += names
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in FocusRows.__dataclass_fields__
    }
    return MachineRows(FocusRows(**joined), tuple(resources))


def _of(rows: FocusRows, line: int) -> FocusRows:
    mine = rows.line == line
    return FocusRows(**{name: getattr(rows, name)[mine] for name in FocusRows.__dataclass_fields__})


def _summed(rows: FocusRows) -> FocusRows:
    """One line's hours added up, by what covered them."""
    holds, which = np.unique(rows.commitment, return_inverse=True)
    line = np.full(len(holds), rows.line[0] if len(rows.line) else NONE, dtype=np.int64)
    return FocusRows(
        hour=np.zeros(len(holds), dtype=np.int64),
        line=line,
        commitment=holds,
        quantity=_added(which, rows.quantity, len(holds)),
        commitment_quantity=_added(which, rows.commitment_quantity, len(holds)),
        effective_nano_usd=_added(which, rows.effective_nano_usd, len(holds)),
    )


def _added(which: Ints, values: NDArray[_Number], count: int) -> NDArray[_Number]:
    total = np.zeros(count, dtype=values.dtype)
    np.add.at(total, which, values)
    return total


def _machines(rows: FocusRows, line: UsageLine, day: DayBill) -> tuple[FocusRows, list[str | None]]:
    """One line's day: a row for each machine and what covered it."""
    whole = _summed(rows)
    covered = np.zeros((DAY_HOURS, len(whole.hour)))
    np.add.at(
        covered, (rows.hour, np.searchsorted(whole.commitment, rows.commitment)), rows.quantity
    )
    ran = _layers(covered.sum(axis=1))
    hours = _shared(ran, covered)
    names = [_path(line, "virtualmachines", f"{number:03d}") for number in range(len(ran))]
    hours, names = _with_replaced(hours, names, line, day)
    quantity = np.round(hours.sum(axis=1), _PLACES)
    machine, hold = np.nonzero(quantity > 0)
    order = np.argsort(hold, kind="stable")
    machine, hold = machine[order], hold[order]
    share = quantity[machine, hold] / np.maximum(quantity.sum(axis=0), 1e-12)[hold]
    return (
        replace(
            whole,
            hour=np.zeros(len(hold), dtype=np.int64),
            line=np.full(len(hold), whole.line[0] if len(hold) else NONE, dtype=np.int64),
            commitment=whole.commitment[hold],
            quantity=quantity[machine, hold],
            commitment_quantity=whole.commitment_quantity[hold] * share,
            effective_nano_usd=_split(whole.effective_nano_usd, hold, share),
        ),
        [names[one] for one in machine],
    )


def _layers(used: Floats) -> Floats:
    """Machines × hours: how much of each hour each machine ran, the first one most."""
    count = int(np.ceil(used.max(initial=0.0)))
    layers: Floats = np.clip(used[None, :] - np.arange(count)[:, None], 0.0, 1.0)
    return layers


def _shared(ran: Floats, covered: Floats) -> Floats:
    """Machines × hours × holds: what covered how much of each machine's hours.

    Machines and covers are laid end to end in each hour, from another machine in each; what
    overlaps belongs together.
    """
    count = len(ran)
    first = np.arange(DAY_HOURS) * 5 % max(count, 1)
    turned = (np.arange(count)[:, None] + first[None, :]) % max(count, 1)
    laid = np.take_along_axis(ran, turned, axis=0)
    until, reach = laid.cumsum(axis=0)[:, :, None], covered.cumsum(axis=1)[None, :, :]
    overlap = np.minimum(until, reach) - np.maximum(until - laid[:, :, None], reach - covered[None])
    found: Floats = np.empty_like(overlap)
    np.put_along_axis(found, turned[:, :, None], np.maximum(overlap, 0.0), axis=0)
    return found


def _with_replaced(
    hours: Floats, names: list[str], line: UsageLine, day: DayBill
) -> tuple[Floats, list[str]]:
    """One machine of several gives way to a new one in the morning: two resources, one work."""
    if len(names) < _FEWEST_TO_REPLACE:
        return hours, names
    key = [_SEED, day.day.toordinal(), *line.sku.encode(), *line.region.encode()]
    gone = int(np.random.default_rng(key).integers(len(names)))
    late = hours[gone : gone + 1].copy()
    late[:, :_REPLACED_AT] = 0.0
    early = hours.copy()
    early[gone, _REPLACED_AT:] = 0.0
    return np.concatenate([early, late]), [*names, f"{names[gone]}-{day.day:%m%d}"]


def _split(nanos: Ints, hold: Ints, share: Floats) -> Ints:
    """Each cover's nano-dollars over its machines, by ``share``; they add up to the last one."""
    found = np.zeros(len(hold), dtype=np.int64)
    for number, whole in enumerate(nanos.tolist()):
        mine = np.flatnonzero(hold == number)
        until = np.rint(np.cumsum(share[mine]) * whole).astype(np.int64)
        if len(mine):
            until[-1] = whole
            found[mine] = np.diff(until, prepend=0)
    return found


def _path(line: UsageLine, kind: str, name: str) -> str:
    size = line.sku.lower().replace(" ", "-")
    return (
        f"/subscriptions/{line.account}/resourcegroups/{line.resource_group}"
        f"/providers/microsoft.compute/{kind}/{line.region}-{size}-{name}"
    )
