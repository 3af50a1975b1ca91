"""Small sandbox tenants for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from service.domain.alterations import AlterationKind, AlterationOrder, Target
from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import DAY_HOURS, TERM_HOURS, HourRange
from service.domain.ids import AccountId, ClientToken, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import Bought, PurchaseOrder
from service.domain.usage import Usage
from service.providers.azure.alterer import AzureAlterer
from service.providers.azure.buyer import AzureBuyer
from service.providers.azure.clients import AzureClients
from service.providers.azure.reader import AzureReader
from service.providers.azure.reservations import ReservationTerms
from service.providers.azure.savings_plans import plan_offering_id
from service.sandbox.azure.access import sandbox_access
from service.sandbox.azure.catalog import shipped_catalog
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.traces import shipped_usage
from service.sandbox.azure.world import AzureWorld, AzureWorldOptions
from service.sandbox.faults import Fault

START = datetime(2026, 3, 2, tzinfo=UTC)
SMALL = AzureWorldOptions(seed=11, start=START, history_days=10, horizon_days=1_200, page_size=7)
PURCHASE = "azure.ReservationOrder.Purchase"
CALCULATE = "azure.ReservationOrder.Calculate"
CREATE_PLAN = "azure.SavingsPlanOrderAlias.Create"
INTENT = IntentId("0b5e6f1c-1111-4000-8000-000000000001")


@cache
def _usage() -> Usage:
    hours = HourRange(START - timedelta(days=10), (10 + 1_200) * DAY_HOURS)
    return shipped_usage(SMALL.seed, hours)


@contextmanager
def small_cloud(
    exports: Path | None = None, options: AzureWorldOptions = SMALL
) -> Iterator[AzureSandbox]:
    """A sandbox with little history and tiny pages, answering until the block ends."""
    world = AzureWorld(options, shipped_catalog(), _usage())
    with AzureSandbox(world, exports=exports) as cloud:
        yield cloud


def buyer(cloud: AzureSandbox) -> AzureBuyer:
    """The adapter's buyer, speaking to the sandbox."""
    return AzureBuyer(cloud.clients(), clock=cloud.world.clock)


def reader(cloud: AzureSandbox) -> AzureReader:
    """The adapter's reader, speaking to the sandbox."""
    return AzureReader(cloud.clients(), clock=cloud.world.clock)


def alterer(cloud: AzureSandbox) -> AzureAlterer:
    """The adapter's alterer, speaking to the sandbox."""
    return AzureAlterer(cloud.clients(), clock=cloud.world.clock)


@contextmanager
def impatient(cloud: AzureSandbox) -> Iterator[AzureBuyer]:
    """A buyer that waits only briefly for the answer to a purchase."""
    access = sandbox_access(cloud.endpoint_url, purchase_read_timeout_seconds=0.3)
    clients = AzureClients(access, sleep=lambda _: None)
    try:
        yield AzureBuyer(clients, clock=cloud.world.clock)
    finally:
        clients.close()


def strike(cloud: AzureSandbox, fault: Fault) -> None:
    """Arm one fault."""
    cloud.world.faults.add(fault)


def reservation_id(
    size: str = "Standard_D4s_v5", months: int = 12, payment: Payment = Payment.ALL_UPFRONT
) -> OfferingId:
    """Our id of a reservation in eastus."""
    return ReservationTerms("eastus", size, months, payment).offering


def order(
    cloud: AzureSandbox,
    offering: OfferingId | None = None,
    quantity: str = "3",
    intent: IntentId = INTENT,
) -> PurchaseOrder:
    """An order for a reservation, not quoted yet."""
    terms = ReservationTerms.of_offering(offering or reservation_id())
    return PurchaseOrder(
        intent=intent,
        token=ClientToken("token-1"),
        account=cloud.world.payer,
        offering=terms.offering,
        kind=Kind.AZURE_RESERVATION,
        term_months=terms.term_months,
        payment=terms.payment,
        quantity=Decimal(quantity),
        upfront_usd=Decimal(0),
    )


def quoted(cloud: AzureSandbox, draft: PurchaseOrder) -> PurchaseOrder:
    """The order with the reference and the cash of a quote."""
    quote = buyer(cloud).quote(draft)
    return replace(
        draft,
        reference=quote.reference,
        upfront_usd=quote.upfront_usd,
        commit_usd_per_hour=quote.commit_usd_per_hour,
    )


def plan_order(
    cloud: AzureSandbox,
    quantity: str = "2.5",
    months: int = 12,
    payment: Payment = Payment.NO_UPFRONT,
) -> PurchaseOrder:
    """An order for a savings plan, at what it commits to."""
    at_once = payment is Payment.ALL_UPFRONT
    return PurchaseOrder(
        intent=INTENT,
        token=ClientToken("token-1"),
        account=cloud.world.payer,
        offering=plan_offering_id(months, payment),
        kind=Kind.AZURE_SAVINGS_PLAN,
        term_months=months,
        payment=payment,
        quantity=Decimal(quantity),
        upfront_usd=Decimal(quantity) * (TERM_HOURS[months] if at_once else 0),
        commit_usd_per_hour=CommitUsdPerHour(Decimal(quantity)),
    )


def owned(
    cloud: AzureSandbox,
    offering: OfferingId | None = None,
    quantity: str = "6",
    intent: IntentId = INTENT,
) -> CommitmentId:
    """A reservation, bought."""
    outcome = buyer(cloud).buy(quoted(cloud, order(cloud, offering, quantity, intent)))
    assert isinstance(outcome, Bought), outcome
    return outcome.commitment


def target(
    quantity: int, offering: OfferingId | None = None, payment: Payment = Payment.ALL_UPFRONT
) -> Target:
    """What an alteration is to make."""
    months = 12 if offering is None else ReservationTerms.of_offering(offering).term_months
    return Target(offering, Decimal(quantity), None, months, payment)


def alteration(
    kind: AlterationKind,
    sources: tuple[CommitmentId, ...],
    *targets: Target,
    account: AccountId,
    most_to_pay_usd: str = "0",
    renew: bool | None = None,
    of: Kind = Kind.AZURE_RESERVATION,
) -> AlterationOrder:
    """An order to alter what is owned."""
    return AlterationOrder(
        intent=IntentId("alteration-1"),
        token=ClientToken("token-2"),
        alteration=kind,
        account=account,
        kind=of,
        sources=sources,
        targets=targets,
        most_to_pay_usd=Decimal(most_to_pay_usd),
        renew=renew,
    )


def offering_named(offerings: list[Offering], name: OfferingId) -> Offering:
    """The offering of that id."""
    return next(one for one in offerings if one.offering == name)
