"""Looking for one purchase by its intent's tag: decides what the listing proves of it.

A listing that does not show it proves nothing, since AWS may be late to list what it sold.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.commitments import CommitmentState
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    InventoryItem,
    PurchaseOrder,
    Refused,
    Unknown,
)
from service.providers.aws import inventory
from service.providers.aws.clients import AwsClients
from service.providers.aws.reservation_terms import ReservationTerms


def plan(clients: AwsClients, order: PurchaseOrder) -> Evidence:
    """What became of a Savings Plan's purchase; ``ProviderError`` when AWS does not list them."""
    return _tagged(inventory.savings_plans(clients, order.account), order)


def reservation(clients: AwsClients, order: PurchaseOrder) -> Evidence:
    """What became of an EC2 reservation's purchase, where it could be tagged afterwards."""
    region = ReservationTerms.of_offering(order.offering).region
    return _tagged(inventory.reservations(clients, order.account, [region]), order)


def _tagged(items: Sequence[InventoryItem], order: PurchaseOrder) -> Evidence:
    tagged = [item for item in items if item.intent == order.intent]
    if not tagged:
        return Absent(detail=f"nothing listed carries intent {order.intent}")
    wanted = (order.offering, order.quantity, order.term_months, order.payment)
    fits = [
        item
        for item in tagged
        if (item.commitment.offering, item.commitment.quantity, item.term_months, item.payment)
        == wanted
    ]
    sound = [item for item in fits if item.commitment.state is not CommitmentState.FAILED]
    if sound:
        first = min(sound, key=lambda item: (item.commitment.start, item.commitment.commitment))
        return Bought(first.commitment.commitment)
    if fits:
        failed = fits[0].commitment.commitment
        return Refused(code="payment_failed", detail=f"{failed} is listed as failed")
    names = ", ".join(item.commitment.commitment for item in tagged)
    return Unknown(detail=f"{names} carries intent {order.intent} and is not what was ordered")
