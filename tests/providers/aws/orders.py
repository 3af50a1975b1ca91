"""Orders for tests of the AWS adapters: reservations bought, and what is done to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from service.domain.alterations import AlterationKind, AlterationOrder, Target
from service.domain.commitments import Kind, Offering, Payment
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.domain.purchases import Bought, InventoryItem, PurchaseOrder
from service.providers.aws.alterer import AwsAlterer
from service.providers.aws.buyer import AwsBuyer
from service.providers.aws.reader import AwsReader
from service.providers.aws.reservation_terms import ReservationTerms
from service.sandbox.cloud import SandboxCloud


def buyer_of(cloud: SandboxCloud) -> AwsBuyer:
    return AwsBuyer(cloud.clients(), clock=cloud.world.clock)


def alterer_of(cloud: SandboxCloud) -> AwsAlterer:
    return AwsAlterer(cloud.clients(), clock=cloud.world.clock)


def reader_of(cloud: SandboxCloud) -> AwsReader:
    return AwsReader(cloud.clients(), regions=["us-east-1"])


def terms(
    instance_type: str = "m5.large",
    offering_class: str = "convertible",
    payment: Payment = Payment.NO_UPFRONT,
    years: int = 1,
    zone: str | None = None,
) -> ReservationTerms:
    return ReservationTerms(
        "us-east-1",
        instance_type,
        "Linux/UNIX",
        "default",
        offering_class,
        12 * years,
        payment,
        zone,
    )


def reservation_order(
    cloud: SandboxCloud,
    of: ReservationTerms,
    count: int = 2,
    *,
    name: str = "1",
    start_at: datetime | None = None,
) -> PurchaseOrder:
    draft = PurchaseOrder(
        intent=IntentId(f"intent-{name}"),
        token=ClientToken(f"token-{name}"),
        account=cloud.world.payer,
        offering=of.offering,
        kind=of.kind,
        term_months=of.term_months,
        payment=of.payment,
        quantity=Decimal(count),
        upfront_usd=Decimal(0),
        start_at=start_at,
    )
    return at_quote(cloud, draft)


def plan_order(
    cloud: SandboxCloud,
    offering: Offering,
    quantity: str = "2.5",
    *,
    name: str = "1",
    start_at: datetime | None = None,
) -> PurchaseOrder:
    draft = PurchaseOrder(
        intent=IntentId(f"intent-{name}"),
        token=ClientToken(f"token-{name}"),
        account=cloud.world.payer,
        offering=offering.offering,
        kind=offering.kind,
        term_months=offering.term_months,
        payment=offering.payment,
        quantity=Decimal(quantity),
        upfront_usd=Decimal(0),
        start_at=start_at,
    )
    return at_quote(cloud, draft)


def at_quote(cloud: SandboxCloud, draft: PurchaseOrder) -> PurchaseOrder:
    """The order at the price of now, as the executor sends it."""
    quote = buyer_of(cloud).quote(draft)
    return replace(
        draft, upfront_usd=quote.upfront_usd, commit_usd_per_hour=quote.commit_usd_per_hour
    )


def bought(cloud: SandboxCloud, order: PurchaseOrder, hours: float = 1) -> CommitmentId:
    """Buy, and let the payment go through."""
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Bought)
    cloud.advance(hours)
    return outcome.commitment


def item_of(cloud: SandboxCloud, name: CommitmentId) -> InventoryItem:
    (item,) = (one for one in reader_of(cloud).inventory() if one.commitment.commitment == name)
    return item


def alteration(
    cloud: SandboxCloud,
    kind: AlterationKind,
    *sources: CommitmentId,
    of: Kind = Kind.AWS_RI_REGIONAL,
    targets: tuple[Target, ...] = (),
    most_to_pay_usd: str = "0",
    name: str = "a",
) -> AlterationOrder:
    return AlterationOrder(
        intent=IntentId(f"intent-{name}"),
        token=ClientToken(f"token-{name}"),
        alteration=kind,
        account=cloud.world.payer,
        kind=of,
        sources=sources,
        targets=targets,
        most_to_pay_usd=Decimal(most_to_pay_usd),
    )


def target(of: ReservationTerms, count: int = 1) -> Target:
    return Target(of.offering, Decimal(count), of.zone, of.term_months, of.payment)
