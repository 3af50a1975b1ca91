"""What an EC2 reservation is, and our id of its offering.

AWS gives a reservation in the inventory no offering id, so ours says what it is:
``aws_ri/REGION/TYPE/PLATFORM/TENANCY/CLASS/YEARS/PAYMENT``, and ``/ZONE`` at the end for one that
holds in a single zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from service.domain.commitments import Kind, Offering, Payment
from service.domain.errors import InputError
from service.domain.ids import OfferingId
from service.domain.money import CommitUsdPerHour
from service.providers.aws.clients import PROVIDER, Answer
from service.providers.aws.words import (
    RESERVED_OPERATIONS,
    known,
    payment_of,
    require_usd,
    term_months,
)
from service.usage.aws_sku import aws_sku, describe_sku, region_code

_PREFIX = "aws_ri"
_PARTS_REGIONAL, _PARTS_ZONAL = 8, 9
_HOUR_SECONDS = 3_600
_FLEXIBLE = ("linux", "shared")
_VPC = " (Amazon VPC)"
_ZONAL = "Availability Zone"
CONVERTIBLE = "convertible"


@dataclass(frozen=True, slots=True)
class ReservationTerms:
    """What a reservation is; the words are AWS's own except the payment. ``zone``: zonal only."""

    region: str
    instance_type: str
    product_description: str
    tenancy: str
    offering_class: str
    term_months: int
    payment: Payment
    zone: str | None = None

    @property
    def offering(self) -> OfferingId:
        """Our id of the offering."""
        parts = (
            _PREFIX,
            self.region,
            self.instance_type,
            self.product_description.replace("/", "-"),
            self.tenancy,
            self.offering_class,
            str(self.term_months // 12),
            self.payment,
        )
        return OfferingId("/".join(parts if self.zone is None else (*parts, self.zone)))

    @property
    def kind(self) -> Kind:
        """Regional or zonal."""
        return Kind.AWS_RI_REGIONAL if self.zone is None else Kind.AWS_RI_ZONAL

    @property
    def sku(self) -> str:
        """The SKU that one instance covers an hour of; ``ProviderError`` for a new platform."""
        operation = known(RESERVED_OPERATIONS, self.product_description.removesuffix(_VPC))
        word = "BoxUsage" if self.tenancy == "default" else "DedicatedUsage"
        return aws_sku(f"{region_code(self.region)}-{word}:{self.instance_type}", operation)

    @classmethod
    def of_listed(cls, listed: Answer, region: str) -> Self:
        """The terms of an offering or a reservation as AWS lists it."""
        return cls(
            region=region,
            instance_type=listed["InstanceType"],
            product_description=listed["ProductDescription"],
            tenancy=listed["InstanceTenancy"],
            offering_class=listed["OfferingClass"],
            term_months=term_months(listed["Duration"]),
            payment=payment_of(listed["OfferingType"]),
            zone=listed["AvailabilityZone"] if listed.get("Scope") == _ZONAL else None,
        )

    @classmethod
    def of_offering(cls, offering: OfferingId) -> Self:
        """The terms that one of our ids names; ``InputError`` when it is not one."""
        parts = offering.split("/")
        if len(parts) not in {_PARTS_REGIONAL, _PARTS_ZONAL} or parts[0] != _PREFIX:
            raise InputError(
                f"{offering} does not name a reservation",
                file="the order",
                remedy="Use an offering id from the offers table.",
            )
        return cls(
            region=parts[1],
            instance_type=parts[2],
            product_description=parts[3].replace("Linux-UNIX", "Linux/UNIX"),
            tenancy=parts[4],
            offering_class=parts[5],
            term_months=12 * int(parts[6]),
            payment=Payment(parts[7]),
            zone=parts[8] if len(parts) == _PARTS_ZONAL else None,
        )

    def sold(self, amortised_usd_per_hour: Decimal, upfront_usd: Decimal) -> Offering:
        """The offering of one instance at a price. ``ProviderError`` for a new platform."""
        facts = describe_sku(self.sku)
        return Offering(
            offering=self.offering,
            provider=PROVIDER,
            kind=self.kind,
            term_months=self.term_months,
            payment=self.payment,
            region=self.region,
            family=facts.family,
            platform=facts.platform,
            tenancy=facts.tenancy,
            zone=self.zone,
            size_flexible=self.zone is None and (facts.platform, facts.tenancy) == _FLEXIBLE,
            rates_usd={self.sku: amortised_usd_per_hour},
            upfront_usd=upfront_usd,
            min_quantity=Decimal(1),
            step=Decimal(1),
        )


@dataclass(frozen=True, slots=True)
class ReservationPrice:
    """What one instance's reservation costs: at once, and amortised by the hour."""

    provider_offering: str
    upfront_usd: Decimal
    amortised_usd_per_hour: CommitUsdPerHour


def recurring_usd_per_hour(listed: Answer) -> Decimal:
    """The hourly charge for one instance, used or not.

    It is the sum of ``RecurringCharges``; ``UsagePrice`` is not what is paid. ``ProviderError``
    for another currency than dollars.
    """
    require_usd(listed.get("CurrencyCode"), "a reservation")
    return sum(
        (Decimal(str(charge["Amount"])) for charge in listed.get("RecurringCharges", ())),
        Decimal(0),
    )


def amortised_usd_per_hour(listed: Answer) -> CommitUsdPerHour:
    """Upfront spread over the term plus the hourly charge, for one instance."""
    hours = Decimal(listed["Duration"]) / _HOUR_SECONDS
    upfront = Decimal(str(listed["FixedPrice"]))
    return CommitUsdPerHour(recurring_usd_per_hour(listed) + upfront / hours)
