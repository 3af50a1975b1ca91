"""Every kind of purchase and alteration that is enumerated, and how each cloud is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from service.domain.alterations import AlterationKind, Target
from service.domain.commitments import Kind, Offering, Payment
from service.domain.ids import AccountId, OfferingId
from service.domain.purchases import InventoryItem
from tests.purchase.enumeration.sites import Change, Purchase, Reach, Site, reach, same_as

HISTORY_DAYS, HORIZON_DAYS = 2, 400
MIDNIGHT_HOURS = 30
"""Until what Google sells has become active: it begins with the next day in California."""

CLOUDS = ("aws", "azure", "gcp")


def _is(kind: Kind, payment: Payment | None = None, word: str = "") -> Callable[[Offering], bool]:
    return lambda one: (
        one.kind is kind
        and one.term_months == 12
        and payment in {None, one.payment}
        and word in one.offering
    )


def _same(name: str, kind: Kind, operation: str) -> Purchase:
    """Two of a kind that is bought by the same steps as others."""
    return Purchase(name, _is(kind, Payment.NO_UPFRONT), "2", operation, same_steps=True)


QUOTA_HOURS = 80
"""Two instances every so often stay below the twenty a month that a region and a zone sell."""
_CREATE = "savingsplans.CreateSavingsPlan"
_RESERVE = "ec2.PurchaseReservedInstancesOffering"
COMPUTE = Purchase(
    "compute savings plan", _is(Kind.AWS_COMPUTE_SP, Payment.NO_UPFRONT), "1.5", _CREATE
)
QUEUED = Purchase(
    "queued savings plan",
    _is(Kind.AWS_COMPUTE_SP, Payment.NO_UPFRONT),
    "1.5",
    _CREATE,
    starts_in=timedelta(days=30),
)
CONVERTIBLE = Purchase(
    "convertible reservation",
    _is(Kind.AWS_RI_REGIONAL, Payment.NO_UPFRONT, "/convertible/"),
    "2",
    _RESERVE,
    QUOTA_HOURS,
)
AWS_PURCHASES = (
    COMPUTE,
    QUEUED,
    Purchase(
        "compute savings plan, half upfront",
        _is(Kind.AWS_COMPUTE_SP, Payment.PARTIAL_UPFRONT),
        "1.5",
        _CREATE,
        same_steps=True,
    ),
    _same("instance savings plan", Kind.AWS_EC2_INSTANCE_SP, _CREATE),
    Purchase(
        "standard reservation",
        _is(Kind.AWS_RI_REGIONAL, Payment.ALL_UPFRONT, "/standard/"),
        "1",
        _RESERVE,
        QUOTA_HOURS,
        same_steps=True,
    ),
    CONVERTIBLE,
    Purchase(
        "zonal reservation",
        _is(Kind.AWS_RI_ZONAL, Payment.NO_UPFRONT, "/standard/"),
        "1",
        _RESERVE,
        QUOTA_HOURS,
        same_steps=True,
    ),
    _same("database savings plan", Kind.AWS_DATABASE_SP, _CREATE),
    _same("machine learning savings plan", Kind.AWS_SAGEMAKER_SP, _CREATE),
    _same("database nodes", Kind.AWS_RDS_RI, "rds.PurchaseReservedDBInstancesOffering"),
    _same("cache nodes", Kind.AWS_ELASTICACHE_RI, "elasticache.PurchaseReservedCacheNodesOffering"),
    _same("search nodes", Kind.AWS_OPENSEARCH_RI, "es.PurchaseReservedInstanceOffering"),
    _same("memory database nodes", Kind.AWS_MEMORYDB_RI, "memorydb.PurchaseReservedNodesOffering"),
    _same("warehouse nodes", Kind.AWS_REDSHIFT_RI, "redshift.PurchaseReservedNodeOffering"),
)


def _dearer(offering: Offering, item: InventoryItem) -> tuple[Target, ...]:
    """More of a larger size of the same family: never worth less than what is given."""
    name = OfferingId(offering.offering.replace(".large/", ".2xlarge/"))
    return (Target(name, item.commitment.quantity, None, item.term_months, offering.payment),)


def _halves(offering: Offering, item: InventoryItem) -> tuple[Target, ...]:
    half = str(item.commitment.quantity / 2)
    return same_as(offering, item, half, half)


AWS_CHANGES = (
    Change(
        "return of a savings plan",
        AlterationKind.RETURN,
        COMPUTE,
        "savingsplans.ReturnSavingsPlan",
    ),
    Change(
        "deletion of a queued savings plan",
        AlterationKind.CANCEL_QUEUED,
        QUEUED,
        "savingsplans.DeleteQueuedSavingsPlan",
    ),
    Change(
        "exchange of a convertible reservation",
        AlterationKind.EXCHANGE,
        CONVERTIBLE,
        "ec2.AcceptReservedInstancesExchangeQuote",
        makes=_dearer,
    ),
    Change(
        "modification of a reservation",
        AlterationKind.MODIFY,
        CONVERTIBLE,
        "ec2.ModifyReservedInstances",
        makes=_halves,
    ),
)

RESERVATION = Purchase(
    "reservation",
    _is(Kind.AZURE_RESERVATION, Payment.ALL_UPFRONT),
    "2",
    "azure.ReservationOrder.Purchase",
)
LASTING = Purchase(
    "reservation of a size that is not retired",
    lambda one: _is(Kind.AZURE_RESERVATION, Payment.ALL_UPFRONT)(one) and "_v5/" in one.offering,
    "2",
    "azure.ReservationOrder.Purchase",
)
AZURE_PURCHASES = (
    RESERVATION,
    Purchase(
        "reservation paid monthly",
        _is(Kind.AZURE_RESERVATION, Payment.NO_UPFRONT),
        "2",
        "azure.ReservationOrder.Purchase",
        same_steps=True,
    ),
    Purchase(
        "savings plan",
        _is(Kind.AZURE_SAVINGS_PLAN, Payment.NO_UPFRONT),
        "1.5",
        "azure.SavingsPlanOrderAlias.Create",
    ),
)


def _more_of_same(offering: Offering, item: InventoryItem) -> tuple[Target, ...]:
    count = item.commitment.quantity + 1
    return (Target(offering.offering, count, None, item.term_months, offering.payment),)


SPLIT = Change(
    "split",
    AlterationKind.SPLIT,
    RESERVATION,
    "azure.Reservation.Split",
    makes=lambda offering, item: same_as(offering, item, "1", "1"),
)
AZURE_CHANGES = (
    Change("return", AlterationKind.RETURN, RESERVATION, "azure.Return.Post"),
    Change(
        "exchange",
        AlterationKind.EXCHANGE,
        RESERVATION,
        "azure.Exchange.Post",
        makes=_more_of_same,
    ),
    SPLIT,
    Change(
        "merge",
        AlterationKind.MERGE,
        RESERVATION,
        "azure.Reservation.Merge",
        sources=2,
        first=SPLIT,
    ),
    Change("renewal", AlterationKind.SET_RENEWAL, LASTING, "azure.Reservation.Update", renew=True),
)

RESOURCE = Purchase(
    "resource commitment",
    _is(Kind.GCP_RESOURCE_CUD, None, "/vcpu/"),
    "4",
    "gcp.regionCommitments.insert",
)
GCP_PURCHASES = (
    RESOURCE,
    Purchase(
        "resource commitment with memory",
        _is(Kind.GCP_RESOURCE_CUD, None, "/vcpu/"),
        "4",
        "gcp.regionCommitments.insert",
        beside=4,
        same_steps=True,
    ),
    Purchase("flexible commitment", _is(Kind.GCP_FLEXIBLE_CUD), "1.5", "gcp.orders.place"),
)
GCP_CHANGES = (
    Change(
        "renewal",
        AlterationKind.SET_RENEWAL,
        RESOURCE,
        "gcp.regionCommitments.update",
        wait_hours=MIDNIGHT_HOURS,
        rounds=3,
        round_hours=12,
        renew=True,
    ),
    Change(
        "longer term",
        AlterationKind.UPGRADE_TERM,
        RESOURCE,
        "gcp.regionCommitments.update",
        wait_hours=MIDNIGHT_HOURS,
        rounds=3,
        round_hours=12,
    ),
    Change(
        "merge",
        AlterationKind.MERGE,
        RESOURCE,
        "gcp.regionCommitments.insert",
        sources=2,
        makes=lambda offering, item: same_as(offering, item, str(2 * item.commitment.quantity)),
        wait_hours=MIDNIGHT_HOURS,
        rounds=3,
        round_hours=12,
    ),
    Change(
        "split",
        AlterationKind.SPLIT,
        RESOURCE,
        "gcp.regionCommitments.insert",
        makes=lambda offering, item: same_as(offering, item, "1"),
        wait_hours=MIDNIGHT_HOURS,
        rounds=3,
        round_hours=12,
    ),
)


KINDS: dict[str, tuple[Purchase | Change, ...]] = {
    "aws": (*AWS_PURCHASES, *AWS_CHANGES),
    "azure": (*AZURE_PURCHASES, *AZURE_CHANGES),
    "gcp": (*GCP_PURCHASES, *GCP_CHANGES),
}
"""All kinds that are enumerated, by cloud."""


def names_of(provider: str, *, plans: bool | None = None) -> list[str]:
    """The names of all kinds of a cloud; with ``plans`` only those of plans, or of the others."""
    return [one.name for one in KINDS[provider] if plans is None or ("plan" in one.name) is plans]


INSIDE = {
    "aws": {"convertible reservation": 2},
    "azure": {"reservation": 2},
    "gcp": {"resource commitment": 2},
}
"""Bought by several requests each: killed at every one of them in the ordinary suite."""


def names_inside(provider: str, *, every: bool) -> list[tuple[str, int]]:
    """The names of the kinds that are killed inside the call, and in how many places at least."""
    known = INSIDE[provider]
    return [
        (one.name, known.get(one.name, 1)) for one in KINDS[provider] if one.name in known or every
    ]


IN_FLIGHT = {
    "aws": "exchange of a convertible reservation",
    "azure": "exchange",
    "gcp": "longer term",
}
"""Altered in the ordinary suite by a process that is killed while the call is on the wire."""


def names_in_flight(provider: str, *, every: bool) -> list[str]:
    """The names of the alterations that are."""
    return [
        one.name
        for one in KINDS[provider]
        if isinstance(one, Change) and (every or one.name == IN_FLIGHT[provider])
    ]


def kind_of(provider: str, name: str) -> Purchase | Change:
    """The kind of that name."""
    return next(one for one in KINDS[provider] if one.name == name)


@contextmanager
def site(provider: str, seed: int = 7) -> Iterator[Site]:
    """A fresh cloud that answers on loopback until the block ends."""
    starter = {"aws": _aws, "azure": _azure, "gcp": _gcp}[provider]
    with starter(seed) as opened:
        yield opened


@contextmanager
def _reached(provider: str, cloud: Any) -> Iterator[Reach]:  # noqa: ANN401 - one of three
    """This process's own way to a cloud, closed whatever happens."""
    reached = reach(provider, cloud.endpoint_url, cloud.world.clock)
    try:
        yield reached
    finally:
        reached.close()


