"""All commitments that Azure lists, in every state, as domain values.

A listing is complete or an error: a page missed is a commitment bought twice. The display name
carries the intent of what a purchase made; parts of a split, merged ones and renewals carry the
name on, and have no intent of their own. What a reservation costs is told by its order alone: where
Azure does not tell, that is an error and no estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from service.domain.commitments import Commitment, CommitmentState, Kind, Payment
from service.domain.errors import ProviderError
from service.domain.hours import HOUR, TERM_HOURS
from service.domain.ids import AccountId, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import InventoryItem
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import Answer, AzureClients, read
from service.providers.azure.reservations import ReservationTerms
from service.providers.azure.savings_plans import plan_offering_id, plan_payment
from service.providers.azure.term_price import bought_term_usd
from service.providers.azure.words import (
    RESERVATION_PLANS,
    STATES,
    TERM_MONTHS,
    VIRTUAL_MACHINES,
    account_of,
    amount,
    instant,
    intent_of,
    known,
    required_instant,
    scope_of,
)
from service.usage.azure_sku import flexibility

_REFUND_MARGIN = timedelta(hours=1)
"""Azure's clock and ours may differ: the last hour of a term is not counted on for a return."""


@dataclass(frozen=True, slots=True)
class _Price:
    """What an order costs: dollars for one machine and the whole term."""

    per_unit_usd: Decimal


def reservations(clients: AzureClients) -> list[InventoryItem]:
    """Every reservation of virtual machines that the credentials see, of every order."""
    listed = read(
        "Reservation.ListAll",
        lambda: [one.as_dict() for one in clients.reservations.reservation.list_all()],
    )
    machines = [one for one in listed if _is_machine(one)]
    prices = _prices(clients, _owned_orders(machines))
    return read(
        "Reservation.ListAll",
        lambda: [_reservation(one, prices[_order_of(one)], clients) for one in machines],
    )


def savings_plans(clients: AzureClients) -> list[InventoryItem]:
    """Every savings plan that the credentials see."""
    listed = read(
        "SavingsPlan.ListAll",
        lambda: [one.as_dict() for one in clients.benefits.savings_plan.list_all()],
    )
    return read("SavingsPlan.ListAll", lambda: [_plan(one, clients) for one in listed])


def _is_machine(one: Answer) -> bool:
    kind = str((one.get("properties") or {}).get("reservedResourceType") or "")
    return kind.lower() == VIRTUAL_MACHINES.lower()


def _order_of(one: Answer) -> str:
    return str(one.get("name") or "").partition("/")[0]


def _owned_orders(machines: Sequence[Answer]) -> Mapping[str, bool]:
    """The order of each reservation, and whether anything of it is still owned."""
    owned: dict[str, bool] = {}
    for one in machines:
        state = known(STATES, (one.get("properties") or {}).get("provisioningState"))
        owned[_order_of(one)] = owned.get(_order_of(one), False) or state.is_owned
    return owned


def _prices(clients: AzureClients, orders: Mapping[str, bool]) -> Mapping[str, _Price]:
    """What each order costs: from the listing of orders, else asked for one by one.

    ``orders`` says of each whether anything of it is still owned. Other orders, of what is no
    machine, may be of terms and plans that are not known here.
    """
    listed = read(
        "ReservationOrder.List",
        lambda: [one.as_dict() for one in clients.reservations.reservation_order.list()],
    )
    found = {
        name: price
        for one in listed
        if (name := str(one.get("name"))) in orders and (price := _price(one, owned=True))
    }
    for order in sorted(set(orders) - set(found)):
        one = read("ReservationOrder.Get", partial(_order, clients, order))
        price = _price(one, owned=orders[order])
        if price is None:
            raise ProviderError(
                provider=PROVIDER,
                operation="ReservationOrder.Get",
                code="no_price",
                detail=f"reservation order {order} does not tell clearly what it costs",
            )
        found[order] = price
    return found


def _order(clients: AzureClients, order: str) -> Answer:
    found: Answer = clients.reservations.reservation_order.get(order, expand="schedule").as_dict()
    return found


