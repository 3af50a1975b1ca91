"""Reserved nodes on the wire: ``rds``, ``elasticache``, ``redshift``, ``es`` and ``memorydb``.

The five services do the same with other words (``node_words``). ``rds``, ``elasticache`` and
``redshift`` speak query, ``es`` rest-json, ``memorydb`` json.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NoReturn

from service.domain.commitments import Offering, Payment
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.sandbox.faults import ApiError
from service.sandbox.nodes import NameTakenError, NodeRecord, NotSoldError
from service.sandbox.wire.call import Call, Fields, Handler
from service.sandbox.wire.node_words import (
    ELASTICACHE,
    MEMORYDB,
    OPENSEARCH,
    RDS,
    REDSHIFT,
    NodeWire,
)
from service.sandbox.wire.paging import page_of
from service.sandbox.wire.protocol import ListOf
from service.sandbox.wire.words import PAYMENT_WORDS, TERM_SECONDS
from service.sandbox.world import World
from service.usage.aws_sku import describe_sku

_PAGE_MAX = 100
_COUNT_MAX = 100
_CHARGE = Decimal("0.00000001")


def describe_offerings(wire: NodeWire, world: World, call: Call) -> Mapping[str, object]:
    """Everything on sale in the region that passes the request's filters."""
    fields = call.fields
    wanted = fields.text_or_none(wire.asked_offer_id or wire.offer_id)
    call.offerings.extend([OfferingId(wanted)] if wanted else [])
    found = [
        _offer(wire, offering)
        for offering in world.catalog.offerings.values()
        if (offering.kind, offering.region) == (wire.kind, call.region)
        and wanted in {None, offering.offering}
        and _passes(wire, fields, offering)
    ]
    if wanted and not found:
        _refuse(wire.no_offer, f"The offering {wanted} does not exist.")
    return _paged(wire, world, fields, wire.offers, ListOf(wire.offer_item, found))


def _passes(wire: NodeWire, fields: Fields, offering: Offering) -> bool:
    shown = _terms(wire, offering)
    names = {wire.node_class, wire.payment, "ProductDescription", "MultiAZ"} & set(shown)
    for name in names:
        asked = fields.text_or_none(name)
        if asked is not None and asked.lower() != str(shown[name]).lower():
            return False
    duration = fields.text_or_none("Duration")
    years = offering.term_months // 12
    return duration in {None, str(years), str(TERM_SECONDS[offering.term_months])}


def _terms(wire: NodeWire, offering: Offering) -> dict[str, object]:
    """What offerings and reservations show alike."""
    (sku,) = offering.rates_usd
    facts = describe_sku(sku)
    rate = offering.rates_usd[sku]
    hourly = rate - offering.upfront_usd / TERM_HOURS[offering.term_months]
    charge = {
        "RecurringChargeAmount": float(hourly.quantize(_CHARGE)),
        "RecurringChargeFrequency": "Hourly",
    }
    charges = [] if offering.payment is Payment.ALL_UPFRONT else [charge]
    word = PAYMENT_WORDS[offering.payment]
    shown: dict[str, object] = {
        wire.node_class: f"{facts.instance_type}{wire.class_ending}",
        "Duration": TERM_SECONDS[offering.term_months],
        "FixedPrice": float(offering.upfront_usd),
        wire.payment: word if wire.payment == "OfferingType" else word.upper().replace(" ", "_"),
        "RecurringCharges": ListOf("RecurringCharge", charges),
    }
    if wire.usage_price:
        shown["UsagePrice"] = 0.0
    if wire.currency:
        shown["CurrencyCode"] = "USD"
    if wire.description:
        shown["ProductDescription"] = _description(facts.platform or "")
    if wire is RDS:
        shown["MultiAZ"] = facts.bare_type.startswith("Multi-AZ")
    if wire is REDSHIFT:
        shown["ReservedNodeOfferingType"] = "Regular"
    return shown


def _description(platform: str) -> str:
    for licence in ("li", "byol"):
        if platform.endswith(f"-{licence}"):
            return f"{platform.removesuffix(f'-{licence}')}({licence})"
    return platform


def _offer(wire: NodeWire, offering: Offering) -> dict[str, object]:
    return {**_terms(wire, offering), wire.offer_id: offering.offering}


