"""Alterations of reservations on the wire: split, merge, renewal, return, exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from service.sandbox.azure.changes import ExchangeSession, Giving, Refusal, ReturnSession
from service.sandbox.azure.orders import Reservation
from service.sandbox.azure.wire.call import INVALID, Body, Call, Reply, route
from service.sandbox.azure.wire.operations import counted, started
from service.sandbox.azure.wire.reservations import (
    ORDERS,
    money,
    order_json,
    reservation_json,
    terms_of,
)
from service.sandbox.faults import ApiError

_POLLS = 2  # an alteration is answered when it was asked about so often


def split(call: Call) -> Reply:
    """Two reservations out of one."""
    properties = call.body.part("properties")
    made = call.world.changes.split(
        properties.text("reservationId"), properties.integers("quantities"), call.world.now()
    )
    return _listed(call, made)


def merge(call: Call) -> Reply:
    """One reservation out of two."""
    sources = call.body.part("properties").texts("sources")
    return _listed(call, call.world.changes.merge(sources, call.world.now()))


def _listed(call: Call, made: Sequence[Reservation]) -> Reply:
    def result() -> object:
        return [reservation_json(one) for one in made]

    return _altered(call, result)


def update(call: Call) -> Reply:
    """Renew at the end of the term, or not; another name."""
    one = call.world.changes.find(call.path)
    properties = call.body.part("properties")
    if properties.has("renew"):
        if properties.flag("renew") == one.renew:
            raise ApiError("PatchValuesSameAsExisting", "Nothing would change.")
        one.renew = properties.flag("renew")
    one.display_name = properties.text_or_none("name") or one.display_name
    return _altered(call, lambda: reservation_json(one))


def _altered(call: Call, result: Callable[[], object]) -> Reply:
    return started(call, counted(_POLLS, result), result)


def calculate_refund(call: Call) -> Reply:
    """What a return would bring."""
    properties = call.body.part("properties")
    path, quantity = _to_return(properties)
    name, session = call.world.changes.quote_return(path, quantity, call.world.now())
    body = {
        "id": f"{ORDERS}/{call.names['order']}",
        "properties": _refund_json(call, name, session),
    }
    return Reply(200, body)


def give_back(call: Call) -> Reply:
    """Return what a session quoted."""
    properties = call.body.part("properties")
    path, quantity = _to_return(properties)
    if not properties.text_or_none("returnReason"):
        raise ApiError(INVALID, "returnReason is required.")
    one = call.world.changes.give_back(
        properties.text("sessionId"), path, quantity, call.world.now()
    )
    return _altered(call, lambda: order_json(call.world, one.order))


def _to_return(properties: Body) -> tuple[str, int]:
    if properties.text("scope") != "Reservation":
        raise ApiError(INVALID, "The scope must be Reservation.")
    one = properties.part("reservationToReturn")
    return one.text("reservationId"), one.integer("quantity")


def _refund_json(call: Call, name: str, session: ReturnSession) -> dict[str, object]:
    giving = session.giving
    return {
        "sessionId": name,
        "quantity": giving.quantity,
        "billingRefundAmount": money(giving.refund_usd),
        "pricingRefundAmount": money(giving.refund_usd),
        "policyResult": {
            "properties": {
                "consumedRefundsTotal": money(session.consumed_usd),
                "maxRefundLimit": money(call.world.changes.refund_limit_usd),
                "policyErrors": [_refusal(one) for one in session.errors],
            }
        },
        "billingInformation": {"billingPlan": _plan(giving), **_billing_json(giving)},
    }


def _plan(giving: Giving) -> str:
    return "Monthly" if giving.reservation.order.terms.monthly else "Upfront"


def _billing_json(giving: Giving) -> dict[str, object]:
    zero = money(Decimal(0))
    return {
        "billingCurrencyTotalPaidAmount": zero,
        "billingCurrencyProratedAmount": zero,
        "billingCurrencyRemainingCommitmentAmount": money(giving.remaining_usd),
    }


def calculate_exchange(call: Call) -> Reply:
    """What an exchange would come to."""
    properties = call.body.part("properties")
    giving = [
        (one.text("reservationId"), one.integer("quantity"))
        for one in properties.parts("reservationsToExchange")
    ]
    taking = [terms_of(one) for one in properties.parts("reservationsToPurchase")]
    if not giving or not taking:
        raise ApiError(INVALID, "An exchange gives and takes.")
    name, session = call.world.changes.quote_exchange(giving, taking, call.world.now())
    for quoted in session.taking:
        call.priced.append((quoted.terms.region, quoted.terms.arm_name))
    return _altered(call, lambda: _exchange_json(name, session))


def exchange(call: Call) -> Reply:
    """Do what a session quoted."""
    name = call.body.part("properties").text("sessionId")
    session = call.world.changes.exchange(name, call.world.now())
    call.sold += session.orders
    return _altered(call, lambda: _exchange_json(name, session))


def _exchange_json(name: str, session: ExchangeSession) -> dict[str, object]:
    done = {"status": "Succeeded"} if session.used else {}
    takes = []
    for number, quoted in enumerate(session.taking):
        order = session.orders[number] if session.orders else None
        made = {}
        if order is not None:
            made = {
                "reservationOrderId": f"{ORDERS}/{order.order_id}",
                "reservationId": order.reservations[0].resource_id,
            }
        total = money(quoted.unit_usd * quoted.terms.quantity)
        takes.append({**made, "properties": {}, "billingCurrencyTotal": total, **done})
    gives = [
        {
            "reservationId": one.reservation.resource_id,
            "quantity": one.quantity,
            "billingRefundAmount": money(one.refund_usd),
            "billingInformation": _billing_json(one),
            **done,
        }
        for one in session.giving
    ]
    return {
        "id": f"/providers/Microsoft.Capacity/exchangeSessions/{name}",
        "name": name,
        "status": "Succeeded",
        "properties": {
            "sessionId": name,
            "netPayable": money(session.purchases_usd - session.refunds_usd),
            "refundsTotal": money(session.refunds_usd),
            "purchasesTotal": money(session.purchases_usd),
            "reservationsToPurchase": takes,
            "savingsPlansToPurchase": [],
            "reservationsToExchange": gives,
            "policyResult": {"policyErrors": [_refusal(one) for one in session.errors]},
        },
    }


def _refusal(one: Refusal) -> dict[str, str]:
    return {"code": one.code, "message": one.message}


ROUTES = (
    route(
        "POST",
        ORDERS + "/{order}/split",
        "azure.Reservation.Split",
        "Microsoft.Capacity/reservationorders/split/action",
        split,
    ),
    route(
        "POST",
        ORDERS + "/{order}/merge",
        "azure.Reservation.Merge",
        "Microsoft.Capacity/reservationorders/merge/action",
        merge,
    ),
    route(
        "PATCH",
        ORDERS + "/{order}/reservations/{reservation}",
        "azure.Reservation.Update",
        "Microsoft.Capacity/reservationorders/reservations/write",
        update,
    ),
    route(
        "POST",
        ORDERS + "/{order}/calculateRefund",
        "azure.CalculateRefund.Post",
        "Microsoft.Capacity/reservationorders/calculaterefund/action",
        calculate_refund,
    ),
    route(
        "POST",
        ORDERS + "/{order}/return",
        "azure.Return.Post",
        "Microsoft.Capacity/reservationorders/return/action",
        give_back,
    ),
    route(
        "POST",
        "/providers/Microsoft.Capacity/calculateExchange",
        "azure.CalculateExchange.Post",
        "Microsoft.Capacity/calculateexchange/action",
        calculate_exchange,
    ),
    route(
        "POST",
        "/providers/Microsoft.Capacity/exchange",
        "azure.Exchange.Post",
        "Microsoft.Capacity/exchange/action",
        exchange,
    ),
)
