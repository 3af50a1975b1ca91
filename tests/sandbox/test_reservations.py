"""EC2 reservations in the sandbox: no token, so every call buys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.clouds import Sdk, sdk, small_cloud, strike

PURCHASE = "ec2.PurchaseReservedInstancesOffering"


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    """The same server for all tests (the EC2 model is slow to load), its ledger emptied."""
    shared.world.reservations.reservations.clear()
    shared.world.faults.clear()
    return shared


@pytest.fixture
def ec2(cloud: SandboxCloud) -> Sdk:
    return sdk(cloud, "ec2")


def first_offer(ec2: Sdk) -> dict[str, Any]:
    page = ec2.describe_reserved_instances_offerings(
        InstanceType="m5.large", OfferingClass="standard", OfferingType="Partial Upfront"
    )
    offered: dict[str, Any] = page["ReservedInstancesOfferings"][0]
    return offered


def buy(ec2: Sdk, count: int = 1, **more: object) -> str:
    offering = first_offer(ec2)["ReservedInstancesOfferingId"]
    bought = ec2.purchase_reserved_instances_offering(
        ReservedInstancesOfferingId=offering, InstanceCount=count, **more
    )
    return str(bought["ReservedInstancesId"])


def listed(ec2: Sdk, **filters: object) -> dict[str, str]:
    found = ec2.describe_reserved_instances(**filters)["ReservedInstances"]
    return {one["ReservedInstancesId"]: one["State"] for one in found}


def refusal(call: Callable[..., object], **arguments: object) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_two_calls_are_two_purchases(cloud: SandboxCloud, ec2: Sdk) -> None:
    assert buy(ec2) != buy(ec2)
    cloud.advance(1)
    assert sorted(listed(ec2).values()) == ["active", "active"]


def test_is_charged_from_payment_on(cloud: SandboxCloud, ec2: Sdk) -> None:
    name = buy(ec2, 3)
    assert listed(ec2) == {name: "payment-pending"}
    cloud.advance(1)
    (charged,) = cloud.world.charged()
    assert charged.quantity == 3


def test_a_queued_reservation_can_be_deleted_and_an_active_one_not(
    cloud: SandboxCloud, ec2: Sdk
) -> None:
    queued = buy(ec2, PurchaseTime=cloud.world.after_hours(24))
    active = buy(ec2)
    answer = ec2.delete_queued_reserved_instances(ReservedInstancesIds=[queued, active, "none"])
    done = [one["ReservedInstancesId"] for one in answer["SuccessfulQueuedPurchaseDeletions"]]
    failed = {
        one["ReservedInstancesId"]: one["Error"]["Code"]
        for one in answer["FailedQueuedPurchaseDeletions"]
    }
    assert done == [queued]
    assert failed == {
        active: "reserved-instances-not-in-queued-state",
        "none": "reserved-instances-id-invalid",
    }
    assert listed(ec2)[queued] == "queued-deleted"


def test_tags_are_written_after_purchase_and_can_be_looked_for(
    cloud: SandboxCloud, ec2: Sdk
) -> None:
    name = buy(ec2)
    assert cloud.snapshot().paid_by_intent == {f"untagged {name}": (name,)}
    ec2.create_tags(Resources=[name], Tags=[{"Key": "tenor:intent", "Value": "i-9"}])
    wanted = [{"Name": "tag:tenor:intent", "Values": ["i-9"]}]
    assert list(listed(ec2, Filters=wanted)) == [name]
    assert listed(ec2, Filters=[{"Name": "tag:tenor:intent", "Values": ["i-8"]}]) == {}
    assert cloud.snapshot().paid_by_intent == {"i-9": (name,)}


def test_listing_lags_by_reads_and_tags_are_refused_meanwhile(
    cloud: SandboxCloud, ec2: Sdk
) -> None:
    strike(cloud, Fault(PURCHASE, FaultKind.LISTING_LAG, lag_reads=2))
    name = buy(ec2)
    tags = {"Resources": [name], "Tags": [{"Key": "a", "Value": "b"}]}
    assert refusal(ec2.create_tags, **tags) == "InvalidReservationID.NotFound"
    assert listed(ec2) == {}
    assert listed(ec2) == {}
    assert list(listed(ec2)) == [name]
    ec2.create_tags(**tags)


def test_refuses_the_twenty_first_instance_of_a_month(cloud: SandboxCloud, ec2: Sdk) -> None:
    buy(ec2, 15)
    offering = first_offer(ec2)["ReservedInstancesOfferingId"]
    code = refusal(
        ec2.purchase_reserved_instances_offering,
        ReservedInstancesOfferingId=offering,
        InstanceCount=6,
    )
    assert code == "ReservedInstancesLimitExceeded"
    buy(ec2, 5)
    assert len(cloud.world.reservations.reservations) == 2


def test_refuses_an_offering_of_another_region(cloud: SandboxCloud, ec2: Sdk) -> None:
    elsewhere = sdk(cloud, "ec2", "eu-west-1")
    offering = first_offer(elsewhere)["ReservedInstancesOfferingId"]
    code = refusal(
        ec2.purchase_reserved_instances_offering,
        ReservedInstancesOfferingId=offering,
        InstanceCount=1,
    )
    assert code == "InvalidReservedInstancesOfferingId"


def test_a_dry_run_buys_nothing(cloud: SandboxCloud, ec2: Sdk) -> None:
    offering = first_offer(ec2)["ReservedInstancesOfferingId"]
    code = refusal(
        ec2.purchase_reserved_instances_offering,
        ReservedInstancesOfferingId=offering,
        InstanceCount=1,
        DryRun=True,
    )
    assert code == "DryRunOperation"
    assert cloud.world.reservations.reservations == {}


def test_offerings_are_paged_and_the_pages_add_up(ec2: Sdk) -> None:
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = ec2.describe_reserved_instances_offerings(
            OfferingClass="convertible", InstanceType="m5.large", **token
        )
        assert len(page["ReservedInstancesOfferings"]) <= 7
        found.extend(
            one["ReservedInstancesOfferingId"] for one in page["ReservedInstancesOfferings"]
        )
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(found) == len(set(found)) == 36  # two platforms and terms, three payments and places


def test_hourly_charge_and_upfront_make_up_the_term(cloud: SandboxCloud, ec2: Sdk) -> None:
    offered = first_offer(ec2)
    hourly = offered["RecurringCharges"][0]["Amount"]
    total = offered["FixedPrice"] + hourly * 8_760
    unit = cloud.world.catalog.offerings[offered["ReservedInstancesOfferingId"]]
    (rate,) = unit.rates_usd.values()
    assert total == pytest.approx(float(rate) * 8_760)
