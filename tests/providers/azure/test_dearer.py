"""What has become dearer on Azure since it was decided on is not sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.commitments import Payment
from service.domain.purchases import Bought, Refused, Unknown
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    CALCULATE,
    CREATE_PLAN,
    INTENT,
    PURCHASE,
    buyer,
    order,
    plan_order,
    quoted,
    reader,
    reservation_id,
    small_cloud,
    strike,
)


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def purchases(cloud: AzureSandbox) -> int:
    return len(cloud.snapshot().paid_by_intent.get(INTENT, ()))


@pytest.mark.parametrize("payment", [Payment.ALL_UPFRONT, Payment.NO_UPFRONT])
@pytest.mark.parametrize(("factor", "sent"), [("2", 0), ("1.001", 0), ("1", 1), ("0.9", 1)])
def test_what_has_become_dearer_since_it_was_decided_is_not_sent(
    cloud: AzureSandbox, payment: Payment, factor: str, sent: int
) -> None:
    strike(cloud, Fault(CALCULATE, FaultKind.PRICE_CHANGE, price_factor=Decimal(factor)))
    ordered = quoted(cloud, order(cloud, reservation_id(payment=payment)))
    outcome = buyer(cloud).buy(ordered)
    assert cloud.server.calls[PURCHASE] == purchases(cloud) == sent
    if sent:
        # At what its own quote says, even where it would be cheaper by now.
        assert isinstance(outcome, Bought)
        (item,) = reader(cloud).inventory()
        assert item.upfront_usd == ordered.upfront_usd
    else:
        assert isinstance(outcome, Refused)
        assert outcome.code == ("upfront" if payment is Payment.ALL_UPFRONT else "hourly")


def test_an_order_that_was_bought_before_it_became_dearer_is_no_refusal(
    cloud: AzureSandbox,
) -> None:
    ordered = quoted(cloud, order(cloud))
    strike(cloud, Fault(PURCHASE, FaultKind.ERROR_AFTER))
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    cloud.world.change_price("eastus", "Standard_D4s_v5", Decimal(2))
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    assert purchases(cloud) == 1


def test_nothing_is_sent_while_the_price_of_now_cannot_be_had(cloud: AzureSandbox) -> None:
    ordered = quoted(cloud, order(cloud))
    refuse = Fault(CALCULATE, FaultKind.REFUSE, code="CalculatePriceFailed", status=400)
    strike(cloud, refuse)
    assert isinstance(buyer(cloud).buy(ordered), Refused)
    assert cloud.server.calls[PURCHASE] == 0


@pytest.mark.parametrize("payment", [Payment.ALL_UPFRONT, Payment.NO_UPFRONT])
def test_a_plan_that_commits_to_more_than_was_decided_on_is_not_sent(
    cloud: AzureSandbox, payment: Payment
) -> None:
    ordered = plan_order(cloud, payment=payment)
    more = replace(ordered, quantity=ordered.quantity + Decimal("0.001"))
    silent = replace(ordered, commit_usd_per_hour=None)
    for wrong in (more, silent):
        assert isinstance(buyer(cloud).buy(wrong), Refused)
    assert cloud.server.calls[CREATE_PLAN] == 0
    assert isinstance(buyer(cloud).buy(ordered), Bought)
