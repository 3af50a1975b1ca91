"""EC2 reservations: everything on sale, queued purchases, tags, what modified ones cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, Altered, Target
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.ids import CommitmentId, IntentId, OfferingId
from service.domain.purchases import Bought, Refused
from service.domain.usage import SkuKey
from service.providers.aws import reservations
from service.providers.aws.reader import AwsReader
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.providers.aws.orders import (
    alteration,
    alterer_of,
    bought,
    buyer_of,
    item_of,
    reader_of,
    reservation_order,
    terms,
)
from tests.sandbox.clouds import small_cloud, strike

LINUX = SkuKey("aws", "us-east-1", "USE1-BoxUsage:m5.large/RunInstances")
WINDOWS = SkuKey("aws", "us-east-1", "USE1-BoxUsage:m5.large/RunInstances:0002")


@pytest.fixture
def cloud() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


def test_lists_both_classes_all_terms_and_payments_at_their_amortised_price(
    cloud: SandboxCloud,
) -> None:
    found = [one for one in reader_of(cloud).offerings([LINUX]) if not one.kind.is_spend]
    assert {one.kind for one in found} == {Kind.AWS_RI_REGIONAL}
    assert len({one.offering for one in found}) == len(found) == 12
    sold = {
        (one.term_months, one.payment, one.offering in cloud.world.catalog.convertible): one
        for one in cloud.world.catalog.offerings.values()
        if LINUX.sku in one.rates_usd and one.kind is Kind.AWS_RI_REGIONAL
    }
    for one in found:
        theirs = sold[one.term_months, one.payment, "/convertible/" in one.offering]
        assert one.upfront_usd == theirs.upfront_usd
        assert float(one.rates_usd[LINUX.sku]) == pytest.approx(float(theirs.rates_usd[LINUX.sku]))
        assert (one.family, one.platform, one.tenancy) == ("m5", "linux", "shared")
        assert one.size_flexible


def test_platforms_that_do_not_float_say_so_and_are_not_mixed(cloud: SandboxCloud) -> None:
    found = [one for one in reader_of(cloud).offerings([WINDOWS]) if not one.kind.is_spend]
    assert len(found) == 12
    assert {one.platform for one in found} == {"windows"}
    assert not any(one.size_flexible for one in found)


def test_zonal_reservations_are_offered_for_the_zones_asked_for(cloud: SandboxCloud) -> None:
    reader = AwsReader(cloud.clients(), zones=["us-east-1b", "eu-west-1a"])
    found = [one for one in reader.offerings([LINUX]) if one.kind is Kind.AWS_RI_ZONAL]
    assert len(found) == 12
    assert {(one.zone, one.size_flexible) for one in found} == {("us-east-1b", False)}


def test_unused_capacity_and_spot_have_no_reservation_of_their_own(cloud: SandboxCloud) -> None:
    spot = SkuKey("aws", "us-east-1", "USE1-SpotUsage:m5.large/RunInstances:SV001")
    host = SkuKey("aws", "us-east-1", "USE1-HostUsage:m5/RunInstances")
    assert reservations.offerings(cloud.clients(), [spot, host]) == []


def test_the_marketplace_is_never_asked(cloud: SandboxCloud) -> None:
    sent: list[str] = []
    client = cloud.clients().reading("ec2", "us-east-1")
    client.meta.events.register(
        "before-call.ec2.DescribeReservedInstancesOfferings",
        lambda params, **_: sent.append(params["body"]["IncludeMarketplace"]),
    )
    reader_of(cloud).offerings([LINUX])
    buyer_of(cloud).quote(reservation_order(cloud, terms()))
    assert set(sent) == {"false"}


@pytest.mark.parametrize("zone", [None, "us-east-1a"])
@pytest.mark.parametrize("offering_class", ["standard", "convertible"])
def test_buys_each_class_and_scope_and_finds_it_again(
    cloud: SandboxCloud, offering_class: str, zone: str | None
) -> None:
    of = terms(offering_class=offering_class, zone=zone, payment=Payment.PARTIAL_UPFRONT)
    order = reservation_order(cloud, of, 3)
    item = item_of(cloud, bought(cloud, order))
    assert item.commitment.offering == of.offering
    assert (item.kind, item.commitment.zone) == (of.kind, zone)
    assert item.commitment.quantity == 3
    assert item.commitment.state is CommitmentState.ACTIVE
    assert item.exchangeable == (offering_class == "convertible")
    assert item.intent == order.intent
    assert abs(item.upfront_usd - order.upfront_usd) < 1
    quoted = buyer_of(cloud).quote(order)
    assert float(item.commit_usd_per_hour) == pytest.approx(float(quoted.commit_usd_per_hour))


def test_a_queued_purchase_waits_for_its_time_and_can_be_taken_back(cloud: SandboxCloud) -> None:
    start = cloud.world.now() + timedelta(hours=48)
    name = bought(cloud, reservation_order(cloud, terms(), start_at=start))
    item = item_of(cloud, name)
    assert item.commitment.state is CommitmentState.QUEUED
    assert item.commitment.start == start
    order = alteration(cloud, AlterationKind.CANCEL_QUEUED, name)
    alterer = alterer_of(cloud)
    assert alterer.ways(item, cloud.world.now()) == {AlterationKind.CANCEL_QUEUED}
    assert alterer.quote_alteration(order).allowed
    done = alterer.alter(order)
    assert isinstance(done, Altered)
    assert alterer.alter(order) == done
    cloud.advance(72)
    assert item_of(cloud, name).commitment.state is CommitmentState.FAILED
    assert cloud.snapshot().paid_by_intent == {}


def test_a_queued_purchase_becomes_active_when_it_is_left(cloud: SandboxCloud) -> None:
    start = cloud.world.now() + timedelta(hours=48)
    name = bought(cloud, reservation_order(cloud, terms(), start_at=start), hours=50)
    item = item_of(cloud, name)
    assert item.commitment.state is CommitmentState.ACTIVE
    late = alterer_of(cloud).alter(alteration(cloud, AlterationKind.CANCEL_QUEUED, name))
    assert isinstance(late, Refused)
    assert late.code == "reserved-instances-not-in-queued-state"


def test_a_zonal_purchase_cannot_be_queued(cloud: SandboxCloud) -> None:
    of = terms(zone="us-east-1a")
    order = replace(reservation_order(cloud, of), start_at=cloud.world.after_hours(5))
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == "queue"
    assert cloud.snapshot().states == {}


def test_a_payment_that_fails_ends_as_failed(cloud: SandboxCloud) -> None:
    order = reservation_order(cloud, terms())
    purchase = "ec2.PurchaseReservedInstancesOffering"
    strike(cloud, Fault(purchase, FaultKind.PAYMENT_FAILS))
    name = bought(cloud, order, hours=0)
    assert item_of(cloud, name).commitment.state is CommitmentState.PAYMENT_PENDING
    cloud.advance(1)
    assert item_of(cloud, name).commitment.state is CommitmentState.FAILED


def test_a_tag_is_tried_again_while_the_reservation_is_not_known_yet(cloud: SandboxCloud) -> None:
    name = bought(cloud, reservation_order(cloud, terms()))
    code = reservations.NOT_LISTED_YET
    strike(cloud, Fault("ec2.CreateTags", FaultKind.REFUSE, code=code, times=2))
    slept: list[float] = []
    done = reservations.tag(
        cloud.clients(), "us-east-1", name, IntentId("late"), sleep=slept.append
    )
    assert done
    assert len(slept) == 2
    assert item_of(cloud, name).intent == "late"


def test_a_tag_that_is_forbidden_is_not_tried_again(cloud: SandboxCloud) -> None:
    name = bought(cloud, reservation_order(cloud, terms()))
    refusal = Fault("ec2.CreateTags", FaultKind.REFUSE, code="UnauthorizedOperation", status=403)
    strike(cloud, refusal)
    cloud.server.calls.clear()
    assert not reservations.tag(cloud.clients(), "us-east-1", name, IntentId("x"))
    assert cloud.server.calls["ec2.CreateTags"] == 1


def test_what_a_modification_made_costs_what_its_parent_did(cloud: SandboxCloud) -> None:
    of = terms("m5.xlarge", "standard", Payment.ALL_UPFRONT)
    parent = bought(cloud, reservation_order(cloud, of, 2))
    before = item_of(cloud, parent)
    parts = (
        Target(
            terms("m5.large", "standard", of.payment).offering, Decimal(2), None, 12, of.payment
        ),
        Target(None, Decimal(1), "us-east-1b", 12, of.payment),
    )
    order = alteration(cloud, AlterationKind.MODIFY, parent, targets=parts)
    alterer_of(cloud).alter(order)
    cloud.advance(1)
    made = alterer_of(cloud).alter(order)
    assert isinstance(made, Altered)
    children = [item_of(cloud, name) for name in made.made]
    assert all(one.upfront_usd == 0 for one in children)
    total = sum(float(one.commit_usd_per_hour) for one in children)
    assert total == pytest.approx(float(before.commit_usd_per_hour))
    assert before.commit_usd_per_hour > 0
    # Made once more from what was made: the cost still comes from the first parent.
    again = alteration(
        cloud,
        AlterationKind.MODIFY,
        CommitmentId(made.made[1]),
        targets=(Target(None, Decimal(1), None, 12, of.payment),),
        name="b",
    )
    alterer_of(cloud).alter(again)
    cloud.advance(1)
    grandchild = alterer_of(cloud).alter(again)
    assert isinstance(grandchild, Altered)
    moved = item_of(cloud, grandchild.made[0])
    assert float(moved.commit_usd_per_hour) == pytest.approx(float(children[1].commit_usd_per_hour))


@pytest.mark.parametrize("payment", [Payment.NO_UPFRONT, Payment.ALL_UPFRONT])
@pytest.mark.parametrize("factor", ["3", "1.0001"])
def test_a_reservation_that_is_dearer_than_decided_is_refused(
    cloud: SandboxCloud, payment: Payment, factor: str
) -> None:
    order = reservation_order(cloud, terms(payment=payment), 20)
    theirs = reservations.price(cloud.clients(), terms(payment=payment)).provider_offering
    cloud.world.change_price(OfferingId(theirs), Decimal(factor))
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == ("upfront" if order.upfront_usd else "hourly")
    undecided = buyer_of(cloud).buy(replace(order, commit_usd_per_hour=None))
    assert isinstance(undecided, Refused)
    assert cloud.server.calls["ec2.PurchaseReservedInstancesOffering"] == 0


def test_a_reservation_that_became_cheaper_is_bought(cloud: SandboxCloud) -> None:
    order = reservation_order(cloud, terms(), 20)
    theirs = reservations.price(cloud.clients(), terms()).provider_offering
    cloud.world.change_price(OfferingId(theirs), Decimal("0.9"))
    assert isinstance(buyer_of(cloud).buy(order), Bought)
