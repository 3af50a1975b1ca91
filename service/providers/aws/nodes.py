"""Reserved nodes through boto3: what is on sale, buying under a name of our own, what is owned.

The name comes from the intent, so a second purchase for it is refused by AWS as existing already;
that counts as bought only after what exists was compared with the order. Redshift takes no name:
it is bought in one attempt and found again in the inventory by what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering
from service.domain.errors import ProviderError
from service.domain.ids import AccountId, CommitmentId, IntentId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    InventoryItem,
    Outcome,
    PurchaseOrder,
    Refused,
    Unknown,
    as_outcome,
)
from service.domain.usage import SkuKey
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke_all
from service.providers.aws.last_look import send_if_wanted
from service.providers.aws.node_services import (
    BY_KIND,
    SERVICES,
    NodeService,
    NodeTerms,
    offering_id,
    plain_sku,
    split_offering,
)
from service.providers.aws.outcome import WIRE_ERRORS, bought_of, outcome_of
from service.providers.aws.words import INTENT_TAG, STATES, is_legacy, is_over, known
from service.providers.dearer import refuse_dearer
from service.providers.port import StillWanted
from service.usage.aws_sku import describe_sku

OWN_NAME_PREFIX = "tenor-"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME_MAX = 58
_PAGE = 100
_STATES = {
    **STATES,
    "pending-payment": CommitmentState.PAYMENT_PENDING,
    "exchanging": CommitmentState.ACTIVE,
}
"""Redshift turns the words around, and what is being exchanged there is paid for until it is."""
_FLEXIBLE = frozenset({Kind.AWS_RDS_RI, Kind.AWS_ELASTICACHE_RI, Kind.AWS_MEMORYDB_RI})


def offerings(clients: AwsClients, keys: Sequence[SkuKey]) -> list[Offering]:
    """Every reservation of nodes on sale that is of exactly one of ``keys``."""
    found: dict[str, Offering] = {}
    for service in SERVICES:
        by_region: dict[str, list[str]] = {}
        for key in keys:
            if key.provider == PROVIDER and describe_sku(key.sku).service == service.name:
                by_region.setdefault(key.region, []).append(key.sku)
        for region, skus in by_region.items():
            for terms in _on_sale(clients, service, region):
                sku = next((sku for sku in sorted(skus) if terms.covers(sku)), None)
                if sku is not None:
                    found.setdefault(terms.offering, _offering(terms, sku))
    return list(found.values())


def _on_sale(clients: AwsClients, service: NodeService, region: str) -> Iterator[NodeTerms]:
    for listed in invoke_all(
        clients.reading(service.client, region),
        service.list_offers,
        {service.page: _PAGE},
        items=service.offers,
        token=service.token,
    ):
        # Older sorts of offer (Heavy, Medium, Light Utilization) are listed and no longer sold.
        if not is_legacy(str(listed[service.payment])):
            yield NodeTerms.of_listed(service, listed, region)


def _offering(terms: NodeTerms, sku: str) -> Offering:
    facts = describe_sku(sku)
    engines_float = terms.service.kind in {Kind.AWS_ELASTICACHE_RI, Kind.AWS_MEMORYDB_RI}
    return Offering(
        offering=terms.offering,
        provider=PROVIDER,
        kind=terms.service.kind,
        term_months=terms.term_months,
        payment=terms.payment,
        region=terms.region,
        family=facts.family,
        # Valkey and Redis OSS share reservations, so their engine is no limit of the offering.
        platform=None if engines_float else facts.platform,
        tenancy=None,
        zone=None,
        size_flexible=terms.service.kind in _FLEXIBLE and facts.size_units is not None,
        rates_usd={sku: Decimal(terms.amortised_usd_per_hour)},
        upfront_usd=terms.upfront_usd,
        min_quantity=Decimal(1),
        step=Decimal(1),
    )


def price(clients: AwsClients, order: PurchaseOrder) -> NodeTerms:
    """What the order's offering is now; ``ProviderError`` unless it is sold as ordered."""
    service = BY_KIND[order.kind]
    region, theirs = split_offering(order.offering, order.kind)
    listed = invoke_all(
        clients.reading(service.client, region),
        service.list_offers,
        {service.offer_id: theirs},
        items=service.offers,
        token=service.token,
    )
    fits = [
        terms
        for one in listed
        for terms in [NodeTerms.of_listed(service, one, region)]
        if (terms.provider_offering, terms.term_months, terms.payment)
        == (theirs, order.term_months, order.payment)
    ]
    if len(fits) != 1:
        raise ProviderError(
            provider=PROVIDER,
            operation=f"{service.client}.{service.list_offers}",
            code="not_on_sale",
            detail=f"{order.offering} as {order.term_months} months {order.payment} "
            f"is sold {len(fits)} times",
        )
    return fits[0]


