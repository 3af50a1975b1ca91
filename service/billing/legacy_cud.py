"""Google's spend commitments before and since 2026-01-21: the same money under two descriptions.

Until then a commitment was stated in dollars an hour at on-demand prices; its fee was that amount
less the discount, usage was charged at on-demand prices and a credit took the covered part off
again. Since then it is stated in dollars an hour of discounted spend, which is the fee, and covered
usage is charged at discounted prices. Tenor's holdings are always in discounted dollars.

Source: Cloud Billing, "Analyze the effectiveness of your spend-based committed use discounts" (the
model before) and "Spend-based CUD program improvements" (the model since).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from service.domain.errors import InvariantError
from service.domain.hours import require_utc
from service.domain.money import CommitUsdPerHour

DISCOUNTED_SINCE = datetime(2026, 1, 21, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LegacyHour:
    """One hour as exports before 2026-01-21 show it, in dollars; ``credit_usd`` is ≤ 0."""

    fee_usd: Decimal
    usage_usd: Decimal
    credit_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """What the hour costs."""
        return self.fee_usd + self.usage_usd + self.credit_usd


def commit_usd_per_hour(
    stated_usd_per_hour: Decimal, discount_ratio: Decimal, at: datetime
) -> CommitUsdPerHour:
    """The discounted dollars an hour of a commitment stated as it was at ``at``.

    ``discount_ratio`` is 0–1; ``InvariantError`` when it is not.
    """
    if not 0 <= discount_ratio < 1:
        msg = f"a discount of {discount_ratio} is not in [0, 1)"
        raise InvariantError(msg)
    if require_utc(at) >= DISCOUNTED_SINCE:
        return CommitUsdPerHour(stated_usd_per_hour)
    return CommitUsdPerHour(stated_usd_per_hour * (1 - discount_ratio))


def legacy_hour(
    stated_usd_per_hour: Decimal, discount_ratio: Decimal, usage_usd: Decimal
) -> LegacyHour:
    """An hour's lines before 2026-01-21, for usage that costs ``usage_usd`` on demand."""
    fee = commit_usd_per_hour(stated_usd_per_hour, discount_ratio, datetime.min.replace(tzinfo=UTC))
    return LegacyHour(fee, usage_usd, -min(usage_usd, stated_usd_per_hour))
