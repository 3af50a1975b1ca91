"""Google's state machines behind the port: commitments by name, flexible orders by request."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.commitments import CommitmentState, Kind
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    InventoryItem,
    PurchaseOrder,
)
from service.sandbox.faults import ApiError
from service.sandbox.gcp.commitments import MB_PER_GB, CommitmentRecord, Contents, Wanted
from service.sandbox.gcp.operations import Operation
from service.sandbox.gcp.orders import OrderRecord, term_of
from service.sandbox.gcp.world import GcpWorld, GcpWorldOptions
from tests.purchase.simulation.clouds import Owned, SimCloud, Ware, item

REGION, FAMILY = "us-central1", "n2"
FLEXIBLE, RESOURCE = OfferingId("flexible"), OfferingId("resource")
MEMORY, GB_PER_VCPU = OfferingId("memory"), 4
STATES = {
    "CREATING": CommitmentState.PAYMENT_PENDING,
    "PENDING": CommitmentState.PAYMENT_PENDING,
    "QUEUED": CommitmentState.QUEUED,
    "NOT_YET_ACTIVE": CommitmentState.QUEUED,
    "ACTIVE": CommitmentState.ACTIVE,
    "CANCELLED": CommitmentState.RETIRED,
    "EXPIRED": CommitmentState.RETIRED,
}


class SimGcp(SimCloud):
    """One project that buys."""

    provider = "gcp"

    def __init__(self, seed: int, days: int, world: GcpWorld | None = None) -> None:
        options = GcpWorldOptions(seed=seed, history_days=1, horizon_days=days)
        world = world or GcpWorld.generated(options)
        super().__init__(world, AccountId(world.projects["commitments"]))
        vcpu_usd, gb_usd = world.rates(REGION, FAMILY, 12)
        self.parts = (
            Ware(RESOURCE, Kind.GCP_RESOURCE_CUD, vcpu_usd),
            Ware(MEMORY, Kind.GCP_RESOURCE_CUD, gb_usd),
        )
        self.wares = (
            Ware(RESOURCE, Kind.GCP_RESOURCE_CUD, vcpu_usd + GB_PER_VCPU * gb_usd),
            Ware(FLEXIBLE, Kind.GCP_FLEXIBLE_CUD, Decimal(1)),
        )

    def beside(self, ware: Ware, quantity: Decimal) -> Companion | None:
        if ware.offering != RESOURCE:
            return None
        gb, (_, memory) = quantity * GB_PER_VCPU, self.parts
        return Companion(MEMORY, gb, CommitUsdPerHour(gb * memory.usd_per_hour), "GB of memory")

    def sell(self, order: PurchaseOrder) -> tuple[CommitmentId, Any]:
        if order.offering == FLEXIBLE:
            return self._place(order)
        name = f"tenor-{order.token}"
        key = f"{self.account}/{REGION}/{name}"
        if key in self.world.commitments.records:
            raise ApiError("alreadyExists", f"{name} already exists", 409)
        vcpus, beside = int(order.quantity), order.companion
        memory_mb = 0 if beside is None else int(beside.quantity * MB_PER_GB)
        wanted = Wanted(
            project=self.account,
            region=REGION,
            name=name,
            family=FAMILY,
            commitment_type="GENERAL_PURPOSE_N2",
            plan_months=12,
            description=f"tenor:intent={order.intent}",
            renews=False,
            contents=Contents(vcpus, memory_mb, self.world.rates(REGION, FAMILY, 12)),
        )
        operation = self._operation("insert", name)
        self.world.commitments.add(wanted, self.world.new_number(), operation, self.now())
        record = self.world.commitments.records[key]
        operation.look(self.now())
        operation.look(self.now())
        return CommitmentId(key), record

    def _place(self, order: PurchaseOrder) -> tuple[CommitmentId, Any]:
        known = next(
            (one for one in self.world.orders.records.values() if order.intent in one.display_name),
            None,
        )
        if known is not None:
            return CommitmentId(f"orders/{known.order_id}"), known
        offer = next(one for one in self.world.catalog.flexible.values() if one.term_months == 12)
        start, end = term_of(self.now(), 12)
        operation = self._operation("place", order.intent)
        record = OrderRecord(
            order_id=str(self.world.new_id()),
            display_name=f"tenor:intent={order.intent}",
            offer=offer.offer,
            term_months=12,
            discount_ratio=offer.discount_ratio,
            usd_per_hour=order.quantity,
            region=REGION,
            created_at=self.now(),
            operation=operation,
            start=start,
            end=end,
        )
        self.world.orders.add(record)
        operation.look(self.now())
        operation.look(self.now())
        return CommitmentId(f"orders/{record.order_id}"), record

    def _operation(self, kind: str, target: str) -> Operation:
        return Operation(
            name=f"operation-{self.world.new_id()}",
            number=self.world.new_number(),
            kind=kind,
            project=self.account,
            region=REGION,
            target=target,
            inserted_at=self.now(),
            finish=lambda: None,
        )

    def look_up(self, order: PurchaseOrder) -> Evidence:
        key = f"{self.account}/{REGION}/tenor-{order.token}"
        if key in self.world.commitments.records:
            return Bought(CommitmentId(key))
        return Absent("no commitment has its name")

    def listed(self) -> list[InventoryItem]:
        now = self.now()
        _, flexible = self.wares
        found = [
            item(
                name,
                ware,
                quantity,
                account=self.account,
                term=(one.start, one.end),
                state=STATES[one.status(now)],
                intent=one.description.partition("tenor:intent=")[2] or None,
                renews=one.renews,
                reference=one.key,
            )
            for one in self.world.commitments.records.values()
            if self._shown(one)
            for name, ware, quantity in self._apart(one)
        ]
        found += [
            item(
                f"orders/{one.order_id}",
                flexible,
                one.usd_per_hour,
                account=self.account,
                term=(one.start, one.end),
                state=STATES[one.status(now)],
                intent=one.display_name.partition("tenor:intent=")[2] or None,
            )
            for one in self.world.orders.records.values()
            if self._shown(one)
        ]
        return found

    def _apart(self, one: CommitmentRecord) -> list[tuple[str, Ware, Decimal]]:
        """One commitment as it is listed: its vCPUs, and its memory."""
        held, (vcpus, memory) = one.contents(self.now()), self.parts
        gb = Decimal(held.memory_mb) / MB_PER_GB
        named = ((one.key, vcpus, Decimal(held.vcpus)), (f"{one.key}/memory", memory, gb))
        return [part for part in named if part[2]]

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        live = item.commitment.state is CommitmentState.ACTIVE and now < item.commitment.end
        resource = item.commitment.offering == RESOURCE and not item.renews
        return frozenset({AlterationKind.SET_RENEWAL} if live and resource else ())

    def change(self, order: AlterationOrder) -> tuple[CommitmentId, ...]:
        (source,) = order.sources
        self.world.commitments.records[source].renews = bool(order.renew)
        return ()

    def untag(self, record: Any) -> None:  # noqa: ANN401 - an order
        record.display_name = f"console {record.order_id}"

    def with_cash(self) -> None:
        """Google takes none at once."""

    def owned(self) -> dict[CommitmentId, Owned]:
        now = self.now()
        found = {
            CommitmentId(one.key): Owned(_usd_per_hour(one.contents(now)), Decimal(0))
            for one in self.world.commitments.records.values()
            if STATES[one.status(now)].is_owned
        }
        found |= {
            CommitmentId(f"orders/{one.order_id}"): Owned(one.usd_per_hour, Decimal(0))
            for one in self.world.orders.records.values()
            if STATES[one.status(now)].is_owned
        }
        return found


def _usd_per_hour(held: Contents) -> Decimal:
    """What vCPUs and memory oblige to, at the rates that they were bought at."""
    vcpu_usd, gb_usd = held.rates_usd
    return held.vcpus * vcpu_usd + Decimal(held.memory_mb) / MB_PER_GB * gb_usd