def own_name(intent: IntentId) -> str | None:
    """The name that a purchase for ``intent`` carries; ``None`` when it cannot be one."""
    name = f"{OWN_NAME_PREFIX}{intent}"
    return name if _NAME.fullmatch(name) and len(name) <= _NAME_MAX else None


def purchase(clients: AwsClients, order: PurchaseOrder, still_wanted: StillWanted) -> Outcome:
    """One purchase call; an own name that exists already is looked at before it counts."""
    service, name = BY_KIND[order.kind], own_name(order.intent)
    refused = _malformed(service, order, name)
    if refused is not None:
        return refused
    try:
        terms = price(clients, order)
    except ProviderError as error:
        return Refused(code=error.code, detail=str(error))
    dearer = refuse_dearer(
        order,
        hourly_usd=terms.amortised_usd_per_hour * order.quantity,
        upfront_usd=terms.upfront_usd * order.quantity,
    )
    if dearer is not None:
        return dearer
    client = clients.purchasing(service.client, terms.region)
    arguments = _arguments(service, order, terms, name)
    try:
        answer: Answer = send_if_wanted(client, service.buy, arguments, still_wanted)
    except WIRE_ERRORS as error:
        is_taken = isinstance(error, ClientError) and _code(error) in service.taken
        return _taken(clients, order) if is_taken else outcome_of(error)
    return bought_of(answer.get(service.bought, {}) if service.bought else answer, service.identity)


def _taken(clients: AwsClients, order: PurchaseOrder) -> Outcome:
    """What has the order's own name already, as the answer to its purchase."""
    try:
        return as_outcome(look_up(clients, order))
    except ProviderError as error:
        return Unknown(detail=str(error))


def _malformed(service: NodeService, order: PurchaseOrder, name: str | None) -> Refused | None:
    """Why the order cannot be sent as it is; ``None`` when it can."""
    if order.quantity != int(order.quantity) or order.quantity < 1:
        return Refused(code="quantity", detail=f"{order.quantity} is not a number of nodes")
    if order.start_at is not None:
        return Refused(code="queue", detail=f"AWS queues no purchases of {order.kind}")
    if service.own_name and name is None:
        return Refused(code="name", detail=f"{order.intent} cannot name a reservation")
    return None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _arguments(
    service: NodeService, order: PurchaseOrder, terms: NodeTerms, name: str | None
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        service.offer_id: terms.provider_offering,
        service.count: int(order.quantity),
    }
    if service.own_name:
        arguments[service.own_name] = name
    if service.tags:
        arguments["Tags"] = [{"Key": INTENT_TAG, "Value": order.intent}]
    return arguments


