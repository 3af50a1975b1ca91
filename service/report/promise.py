"""What each purchase promised against what it did, by billing again without it.

A commitment's realised saving is the bill without it less the bill with it, all others held: what
would not have been saved had it not been bought. Commitments share usage, so single savings need
not add up to the joint one; both are told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from service.billing.market import compile_market
from service.domain.commitments import Commitment, CommitmentState
from service.domain.hours import TERM_HOURS, HourRange
from service.domain.ids import CommitmentId
from service.domain.plans import PlanLine
from service.domain.purchases import is_part_id
from service.domain.usage import Dataset

ZERO = Decimal(0)
ENDED_EARLY = frozenset({CommitmentState.RETIRED, CommitmentState.RETURNED, CommitmentState.FAILED})


@dataclass(frozen=True, slots=True)
class Promise:
    """Savings against on demand, net of waste, in USD per hour of the term: 10%, mean, 90%.

    ``whole``: it was made for all parts that the one purchase is listed in.
    """

    commitment: CommitmentId
    low_usd_per_hour: Decimal
    expected_usd_per_hour: Decimal
    high_usd_per_hour: Decimal
    term_hours: int
    whole: bool = False

    def covers(self, commitment: CommitmentId) -> bool:
        """True for a commitment whose saving was promised."""
        part = self.whole and is_part_id(commitment, self.commitment)
        return part or commitment == self.commitment


def promise_of(line: PlanLine, commitment: CommitmentId) -> Promise:
    """What ``line`` promised when it became ``commitment``."""
    return Promise(
        commitment=commitment,
        low_usd_per_hour=line.expected_savings_low_usd_per_hour,
        expected_usd_per_hour=line.expected_savings_usd_per_hour,
        high_usd_per_hour=line.expected_savings_high_usd_per_hour,
        term_hours=TERM_HOURS[line.term_months],
        whole=line.companion is not None,
    )


@dataclass(frozen=True, slots=True)
class Recast:
    """Commitments that became others of the same capacity: split, merged, modified, lengthened.

    ``made`` are those that they became, what is left of a source is not among them.
    """

    sources: tuple[CommitmentId, ...]
    made: tuple[CommitmentId, ...]


def carried(
    promises: Sequence[Promise],
    recasts: Sequence[Recast],
    *,
    commit_usd_per_hour: Mapping[CommitmentId, Decimal],
    owned: Collection[CommitmentId],
) -> tuple[Promise, ...]:
    """``promises`` on what their commitments have become; ``recasts`` in the order they happened.

    What several were promised is summed, and shared in proportion to what each of those that they
    became commits by the hour, as it was last listed; what is still ``owned`` of a source is one
    of them. Where a source was promised nothing, its saving cannot be told from the others': then
    what they became is promised nothing either.
    """
    held = {one.commitment: one for one in promises}
    for number, recast in enumerate(recasts):
        if not recast.made:
            continue  # no listing has shown it yet
        given = [held.pop(one) for one in recast.sources if one in held]
        if len(given) < len(recast.sources):
            continue
        pieces = (*recast.made, *(one for one in recast.sources if one in owned))
        later = recasts[number + 1 :]
        weights = {
            one: _weight(one, later, commit_usd_per_hour, owned) for one in dict.fromkeys(pieces)
        }
        total = sum(weights.values(), ZERO)
        for piece, weight in weights.items():
            if total > 0:
                held[piece] = _shared(given, piece, weight / total)
    return tuple(held.values())


def _weight(
    one: CommitmentId,
    later: Sequence[Recast],
    commit_usd_per_hour: Mapping[CommitmentId, Decimal],
    owned: Collection[CommitmentId],
) -> Decimal:
    """What a commitment came to before parts of it were taken out again."""
    usd = sum(
        (
            each
            for name, each in commit_usd_per_hour.items()
            if name == one or is_part_id(name, one)
        ),
        ZERO,
    )
    if one not in owned:
        return usd
    for number, recast in enumerate(later):
        if one in recast.sources:
            rest = later[number + 1 :]
            usd += sum(
                (_weight(made, rest, commit_usd_per_hour, owned) for made in recast.made), ZERO
            )
    return usd


def _shared(given: Sequence[Promise], commitment: CommitmentId, ratio: Decimal) -> Promise:
    return Promise(
        commitment=commitment,
        low_usd_per_hour=sum((one.low_usd_per_hour for one in given), ZERO) * ratio,
        expected_usd_per_hour=sum((one.expected_usd_per_hour for one in given), ZERO) * ratio,
        high_usd_per_hour=sum((one.high_usd_per_hour for one in given), ZERO) * ratio,
        term_hours=max(one.term_hours for one in given),
        whole=any(one.whole for one in given),
    )


def renewed(
    promises: Sequence[Promise], next_terms: Mapping[CommitmentId, CommitmentId]
) -> tuple[Promise, ...]:
    """``promises``, and the same of each term that followed one of theirs.

    ``next_terms`` has what ended first before the others. What was promised for itself stays so.
    """
    held = {one.commitment: one for one in promises}
    for old, new in next_terms.items():
        if old in held:
            held.setdefault(new, replace(held[old], commitment=new))
    return tuple(held.values())


@dataclass(frozen=True, slots=True)
class Kept:
    """A promise held against the bill over ``hours`` hours of its term (``term_ratio`` of it).

    Promised dollars are the promised rates times those hours. ``within`` is true when the
    realised saving lies in the promised interval, ends included.
    """

    commitment: CommitmentId
    hours: int
    term_ratio: Decimal
    promised_low_usd: Decimal
    promised_usd: Decimal
    promised_high_usd: Decimal
    realised_usd: Decimal
    within: bool


@dataclass(frozen=True, slots=True)
class Promises:
    """All promises that the window saw anything of. ``joint_usd``: the saving of all together."""

    kept: tuple[Kept, ...]
    promised_low_usd: Decimal
    promised_usd: Decimal
    promised_high_usd: Decimal
    joint_usd: Decimal

    @property
    def broken(self) -> bool:
        """True when all together saved less than the sum of the low promises."""
        return bool(self.kept) and self.joint_usd < self.promised_low_usd


def held_against(dataset: Dataset, promises: Sequence[Promise]) -> Promises:
    """Bill ``dataset`` with and without each promised commitment, and without all of them.

    Promises of commitments that the dataset does not hold, or that saw no hour of it, are left
    out. Sums of interval ends are wider than the interval of the sum unless all go wrong
    together; they are stated as sums.
    """
    market = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    whole = market.bill(dataset.commitments).total_usd
    held = {one.commitment: one for one in dataset.commitments}
    kept: list[Kept] = []
    for promise in promises:
        owned = held.get(promise.commitment)
        hours = 0 if owned is None else hours_seen(owned, dataset.usage.hours)
        if hours == 0:
            continue
        without = tuple(one for one in dataset.commitments if not promise.covers(one.commitment))
        realised_usd = market.bill(without).total_usd - whole
        kept.append(_kept(promise, hours, realised_usd))
    named = {one.commitment for one in kept}
    told = [one for one in promises if one.commitment in named]
    rest = tuple(
        one
        for one in dataset.commitments
        if not any(promise.covers(one.commitment) for promise in told)
    )
    return Promises(
        kept=tuple(kept),
        promised_low_usd=sum((one.promised_low_usd for one in kept), ZERO),
        promised_usd=sum((one.promised_usd for one in kept), ZERO),
        promised_high_usd=sum((one.promised_high_usd for one in kept), ZERO),
        joint_usd=market.bill(rest).total_usd - whole if kept else ZERO,
    )


def hours_seen(one: Commitment, hours: HourRange) -> int:
    """How many of ``hours`` lie in the commitment's term; none where it was ended before that.

    What was split, merged, exchanged or returned is billed no more, whatever its end still says.
    """
    if one.state in ENDED_EARLY:
        return 0
    first, last = hours.clip(one.start, one.end)
    return max(0, last - first)


def _kept(promise: Promise, hours: int, realised_usd: Decimal) -> Kept:
    low, high = promise.low_usd_per_hour * hours, promise.high_usd_per_hour * hours
    return Kept(
        commitment=promise.commitment,
        hours=hours,
        term_ratio=Decimal(hours) / promise.term_hours,
        promised_low_usd=low,
        promised_usd=promise.expected_usd_per_hour * hours,
        promised_high_usd=high,
        realised_usd=realised_usd,
        within=low <= realised_usd <= high,
    )
