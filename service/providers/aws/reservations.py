"""EC2 Reserved Instances through boto3: what is on sale, buying, queueing, tagging.

An order is matched to AWS's own offering id when it is quoted and bought, and must match exactly
one. The marketplace is never looked at. Quantities are instances.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from service.domain.commitments import Kind, Offering
from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId, IntentId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import Bought, InventoryItem, Outcome, PurchaseOrder, Refused
from service.domain.usage import SkuKey
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke, invoke_all
from service.providers.aws.last_look import send_if_wanted
from service.providers.aws.outcome import WIRE_ERRORS, bought_of, outcome_of
from service.providers.aws.reservation_terms import (
    ReservationPrice,
    ReservationTerms,
    amortised_usd_per_hour,
)
from service.providers.aws.words import (
    INTENT_TAG,
    PAYMENT_WORDS,
    RESERVED_OPERATIONS,
    TERM_MONTHS,
    is_over,
)
from service.providers.dearer import refuse_dearer
from service.providers.port import StillWanted
from service.usage.aws_sku import aws_sku, describe_sku

SERVICE = "ec2"
KINDS = frozenset({Kind.AWS_RI_REGIONAL, Kind.AWS_RI_ZONAL})
NOT_LISTED_YET = "InvalidReservationID.NotFound"
_SECONDS = {months: seconds for seconds, months in TERM_MONTHS.items()}
_PAGE = 100
_TYPES_PER_CALL = 100
_TAG_WAITS_SECONDS = (0.2, 0.5, 1.0)
_DESCRIPTIONS: Mapping[str, str] = {
    operation: word for word, operation in RESERVED_OPERATIONS.items()
}
_TENANCIES = {"shared": "default", "dedicated": "dedicated"}


def offerings(
    clients: AwsClients, keys: Sequence[SkuKey], zones: Sequence[str] = ()
) -> list[Offering]:
    """Every reservation on sale whose own size is among ``keys``, of both classes.

    Regional ones always; zonal ones for ``zones`` only, because they cost as much and cover less.
    """
    found: dict[str, Offering] = {}
    for region, skus in _reservable(keys).items():
        here = [zone for zone in zones if zone.startswith(region)]
        for listed in _listed(clients, region, sorted(skus), here):
            terms = ReservationTerms.of_listed(listed, region)
            if terms.sku not in skus or (terms.zone is not None and terms.zone not in here):
                continue
            sold = terms.sold(amortised_usd_per_hour(listed), Decimal(str(listed["FixedPrice"])))
            found.setdefault(sold.offering, sold)
    return list(found.values())


def _reservable(keys: Sequence[SkuKey]) -> dict[str, set[str]]:
    """By region the SKUs that a reservation can be of."""
    by_region: dict[str, set[str]] = {}
    for key in keys:
        if key.provider != PROVIDER:
            continue
        facts = describe_sku(key.sku)
        is_sold = facts.tenancy in _TENANCIES and facts.operation in _DESCRIPTIONS
        if is_sold and facts.instance_type is not None:
            word = "BoxUsage" if facts.tenancy == "shared" else "DedicatedUsage"
            usage_type = f"{facts.usage_type.partition('-')[0]}-{word}:{facts.instance_type}"
            by_region.setdefault(facts.region, set()).add(aws_sku(usage_type, facts.operation))
    return by_region


def _listed(
    clients: AwsClients, region: str, skus: Sequence[str], zones: Sequence[str]
) -> Iterator[Answer]:
    facts = [describe_sku(sku) for sku in skus]
    types = sorted({str(fact.instance_type) for fact in facts})
    platforms = sorted({_DESCRIPTIONS[fact.operation] for fact in facts})
    tenancies = sorted({_TENANCIES[str(fact.tenancy)] for fact in facts})
    scopes = [{"Name": "scope", "Values": ["Region"]}]
    if zones:
        scopes = [{"Name": "scope", "Values": ["Region", "Availability Zone"]}]
    for first in range(0, len(types), _TYPES_PER_CALL):
        for tenancy in tenancies:
            yield from invoke_all(
                clients.reading(SERVICE, region),
                "describe_reserved_instances_offerings",
                {
                    "IncludeMarketplace": False,
                    "InstanceTenancy": tenancy,
                    "MinDuration": min(TERM_MONTHS),
                    "MaxDuration": max(TERM_MONTHS),
                    "MaxResults": _PAGE,
                    "Filters": [
                        {"Name": "instance-type", "Values": types[first : first + _TYPES_PER_CALL]},
                        {"Name": "product-description", "Values": platforms},
                        *scopes,
                    ],
                },
                items="ReservedInstancesOfferings",
                token="NextToken",  # noqa: S106  # the name of a field
            )


def owned_offering(item: InventoryItem) -> Offering:
    """The offering that an owned reservation is of, at what it costs its owner.

    ``ProviderError`` for a platform whose usage we cannot name.
    """
    terms = ReservationTerms.of_offering(item.commitment.offering)
    quantity = item.commitment.quantity
    return terms.sold(item.commit_usd_per_hour / quantity, item.upfront_usd / quantity)


def price(clients: AwsClients, terms: ReservationTerms) -> ReservationPrice:
    """What the reservation costs now; ``ProviderError`` unless exactly one is on sale."""
    seconds = _SECONDS[terms.term_months]
    arguments: dict[str, Any] = {
        "InstanceType": terms.instance_type,
        "ProductDescription": terms.product_description,
        "InstanceTenancy": terms.tenancy,
        "OfferingClass": terms.offering_class,
        "OfferingType": PAYMENT_WORDS[terms.payment],
        "MinDuration": seconds,
        "MaxDuration": seconds,
        "IncludeMarketplace": False,
        "Filters": [{"Name": "scope", "Values": ["Region"]}],
    }
    if terms.zone is not None:
        arguments["AvailabilityZone"] = terms.zone
        arguments["Filters"] = [{"Name": "scope", "Values": ["Availability Zone"]}]
    listed = invoke_all(
        clients.reading(SERVICE, terms.region),
        "describe_reserved_instances_offerings",
        arguments,
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
        amortised_usd_per_hour=CommitUsdPerHour(amortised_usd_per_hour(fits[0])),
    )


def purchase(clients: AwsClients, order: PurchaseOrder, still_wanted: StillWanted) -> Outcome:
    """One ``PurchaseReservedInstancesOffering``, then the intent's tag.

    AWS knows no token here: whoever calls must have looked at the inventory first, and never
    calls again on ``Unknown``. A tag that cannot be set does not change the outcome.
    """
    terms = ReservationTerms.of_offering(order.offering)
    malformed = _malformed(order, terms)
    if malformed is not None:
        return malformed
    try:
        now = price(clients, terms)
    except ProviderError as error:
        return Refused(code=error.code, detail=str(error))
    dearer = refuse_dearer(
        order,
        hourly_usd=now.amortised_usd_per_hour * order.quantity,
        upfront_usd=now.upfront_usd * order.quantity,
    )
    if dearer is not None:
        return dearer
    client = clients.purchasing(SERVICE, terms.region)
    arguments: dict[str, Any] = {
        "ReservedInstancesOfferingId": now.provider_offering,
        "InstanceCount": int(order.quantity),
    }
    if order.start_at is not None:
        arguments["PurchaseTime"] = order.start_at
    buying = "purchase_reserved_instances_offering"
    try:
        answer: Answer = send_if_wanted(client, buying, arguments, still_wanted)
    except WIRE_ERRORS as error:
        return outcome_of(error)
    outcome = bought_of(answer, "ReservedInstancesId")
    if isinstance(outcome, Bought):
        tag(clients, terms.region, outcome.commitment, order.intent)
    return outcome


def _malformed(order: PurchaseOrder, terms: ReservationTerms) -> Refused | None:
    """Why the order cannot be sent as it is; ``None`` when it can."""
    if order.quantity != int(order.quantity) or order.quantity < 1:
        return Refused(code="quantity", detail=f"{order.quantity} is not a number of instances")
    if order.start_at is not None and terms.zone is not None:
        return Refused(code="queue", detail="AWS queues regional reservations only")
    return None


def tag(
    clients: AwsClients,
    region: str,
    reservation: CommitmentId,
    intent: IntentId,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Write the intent on a reservation; false when AWS does not take it (yet).

    A reservation just bought may not be known yet where tags are kept: that alone is tried again,
    for less than two seconds.
    """
    arguments = {"Resources": [reservation], "Tags": [{"Key": INTENT_TAG, "Value": intent}]}
    for wait in (*_TAG_WAITS_SECONDS, None):
        try:
            invoke(clients.reading(SERVICE, region), "create_tags", arguments)
        except ProviderError as error:
            if error.code != NOT_LISTED_YET or wait is None:
                return False
            sleep(wait)
        else:
            return True
    return False


def listed_reservations(
    clients: AwsClients, region: str, ids: Sequence[CommitmentId] = (), tagged: str | None = None
) -> list[Answer]:
    """The account's reservations in one region, in every state; AWS answers in one page.

    Without those of the sorts that are no longer sold whose term is over.
    """
    arguments: dict[str, Any] = {}
    if ids:
        arguments["ReservedInstancesIds"] = list(ids)
    if tagged is not None:
        arguments["Filters"] = [{"Name": f"tag:{INTENT_TAG}", "Values": [tagged]}]
    answer = invoke(
        clients.reading(SERVICE, region),
        "describe_reserved_instances",
        arguments,
        needs="ReservedInstances",
    )
    found: list[Answer] = answer["ReservedInstances"]
    return [one for one in found if not is_over(one["OfferingType"], one["State"])]
