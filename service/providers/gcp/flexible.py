"""Buying flexible commitments: one procurement order, watched to its end.

Google remembers a request id for a day; a display name may be used twice. So the intent's display
name is looked for before an order is placed, and an order that is found is compared, not repeated.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId
from service.domain.money import floor_to_step
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    Outcome,
    PurchaseOrder,
    Refused,
    Unknown,
)
from service.providers.dearer import refuse_dearer
from service.providers.gcp.clients import GcpAccess, GcpClients, wire_errors
from service.providers.gcp.inventory import (
    COMMIT_PARAMETER,
    REGION_PARAMETER,
    commit_usd,
    known_offers,
    lines_of,
    orders,
)
from service.providers.gcp.outcome import NOT_SENT, outcome_of, rpc_outcome
from service.providers.gcp.words import (
    FLEXIBLE_STEP_USD,
    PROVIDER,
    flexible_offering,
    request_id,
    tag,
)
from service.providers.port import StillWanted

if TYPE_CHECKING:
    from google.cloud.commerce_consumer_procurement_v1.types import Order
    from google.longrunning.operations_pb2 import (  # type: ignore[import-untyped]
        Operation,
    )

_POLL_TIMEOUT_SECONDS = 30.0


def offer_of(access: GcpAccess, order: PurchaseOrder) -> str:
    """Google's name of the offer that the order is of; ``ProviderError`` when none is set up."""
    offer = access.flexible_offers.get(order.term_months)
    if offer is None or order.offering != flexible_offering(order.term_months):
        raise ProviderError(
            provider=PROVIDER,
            operation="orders.place",
            code="not_on_sale",
            detail=f"no offer is set up for {order.offering} of {order.term_months} months: "
            "set TENOR_GCP_FLEXIBLE_OFFER_12 or _36",
        )
    return offer


def purchase(clients: GcpClients, order: PurchaseOrder, still_wanted: StillWanted) -> Outcome:
    """One ``orders.place`` with the intent's request id and display name."""
    step = FLEXIBLE_STEP_USD
    if order.quantity != floor_to_step(order.quantity, step) or order.quantity < step:
        return Refused("quantity", f"{order.quantity} is not a multiple of {step} dollars an hour")
    if order.upfront_usd:
        return Refused("upfront", "flexible commitments have no upfront payment")
    # What it commits to by the hour is its price.
    dearer = refuse_dearer(order, hourly_usd=order.quantity, upfront_usd=Decimal(0))
    if dearer is not None:
        return dearer
    try:
        offer = offer_of(clients.access, order)
        placed = orders(clients, display_name=tag(order.intent))
    except ProviderError as error:
        code = error.code if error.code == "not_on_sale" else NOT_SENT
        return Refused(code, str(error))
    if placed:
        return _compared(clients.access, placed, order)
    return _place(clients, order, offer, still_wanted)


def verified(clients: GcpClients, order: PurchaseOrder) -> Evidence:
    """What became of the order, by its display name; only one equal, settled order is a yes.

    ``ProviderError`` when Google does not say. Orders that fail are deleted.
    """
    placed = orders(clients, display_name=tag(order.intent))
    if not placed:
        return Absent("no order has its display name")
    return _compared(clients.access, placed, order)


def _place(
    clients: GcpClients, order: PurchaseOrder, offer: str, still_wanted: StillWanted
) -> Outcome:
    parameters = [
        {"name": COMMIT_PARAMETER, "value": {"double_value": float(order.quantity)}},
        {"name": REGION_PARAMETER, "value": {"string_value": clients.access.flexible_region}},
    ]
    client = clients.orders()
    stopped = still_wanted()
    if stopped is not None:
        return stopped
    try:
        begun = client.place_order(
            request={
                "parent": f"billingAccounts/{clients.access.billing_account}",
                "display_name": tag(order.intent),
                "line_item_info": [{"offer": offer, "parameters": parameters}],
                "request_id": request_id(order.token),
            },
            retry=None,
            timeout=clients.access.purchase_timeout_seconds,
        )
    except wire_errors() as error:
        return outcome_of(error)
    return _watch(clients, begun.operation)


def _watch(clients: GcpClients, begun: Operation) -> Outcome:
    """Ask about the operation until it is done, a bounded number of times."""
    operation, trouble = begun, ""
    for _ in range(clients.access.polls):
        if operation.done:
            return _ended(operation)
        time.sleep(clients.access.poll_seconds)
        try:
            operation = clients.orders().transport.operations_client.get_operation(
                begun.name, retry=None, timeout=_POLL_TIMEOUT_SECONDS
            )
        except wire_errors() as error:
            trouble = f"; {type(error).__name__}: {error}"
    if operation.done:
        return _ended(operation)
    return Unknown(f"operation {begun.name or 'without a name'} is not known to be done{trouble}")


def _ended(operation: Operation) -> Outcome:
    from google.cloud.commerce_consumer_procurement_v1.types import Order  # noqa: PLC0415
    from google.protobuf.message import (  # type: ignore[import-untyped]  # noqa: PLC0415
        DecodeError,
    )

    if operation.HasField("error"):
        return rpc_outcome(operation.error.code, operation.error.message)
    try:
        order = Order.deserialize(operation.response.value)
    except DecodeError as error:
        return Unknown(f"the order's answer cannot be read: {error}")
    return Bought(CommitmentId(order.name)) if order.name else Unknown("the order has no name")


def _compared(access: GcpAccess, placed: list[Order], order: PurchaseOrder) -> Outcome:
    """An order that carries the intent's display name is the intent's, when it is equal to it.

    It may have been placed under an offer that is called otherwise by now.
    """
    offers = known_offers(access)
    for one in placed:
        lines = lines_of(one)
        if not lines:
            continue
        same = [
            line
            for line in lines
            if offers.get(line.info.offer) == order.term_months
            and commit_usd(line.info) == order.quantity
        ]
        if not same:
            return Unknown(f"{one.name} carries the intent and is of another offer or amount")
        if same[0].cancelled and not same[0].info.subscription.start_time:
            return Unknown(f"{one.name} was cancelled, and does not say whether it began")
        if not same[0].settled:
            return Unknown(f"{one.name} is being made")
        return Bought(CommitmentId(one.name))
    return Unknown("the orders with its display name have no line")