def _price(order: Answer, *, owned: bool) -> _Price | None:
    properties = order.get("properties") or {}
    plan = properties.get("planInformation") or {}
    total, count = plan.get("pricingCurrencyTotal"), properties.get("originalQuantity")
    if total is None or not count:
        return None
    whole_usd = bought_term_usd(
        amount(total),
        plan.get("transactions") or (),
        known(TERM_MONTHS, properties.get("term")),
        known(RESERVATION_PLANS, properties.get("billingPlan")),
        owned=owned,
    )
    return None if whole_usd is None else _Price(whole_usd / int(count))


def _reservation(one: Answer, price: _Price, clients: AzureClients) -> InventoryItem:
    properties = one.get("properties") or {}
    terms = ReservationTerms(
        region=str(one.get("location") or "").lower(),
        arm_sku_name=str((one.get("sku") or {}).get("name") or ""),
        term_months=known(TERM_MONTHS, properties.get("term")),
        payment=known(RESERVATION_PLANS, properties.get("billingPlan")),
        flexible=properties.get("instanceFlexibility") != "Off",
    )
    quantity = Decimal(str(properties.get("quantity")))
    whole_usd = price.per_unit_usd * quantity
    start, end = _term(properties, terms.term_months)
    state = known(STATES, properties.get("provisioningState"))
    active = state is CommitmentState.ACTIVE
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(str(one["id"])),
            offering=terms.offering,
            account=_payer(properties, clients),
            scope=scope_of(properties),
            zone=None,
            quantity=quantity,
            start=start,
            end=end,
            state=state,
        ),
        kind=Kind.AZURE_RESERVATION,
        term_months=terms.term_months,
        payment=terms.payment,
        region=terms.region,
        family=flexibility(terms.arm_sku_name)[0],
        commit_usd_per_hour=CommitUsdPerHour(whole_usd / TERM_HOURS[terms.term_months]),
        upfront_usd=whole_usd if terms.payment is Payment.ALL_UPFRONT else Decimal(0),
        intent=_intent(properties),
        returnable_until=end - _REFUND_MARGIN if active else None,
        reference=_order_of(one),
        exchangeable=active,
        renews=bool(properties.get("renew")),
    )


def _plan(one: Answer, clients: AzureClients) -> InventoryItem:
    properties = one.get("properties") or {}
    months = known(TERM_MONTHS, properties.get("term"))
    payment = plan_payment(properties)
    usd_per_hour = amount(properties.get("commitment"))
    start, end = _term(properties, months)
    upfront = payment is Payment.ALL_UPFRONT
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(str(one["id"])),
            offering=OfferingId(plan_offering_id(months, payment)),
            account=_payer(properties, clients),
            scope=scope_of(properties),
            zone=None,
            quantity=usd_per_hour,
            start=start,
            end=end,
            state=known(STATES, properties.get("provisioningState")),
        ),
        kind=Kind.AZURE_SAVINGS_PLAN,
        term_months=months,
        payment=payment,
        region=None,
        family=None,
        commit_usd_per_hour=CommitUsdPerHour(usd_per_hour),
        upfront_usd=usd_per_hour * TERM_HOURS[months] if upfront else Decimal(0),
        intent=_intent(properties),
        returnable_until=None,
        reference=str(one["id"]).split("/")[4],
        renews=bool(properties.get("renew")),
    )


def _intent(properties: Answer) -> IntentId | None:
    made_of = (
        (properties.get("splitProperties") or {}).get("splitSource"),
        (properties.get("mergeProperties") or {}).get("mergeSources"),
        properties.get("renewSource"),
    )
    return None if any(made_of) else intent_of(properties.get("displayName"))


def _term(properties: Answer, months: int) -> tuple[datetime, datetime]:
    """When the term begins and ends; what Azure does not tell yet, from when it was bought."""
    began = next(
        (
            properties[name]
            for name in ("benefitStartTime", "effectiveDateTime", "purchaseDateTime")
            if properties.get(name)
        ),
        None,
    )
    start = required_instant(began, "benefitStartTime")
    end = instant(properties.get("expiryDateTime"))
    return start, end or start + TERM_HOURS[months] * HOUR


def _payer(properties: Answer, clients: AzureClients) -> AccountId:
    """The subscription that pays; ours where Azure names a billing account instead."""
    scope = str(properties.get("billingScopeId") or "").rstrip("/")
    parts = scope.lower().split("/")
    for name in ("subscriptions", "billingsubscriptions"):
        if name in parts[:-1]:
            return AccountId(parts[parts.index(name) + 1])
    return account_of(clients.access.subscription_id)
