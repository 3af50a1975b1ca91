"""Azure's state machines behind the port: two steps, aliases, returns and exchanges by session."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from service.domain.alterations import AlterationKind, AlterationOrder, AlterationQuote
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.hours import TERM_HOURS
from service.domain.ids import CommitmentId, OfferingId
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    InventoryItem,
    Outcome,
    PurchaseOrder,
    Refused,
    Unknown,
)
from service.sandbox.azure.orders import Reservation, Terms
from service.sandbox.azure.savings_plans import Plan, PlanTerms
from service.sandbox.azure.world import INTENT_PREFIX, AzureWorld, AzureWorldOptions
from tests.purchase.simulation.clouds import NOTHING, Mishap, Owned, SimCloud, Ware, item

PLAN = OfferingId("plan")
STATES = {
    "Creating": CommitmentState.PAYMENT_PENDING,
    "PendingResourceHold": CommitmentState.PAYMENT_PENDING,
    "PendingBilling": CommitmentState.PAYMENT_PENDING,
    "Succeeded": CommitmentState.ACTIVE,
    "BillingFailed": CommitmentState.FAILED,
    "Failed": CommitmentState.FAILED,
    "Cancelled": CommitmentState.RETURNED,
    "Split": CommitmentState.RETIRED,
    "Merged": CommitmentState.RETIRED,
    "Expired": CommitmentState.RETIRED,
}


class SimAzure(SimCloud):
    """One paying subscription."""

    provider = "azure"

    def __init__(self, seed: int, days: int, world: AzureWorld | None = None) -> None:
        options = AzureWorldOptions(
            seed=seed, history_days=1, horizon_days=days, refund_limit_usd=Decimal(10**6)
        )
        world = world or AzureWorld.generated(options)
        super().__init__(world, world.payer)
        later = max(world.usage.hours.end, world.now()).date()
        machine = next(
            one for one in world.catalog.machines.values() if world.catalog.is_sold(one, 12, later)
        )
        self.machine = machine
        price = world.catalog.reservation_usd(machine, 12)
        self.reservation = Ware(
            OfferingId(f"{machine.region}/{machine.arm_name}"),
            Kind.AZURE_RESERVATION,
            price / TERM_HOURS[12],
            Payment.ALL_UPFRONT,
        )
        self.wares = (self.reservation, Ware(PLAN, Kind.AZURE_SAVINGS_PLAN, Decimal(1)))

    def terms(self, quantity: Decimal, name: str) -> Terms:
        return Terms(
            region=self.machine.region,
            arm_name=self.machine.arm_name,
            months=12,
            monthly=False,
            quantity=int(quantity),
            display_name=name,
            scopes=(),
            renew=False,
            flexible=True,
            billing_scope="",
        )

    def mint(self, order: PurchaseOrder) -> str | None:
        if order.offering == PLAN:
            return None
        terms = self.terms(order.quantity, INTENT_PREFIX + order.intent)
        return str(self.world.book.quote(terms, self.now()).order_id)

    def sell(self, order: PurchaseOrder) -> tuple[CommitmentId, Any]:
        name = INTENT_PREFIX + order.intent
        if order.offering == PLAN:
            terms = PlanTerms(name, "", 12, True, order.quantity, (), False)  # noqa: FBT003
            plan, _ = self.world.plans.purchase(order.token, terms, self.now())
            return CommitmentId(plan.resource_id), plan
        assert order.reference is not None, "bought without the quote's order id"
        made = self.world.book.purchase(
            order.reference, self.terms(order.quantity, name), self.now()
        )
        return CommitmentId(made.reservations[0].resource_id), made

    def look_up(self, order: PurchaseOrder) -> Evidence:
        if order.offering == PLAN:
            plan = self.world.plans.by_alias(order.token)
            return Absent("no such alias") if plan is None else _ended(plan.state, plan)
        found = self.world.book.orders.get(order.reference or "")
        if found is None:
            return Absent("no such order")
        return _ended(found.state, found.reservations[0])

    def listed(self) -> list[InventoryItem]:
        found = [
            item(
                one.resource_id,
                self.reservation,
                Decimal(one.quantity),
                account=self.account,
                term=(one.start, one.end),
                state=STATES[one.state],
                intent=_intent(one.display_name),
                reference=one.order.order_id,
                exchangeable=one.state == "Succeeded",
                renews=one.renew,
            )
            for one in self.world.book.reservations()
            if self._shown(one.order)
        ]
        found += [
            item(
                one.resource_id,
                self.wares[1],
                one.terms.usd_per_hour,
                account=self.account,
                term=(one.start, one.end),
                state=STATES[one.state],
                intent=_intent(one.terms.display_name),
            )
            for one in self.world.plans.plans
            if self._shown(one)
        ]
        return found

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        live = item.commitment.state is CommitmentState.ACTIVE and now < item.commitment.end
        if item.kind is not Kind.AZURE_RESERVATION or not live:
            return frozenset()
        ways = {AlterationKind.RETURN, AlterationKind.EXCHANGE}
        if item.commitment.quantity > 1:
            ways.add(AlterationKind.SPLIT)
        if len(self.sources(item, AlterationKind.MERGE)) > 1:
            ways.add(AlterationKind.MERGE)
        return frozenset(ways)

    def sources(self, item: InventoryItem, kind: AlterationKind) -> tuple[CommitmentId, ...]:
        own = item.commitment.commitment
        if kind is not AlterationKind.MERGE:
            return (own,)
        siblings = [
            CommitmentId(one.resource_id)
            for one in self.world.book.reservations()
            if one.is_live and one.order.order_id == item.reference and one.resource_id != own
        ]
        return (own, *siblings[:1])

    def quote_alteration(self, order: AlterationOrder) -> AlterationQuote:
        quote = super().quote_alteration(order)
        if order.alteration not in {AlterationKind.EXCHANGE, AlterationKind.RETURN}:
            return quote
        (source,) = order.sources
        left = self.world.changes.find(source).remaining_usd(
            self.world.changes.find(source).quantity, self.now()
        )
        paid = self.reservation.upfront_usd > 0
        if order.alteration is AlterationKind.RETURN:
            return replace(quote, refund_usd=left if paid else NOTHING)
        price = self.world.catalog.reservation_usd(self.machine, 12)
        worth = price * order.targets[0].quantity
        return AlterationQuote(
            allowed=worth >= left,
            detail="" if worth >= left else "worth too little",
            pay_usd=max(worth - left, NOTHING) if paid else NOTHING,
            refund_usd=NOTHING,
            source_value_usd=left,
            target_value_usd=worth,
            targets=order.targets,
            reference=None,
            quoted_at=self.now(),
        )

    def change(self, order: AlterationOrder) -> tuple[CommitmentId, ...]:
        source = order.sources[0]
        one = self.world.changes.find(source)
        desk, now = self.world.changes, self.now()
        if order.alteration is AlterationKind.MERGE:
            *_, whole = desk.merge(order.sources, now)
            return (CommitmentId(whole.resource_id),)
        if order.alteration is AlterationKind.RETURN:
            name, _ = desk.quote_return(source, one.quantity, now)
            desk.give_back(name, source, one.quantity, now)
            return ()
        if order.alteration is AlterationKind.SPLIT:
            _, *parts = desk.split(source, [1, one.quantity - 1], now)
            return tuple(CommitmentId(part.resource_id) for part in parts)
        target = self.terms(order.targets[0].quantity, INTENT_PREFIX + order.intent)
        name, _ = desk.quote_exchange([(source, one.quantity)], [target], now)
        made = desk.exchange(name, now).orders
        if self.mishap is Mishap.LAG:
            for each in made:
                each.hidden_until = now + timedelta(hours=self.lag_hours)
        return tuple(CommitmentId(each.reservations[0].resource_id) for each in made)

    def untag(self, record: Any) -> None:  # noqa: ANN401 - a plan
        record.terms = replace(record.terms, display_name=f"console {record.order_id}")

    def with_cash(self) -> None:
        price = self.world.catalog.reservation_usd(self.machine, 12)
        self.reservation = replace(self.reservation, upfront_usd=price)
        self.wares = (self.reservation, self.wares[1])

    def owned(self) -> dict[CommitmentId, Owned]:
        now = self.now()
        found = {
            CommitmentId(one.resource_id): Owned(
                one.order.unit_usd * one.quantity / TERM_HOURS[12],
                one.order.unit_usd * one.quantity,
            )
            for one in self.world.book.reservations()
            if STATES[one.state].is_owned and now < one.end
        }
        found |= {
            CommitmentId(one.resource_id): Owned(one.terms.usd_per_hour, one.upfront_usd)
            for one in self.world.plans.plans
            if STATES[one.state].is_owned and now < one.end
        }
        return found


def _ended(state: str, one: Reservation | Plan) -> Outcome:
    if STATES[state] is CommitmentState.FAILED:
        return Refused(state, "its payment failed")
    return Bought(CommitmentId(one.resource_id)) if state == "Succeeded" else Unknown(state)


def _intent(name: str) -> str | None:
    return name.removeprefix(INTENT_PREFIX) if name.startswith(INTENT_PREFIX) else None
