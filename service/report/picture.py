"""What a proposed line would have done, hour by hour: usage, what is owned of it, what it adds.

Decides which usage the picture is of: all that the line's offering could cover. Every amount is in
dollars at on-demand prices, so that one axis holds usage and capacity alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import Bill, bill
from service.billing.focus import NONE, focus_rows
from service.domain.commitments import Commitment, CommitmentState
from service.domain.hours import HourRange
from service.domain.ids import CommitmentId, OfferingId
from service.domain.plans import PlanLine
from service.domain.usage import Dataset

Floats = NDArray[np.float64]
WEEK_HOURS = 168
_LINE = "the proposed line"
_SIZES_APART = 100
"""How many of the smallest size one unit of usage may stand for, at most."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Hourly dollars (float64, on-demand prices) of the usage that a line could cover.

    ``usage`` is all of it, ``owned`` what owned commitments cover, ``proposed`` what the line
    would cover beside them. ``capacity_usd_per_hour`` is what the line covers when all of it is
    used, at the mix of usage that it meets; ``unused_ratio`` the part of it that was not.
    """

    hours: HourRange
    usage: Floats
    owned: Floats
    proposed: Floats
    capacity_usd_per_hour: float
    unused_ratio: float


def picture(dataset: Dataset, line: PlanLine) -> Picture:
    """The picture of ``line`` over the dataset's hours, beside the dataset's commitments.

    What is owned counts over all of the hours, as if it had been owned all along.
    """
    hours = dataset.usage.hours
    plenty = _plenty(dataset, line)
    everything = tuple(_over(hours, line, name, plenty) for name, _ in line.contents)
    alone = replace(dataset, commitments=everything)
    eligible = _lines_covered(alone, bill(alone))
    owned = tuple(
        replace(one, start=hours.start, end=hours.end, state=CommitmentState.ACTIVE)
        for one in dataset.commitments
        if one.state.is_owned and one.end >= hours.end
    )
    bought = tuple(_over(hours, line, name, quantity) for name, quantity in line.contents)
    with_line = replace(dataset, commitments=(*owned, *bought))
    after = bill(with_line)
    usage = dataset.usage.quantity @ (_prices(dataset) * eligible)
    by_owned, by_line = _covered(with_line, after, eligible, last=len(bought))
    used_usd = after.hourly_used_usd[-len(bought) :].sum()
    committed_usd = used_usd + after.hourly_unused_usd[-len(bought) :].sum()
    worth = by_line.sum() / used_usd if used_usd else 0.0
    return Picture(
        hours=hours,
        usage=usage,
        owned=by_owned,
        proposed=by_line,
        capacity_usd_per_hour=float(worth * committed_usd / hours.count),
        unused_ratio=float(1 - used_usd / committed_usd) if committed_usd else 0.0,
    )


def typical_week(hourly: Floats, hours: HourRange) -> Floats:
    """The mean of each hour of the week, 168 of them from Monday 00:00 UTC; NaN where none is."""
    first = hours.start.weekday() * 24 + hours.start.hour
    place = (first + np.arange(hours.count)) % WEEK_HOURS
    sums = np.bincount(place, weights=hourly, minlength=WEEK_HOURS)
    counts = np.bincount(place, minlength=WEEK_HOURS)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _plenty(dataset: Dataset, line: PlanLine) -> Decimal:
    """More of the line's offering than all usage together could use up in any hour."""
    quantity = dataset.usage.quantity
    if line.kind.is_spend:
        return Decimal(1 + 2 * int((quantity @ _prices(dataset)).max(initial=0.0)))
    return Decimal(1 + _SIZES_APART * int(quantity.sum(axis=1).max(initial=0.0)))


def _over(hours: HourRange, line: PlanLine, offering: OfferingId, quantity: Decimal) -> Commitment:
    return Commitment(
        commitment=CommitmentId(f"{_LINE}: {offering}"),
        offering=offering,
        account=line.account,
        scope=None,
        zone=None,
        quantity=quantity,
        start=hours.start,
        end=hours.end,
        state=CommitmentState.ACTIVE,
    )


def _prices(dataset: Dataset) -> Floats:
    return np.array([float(dataset.skus[one.key].on_demand_usd) for one in dataset.usage.lines])


def _lines_covered(dataset: Dataset, result: Bill) -> Floats:
    """1 for each usage line that the dataset's commitments cover anything of, else 0."""
    rows = focus_rows(dataset, result)
    found = np.zeros(len(dataset.usage.lines))
    found[rows.line[(rows.commitment != NONE) & (rows.line != NONE)]] = 1.0
    return found


def _covered(
    dataset: Dataset, result: Bill, eligible: Floats, *, last: int
) -> tuple[Floats, Floats]:
    """Hourly on-demand dollars of eligible usage, covered by what is owned and by the line.

    The line's are the dataset's ``last`` commitments.
    """
    rows = focus_rows(dataset, result)
    some = (rows.commitment != NONE) & (rows.line != NONE)
    line, hour = rows.line[some], rows.hour[some]
    worth = rows.quantity[some] * _prices(dataset)[line] * eligible[line]
    bought = rows.commitment[some] >= len(dataset.commitments) - last
    count = dataset.usage.hours.count
    by_owned, by_line = (
        np.asarray(np.bincount(hour, weights=worth * mine, minlength=count), dtype=np.float64)
        for mine in (~bought, bought)
    )
    return by_owned, by_line