def purchase(wire: NodeWire, world: World, call: Call) -> Mapping[str, object]:
    """Buy, under the buyer's own name where the service takes one."""
    fields = call.fields
    offering_id = fields.text(wire.offer_id)
    count = fields.integer_or_none(wire.count)
    count = 1 if count is None else count
    if not 1 <= count <= _COUNT_MAX:
        raise fields.invalid(f"{wire.count} must be 1 to {_COUNT_MAX}.")
    name = fields.text_or_none(wire.node_id) if wire.node_id else None
    if wire is OPENSEARCH and name is None:
        raise fields.invalid("ReservationName is required.")
    if name is not None and not name:
        raise fields.invalid(f"{wire.node_id} is empty.")
    call.offerings.append(OfferingId(offering_id))
    account, region = call.principal.account, call.region

    def identity(given: str) -> str:
        if wire in {OPENSEARCH, REDSHIFT}:
            return str(world.new_id())
        return f"arn:aws:{wire.kind.split('_')[1]}:{region}:{account}:ri:{given}"

    try:
        record = world.nodes.purchase(
            wire.kind,
            account=account,
            region=region,
            offering_id=offering_id,
            name=name,
            identity=identity,
            count=count,
            tags=_tags(wire, fields),
            offerings=world.catalog.offerings,
            now=world.now(),
        )
    except NotSoldError:
        _refuse(wire.no_offer, f"The offering {offering_id} does not exist.")
    except NameTakenError:
        _refuse(wire.taken, f"A reservation called {name} exists already.")
    call.bought.append(record)
    if wire is OPENSEARCH:
        return {"ReservedInstanceId": record.identity, "ReservationName": record.name}
    return {wire.bought: _node(wire, record, world.now())}


def _tags(wire: NodeWire, fields: Fields) -> dict[str, str]:
    if not wire.tags:
        return {}
    found = {}
    for part in fields.listed("Tags", "Tag"):
        found[part.text("Key")] = part.text_or_none("Value") or ""
    return found


def _node(wire: NodeWire, record: NodeRecord, now: datetime) -> dict[str, object]:
    shown = {
        **_offer(wire, record.offering),
        wire.identity: record.identity,
        wire.count: record.count,
        "StartTime": record.start,
        "State": record.state(now),
    }
    if wire.node_id:
        shown[wire.node_id] = record.name
    if wire is OPENSEARCH:
        shown["BillingSubscriptionId"] = int(record.identity.replace("-", "")[:8], 16)
    return shown


def describe_nodes(wire: NodeWire, world: World, call: Call) -> Mapping[str, object]:
    """The account's reservations in the region, in every state."""
    fields, now = call.fields, world.now()
    by_id = wire.asked_node_id or wire.node_id or wire.identity
    wanted = fields.text_or_none(by_id)
    offering = fields.text_or_none(wire.offer_id)
    found = [
        _node(wire, record, now)
        for record in world.nodes.listed(wire.kind, call.principal.account, call.region, now)
        if wanted is None or wanted.lower() in {record.name, record.identity.lower()}
        if offering in {None, record.offering.offering}
        if _passes(wire, fields, record.offering)
    ]
    if wanted is not None and not found:
        _refuse(wire.no_node, f"The reservation {wanted} does not exist.")
    return _paged(wire, world, fields, wire.nodes, ListOf(wire.node_item, found))


def _paged(
    wire: NodeWire, world: World, fields: Fields, name: str, found: ListOf
) -> Mapping[str, object]:
    asked = fields.integer_or_none(wire.page)
    if asked is not None and not 1 <= asked <= _PAGE_MAX:
        raise fields.invalid(f"{wire.page} must be 1 to {_PAGE_MAX}.")
    asked_token = wire.token if wire is not OPENSEARCH else "nextToken"
    page, following = page_of(
        found,
        token=fields.text_or_none(asked_token),
        limit=min(asked or _PAGE_MAX, world.options.page_size),
        fingerprint=fields.fingerprint(),
        invalid_code=fields.invalid_code,
    )
    answer: dict[str, object] = {name: ListOf(found.item, page)}
    return answer | ({wire.token: following} if following else {})


def _refuse(fault: tuple[str, int], message: str) -> NoReturn:
    raise ApiError(fault[0], message, fault[1])


def _operations(wire: NodeWire, offers: str, nodes: str, buy: str) -> Mapping[str, Handler]:
    return {
        offers: partial(describe_offerings, wire),
        nodes: partial(describe_nodes, wire),
        buy: partial(purchase, wire),
    }


RDS_OPERATIONS = _operations(
    RDS,
    "DescribeReservedDBInstancesOfferings",
    "DescribeReservedDBInstances",
    "PurchaseReservedDBInstancesOffering",
)
ELASTICACHE_OPERATIONS = _operations(
    ELASTICACHE,
    "DescribeReservedCacheNodesOfferings",
    "DescribeReservedCacheNodes",
    "PurchaseReservedCacheNodesOffering",
)
REDSHIFT_OPERATIONS = _operations(
    REDSHIFT,
    "DescribeReservedNodeOfferings",
    "DescribeReservedNodes",
    "PurchaseReservedNodeOffering",
)
OPENSEARCH_OPERATIONS = _operations(
    OPENSEARCH,
    "DescribeReservedInstanceOfferings",
    "DescribeReservedInstances",
    "PurchaseReservedInstanceOffering",
)
MEMORYDB_OPERATIONS = _operations(
    MEMORYDB,
    "DescribeReservedNodesOfferings",
    "DescribeReservedNodes",
    "PurchaseReservedNodesOffering",
)
