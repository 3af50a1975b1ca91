"""EC2 Reserved Instances through boto3: what is on sale, buying, tagging.

AWS gives a reservation in the inventory no offering id, so ours says what it is:
``aws_ri/REGION/TYPE/PLATFORM/TENANCY/CLASS/YEARS/PAYMENT``; an order is matched to AWS's own id
when it is quoted and bought, and must match exactly one. Quantities are instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from service.domain.commitments import Offering, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.ids import CommitmentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import Bought, InventoryItem, Outcome, PurchaseOrder, Refused
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke, invoke_all
from service.providers.aws.outcome import WIRE_ERRORS, bought_of, outcome_of
from service.providers.aws.words import (
    INTENT_TAG,
    PAYMENT_WORDS,
    PAYMENTS,
    RESERVED_OPERATIONS,
    TERM_MONTHS,
    known,
    term_months,
)
from service.usage.aws_sku import aws_sku, describe_sku, region_code

SERVICE = "ec2"
_PREFIX = "aws_ri"
_SECONDS = {months: seconds for seconds, months in TERM_MONTHS.items()}
_PARTS = 8
_HOUR_SECONDS = 3_600
_VPC = " (Amazon VPC)"
_FLEXIBLE = ("linux", "shared")


@dataclass(frozen=True, slots=True)
class ReservationTerms:
    """What a regional reservation is; the words are AWS's own except the payment."""

    region: str
    instance_type: str
    product_description: str
    tenancy: str
    offering_class: str
    term_months: int
    payment: Payment

    @property
    def offering(self) -> OfferingId:
        """Our id of the offering."""
        return OfferingId(
            "/".join(
                (
                    _PREFIX,
                    self.region,
                    self.instance_type,
                    self.product_description.replace("/", "-"),
                    self.tenancy,
                    self.offering_class,
                    str(self.term_months // 12),
                    self.payment,
                )
            )
        )

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
            payment=known(PAYMENTS, listed["OfferingType"]),
        )

    @classmethod
    def of_offering(cls, offering: OfferingId) -> Self:
        """The terms that one of our ids names; ``InputError`` when it is not one."""
        parts = offering.split("/")
        if len(parts) != _PARTS or parts[0] != _PREFIX:
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
        )


@dataclass(frozen=True, slots=True)
class ReservationPrice:
    """What one instance's reservation costs: at once, and amortised by the hour."""

    provider_offering: str
    upfront_usd: Decimal
    amortised_usd_per_hour: CommitUsdPerHour


def amortised_usd_per_hour(listed: Answer) -> CommitUsdPerHour:
    """Upfront spread over the term plus the hourly charge, for one instance.

    The hourly charge is the sum of ``RecurringCharges``; ``UsagePrice`` is not what is paid.
    """
    hourly = sum(
        (Decimal(str(charge["Amount"])) for charge in listed.get("RecurringCharges", ())),
        Decimal(0),
    )
    hours = Decimal(listed["Duration"]) / _HOUR_SECONDS
    return CommitUsdPerHour(hourly + Decimal(str(listed["FixedPrice"])) / hours)


def owned_offering(item: InventoryItem) -> Offering:
    """The offering that an owned reservation is of, at what it costs its owner.

    ``ProviderError`` for a platform whose usage we cannot name.
    """
    terms = ReservationTerms.of_offering(item.commitment.offering)
    description = terms.product_description.removesuffix(_VPC)
    operation = known(RESERVED_OPERATIONS, description)
    word = "BoxUsage" if terms.tenancy == "default" else "DedicatedUsage"
    sku = aws_sku(f"{region_code(terms.region)}-{word}:{terms.instance_type}", operation)
    facts = describe_sku(sku)
    quantity = item.commitment.quantity
    return Offering(
        offering=item.commitment.offering,
        provider=PROVIDER,
        kind=item.kind,
        term_months=item.term_months,
        payment=item.payment,
        region=terms.region,
        family=facts.family,
        platform=facts.platform,
        tenancy=facts.tenancy,
        zone=item.commitment.zone,
        size_flexible=item.commitment.zone is None and (facts.platform, facts.tenancy) == _FLEXIBLE,
        rates_usd={sku: item.commit_usd_per_hour / quantity},
        upfront_usd=item.upfront_usd / quantity,
        min_quantity=Decimal(1),
        step=Decimal(1),
    )


def price(clients: AwsClients, terms: ReservationTerms) -> ReservationPrice:
    """What the reservation costs now; ``ProviderError`` unless exactly one is on sale."""
    seconds = _SECONDS[terms.term_months]
    listed = invoke_all(
        clients.reading(SERVICE, terms.region),
        "describe_reserved_instances_offerings",
        {
            "InstanceType": terms.instance_type,
            "ProductDescription": terms.product_description,
            "InstanceTenancy": terms.tenancy,
            "OfferingClass": terms.offering_class,
            "OfferingType": PAYMENT_WORDS[terms.payment],
            "MinDuration": seconds,
            "MaxDuration": seconds,
            "IncludeMarketplace": False,
            "Filters": [{"Name": "scope", "Values": ["Region"]}],
        },
        items="ReservedInstancesOfferings",
        token="NextToken",  # noqa: S106  # the name of a field
    )
    fits = [one for one in listed if ReservationTerms.of_listed(one, terms.region) == terms]
    if len(fits) != 1:
        raise ProviderError(
            provider=PROVIDER,
            operation="ec2.describe_reserved_instances_offerings",
            code="not_on_sale",
            detail=f"{terms.offering} is sold {len(fits)} times",
        )
    return ReservationPrice(
        provider_offering=fits[0]["ReservedInstancesOfferingId"],
        upfront_usd=Decimal(str(fits[0]["FixedPrice"])),
        amortised_usd_per_hour=amortised_usd_per_hour(fits[0]),
    )


def purchase(clients: AwsClients, order: PurchaseOrder) -> Outcome:
    """One ``PurchaseReservedInstancesOffering``, then the intent's tag.

    AWS knows no token here: whoever calls must have looked at the inventory first, and never
    calls again on ``Unknown``. A tag that cannot be set does not change the outcome.
    """
    if order.quantity != int(order.quantity) or order.quantity < 1:
        return Refused(code="quantity", detail=f"{order.quantity} is not a number of instances")
    terms = ReservationTerms.of_offering(order.offering)
    try:
        now = price(clients, terms)
    except ProviderError as error:
        return Refused(code=error.code, detail=str(error))
    upfront = now.upfront_usd * order.quantity
    if abs(upfront - order.upfront_usd) > order.quantity:
        return Refused(
            code="upfront", detail=f"{upfront} is due, the order says {order.upfront_usd}"
        )
    client = clients.purchasing(SERVICE, terms.region)
    arguments: dict[str, Any] = {
        "ReservedInstancesOfferingId": now.provider_offering,
        "InstanceCount": int(order.quantity),
    }
    try:
        answer: Answer = client.purchase_reserved_instances_offering(  # type: ignore[attr-defined]
            **arguments
        )
    except WIRE_ERRORS as error:
        return outcome_of(error)
    outcome = bought_of(answer, "ReservedInstancesId")
    if isinstance(outcome, Bought):
        tag(clients, terms.region, outcome.commitment, order.intent)
    return outcome


def tag(clients: AwsClients, region: str, reservation: CommitmentId, intent: str) -> bool:
    """Write the intent on a reservation; false when AWS does not take it (yet)."""
    try:
        invoke(
            clients.reading(SERVICE, region),
            "create_tags",
            {"Resources": [reservation], "Tags": [{"Key": INTENT_TAG, "Value": intent}]},
        )
    except ProviderError:
        return False
    return True
