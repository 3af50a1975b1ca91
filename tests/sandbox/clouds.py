"""Small sandboxes for tests, and raw looks at what they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from service.domain.commitments import Kind, Offering, Payment
from service.domain.usage import Usage
from service.providers.aws.clients import AwsClients
from service.sandbox.access import sandbox_access
from service.sandbox.catalog import Catalog
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault
from service.sandbox.savings_plans import SavingsPlanLedger
from service.sandbox.world import World, WorldOptions

START = datetime(2026, 3, 2, tzinfo=UTC)
SMALL = WorldOptions(seed=11, start=START, history_days=10, horizon_days=1_200, page_size=7)


@cache
def _small_world() -> tuple[Catalog, Usage]:
    world = World.generated(SMALL)
    return world.catalog, world.usage


def small_world() -> World:
    """A fresh world on the same usage."""
    return World(SMALL, *_small_world())


@cache
def _database_usage() -> Usage:
    return World.generated(replace(SMALL, databases=True)).usage


@contextmanager
def database_cloud(
    exports: Path | None = None, *, page_size: int = SMALL.page_size
) -> Iterator[SandboxCloud]:
    """As ``small_cloud``, with databases, caches, search and a warehouse in use."""
    options = replace(SMALL, databases=True, page_size=page_size)
    world = World(options, _small_world()[0], _database_usage())
    with SandboxCloud(world, exports=exports) as cloud:
        yield cloud


@contextmanager
def small_cloud(exports: Path | None = None) -> Iterator[SandboxCloud]:
    """A sandbox with little history and tiny pages, answering until the block ends."""
    with SandboxCloud(small_world(), exports=exports) as cloud:
        yield cloud


def emptied(cloud: SandboxCloud) -> SandboxCloud:
    """``cloud`` with nothing bought, nothing failing and the prices it began with.

    Its clock goes on. Making a cloud's clients anew takes the SDK longer than most tests do.
    """
    world = cloud.world
    world.faults.clear()
    old = world.savings_plans
    world.savings_plans = SavingsPlanLedger(old.payment_delay, old.return_delay, world.new_id)
    world.reservations.reservations.clear()
    world.reservation_changes.modifications.clear()
    world.nodes.nodes.clear()
    world.catalog = _small_world()[0]
    cloud.server.calls.clear()
    return cloud


def offer(
    world: World,
    kind: Kind = Kind.AWS_COMPUTE_SP,
    years: int = 1,
    payment: Payment = Payment.NO_UPFRONT,
) -> Offering:
    """The first offering of that kind, term and payment."""
    return next(
        one
        for one in world.catalog.offerings.values()
        if (one.kind, one.term_months, one.payment) == (kind, 12 * years, payment)
    )


@contextmanager
def impatient(cloud: SandboxCloud) -> Iterator[AwsClients]:
    """Clients that wait only briefly for the answer to a purchase."""
    access = sandbox_access(cloud.endpoint_url, purchase_read_timeout_seconds=0.3)
    clients = AwsClients(access)
    try:
        yield clients
    finally:
        clients.close()


class Sdk(Protocol):
    """A boto3 client: its methods are made at run time."""

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        """Any operation."""
        ...


def sdk(cloud: SandboxCloud, service: str, region: str | None = None) -> Sdk:
    """A client that sends each request once, so that tests see every answer."""
    return cast("Sdk", cloud.clients().purchasing(service, region))


def create_plan(client: Sdk, offering: Offering, **changes: object) -> str:
    """Buy one plan over the wire; ``changes`` replace or add parameters."""
    arguments: dict[str, Any] = {
        "savingsPlanOfferingId": offering.offering,
        "commitment": "1.5",
        "clientToken": "token-1",
    }
    return str(client.create_savings_plan(**(arguments | changes))["savingsPlanId"])


def strike(cloud: SandboxCloud, fault: Fault) -> None:
    """Arm one fault."""
    cloud.world.faults.add(fault)