@contextmanager
def _aws(seed: int) -> Iterator[Site]:
    from service.sandbox.cloud import SandboxCloud  # noqa: PLC0415 - one cloud per process
    from service.sandbox.world import WorldOptions  # noqa: PLC0415

    options = WorldOptions(seed=seed, history_days=HISTORY_DAYS, horizon_days=HORIZON_DAYS)
    with SandboxCloud.generated(options) as cloud, _reached("aws", cloud) as reached:
        yield Site(
            "aws",
            cloud,
            "ValidationException",
            reached,
            AWS_PURCHASES,
            AWS_CHANGES,
            cloud.world.payer,
        )


@contextmanager
def _azure(seed: int) -> Iterator[Site]:
    from service.sandbox.azure.cloud import AzureSandbox  # noqa: PLC0415
    from service.sandbox.azure.world import AzureWorldOptions  # noqa: PLC0415

    options = AzureWorldOptions(
        seed=seed,
        history_days=HISTORY_DAYS,
        horizon_days=HORIZON_DAYS,
        refund_limit_usd=Decimal(10**9),
    )
    with AzureSandbox.generated(options) as cloud, _reached("azure", cloud) as reached:
        yield Site(
            "azure",
            cloud,
            "InvalidRequestContent",
            reached,
            AZURE_PURCHASES,
            AZURE_CHANGES,
            cloud.world.payer,
        )


@contextmanager
def _gcp(seed: int) -> Iterator[Site]:
    from service.sandbox.gcp.cloud import GcpSandbox  # noqa: PLC0415
    from service.sandbox.gcp.world import GcpWorldOptions  # noqa: PLC0415

    options = GcpWorldOptions(seed=seed, history_days=HISTORY_DAYS, horizon_days=HORIZON_DAYS)
    with GcpSandbox.generated(options) as cloud:
        project = AccountId(cloud.world.projects["commitments"])
        with _reached("gcp", cloud) as reached:
            yield Site("gcp", cloud, "invalid", reached, GCP_PURCHASES, GCP_CHANGES, project)
