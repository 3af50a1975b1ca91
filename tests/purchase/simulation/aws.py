"""AWS's state machines behind the port: Savings Plans by token, reservations without one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.commitments import CommitmentState, Kind, Offering, Payment
from service.domain.ids import CommitmentId
from service.domain.money import text
from service.domain.purchases import Idempotency, InventoryItem, PurchaseOrder
from service.providers.aws.words import STATES
from service.sandbox.savings_plans import PlanRequest
from service.sandbox.world import INTENT_TAG, World, WorldOptions
from tests.purchase.simulation.clouds import Mishap, Owned, SimCloud, Ware, item

REGION = "us-east-1"


class SimAws(SimCloud):
    """An organisation's payer."""

    provider = "aws"

    def __init__(self, seed: int, days: int, world: World | None = None) -> None:
        options = WorldOptions(seed=seed, history_days=1, horizon_days=days)
        world = world or World.generated(options)
        super().__init__(world, world.payer)
        plans = self._sold(Kind.AWS_COMPUTE_SP)[:1]
        capacity = [one for one in self._sold(Kind.AWS_RI_REGIONAL) if one.region == REGION][:1]
        self._offerings = {one.offering: one for one in (*plans, *capacity)}
        self.wares = tuple(
            Ware(one.offering, one.kind, _rate(one)) for one in self._offerings.values()
        )

    def _sold(self, kind: Kind) -> list[Offering]:
        return [
            one
            for one in self.world.catalog.offerings.values()
            if one.kind is kind and one.term_months == 12 and one.upfront_usd == 0
        ]

    def idempotency(self, kind: Kind) -> Idempotency:
        return Idempotency.NATIVE if kind.is_spend else Idempotency.LOOKUP

    def sell(self, order: PurchaseOrder) -> tuple[CommitmentId, Any]:
        if order.kind.is_spend:
            request = PlanRequest(
                account=order.account,
                offering=order.offering,
                commitment=text(order.quantity),
                upfront=None,
                purchase_time=order.start_at,
                tags=((INTENT_TAG, order.intent),),
            )
            plan, _ = self.world.savings_plans.create(
                request,
                token=order.token,
                offerings=self.world.catalog.offerings,
                now=self.now(),
            )
            return plan.plan_id, plan
        record = self.world.reservations.purchase(
            account=order.account,
            region=REGION,
            offering_id=order.offering,
            count=int(order.quantity),
            purchase_time=order.start_at,
            offerings=self.world.catalog.offerings,
            convertible=self.world.catalog.convertible,
            now=self.now(),
        )
        if self.mishap in {Mishap.NONE, Mishap.LAG}:
            record.tags[INTENT_TAG] = order.intent  # the tag is a call of its own, after the first
        return record.reservation_id, record

    def listed(self) -> list[InventoryItem]:
        now = self.now()
        plans = self.world.savings_plans.plans.values()
        capacity = self.world.reservations.reservations.values()
        found = [
            _item(self, one.plan_id, one, one.commitment_usd_per_hour, now)
            for one in plans
            if self._shown(one)
        ]
        found += [
            _item(self, one.reservation_id, one, Decimal(one.count), now)
            for one in capacity
            if self._shown(one)
        ]
        return found

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        plan = self.world.savings_plans.plans.get(item.commitment.commitment)
        if plan is not None and plan.state(now) == "queued":
            return frozenset({AlterationKind.CANCEL_QUEUED})
        open_now = plan is not None and plan.returnable_until(now) is not None
        return frozenset({AlterationKind.RETURN} if open_now else ())

    def change(self, order: AlterationOrder) -> tuple[CommitmentId, ...]:
        (source,) = order.sources
        if order.alteration is AlterationKind.CANCEL_QUEUED:
            self.world.savings_plans.delete_queued(order.account, source, self.now())
            return ()
        self.world.savings_plans.give_back(order.account, source, order.token, self.now())
        return ()

    def untag(self, record: Any) -> None:  # noqa: ANN401 - a plan or a reservation
        record.tags.clear()

    def with_cash(self) -> None:
        paid = [
            one
            for one in self.world.catalog.offerings.values()
            if one.kind is Kind.AWS_COMPUTE_SP
            and (one.term_months, one.payment) == (12, Payment.ALL_UPFRONT)
        ]
        one = paid[0]
        self._offerings[one.offering] = one
        ware = Ware(one.offering, one.kind, _rate(one), one.payment, one.upfront_usd)
        self.wares = (*self.wares, ware)

    def owned(self) -> dict[CommitmentId, Owned]:
        now = self.now()
        found = {
            one.plan_id: Owned(one.commitment_usd_per_hour, one.upfront_usd)
            for one in self.world.savings_plans.plans.values()
            if one.state(now) in OWED
        }
        found |= {
            one.reservation_id: Owned(one.count * _rate(one.offering), one.upfront_due_usd)
            for one in self.world.reservations.reservations.values()
            if one.state(now) in OWED
        }
        return found


OWED = frozenset({"queued", "payment-pending", "active"})


def _rate(one: Offering) -> Decimal:
    return Decimal(1) if one.kind.is_spend else next(iter(one.rates_usd.values()))


def _item(
    cloud: SimAws,
    name: CommitmentId,
    record: Any,  # noqa: ANN401 - a plan or a reservation
    quantity: Decimal,
    now: datetime,
) -> InventoryItem:
    state: CommitmentState = STATES[record.state(now)]
    ware = cloud.ware(record.offering.offering)
    return item(
        name,
        ware,
        quantity,
        account=cloud.account,
        term=(record.start, record.end),
        state=state,
        intent=record.tags.get(INTENT_TAG),
    )
