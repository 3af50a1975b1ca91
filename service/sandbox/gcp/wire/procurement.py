"""Cloud Commerce Consumer Procurement: placing, getting and listing orders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from service.sandbox.faults import ApiError
from service.sandbox.gcp.operations import Operation
from service.sandbox.gcp.orders import OrderRecord, term_of
from service.sandbox.gcp.wire.call import (
    BAD_REQUEST,
    Call,
    Handler,
    Json,
    instant,
    invalid,
    listed,
    not_found,
    page,
)
from service.sandbox.gcp.world import GcpWorld

_TYPE = "type.googleapis.com/google.cloud.commerce.consumer.procurement.v1."
_LEAST_USD = Decimal("0.01")
_REGION = "global"
_FAILED_PRECONDITION = 9


def place(world: GcpWorld, call: Call) -> Json:
    """Order one flexible commitment; answers with the operation."""
    account = _account(world, call)
    request_id = str(call.body.get("requestId", ""))
    fingerprint = json.dumps(call.body, sort_keys=True)
    known = world.requests.by_id.get(f"{account}/{request_id}")
    if request_id and known is not None and world.now() < known.forgotten_at:
        if known.fingerprint != fingerprint:
            raise ApiError("INVALID_ARGUMENT", "The request id was used before.", BAD_REQUEST)
        return _operation(world, world.requests.operations[known.answer])
    record = _record(world, call)
    world.orders.add(record)
    world.requests.operations[record.operation.name] = record.operation
    if request_id:
        until = world.after_hours(world.options.order_id_hours)
        world.requests.note(f"{account}/{request_id}", fingerprint, record.operation.name, until)
    call.bought.append(record)
    return _operation(world, record.operation)


def get(world: GcpWorld, call: Call) -> Json:
    """One order."""
    record = world.orders.records.get(call.path["order"])
    if record is None:
        raise not_found(f"orders/{call.path['order']}")
    return _order(world, record)


def list_orders(world: GcpWorld, call: Call) -> Json:
    """All orders; ``filter`` knows ``display_name="…"``."""
    _account(world, call)
    asked = call.query.get("filter", "")
    name = re.fullmatch(r'display_name\s*=\s*"([^"]*)"', asked)
    if asked and name is None:
        raise invalid(f"Unsupported filter {asked}")
    found = [
        _order(world, one)
        for one in listed(world, world.orders.records.values())
        if isinstance(one, OrderRecord) and (name is None or one.display_name == name[1])
    ]
    items, token = page(call, found, size_name="pageSize", largest=world.options.page_size)
    answer: dict[str, Any] = {"orders": list(items)}
    return answer | ({"nextPageToken": token} if token else {})


def get_operation(world: GcpWorld, call: Call) -> Json:
    """One operation; asking moves it on."""
    name = f"billingAccounts/{call.path['account']}/orders/{call.path['order']}/operations/"
    operation = world.requests.operations.get(name + call.path["operation"])
    if operation is None:
        raise not_found(name + call.path["operation"])
    operation.look(world.now())
    record = world.orders.records.get(call.path["order"])
    if record is not None:
        world.orders.sweep(record)
    return _operation(world, operation)


OPERATIONS: Mapping[str, Handler] = {
    "orders.place": place,
    "orders.get": get,
    "orders.list": list_orders,
    "orders.operations.get": get_operation,
}


def _account(world: GcpWorld, call: Call) -> str:
    if call.path["account"] != world.billing_account:
        raise not_found(f"billingAccounts/{call.path['account']}")
    return world.billing_account


def _record(world: GcpWorld, call: Call) -> OrderRecord:
    items = call.body.get("lineItemInfo", ())
    if len(items) != 1:
        raise invalid("An order has exactly one line item.")
    offer = world.catalog.flexible.get(str(items[0].get("offer", "")))
    if offer is None:
        raise not_found(str(items[0].get("offer", "")))
    given = {one["name"]: one.get("value", {}) for one in items[0].get("parameters", ())}
    amount = given.get("hourly_commit", {}).get("doubleValue")
    if amount is None or not Decimal(str(amount)) >= _LEAST_USD:
        raise invalid(f"hourly_commit must be a double of at least {_LEAST_USD}.")
    region = given.get("region", {}).get("stringValue")
    if region != _REGION:
        raise invalid(f"region must be {_REGION}.")
    order_id = str(world.new_id())
    start, end = term_of(world.now(), offer.term_months)
    name = f"billingAccounts/{world.billing_account}/orders/{order_id}"
    return OrderRecord(
        order_id=order_id,
        display_name=str(call.body.get("displayName", "")),
        offer=offer.offer,
        term_months=offer.term_months,
        discount_ratio=offer.discount_ratio,
        usd_per_hour=Decimal(str(amount)),
        region=region,
        created_at=world.now(),
        operation=Operation(
            name=f"{name}/operations/{world.new_id().hex}",
            number=world.new_number(),
            kind="place",
            project="",
            region="",
            target=name,
            inserted_at=world.now(),
            finish=lambda: None,
        ),
        start=start,
        end=end,
    )


def _order(world: GcpWorld, record: OrderRecord) -> Json:
    item: dict[str, Any] = {
        "offer": record.offer,
        "parameters": [
            {"name": "hourly_commit", "value": {"doubleValue": float(record.usd_per_hour)}},
            {"name": "region", "value": {"stringValue": record.region}},
        ],
    }
    line: dict[str, Any] = {"lineItemId": "1"}
    if record.operation.done_at is None:
        change = {"changeType": "LINE_ITEM_CHANGE_TYPE_CREATE", "newLineItemInfo": item}
        change["changeState"] = "LINE_ITEM_CHANGE_STATE_PENDING_APPROVAL"
        line["pendingChange"] = change
    else:
        term = {"startTime": instant(record.start), "endTime": instant(record.end)}
        line["lineItemInfo"] = item | {"subscription": term | {"autoRenewalEnabled": False}}
    shown: dict[str, Any] = {
        "name": f"billingAccounts/{world.billing_account}/orders/{record.order_id}",
        "displayName": record.display_name,
        "createTime": instant(record.created_at),
        "updateTime": instant(record.operation.done_at or record.created_at),
        "etag": record.order_id[:8],
    }
    expired = record.status(world.now()) == "EXPIRED"
    return shown | {"cancelledLineItems" if expired else "lineItems": [line]}


def _operation(world: GcpWorld, operation: Operation) -> Json:
    shown: dict[str, Any] = {
        "name": operation.name,
        "metadata": {"@type": f"{_TYPE}PlaceOrderMetadata"},
        "done": operation.done_at is not None,
    }
    if operation.error is not None:
        text = f"{operation.error.code}: {operation.error.message}"
        shown["error"] = {"code": _FAILED_PRECONDITION, "message": text}
    elif operation.done_at is not None:
        record = world.orders.records[operation.target.rsplit("/", 1)[-1]]
        shown["response"] = {"@type": f"{_TYPE}Order", **_order(world, record)}
    return shown
