"""What has become dearer on Google Cloud since it was decided on is not sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.purchases import Bought, PurchaseOrder, Refused, Unknown
from service.providers.gcp.outcome import NOT_SENT
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.cloud import GcpSandbox
from tests.sandbox.gcp.clouds import (
    INSERT,
    PLACE,
    buyer_of,
    dollars,
    machines,
    small_cloud,
    strike,
    vcpus,
)


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


def paid(cloud: GcpSandbox) -> int:
    return sum(len(ids) for ids in cloud.snapshot().paid_by_intent.values())


def decided(cloud: GcpSandbox, order: PurchaseOrder) -> PurchaseOrder:
    """The order at its price of now."""
    quote = buyer_of(cloud).quote(order)
    return replace(order, commit_usd_per_hour=quote.commit_usd_per_hour, companion=quote.companion)


@pytest.mark.parametrize("order", [vcpus(), machines()], ids=["vcpus", "with memory"])
@pytest.mark.parametrize(("factor", "sent"), [("2", 0), ("1.001", 0), ("1", 1), ("0.9", 1)])
def test_what_has_become_dearer_since_it_was_decided_is_not_sent(
    cloud: GcpSandbox, order: PurchaseOrder, factor: str, sent: int
) -> None:
    ordered = decided(cloud, order)
    cloud.world.change_price("us-central1", "n2", Decimal(factor))
    outcome = buyer_of(cloud).buy(ordered)
    assert cloud.server.calls[INSERT] == paid(cloud) == sent
    assert isinstance(outcome, Bought if sent else Refused)
    assert sent or outcome.code == "hourly"  # type: ignore[union-attr]


def test_an_order_that_was_bought_before_it_became_dearer_is_no_refusal(
    cloud: GcpSandbox,
) -> None:
    ordered = decided(cloud, vcpus())
    strike(cloud, Fault(INSERT, FaultKind.ERROR_AFTER))
    assert isinstance(buyer_of(cloud).buy(ordered), Unknown)
    cloud.advance(1)
    cloud.world.change_price("us-central1", "n2", Decimal(2))
    assert isinstance(buyer_of(cloud).buy(ordered), Bought)
    assert (cloud.server.calls[INSERT], paid(cloud)) == (1, 1)


def test_nothing_is_sent_while_the_price_of_now_cannot_be_had(cloud: GcpSandbox) -> None:
    ordered = decided(cloud, vcpus())
    strike(cloud, Fault("gcp.skus.list", FaultKind.REFUSE, status=403, code="forbidden"))
    outcome = buyer_of(cloud).buy(ordered)
    assert isinstance(outcome, Refused)
    assert outcome.code == NOT_SENT
    assert cloud.server.calls[INSERT] == 0


def test_a_flexible_commitment_to_more_than_was_decided_on_is_not_sent(cloud: GcpSandbox) -> None:
    ordered = decided(cloud, dollars())
    more = replace(ordered, quantity=ordered.quantity + Decimal("0.01"))
    silent = replace(ordered, commit_usd_per_hour=None)
    for wrong in (more, silent):
        assert isinstance(buyer_of(cloud).buy(wrong), Refused)
    assert cloud.server.calls[PLACE] == 0
    assert isinstance(buyer_of(cloud).buy(ordered), Bought)