def look_up(clients: AwsClients, order: PurchaseOrder) -> Evidence:
    """What the order's own name was given to, if anything; ``ProviderError`` when not told.

    Another offering, count, term or payment under that name is ``Unknown``: somebody must look.
    """
    service = BY_KIND[order.kind]
    region, theirs = split_offering(order.offering, order.kind)
    name = own_name(order.intent)
    if not service.own_name or name is None:
        return Absent(detail=f"a reservation of {order.kind} carries no name of ours")
    listed = [one for one in _owned(clients, service, region) if one[service.own_name] == name]
    if not listed:
        return Absent(detail=f"{name} is not listed")
    one = listed[0]
    terms = NodeTerms.of_listed(service, one, region)
    is_ours = (terms.provider_offering, terms.term_months, terms.payment) == (
        theirs,
        order.term_months,
        order.payment,
    )
    if not is_ours or Decimal(one[service.count]) != order.quantity:
        detail = f"{name} exists as {one[service.count]} of {terms.offering}, not as ordered"
        return Unknown(detail=detail)
    if known(_STATES, one["State"]) is CommitmentState.FAILED:
        return Refused(code="payment_failed", detail=f"{name} ended as {one['State']}")
    return Bought(CommitmentId(one[service.identity]))


def _owned(clients: AwsClients, service: NodeService, region: str) -> list[Answer]:
    """What is listed, in every state, but for what is over of the sorts that are no longer sold."""
    listed = invoke_all(
        clients.reading(service.client, region),
        service.list_nodes,
        {service.page: _PAGE},
        items=service.nodes,
        token=service.token,
    )
    return [one for one in listed if not is_over(str(one[service.payment]), one["State"])]


def inventory(
    clients: AwsClients, account: AccountId, regions: Sequence[str]
) -> list[InventoryItem]:
    """Every reservation of nodes that ``account`` owns in ``regions``, in every state.

    A region in which the SDK knows no such service is not asked: not all are offered everywhere.
    """
    return [
        _item(NodeTerms.of_listed(service, one, region), one, account)
        for service in SERVICES
        for region in clients.offered_in(service.client, regions)
        for one in _owned(clients, service, region)
    ]


def owned_offerings(
    clients: AwsClients, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
) -> dict[CommitmentId, Offering]:
    """The offering of each owned reservation of nodes, at what it costs its owner.

    An inventory item does not tell the class of its nodes, so the listings are read again.
    """
    places = sorted({(item.kind, str(item.region)) for item in items})
    listed = {
        CommitmentId(one[BY_KIND[kind].identity]): NodeTerms.of_listed(BY_KIND[kind], one, region)
        for kind, region in places
        for one in _owned(clients, BY_KIND[kind], region)
    }
    names = sorted(key.sku for key in keys if key.provider == PROVIDER)
    found: dict[CommitmentId, Offering] = {}
    for item in items:
        terms = listed.get(item.commitment.commitment)
        if terms is None:
            raise ProviderError(
                provider=PROVIDER,
                operation=f"{BY_KIND[item.kind].client}.{BY_KIND[item.kind].list_nodes}",
                code="not_listed",
                detail=f"{item.commitment.commitment} is not listed any more",
            )
        used = next((sku for sku in names if terms.covers(sku)), None)
        found[item.commitment.commitment] = _offering(terms, used or plain_sku(terms))
    return found


def _item(terms: NodeTerms, listed: Answer, account: AccountId) -> InventoryItem:
    service = terms.service
    count = Decimal(listed[service.count])
    name = listed.get(service.own_name, "") if service.own_name else ""
    ours = name.startswith(OWN_NAME_PREFIX)
    start = listed["StartTime"]
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(listed[service.identity]),
            offering=offering_id(service.kind, terms.region, terms.provider_offering),
            account=account,
            scope=None,
            zone=None,
            quantity=count,
            start=start,
            end=start + timedelta(seconds=listed["Duration"]),
            state=known(_STATES, listed["State"]),
        ),
        kind=service.kind,
        term_months=terms.term_months,
        payment=terms.payment,
        region=terms.region,
        family=terms.node_class.rpartition(".")[0],
        commit_usd_per_hour=CommitUsdPerHour(terms.amortised_usd_per_hour * count),
        upfront_usd=terms.upfront_usd * count,
        intent=IntentId(name.removeprefix(OWN_NAME_PREFIX)) if ours else None,
        returnable_until=None,
    )
