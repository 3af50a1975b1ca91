"""The hours of a day that an export tells only whole: decides how its usage is spread over them.

Azure's cost exports have a row a day. Its benefit recommendations tell what all usage that a
savings plan could cover, and nothing covers yet, cost on demand in each hour. A machine that ran
all day ran in every hour, and that part of a day is proven (``level_usage``); what commitments
cover is taken to be level, as commitments are; the rest is spread so that each hour's dollars come
to what Azure tells. So an hour's total is Azure's own, and an hour of one SKU is an estimate but
for its level part. A day that its rows and the hourly charges tell differently is not spread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

from service.domain.hours import DAY_HOURS, HOUR

LEVEL = tuple(Decimal(hour + 1) / DAY_HOURS for hour in range(DAY_HOURS))
"""Cumulative shares of a day that is the same in every hour."""

NO_CHARGES = "hourly_charges_missing"
DISAGREE = "hourly_charges_disagree"
_MANNER = "level usage apart"
"""Days that were spread in another manner are spread anew."""

_SMALL_USD = Decimal("0.24")
"""A cent an hour: what rounding may do to a day is no disagreement."""

Shares = tuple[Decimal, ...]
"""For each of 24 hours the share of the day's usage up to its end; the last is 1."""


@dataclass(frozen=True, slots=True)
class Shaping:
    """Hourly charges, in USD by the start of the hour, and how far a day may be from their sum.

    ``tolerance_ratio`` is 0-1, of the larger of the two.
    """

    charges: Mapping[datetime, Decimal]
    tolerance_ratio: Decimal

    def day(self, day: date) -> tuple[Decimal, ...] | None:
        """The day's 24 charges; ``None`` where one of them is not known."""
        start = datetime.combine(day, time.min, UTC)
        found = [self.charges.get(start + hour * HOUR) for hour in range(DAY_HOURS)]
        known = tuple(one for one in found if one is not None)
        return known if len(known) == DAY_HOURS else None

    def digest(self, day: date) -> str:
        """What the day's shape depends on, short; empty where the day has none."""
        charges = self.day(day)
        if charges is None:
            return ""
        told = " ".join(str(one.normalize()) for one in (self.tolerance_ratio, *charges))
        return hashlib.sha256(f"{_MANNER} {told}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DayCost:
    """What a day's usage that a savings plan could cover costs on demand, in USD.

    Uncovered: ``steady_usd`` the level part of machines that nothing covered, ``other_usd``
    everything else; ``mixed_usd`` is how much of that is the level part of machines that were
    covered for some hours. ``covered_usd``: covered usage that is no level part.
    """

    steady_usd: Decimal
    other_usd: Decimal
    mixed_usd: Decimal = Decimal(0)
    covered_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class UnshapedDay:
    """A day that could not be spread over its hours, with the rule that says so and both sums."""

    provider: str
    day: date
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Why hourly charges cannot be those of a day, in words with both numbers."""

    detail: str


def shares_of(
    charges: tuple[Decimal, ...], cost: DayCost, tolerance_ratio: Decimal
) -> Shares | Disagreement:
    """How usage that did not run all day is spread over the hours of ``charges``.

    Level machines are taken out of each hour first, so that with the rest each hour's dollars are
    in proportion to its charge.
    """
    told, billed = sum(charges, Decimal(0)), cost.steady_usd + cost.other_usd
    allowed = max(tolerance_ratio * max(told, billed), _SMALL_USD)
    if abs(told - billed) > allowed:
        return Disagreement(
            f"the day's rows come to {billed:.2f} USD, its hourly charges to {told:.2f} USD; "
            f"at most {allowed:.2f} USD apart is allowed"
        )
    if told == 0:
        return LEVEL
    level = cost.steady_usd / DAY_HOURS
    rests = [charge * billed / told - level for charge in charges]
    short = -sum((rest for rest in rests if rest < 0), Decimal(0))
    if short > allowed:
        return Disagreement(
            f"machines that ran all day cost {level:.2f} USD an hour, which is "
            f"{short:.2f} USD more than the charges of some hours; at most {allowed:.2f} is allowed"
        )
    return _cumulative([max(rest, Decimal(0)) for rest in rests])


def covered_shares(other: Shares, cost: DayCost) -> Shares:
    """How covered usage is spread that is no level part, where ``other`` spreads uncovered usage.

    All that is covered together is level, as commitments are. Where a machine ran all day and was
    covered for some hours, those are not known; its level part is level as a whole. What that
    takes from the hours in which ``other`` lies, the covered rest makes good: the commitment that
    left the machine then covered something else.
    """
    if not cost.mixed_usd or not cost.covered_usd:
        return LEVEL
    level = (cost.covered_usd - cost.mixed_usd) / DAY_HOURS
    parts = (until - before for before, until in zip((Decimal(0), *other), other, strict=False))
    return _cumulative([max(level + cost.mixed_usd * part, Decimal(0)) for part in parts])


def _cumulative(weights: list[Decimal]) -> Shares:
    """Shares up to the end of each hour; level where nothing weighs anything."""
    total = sum(weights, Decimal(0))
    if total == 0:
        return LEVEL
    shares, so_far = [], Decimal(0)
    for weight in weights:
        so_far += weight
        shares.append(min(so_far / total, Decimal(1)))
    # Sums of rounded numbers may end a last digit away from their total.
    last = max(hour for hour, weight in enumerate(weights) if weight > 0)
    return (*shares[:last], *(Decimal(1),) * (DAY_HOURS - last))
