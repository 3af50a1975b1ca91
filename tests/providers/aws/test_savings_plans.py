"""Savings Plans of all four types: enumerated, bought or queued by token, looked up by intent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.commitments import CommitmentState, Kind, Offering, Payment
from service.domain.errors import ProviderError
from service.domain.ids import AccountId
from service.domain.purchases import Absent, Bought, Idempotency, PurchaseOrder, Refused, Unknown
from service.providers.aws.savings_plans import SOLD_KINDS
from service.providers.port import ProviderFinder
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from service.usage.aws_sku import describe_sku
from tests.providers.aws.orders import bought, buyer_of, item_of, plan_order, reader_of
from tests.sandbox.clouds import database_cloud, strike

CREATE = "savingsplans.CreateSavingsPlan"


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with database_cloud(page_size=100) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    """The same world for all tests; each has intents of its own."""
    shared.world.faults.clear()
    shared.world.savings_plans.plans.clear()
    shared.server.calls.clear()
    return shared


@pytest.fixture(scope="module")
def on_sale(shared: SandboxCloud) -> list[Offering]:
    keys = sorted({line.key for line in shared.world.usage.lines})
    return [one for one in reader_of(shared).offerings(keys) if one.kind.is_spend]


def order_of(
    cloud: SandboxCloud, on_sale: list[Offering], kind: Kind, name: str, *, queued: bool = False
) -> PurchaseOrder:
    sold = next(one for one in on_sale if one.kind is kind and one.payment is Payment.NO_UPFRONT)
    start = cloud.world.after_hours(48) if queued else None
    return plan_order(cloud, sold, "1.25", name=name, start_at=start)


def test_all_four_types_are_enumerated_with_the_terms_that_aws_sells(
    on_sale: list[Offering],
) -> None:
    terms = {
        kind: {(one.term_months, one.payment) for one in on_sale if one.kind is kind}
        for kind in SOLD_KINDS
    }
    every = {(months, payment) for months in (12, 36) for payment in Payment}
    assert terms == {
        Kind.AWS_COMPUTE_SP: every,
        Kind.AWS_EC2_INSTANCE_SP: every,
        Kind.AWS_DATABASE_SP: {(12, Payment.NO_UPFRONT)},
        Kind.AWS_SAGEMAKER_SP: every,
    }


def test_each_type_has_rates_for_its_own_services_only(on_sale: list[Offering]) -> None:
    services = {
        kind: {
            describe_sku(sku).service
            for one in on_sale
            if one.kind is kind
            for sku in one.rates_usd
        }
        for kind in SOLD_KINDS
    }
    assert services == {
        Kind.AWS_COMPUTE_SP: {"ec2", "fargate", "lambda"},
        Kind.AWS_EC2_INSTANCE_SP: {"ec2"},
        Kind.AWS_DATABASE_SP: {"rds", "elasticache", "dynamodb"},
        Kind.AWS_SAGEMAKER_SP: {"sagemaker"},
    }


@pytest.mark.parametrize("kind", SOLD_KINDS)
def test_each_type_is_bought_once_and_found_by_its_intent(
    cloud: SandboxCloud, on_sale: list[Offering], kind: Kind
) -> None:
    order = order_of(cloud, on_sale, kind, f"once-{kind}")
    buyer = buyer_of(cloud)
    assert buyer.idempotency(kind) is Idempotency.NATIVE
    name = bought(cloud, order)
    assert buyer.buy(order) == Bought(name)
    item = item_of(cloud, name)
    assert (item.kind, item.commitment.state) == (kind, CommitmentState.ACTIVE)
    finder: ProviderFinder = buyer
    assert finder.look_up(order) == Bought(name)


@pytest.mark.parametrize("kind", SOLD_KINDS)
def test_each_type_can_be_queued_and_repeated_by_its_token(
    cloud: SandboxCloud, on_sale: list[Offering], kind: Kind
) -> None:
    order = order_of(cloud, on_sale, kind, f"queued-{kind}", queued=True)
    name = bought(cloud, order)
    item = item_of(cloud, name)
    assert item.commitment.state is CommitmentState.QUEUED
    assert item.commitment.start == order.start_at
    assert buyer_of(cloud).buy(order) == Bought(name)
    assert len(cloud.world.savings_plans.plans) == 1


def test_what_is_not_listed_is_not_known(cloud: SandboxCloud, on_sale: list[Offering]) -> None:
    order = order_of(cloud, on_sale, Kind.AWS_COMPUTE_SP, "lost")
    strike(cloud, Fault(CREATE, FaultKind.TIMEOUT_BEFORE))
    assert isinstance(buyer_of(cloud).buy(order), Unknown)
    assert isinstance(buyer_of(cloud).look_up(order), Absent)


def test_a_lost_answer_is_found_once_the_listing_shows_it(
    cloud: SandboxCloud, on_sale: list[Offering]
) -> None:
    order = order_of(cloud, on_sale, Kind.AWS_COMPUTE_SP, "found")
    strike(cloud, Fault(CREATE, FaultKind.ERROR_AFTER))
    strike(cloud, Fault(CREATE, FaultKind.LISTING_LAG, lag_hours=2))
    # The lag is set by the first fault's call, before its answer is lost.
    assert isinstance(buyer_of(cloud).buy(order), Unknown)
    assert isinstance(buyer_of(cloud).look_up(order), Absent)
    cloud.advance(3)
    assert isinstance(buyer_of(cloud).look_up(order), Bought)


def test_a_payment_that_failed_is_proof_that_nothing_was_bought(
    cloud: SandboxCloud, on_sale: list[Offering]
) -> None:
    order = order_of(cloud, on_sale, Kind.AWS_COMPUTE_SP, "unpaid")
    strike(cloud, Fault(CREATE, FaultKind.PAYMENT_FAILS))
    bought(cloud, order)
    looked = buyer_of(cloud).look_up(order)
    assert isinstance(looked, Refused)
    assert looked.code == "payment_failed"


def test_what_carries_the_intent_and_is_something_else_is_left_to_a_person(
    cloud: SandboxCloud, on_sale: list[Offering]
) -> None:
    order = order_of(cloud, on_sale, Kind.AWS_COMPUTE_SP, "other")
    bought(cloud, order)
    looked = buyer_of(cloud).look_up(replace(order, quantity=Decimal(7)))
    assert isinstance(looked, Unknown)
    assert "not what was ordered" in looked.detail


def test_a_look_up_that_fails_proves_nothing(cloud: SandboxCloud, on_sale: list[Offering]) -> None:
    order = order_of(cloud, on_sale, Kind.AWS_COMPUTE_SP, "failing")
    bought(cloud, order)
    listing = "savingsplans.DescribeSavingsPlans"
    strike(cloud, Fault(listing, FaultKind.REFUSE, code="AccessDeniedException", status=403))
    with pytest.raises(ProviderError, match="AccessDenied"):
        buyer_of(cloud).look_up(order)
    elsewhere = replace(order, account=AccountId("200000000025"))
    with pytest.raises(ProviderError, match="wrong_account"):
        buyer_of(cloud).look_up(elsewhere)


def test_a_plan_whose_payment_is_pending_is_there(
    cloud: SandboxCloud, on_sale: list[Offering]
) -> None:
    order = order_of(cloud, on_sale, Kind.AWS_COMPUTE_SP, "pending")
    strike(cloud, Fault(CREATE, FaultKind.ERROR_AFTER))
    assert isinstance(buyer_of(cloud).buy(order), Unknown)
    (item,) = reader_of(cloud).inventory()
    assert item.commitment.state is CommitmentState.PAYMENT_PENDING
    assert buyer_of(cloud).look_up(order) == Bought(item.commitment.commitment)
