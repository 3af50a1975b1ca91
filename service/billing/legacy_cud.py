"""Google's spend commitments before and since 2026-01-21: the same money under two descriptions.

Until then a commitment was stated in dollars an hour at on-demand prices; its fee was that amount
less the discount, usage was charged at on-demand prices and a credit took the covered part off
again. Since then it is stated in dollars an hour of discounted spend, which is the fee, and covered
usage is charged at discounted prices. Tenor reckons in discounted dollars; a holding that says that
it is stated in on-demand dollars is converted as it is read, by the dated discounts of
``legacy_cud.yaml``.

Source: Cloud Billing, "Analyze the effectiveness of your spend-based committed use discounts" (the
model before) and "Spend-based CUD program improvements" (the model since).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib import resources

import yaml

from service.domain.commitments import Kind, Offering
from service.domain.errors import InvariantError
from service.domain.hours import require_utc
from service.domain.money import CommitUsdPerHour


class Stated(StrEnum):
    """What a commitment's dollars an hour are: its fee, or what they buy on demand."""

    DISCOUNTED = "discounted"
    ON_DEMAND_EQUIVALENT = "on_demand_equivalent"


@dataclass(frozen=True, slots=True)
class LegacyDiscount:
    """What commitments of one kind and term took off on-demand prices, as a ratio 0-1."""

    kind: Kind
    term_months: int
    discount_ratio: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class LegacyRule:
    """The data as shipped: from when on amounts are discounted dollars, and what held before."""

    discounted_since: datetime
    discounts: tuple[LegacyDiscount, ...]

    def discount_ratio(self, offering: Offering) -> Decimal | None:
        """The offering's discount until then; ``None`` when it never was stated otherwise."""
        found = (
            one.discount_ratio
            for one in self.discounts
            if (one.kind, one.term_months) == (offering.kind, offering.term_months)
        )
        return next(found, None)


@cache
def legacy_rule() -> LegacyRule:
    """The rule as shipped."""
    data = yaml.safe_load(
        resources.files("service.billing").joinpath("legacy_cud.yaml").read_text("utf-8")
    )
    return LegacyRule(
        discounted_since=datetime.combine(data["discounted_since"], time(), tzinfo=UTC),
        discounts=tuple(
            LegacyDiscount(
                kind=Kind(row["kind"]),
                term_months=row["term_months"],
                discount_ratio=Decimal(row["discount_ratio"]),
                source=row["source"],
            )
            for row in data["discounts"]
        ),
    )


def commit_usd_per_hour(
    stated_usd_per_hour: Decimal, discount_ratio: Decimal, at: datetime
) -> CommitUsdPerHour:
    """The discounted dollars an hour of a commitment stated as it was at ``at``.

    ``discount_ratio`` is 0–1; ``InvariantError`` when it is not.
    """
    if not 0 <= discount_ratio < 1:
        msg = f"a discount of {discount_ratio} is not in [0, 1)"
        raise InvariantError(msg)
    if require_utc(at) >= legacy_rule().discounted_since:
        return CommitUsdPerHour(stated_usd_per_hour)
    return CommitUsdPerHour(stated_usd_per_hour * (1 - discount_ratio))
