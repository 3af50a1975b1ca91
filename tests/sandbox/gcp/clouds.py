"""Small sandbox Google Clouds for tests, and what is ordered in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from service.domain.commitments import Kind, Payment
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.ids import AccountId, ClientToken, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion
from service.domain.purchases import PurchaseOrder
from service.domain.usage import Usage
from service.providers.gcp.buyer import GcpBuyer
from service.providers.gcp.clients import GcpClients
from service.providers.gcp.price_list import Prices
from service.providers.gcp.reader import GcpReader
from service.sandbox.faults import Fault
from service.sandbox.gcp.catalog import shipped_catalog
from service.sandbox.gcp.cloud import GcpSandbox
from service.sandbox.gcp.traces import shipped_usage
from service.sandbox.gcp.world import GcpWorld, GcpWorldOptions

START = datetime(2026, 3, 2, tzinfo=UTC)
SMALL = GcpWorldOptions(seed=11, start=START, history_days=6, horizon_days=1_200, page_size=3)
INSERT, PLACE = "gcp.regionCommitments.insert", "gcp.orders.place"
N2_YEAR = "gcp_cud/us-central1/n2/vcpu/1"
FLEXIBLE_YEAR = "gcp_flexible/1"


@cache
def _usage(history_days: int, horizon_days: int) -> Usage:
    first = START - timedelta(days=history_days)
    return shipped_usage(11, HourRange(first, (history_days + horizon_days) * DAY_HOURS))


def small_world(options: GcpWorldOptions = SMALL) -> GcpWorld:
    """A fresh world on the same usage."""
    return GcpWorld(options, shipped_catalog(), _usage(options.history_days, options.horizon_days))


@contextmanager
def small_cloud(
    exports: Path | None = None, options: GcpWorldOptions = SMALL
) -> Iterator[GcpSandbox]:
    """A sandbox with little history and tiny pages, answering until the block ends."""
    with GcpSandbox(small_world(options), exports=exports) as cloud:
        yield cloud


def buyer_of(cloud: GcpSandbox, clients: GcpClients | None = None) -> GcpBuyer:
    """A buyer in the sandbox."""
    chosen = clients or cloud.clients()
    return GcpBuyer(chosen, Prices(chosen, cloud.clock), clock=cloud.clock)


def reader_of(cloud: GcpSandbox) -> GcpReader:
    """A reader of the sandbox."""
    return GcpReader(cloud.clients(), Prices(cloud.clients(), cloud.clock), clock=cloud.clock)


@contextmanager
def impatient(cloud: GcpSandbox) -> Iterator[GcpClients]:
    """Clients that wait only briefly for the answer to a purchase."""
    clients = GcpClients(cloud.access(purchase_timeout_seconds=0.3))
    try:
        yield clients
    finally:
        clients.close()


def strike(cloud: GcpSandbox, *faults: Fault) -> None:
    """Arm faults."""
    for fault in faults:
        cloud.world.faults.add(fault)


def vcpus(
    count: str = "100", *, intent: str = "intent-1", offering: str = N2_YEAR
) -> PurchaseOrder:
    """An order of vCPUs, at a price that nothing here comes near."""
    return PurchaseOrder(
        intent=IntentId(intent),
        token=ClientToken(f"token of {intent}"),
        account=AccountId("acme-commitments"),
        offering=OfferingId(offering),
        kind=Kind.GCP_RESOURCE_CUD,
        term_months=36 if offering.endswith("/3") else 12,
        payment=Payment.NO_UPFRONT,
        quantity=Decimal(count),
        upfront_usd=Decimal(0),
        commit_usd_per_hour=CommitUsdPerHour(Decimal(1_000)),
    )


def machines(
    count: str = "100",
    gb: str = "400",
    *,
    intent: str = "intent-3",
    offering: str = N2_YEAR,
) -> PurchaseOrder:
    """An order of vCPUs with memory beside them."""
    beside = Companion(
        offering=OfferingId(offering.replace("/vcpu/", "/ram/")),
        quantity=Decimal(gb),
        commit_usd_per_hour=CommitUsdPerHour(Decimal(0)),
        unit="GB of memory",
    )
    return replace(vcpus(count, intent=intent, offering=offering), companion=beside)


def dollars(
    amount: str = "2.50", *, intent: str = "intent-2", offering: str = FLEXIBLE_YEAR
) -> PurchaseOrder:
    """An order of flexible commitment."""
    order = vcpus(amount, intent=intent, offering=offering)
    return replace(order, kind=Kind.GCP_FLEXIBLE_CUD)
