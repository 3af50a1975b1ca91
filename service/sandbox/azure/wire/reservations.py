"""``Microsoft.Capacity`` on the wire: catalogues, prices, orders, reservations."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from service.domain.hours import iso
from service.sandbox.azure.orders import Order, Quoted, Reservation, Terms
from service.sandbox.azure.wire.call import INVALID, Body, Call, Reply, route
from service.sandbox.azure.wire.operations import poll, started
from service.sandbox.azure.world import AzureWorld
from service.sandbox.faults import ApiError

CURRENCY = "USD"
MONTHS = {"P1Y": 12, "P3Y": 36, "P5Y": 60}
TERMS = {months: word for word, months in MONTHS.items()}
ORDERS = "/providers/Microsoft.Capacity/reservationOrders"
_VIRTUAL_MACHINES = "VirtualMachines"
_SCOPE_TYPES = ("Shared", "Single", "ManagementGroup")


def money(usd: Decimal) -> dict[str, object]:
    """An amount as Azure writes it."""
    return {"currencyCode": CURRENCY, "amount": usd}


def terms_of(body: Body) -> Terms:
    """A purchase request; ``ApiError`` for what is missing or unknown in it."""
    properties = body.part("properties")
    if properties.text("reservedResourceType") != _VIRTUAL_MACHINES:
        raise ApiError(INVALID, "This world sells reservations of virtual machines only.")
    months = MONTHS.get(properties.text("term"))
    if months is None:
        raise ApiError("UnsupportedReservationTerm", "The term is not sold.")
    # Left out, Azure takes the whole term's price at once.
    plan = properties.text_or_none("billingPlan") or "Upfront"
    if plan not in {"Upfront", "Monthly"}:
        raise ApiError(INVALID, f"{plan} is not a billing plan.")
    flexible = properties.part("reservedResourceProperties").text_or_none("instanceFlexibility")
    return Terms(
        region=body.text("location"),
        arm_name=body.part("sku").text("name"),
        months=months,
        monthly=plan == "Monthly",
        quantity=properties.integer("quantity"),
        display_name=properties.text_or_none("displayName") or "",
        scopes=scopes_of(properties),
        renew=properties.flag("renew"),
        flexible=flexible != "Off",
        billing_scope=properties.text("billingScopeId"),
    )


def scopes_of(properties: Body) -> tuple[str, ...]:
    """What a purchase is limited to; nothing when it is shared."""
    kind = properties.text("appliedScopeType")
    if kind not in _SCOPE_TYPES:
        raise ApiError(INVALID, f"{kind} is not an applied scope type.")
    if kind == "Shared":
        return ()
    applied = properties.part("appliedScopeProperties")
    group = applied.text_or_none("resourceGroupId") or applied.text_or_none("subscriptionId")
    scopes = properties.texts("appliedScopes") or ((group,) if group else ())
    if not scopes:
        raise ApiError("MissingAppliedScopesForSingle", "A single scope needs its subscription.")
    return scopes


def catalogs(call: Call) -> Reply:
    """What can be reserved in one region today."""
    world, today = call.world, call.world.now().date()
    region = call.query.get("location", "")
    if call.query.get("reservedResourceType", "") != _VIRTUAL_MACHINES:
        raise ApiError(INVALID, "This world has a catalogue of virtual machines only.")
    found = []
    for machine in world.catalog.machines.values():
        terms = [TERMS[m] for m in (12, 36) if world.catalog.is_sold(machine, m, today)]
        if machine.region != region or not terms:
            continue
        found.append(
            {
                "resourceType": "virtualMachines",
                "name": machine.arm_name,
                "billingPlans": {term: ["Upfront", "Monthly"] for term in terms},
                "terms": terms,
                "locations": [region],
                "skuProperties": [
                    {"name": "ReservationsAutofitGroup", "value": machine.group},
                    {"name": "ReservationsAutofitRatio", "value": str(machine.vcpus // 2)},
                    {"name": "vCPUs", "value": str(machine.vcpus)},
                ],
                "restrictions": [],
            }
        )
    items, link = call.page(found, token="$skip")  # noqa: S106  # the name of a parameter
    return Reply(200, {"value": items, **({"nextLink": link} if link else {})})


def calculate(call: Call) -> Reply:
    """A price, and the id of the order that it may become."""
    terms = terms_of(call.body)
    call.priced.append((terms.region, terms.arm_name))
    quoted = call.world.book.quote(terms, call.world.now())
    return Reply(200, {"properties": priced(call.world, quoted)})


def priced(world: AzureWorld, quoted: Quoted) -> dict[str, object]:
    """A calculated price."""
    total = quoted.unit_usd * quoted.terms.quantity
    told = money(_told(world, total, quoted.terms))
    return {
        "billingCurrencyTotal": told,
        "pricingCurrencyTotal": told,
        "netTotal": total,
        "taxTotal": Decimal(0),
        "grandTotal": total,
        "isTaxIncluded": False,
        "isBillingPartnerManaged": False,
        "reservationOrderId": quoted.order_id,
        "skuTitle": f"Reserved VM Instance, {quoted.terms.arm_name}, {quoted.machine.location}",
        "paymentSchedule": _payments(total, quoted.terms, world.now()),
    }


def _told(world: AzureWorld, total: Decimal, terms: Terms) -> Decimal:
    """A total as this world tells it: of the term, or of one payment of a monthly plan."""
    if not terms.monthly or world.options.monthly_totals == "term":
        return total
    return (total / terms.months).quantize(Decimal("0.01"))


def _payments(total: Decimal, terms: Terms, begin: datetime) -> list[dict[str, object]]:
    """When what is paid."""
    count = terms.months if terms.monthly else 1
    return [
        {
            "dueDate": (begin.date() + timedelta(days=30 * number)).isoformat(),
            "pricingCurrencyTotal": money((total / count).quantize(Decimal("0.01"))),
            "status": "Scheduled",
        }
        for number in range(count)
    ]


def _transactions(order: Order, now: datetime) -> list[dict[str, object]]:
    """What of an order was paid, is to be paid, and need not be since it was given back."""
    count = order.terms.months if order.terms.monthly else 1
    made: list[dict[str, object]] = []
    for number in range(count):
        due = order.asked_at + timedelta(days=30 * number)
        held = order.held(due) if number else order.terms.quantity
        total = order.unit_usd * (held or order.terms.quantity)
        status = "Scheduled"
        if order.payment_fails:
            status = "Failed"
        elif number and order.paid_at is not None and not held:
            status = "Cancelled"
        elif order.paid_at is not None and due <= now:
            status = "Succeeded"
        made.append(
            {
                "dueDate": due.date().isoformat(),
                "pricingCurrencyTotal": money((total / count).quantize(Decimal("0.01"))),
                "status": status,
            }
        )
    return made


def purchase(call: Call) -> Reply:
    """Buy what was calculated, under the id that the calculation gave."""
    terms = terms_of(call.body)
    world = call.world
    order = world.book.purchase(call.names["order"], terms, world.now())
    call.sold.append(order)
    return started(call, lambda: _when_done(call, order), lambda: order_json(call.world, order))


def _when_done(call: Call, order: Order) -> object | None:
    call.world.book.read(order, call.world.now())
    return None if order.outcome is None else order_json(call.world, order)


def get_order(call: Call) -> Reply:
    """One order."""
    order = _order(call)
    call.world.book.read(order, call.world.now())
    return Reply(200, order_json(call.world, order))


def _order(call: Call) -> Order:
    order = call.world.book.orders.get(call.names["order"].lower())
    if order is None or order.is_hidden(call.world.now()):
        message = f"The reservation order {call.names['order']} was not found."
        raise ApiError("ReservationOrderNotFound", message, 404)
    return order


def list_orders(call: Call) -> Reply:
    """Every order."""
    now = call.world.now()
    found = [
        order_json(call.world, one)
        for one in call.world.book.orders.values()
        if not one.is_hidden(now)
    ]
    items, link = call.page(found)
    return Reply(200, {"value": items, **({"nextLink": link} if link else {})})


def list_all(call: Call) -> Reply:
    """Every reservation of the tenant, in every state."""
    now = call.world.now()
    found = [
        reservation_json(one)
        for order in call.world.book.orders.values()
        if not order.is_hidden(now)
        for one in order.reservations
    ]
    items, link = call.page(found)
    return Reply(200, {"value": items, **({"nextLink": link} if link else {})})


def list_in_order(call: Call) -> Reply:
    """The reservations of one order."""
    found = [reservation_json(one) for one in _order(call).reservations]
    items, link = call.page(found)
    return Reply(200, {"value": items, **({"nextLink": link} if link else {})})


def get_reservation(call: Call) -> Reply:
    """One reservation."""
    for one in _order(call).reservations:
        if one.reservation_id == call.names["reservation"].lower():
            return Reply(200, reservation_json(one))
    raise ApiError("ReservationIdNotInReservationOrder", "There is no such reservation.", 404)


def order_json(world: AzureWorld, order: Order) -> dict[str, object]:
    """A reservation order."""
    first = order.reservations[0]
    total = order.unit_usd * order.terms.quantity
    return {
        "id": f"{ORDERS}/{order.order_id}",
        "name": order.order_id,
        "type": "Microsoft.Capacity/reservationOrders",
        "etag": 1,
        "properties": {
            "displayName": order.terms.display_name,
            "requestDateTime": iso(order.asked_at),
            "createdDateTime": iso(order.asked_at),
            "expiryDate": _day(first.end.date()),
            "expiryDateTime": iso(first.end),
            "benefitStartTime": iso(first.start),
            "originalQuantity": order.terms.quantity,
            "term": TERMS[order.terms.months],
            "provisioningState": order.state,
            "billingPlan": _plan(order),
            "planInformation": {
                "pricingCurrencyTotal": money(_told(world, total, order.terms)),
                "transactions": _transactions(order, world.now()),
            },
            "reservations": [{"id": one.resource_id} for one in order.reservations],
        },
    }


def reservation_json(one: Reservation) -> dict[str, object]:
    """A reservation."""
    order = one.order
    links = {
        "splitProperties": {k: one.links[k] for k in _SPLIT if k in one.links},
        "mergeProperties": {k: one.links[k] for k in _MERGE if k in one.links},
        "swapProperties": {k: one.links[k] for k in _SWAP if k in one.links},
        **{k: one.links[k] for k in _RENEW if k in one.links},
    }
    scope: dict[str, object] = {"appliedScopeType": "Single" if one.scopes else "Shared"}
    if one.scopes:
        name = "resourceGroupId" if "resourcegroups" in one.scopes[0].lower() else "subscriptionId"
        scope |= {
            "appliedScopes": list(one.scopes),
            "appliedScopeProperties": {name: one.scopes[0]},
        }
    return {
        "id": one.resource_id,
        "name": f"{order.order_id}/{one.reservation_id}",
        "type": "Microsoft.Capacity/reservationOrders/reservations",
        "etag": 1,
        "location": order.machine.region,
        "sku": {"name": order.machine.arm_name},
        "kind": "Microsoft.Compute",
        "properties": {
            "reservedResourceType": _VIRTUAL_MACHINES,
            "instanceFlexibility": "On" if one.flexible else "Off",
            "displayName": one.display_name,
            "quantity": one.quantity,
            "provisioningState": one.state,
            "effectiveDateTime": iso(one.start),
            "benefitStartTime": iso(one.start),
            "lastUpdatedDateTime": iso(one.changed_at or order.asked_at),
            "expiryDate": _day(one.end.date()),
            "expiryDateTime": iso(one.end),
            "purchaseDate": _day(order.asked_at.date()),
            "purchaseDateTime": iso(order.asked_at),
            "term": TERMS[order.terms.months],
            "billingPlan": _plan(order),
            "billingScopeId": order.terms.billing_scope,
            "renew": one.renew,
            "skuDescription": f"Reserved VM Instance, {order.machine.arm_name}",
            **scope,
            **{name: link for name, link in links.items() if link},
        },
    }


_SPLIT = ("splitSource", "splitDestinations")
_MERGE = ("mergeSources", "mergeDestination")
_SWAP = ("swapSource", "swapDestination")
_RENEW = ("renewSource", "renewDestination")


def _plan(order: Order) -> str:
    return "Monthly" if order.terms.monthly else "Upfront"


def _day(day: date) -> str:
    return day.isoformat()


ROUTES = (
    route(
        "GET",
        "/subscriptions/{subscription}/providers/Microsoft.Capacity/catalogs",
        "azure.Catalog.List",
        "Microsoft.Capacity/catalogs/read",
        catalogs,
    ),
    route(
        "POST",
        "/providers/Microsoft.Capacity/calculatePrice",
        "azure.ReservationOrder.Calculate",
        "Microsoft.Capacity/calculateprice/action",
        calculate,
    ),
    route(
        "GET",
        "/providers/Microsoft.Capacity/operations/{operation}",
        "azure.Operation.Get",
        "",
        poll,
    ),
    route(
        "PUT",
        ORDERS + "/{order}",
        "azure.ReservationOrder.Purchase",
        "Microsoft.Capacity/reservationorders/write",
        purchase,
    ),
    route(
        "GET",
        ORDERS + "/{order}",
        "azure.ReservationOrder.Get",
        "Microsoft.Capacity/reservationorders/read",
        get_order,
    ),
    route(
        "GET",
        ORDERS,
        "azure.ReservationOrder.List",
        "Microsoft.Capacity/reservationorders/read",
        list_orders,
    ),
    route(
        "GET",
        "/providers/Microsoft.Capacity/reservations",
        "azure.Reservation.ListAll",
        "Microsoft.Capacity/reservationorders/reservations/read",
        list_all,
    ),
    route(
        "GET",
        ORDERS + "/{order}/reservations",
        "azure.Reservation.List",
        "Microsoft.Capacity/reservationorders/reservations/read",
        list_in_order,
    ),
    route(
        "GET",
        ORDERS + "/{order}/reservations/{reservation}",
        "azure.Reservation.Get",
        "Microsoft.Capacity/reservationorders/reservations/read",
        get_reservation,
    ),
)
