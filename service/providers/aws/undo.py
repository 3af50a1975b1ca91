"""Taking back what was bought: Savings Plan returns, and purchases that have not begun.

AWS's rules for a return (Savings Plans user guide, "Returning a purchased Savings Plan"): active,
within its window, at most $100 an hour, ten a calendar year. ``returnableUntil`` is taken as the
window; the provider has the last word in either case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    Altered,
)
from service.domain.commitments import CommitmentState
from service.domain.errors import ProviderError
from service.domain.hours import HOUR
from service.domain.ids import CommitmentId
from service.domain.purchases import InventoryItem, Refused, Unknown
from service.providers.aws import inventory
from service.providers.aws.clients import Answer, AwsClients
from service.providers.aws.last_look import send_if_wanted
from service.providers.aws.outcome import WIRE_ERRORS, outcome_of
from service.providers.aws.reservations import SERVICE as EC2
from service.providers.aws.savings_plans import SERVICE as SAVINGS_PLANS
from service.providers.port import StillWanted

RETURN_COMMIT_USD_PER_HOUR_MAX = Decimal(100)
RETURNS_PER_YEAR = 10
NOTHING = Decimal(0)
_UNEXPECTED = "unexpected-error"


@dataclass(frozen=True, slots=True)
class Found:
    """The one commitment that an order is about. ``region`` is set for reservations."""

    item: InventoryItem
    returned_this_year: int


def find_plan(clients: AwsClients, order: AlterationOrder, now: datetime) -> Found:
    """The Savings Plan that the order names; ``ProviderError`` when it is not listed."""
    plans = inventory.savings_plans(clients, order.account)
    item = one_of(plans, order)
    returned = sum(
        plan.commitment.state is CommitmentState.RETURNED and plan.commitment.start.year == now.year
        for plan in plans
    )
    return Found(item, returned)


def one_of(items: Sequence[InventoryItem], order: AlterationOrder) -> InventoryItem:
    """The single source of ``order`` among ``items``."""
    fits = [item for item in items if item.commitment.commitment in order.sources]
    if len(order.sources) != 1 or len(fits) != 1:
        raise ProviderError(
            provider="aws",
            operation=f"{order.alteration}",
            code="not_listed",
            detail=f"{', '.join(order.sources)}: {len(fits)} of them are listed",
        )
    return fits[0]


def why_no_return(item: InventoryItem, now: datetime, returned_this_year: int = 0) -> str:
    """Why the rules forbid returning the plan now; empty when they do not."""
    if item.commitment.state is not CommitmentState.ACTIVE:
        return f"it is {item.commitment.state}, and only active plans can be returned"
    if item.returnable_until is None:
        return "AWS names no time until which it can be returned"
    if now >= item.returnable_until:
        return f"it could be returned until {item.returnable_until.isoformat()}"
    if item.commit_usd_per_hour > RETURN_COMMIT_USD_PER_HOUR_MAX:
        return f"it commits more than {RETURN_COMMIT_USD_PER_HOUR_MAX} USD an hour"
    if returned_this_year >= RETURNS_PER_YEAR:
        return f"{returned_this_year} plans were returned this year already"
    return ""


def quote(clients: AwsClients, order: AlterationOrder, now: datetime) -> AlterationQuote:
    """What a return or the deletion of a queued purchase comes to; changes nothing."""
    found = find(clients, order, now)
    item = found.item
    if order.alteration is AlterationKind.RETURN:
        detail = why_no_return(item, now, found.returned_this_year)
        refund = item.upfront_usd
    else:
        queued = item.commitment.state is CommitmentState.QUEUED
        detail = "" if queued else f"it is {item.commitment.state}, no longer queued"
        refund = NOTHING
    hours = max((item.commitment.end - max(now, item.commitment.start)) // HOUR, 0)
    return AlterationQuote(
        allowed=not detail,
        detail=detail,
        pay_usd=NOTHING,
        refund_usd=NOTHING if detail else refund,
        source_value_usd=Decimal(item.commit_usd_per_hour) * hours,
        target_value_usd=NOTHING,
        targets=(),
        reference=None,
        quoted_at=now,
    )


def find(clients: AwsClients, order: AlterationOrder, now: datetime) -> Found:
    """What the order names, as it is listed now."""
    if order.kind.is_spend:
        return find_plan(clients, order, now)
    listed = inventory.reservations(clients, order.account, inventory.regions(clients))
    return Found(one_of(listed, order), 0)


def give_back(
    clients: AwsClients, order: AlterationOrder, now: datetime, still_wanted: StillWanted
) -> AlterationOutcome:
    """One ``ReturnSavingsPlan``, repeatable by the order's token; ``Altered``: accepted.

    A plan that is listed as returned, or on its way, is not returned again.
    """
    try:
        item = find_plan(clients, order, now).item
    except ProviderError as error:
        return Refused(code=error.code, detail=str(error))
    done = Altered(made=(), paid_usd=NOTHING, refunded_usd=item.upfront_usd)
    if item.commitment.state is CommitmentState.RETURNED:
        return done
    client = clients.purchasing(SAVINGS_PLANS)
    plan = {"savingsPlanId": item.commitment.commitment, "clientToken": order.token}
    try:
        answer: Answer = send_if_wanted(client, "return_savings_plan", plan, still_wanted)
    except WIRE_ERRORS as error:
        return outcome_of(error)
    return done if answer.get("savingsPlanId") else Unknown(detail="the answer names no plan")


def cancel_queued(
    clients: AwsClients, order: AlterationOrder, now: datetime, still_wanted: StillWanted
) -> AlterationOutcome:
    """Delete one purchase before it begins: nothing was charged for it.

    AWS takes no token here, and a purchase that is listed as deleted is not deleted again.
    """
    try:
        item = find(clients, order, now).item
    except ProviderError as error:
        return Refused(code=error.code, detail=str(error))
    if item.commitment.state is CommitmentState.FAILED:
        return Altered(made=(), paid_usd=NOTHING, refunded_usd=NOTHING)
    if order.kind.is_spend:
        return _cancel_plan(clients, item.commitment.commitment, still_wanted)
    return _cancel_reservation(clients, item, still_wanted)


def _cancel_plan(
    clients: AwsClients, plan: CommitmentId, still_wanted: StillWanted
) -> AlterationOutcome:
    client = clients.purchasing(SAVINGS_PLANS)
    operation = "delete_queued_savings_plan"
    try:
        send_if_wanted(client, operation, {"savingsPlanId": plan}, still_wanted)
    except WIRE_ERRORS as error:
        return outcome_of(error)
    return Altered(made=(), paid_usd=NOTHING, refunded_usd=NOTHING)


def _cancel_reservation(
    clients: AwsClients, item: InventoryItem, still_wanted: StillWanted
) -> AlterationOutcome:
    reservation = item.commitment.commitment
    client = clients.purchasing(EC2, str(item.region))
    one_only = {"ReservedInstancesIds": [reservation]}
    operation = "delete_queued_reserved_instances"
    try:
        answer: Answer = send_if_wanted(client, operation, one_only, still_wanted)
    except WIRE_ERRORS as error:
        return outcome_of(error)
    done = answer.get("SuccessfulQueuedPurchaseDeletions", ())
    if any(one.get("ReservedInstancesId") == reservation for one in done):
        return Altered(made=(), paid_usd=NOTHING, refunded_usd=NOTHING)
    return _failed_deletion(answer, reservation)


def _failed_deletion(answer: Answer, reservation: CommitmentId) -> AlterationOutcome:
    for one in answer.get("FailedQueuedPurchaseDeletions", ()):
        fault = one.get("Error", {})
        if one.get("ReservedInstancesId") == reservation and fault.get("Code") != _UNEXPECTED:
            return Refused(code=str(fault.get("Code")), detail=str(fault.get("Message")))
    return Unknown(detail=f"the answer does not say what became of {reservation}")
