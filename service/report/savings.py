"""What commitments saved, net of waste, and how long they bind. Formulas, each on a stated basis.

Savings are on-demand equivalent of used hours less total cost: unused commitment is in the cost
already and is not taken off again. Everything is over the hours of one bill, at this customer's
on-demand prices, accrual basis (upfront payments spread over the term).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from service.billing.bill import Bill
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.errors import InvariantError
from service.domain.hours import HOUR, MONTH_HOURS, TERM_HOURS, HourRange, require_utc
from service.domain.ids import OfferingId

BASIS = (
    "accrual; this customer's on-demand prices; savings = on-demand equivalent of usage "
    "- on-demand cost - all commitment cost, used or not"
)
ZERO = Decimal(0)
NANO = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Binding:
    """What is still owed on commitments at an instant.

    ``lock_in_months``: Σ cᵢ·mᵢ ÷ Σ cᵢ over active commitments, c in amortised USD/h, m months
    left (of 730 hours); 0 without any. ``remaining_usd``: amortised value of what is unexpired.
    ``payable_usd``: the part of it that is still to be paid in cash. Both count what is queued or
    payment-pending too.
    """

    commitments_active: int
    commit_usd_per_hour: Decimal
    lock_in_months: Decimal
    remaining_usd: Decimal
    payable_usd: Decimal


@dataclass(frozen=True, slots=True)
class Realised:
    """Savings over ``hours`` for ``scope``. Dollars; ratios 0–1; rates as in docs/glossary.md.

    ``savings_usd`` is net of waste and negative when commitments cost more than they covered.
    ``unused_usd`` is the waste, ``waste_ratio`` its share of the commitment cost.
    """

    scope: str
    basis: str
    hours: HourRange
    on_demand_equivalent_usd: Decimal
    on_demand_usd: Decimal
    commitment_usd: Decimal
    total_usd: Decimal
    savings_usd: Decimal
    unused_usd: Decimal
    waste_ratio: Decimal
    effective_savings_rate: Decimal
    coverage_ratio: Decimal
    utilization_ratio: Decimal
    binding: Binding


def realised(
    bill: Bill,
    *,
    commitments: Sequence[Commitment],
    offerings: Mapping[OfferingId, Offering],
    as_of: datetime,
    scope: str = "all usage given",
) -> Realised:
    """What ``bill`` shows of ``commitments``; what they still bind is as of ``as_of`` (UTC).

    ``InvariantError`` when a commitment's offering is not among ``offerings``.
    """
    unused = sum((use.unused_usd for use in bill.commitments.values()), ZERO)
    return Realised(
        scope=scope,
        basis=BASIS,
        hours=bill.hours,
        on_demand_equivalent_usd=bill.on_demand_equivalent_usd,
        on_demand_usd=bill.on_demand_usd,
        commitment_usd=bill.commitment_usd,
        total_usd=bill.total_usd,
        savings_usd=bill.on_demand_equivalent_usd - bill.total_usd,
        unused_usd=unused,
        waste_ratio=unused / bill.commitment_usd if bill.commitment_usd else ZERO,
        effective_savings_rate=bill.effective_savings_rate,
        coverage_ratio=bill.coverage_ratio,
        utilization_ratio=bill.utilization_ratio,
        binding=binding(commitments, offerings=offerings, as_of=as_of),
    )


def binding(
    commitments: Sequence[Commitment],
    *,
    offerings: Mapping[OfferingId, Offering],
    as_of: datetime,
) -> Binding:
    """How much, and for how long, ``commitments`` bind after ``as_of``."""
    require_utc(as_of)
    active, rate, weighted, remaining, payable = 0, ZERO, ZERO, ZERO, ZERO
    for one in commitments:
        hours = hours_left(one, as_of)
        if not one.state.is_owned or hours <= 0:
            continue
        offering = offering_of(one, offerings)
        hourly = hourly_usd(one, offering)
        remaining += hourly * hours
        payable += max(ZERO, hourly - prepaid_usd_per_hour(one, offering)) * hours
        if one.state is CommitmentState.ACTIVE and one.start <= as_of:
            active += 1
            rate += hourly
            weighted += hourly * hours / MONTH_HOURS
    return Binding(
        commitments_active=active,
        commit_usd_per_hour=rate,
        lock_in_months=weighted / rate if rate else ZERO,
        remaining_usd=remaining,
        payable_usd=payable,
    )


def offering_of(one: Commitment, offerings: Mapping[OfferingId, Offering]) -> Offering:
    """The offering that ``one`` was bought from; ``InvariantError`` when it is not known."""
    offering = offerings.get(one.offering)
    if offering is None:
        msg = f"commitment {one.commitment}: offering {one.offering} is not known"
        raise InvariantError(msg)
    return offering


def hourly_usd(one: Commitment, offering: Offering) -> Decimal:
    """Amortised USD per hour of a commitment, whether used or not."""
    if offering.kind.is_spend:
        return one.quantity
    (rate_usd,) = offering.rates_usd.values()
    return one.quantity * rate_usd


def prepaid_usd_per_hour(one: Commitment, offering: Offering) -> Decimal:
    """The part of ``hourly_usd`` that was paid at purchase, spread over the term."""
    return one.quantity * offering.upfront_usd / TERM_HOURS[offering.term_months]


def hours_left(one: Commitment, as_of: datetime) -> Decimal:
    """Hours of the term that lie after ``as_of``; 0 when it is over."""
    left = one.end - max(one.start, as_of)
    return max(ZERO, Decimal(left // HOUR))
