"""How the sandbox prices what it sells: on demand less the discount of kind, years and payment.

A rate is taken from the machine and never from the licence, and differs a little from SKU to SKU as
real rates do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import sha256

from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.domain.usage import Sku
from service.sandbox.tables import Discounts

PROVIDER = "aws"
RATE_STEP = Decimal("0.00001")
_SMALL_RATE_STEP = Decimal("0.0000000001")
UPFRONT_SHARE = {
    Payment.NO_UPFRONT: Decimal(0),
    Payment.PARTIAL_UPFRONT: Decimal("0.5"),
    Payment.ALL_UPFRONT: Decimal(1),
}
"""The part of a term's price that is due at purchase."""


@dataclass(frozen=True, slots=True)
class Priced:
    """A SKU, the part of its price that is discounted, and how deep against the table."""

    sku: Sku
    machine_usd: Decimal
    depth: Decimal


def rate_of(item: Priced, discount: Decimal) -> Decimal:
    """What one unit uses up of a plan: the machine discounted, the licence in full.

    Half a point of the discount, either way, belongs to the SKU alone.
    """
    digest = sha256(item.sku.key.sku.encode()).digest()
    own = (Decimal(digest[0]) / 255 - Decimal("0.5")) / 100
    share = min(max(discount * item.depth + own, Decimal(0)), Decimal("0.9"))
    step = RATE_STEP if item.sku.on_demand_usd > Decimal("0.001") else _SMALL_RATE_STEP
    return (item.sku.on_demand_usd - item.machine_usd * share).quantize(step, ROUND_HALF_EVEN)


def discounts_of(
    by_service: Discounts,
) -> Iterator[tuple[int, Payment, Mapping[str, Decimal]]]:
    """Years, payment, and the discount of each service under them, for what is on sale."""
    for years in (1, 3):
        for payment in Payment:
            found = {
                name: Decimal(by_years[years][payment])
                for name, by_years in by_service.items()
                if payment in by_years.get(years, {})
            }
            if found:
                yield years, payment, found


def reservation_of(
    item: Priced,
    kind: Kind,
    offering: OfferingId,
    *,
    terms: tuple[int, Payment],
    discount: Decimal,
    size_flexible: bool,
) -> Offering:
    """One hour's capacity of a SKU, reserved for years."""
    years, payment = terms
    rate = rate_of(item, discount)
    term_hours = Decimal(TERM_HOURS[12 * years])
    share = UPFRONT_SHARE[payment]
    # Whole dollars are paid upfront; the amortised rate is what makes the sum exact.
    upfront = (rate * term_hours * share).quantize(Decimal(1))
    hourly = Decimal(0) if payment is Payment.ALL_UPFRONT else rate * (1 - share)
    sku = item.sku
    return Offering(
        offering=offering,
        provider=PROVIDER,
        kind=kind,
        term_months=12 * years,
        payment=payment,
        region=sku.key.region,
        family=sku.family,
        platform=sku.platform,
        tenancy=sku.tenancy,
        zone=None,
        size_flexible=size_flexible,
        rates_usd={sku.key.sku: hourly.quantize(RATE_STEP) + upfront / term_hours},
        upfront_usd=upfront,
        min_quantity=Decimal(1),
        step=Decimal(1),
    )
