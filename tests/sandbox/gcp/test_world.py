"""The sandbox Google Cloud itself: how commitments live, what is remembered, what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from service.domain.errors import InvariantError
from service.domain.purchases import Bought
from service.sandbox.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.cloud import GcpSandbox
from service.sandbox.gcp.pacific import next_midnight, term_end
from service.sandbox.gcp.world import GcpWorld, GcpWorldOptions
from tests.sandbox.gcp.clouds import (
    SMALL,
    START,
    buyer_of,
    dollars,
    small_cloud,
    small_world,
    strike,
    vcpus,
)
from tests.sandbox.gcp.raw import ask, insert_raw

REGION = "/compute/v1/projects/acme-commitments/regions/us-central1"
ORDERS = "/v1/billingAccounts/01AB23-45CD67-89EF01/orders"


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


def insert(cloud: GcpSandbox, request_id: str, name: str = "one", vcpus: int = 4) -> Any:  # noqa: ANN401
    body = {
        "name": name,
        "plan": "TWELVE_MONTH",
        "type": "GENERAL_PURPOSE_N2",
        "resources": [{"type": "VCPU", "amount": str(vcpus)}],
    }
    return ask(cloud, "POST", f"{REGION}/commitments?requestId={request_id}", body)


def place(cloud: GcpSandbox, request_id: str, amount: float = 2.5, **changes: str) -> Any:  # noqa: ANN401
    offer = "services/compute.googleapis.com/standardOffers/sandbox-flexible-1y"
    given = {"hourly_commit": {"doubleValue": amount}, "region": {"stringValue": "global"}}
    given |= {name: {"stringValue": value} for name, value in changes.items() if name != "offer"}
    parameters = [{"name": name, "value": value} for name, value in given.items()]
    line = {"offer": changes.get("offer", offer), "parameters": parameters}
    body = {"displayName": "theirs", "requestId": request_id, "lineItemInfo": [line]}
    return ask(cloud, "POST", f"{ORDERS}:place", body)


def test_two_worlds_of_one_seed_are_equal_and_of_two_seeds_are_not() -> None:
    options = GcpWorldOptions(seed=3, history_days=3, horizon_days=3)
    one, same = GcpWorld.generated(options), GcpWorld.generated(options)
    other = GcpWorld.generated(replace(options, seed=4))
    assert np.array_equal(one.usage.quantity, same.usage.quantity)
    assert one.new_id() == same.new_id()
    assert not np.array_equal(one.usage.quantity, other.usage.quantity)


def test_a_day_begins_at_midnight_pacific_in_summer_and_in_winter() -> None:
    assert next_midnight(START) == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert next_midnight(datetime(2026, 7, 1, 12, tzinfo=UTC)) == datetime(
        2026, 7, 2, 7, tzinfo=UTC
    )
    assert next_midnight(datetime(2026, 3, 2, 8, tzinfo=UTC)) == datetime(2026, 3, 3, 8, tzinfo=UTC)
    leap = datetime(2028, 2, 29, 8, tzinfo=UTC)
    assert term_end(leap, 12) == datetime(2029, 2, 28, 8, tzinfo=UTC)


def test_an_operation_goes_from_pending_over_running_to_done(cloud: GcpSandbox) -> None:
    status, operation = insert(cloud, "r-1")
    assert (status, operation["status"]) == (200, "PENDING")
    path = f"{REGION}/operations/{operation['name']}"
    assert [ask(cloud, "GET", path)[1]["status"] for _ in range(3)] == ["RUNNING", "DONE", "DONE"]
    _, made = ask(cloud, "GET", f"{REGION}/commitments/one")
    assert made["status"] == "NOT_YET_ACTIVE"
    assert made["startTimestamp"] == "2026-03-02T08:00:00Z"


def test_an_operation_ends_by_itself_when_nobody_asks(cloud: GcpSandbox) -> None:
    insert(cloud, "r-1")
    assert ask(cloud, "GET", f"{REGION}/commitments/one")[1]["status"] == "CREATING"
    cloud.advance(0.1)
    assert ask(cloud, "GET", f"{REGION}/commitments/one")[1]["status"] == "NOT_YET_ACTIVE"


def test_one_request_sent_twice_is_one_purchase_until_it_is_forgotten(cloud: GcpSandbox) -> None:
    first = insert(cloud, "r-1")[1]["name"]
    assert insert(cloud, "r-1")[1]["name"] == first
    assert insert(cloud, "r-1", vcpus=5)[0] == 400
    # The name holds when the request id is new, or forgotten.
    assert insert(cloud, "r-2")[0] == 409
    cloud.advance(SMALL.request_id_hours + 0.1)
    status, answer = insert(cloud, "r-1")
    assert status == 409
    assert answer["error"]["errors"][0]["reason"] == "alreadyExists"
    assert len(cloud.world.commitments.records) == 1


def test_an_order_sent_twice_is_one_order_until_it_is_forgotten(cloud: GcpSandbox) -> None:
    first = place(cloud, "r-1")[1]["name"]
    cloud.advance(SMALL.order_id_hours - 1)
    assert place(cloud, "r-1")[1]["name"] == first
    assert place(cloud, "r-1", amount=3.0)[0] == 400
    cloud.advance(2)
    # Google knows no unique display names: this is a second order, and costs twice.
    assert place(cloud, "r-1")[1]["name"] != first
    assert len(cloud.world.orders.records) == 2


@pytest.mark.parametrize(
    ("amount", "changes"),
    [(0.0, {}), (2.5, {"region": "us-central1"}), (2.5, {"offer": "services/x/standardOffers/y"})],
)
def test_an_order_that_google_would_not_take_is_refused(
    cloud: GcpSandbox, amount: float, changes: dict[str, str]
) -> None:
    assert place(cloud, "r-1", amount, **changes)[0] in {400, 404}
    assert cloud.world.orders.records == {}


def test_a_failed_order_is_deleted(cloud: GcpSandbox) -> None:
    strike(cloud, Fault("gcp.orders.place", FaultKind.PAYMENT_FAILS))
    name = place(cloud, "r-1")[1]["name"]
    assert len(ask(cloud, "GET", ORDERS)[1]["orders"]) == 1
    for _ in range(2):
        _, operation = ask(cloud, "GET", f"/v1/{name}")
    assert operation["done"]
    assert operation["error"]["code"] == 9
    assert ask(cloud, "GET", ORDERS)[1]["orders"] == []


def test_only_renewal_and_plan_can_be_updated_and_only_by_name(cloud: GcpSandbox) -> None:
    insert(cloud, "r-1")
    cloud.advance(30)
    one = f"{REGION}/commitments/one"
    assert ask(cloud, "PATCH", one, {"autoRenew": True})[0] == 400
    assert ask(cloud, "PATCH", f"{one}?updateMask=resources", {"resources": []})[0] == 400
    assert ask(cloud, "PATCH", f"{one}?updateMask=plan", {"plan": "TWELVE_MONTH"})[0] == 400
    assert ask(cloud, "PATCH", f"{one}?updateMask=auto_renew", {"autoRenew": True})[0] == 200
    assert ask(cloud, "DELETE", one)[0] == 404
    assert ask(cloud, "GET", one)[1]["autoRenew"] is True


@pytest.mark.parametrize(
    "more",
    [
        {"mergeSourceCommitments": [f"https://x{REGION}/commitments/one"]},
        {"mergeSourceCommitments": [f"https://x{REGION}/commitments/{n}" for n in ("one", "no")]},
        {"splitSourceCommitment": f"https://x{REGION}/commitments/one"},
        {"splitSourceCommitment": "nonsense"},
    ],
)
def test_a_merge_or_split_that_does_not_fit_is_refused(
    cloud: GcpSandbox, more: dict[str, object]
) -> None:
    insert(cloud, "r-1", vcpus=4)
    cloud.advance(30)
    assert insert_raw(cloud, name="two", vcpus=4, memory_mb=0, **more) in {400, 404}
    assert len(cloud.world.commitments.records) == 1


def test_a_clock_that_another_cloud_moves_moves_this_one() -> None:
    clock = VirtualClock(START)
    shared = GcpWorldOptions(seed=1, clock=clock, history_days=2, horizon_days=60)
    with GcpSandbox.generated(shared) as one, GcpSandbox.generated(shared) as other:
        assert isinstance(buyer_of(one).buy(vcpus()), Bought)
        insert(other, "r-1")
        other.advance(20)
        assert one.clock.now() == START + timedelta(hours=20)
        assert set(one.snapshot().states.values()) == {"ACTIVE"}
        clock.advance(timedelta(hours=30))
        assert other.snapshot().now == START + timedelta(hours=50)
        assert one.totals().days == 2
        assert one.totals().commitment_usd > 0


def test_time_ends_with_the_usage() -> None:
    world = small_world(replace(SMALL, horizon_days=1))
    with pytest.raises(InvariantError, match="usage ends"):
        world.advance(25)


def test_a_commitment_costs_from_midnight_pacific_whether_it_is_used_or_not(
    cloud: GcpSandbox,
) -> None:
    assert isinstance(buyer_of(cloud).buy(vcpus("10")), Bought)
    assert isinstance(buyer_of(cloud).buy(dollars("1.00")), Bought)
    cloud.advance(48)
    totals = cloud.totals()
    # Bought at 00:00 UTC: vCPUs from 08:00 on, dollars from 01:00 on.
    assert totals.commitment_usd == Decimal("0.019908") * 10 * 40 + Decimal(1) * 47
    assert totals.total_usd < totals.on_demand_equivalent_usd


def test_merging_keeps_the_bill_as_it_was() -> None:
    def spent(*, merged: bool) -> Decimal:
        with small_cloud() as cloud:
            insert(cloud, "r-1", "one", 40)
            insert(cloud, "r-2", "two", 60)
            cloud.advance(30)
            links = [f"https://x{REGION}/commitments/{name}" for name in ("one", "two")]
            if merged:
                more = {"mergeSourceCommitments": links}
                assert insert_raw(cloud, name="both", vcpus=100, memory_mb=0, **more) == 200
            cloud.advance(24 * 5 - 30)
            assert len(cloud.world.commitments.records) == 2 + merged
            return cloud.totals().total_usd

    assert spent(merged=True) == spent(merged=False)


def test_paid_by_intent_counts_purchases_and_not_answers(cloud: GcpSandbox) -> None:
    """Negative control: two purchases under one intent are seen as such."""
    for name in ("one", "two"):
        insert_raw(cloud, name=name, vcpus=4, memory_mb=0, description="tenor:intent=i-1")
    insert_raw(cloud, name="three", vcpus=4, memory_mb=0)
    snapshot = cloud.snapshot()
    assert len(snapshot.paid_by_intent["i-1"]) == 2
    assert snapshot.double_purchases == 1
    assert len(snapshot.paid_by_intent) == 2


@pytest.mark.parametrize("kind", [FaultKind.LISTING_LAG, FaultKind.PRICE_CHANGE])
def test_a_fault_that_is_cleared_strikes_no_more(cloud: GcpSandbox, kind: FaultKind) -> None:
    strike(cloud, Fault("*", kind, times=100, lag_reads=5, price_factor=Decimal(2)))
    cloud.world.faults.clear()
    insert(cloud, "r-1")
    assert len(ask(cloud, "GET", f"{REGION}/commitments")[1]["items"]) == 1
    assert cloud.world.rates("us-central1", "n2", 12)[0] == Decimal("0.019908")


def test_it_listens_on_loopback_only_and_says_so_when_asked_for_more(cloud: GcpSandbox) -> None:
    assert cloud.endpoint_url.startswith("http://127.0.0.1:")
    assert ask(cloud, "GET", "/compute/v1/projects/p/zones")[0] == 404
    assert ask(cloud, "POST", f"{REGION}/commitments", "text")[0] == 400
    for path in ("/", "/v1/billingAccounts/other/orders", f"{REGION}/operations/none"):
        assert ask(cloud, "GET", path)[0] == 404
