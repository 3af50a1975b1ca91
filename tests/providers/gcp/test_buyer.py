"""The Google Cloud buyer against the sandbox: one attempt, never a yes or no that is not proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.domain.commitments import Kind
from service.domain.errors import InputError, InvariantError, ProviderError
from service.domain.ids import AccountId, OfferingId
from service.domain.purchases import Absent, Bought, Idempotency, PurchaseOrder, Refused, Unknown
from service.providers.gcp.buyer import GcpBuyer
from service.providers.gcp.outcome import is_retryable
from service.providers.port import ProviderBuyer, ProviderFinder
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.cloud import GcpSandbox
from service.sandbox.gcp.wire.compute import INSERT_OPERATION
from tests.sandbox.gcp.clouds import (
    INSERT,
    PLACE,
    buyer_of,
    dollars,
    impatient,
    reader_of,
    small_cloud,
    strike,
    vcpus,
)
from tests.sandbox.settling import wait_until_done

BOTH = pytest.mark.parametrize(("order", "operation"), [(vcpus(), INSERT), (dollars(), PLACE)])
KINDS = pytest.mark.parametrize("order", [vcpus(), dollars()])


def call_of(order: PurchaseOrder) -> str:
    return PLACE if order.kind.is_spend else INSERT


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def buyer(cloud: GcpSandbox) -> GcpBuyer:
    return buyer_of(cloud)


def paid(cloud: GcpSandbox) -> int:
    return sum(len(ids) for ids in cloud.snapshot().paid_by_intent.values())


def test_is_the_port_and_repeats_by_its_own_keys(buyer: GcpBuyer) -> None:
    as_buyer: ProviderBuyer = buyer
    as_finder: ProviderFinder = buyer
    assert isinstance(as_finder.look_up(vcpus()), Absent)
    for kind in (Kind.GCP_RESOURCE_CUD, Kind.GCP_FLEXIBLE_CUD):
        assert as_buyer.idempotency(kind) is Idempotency.NATIVE
    with pytest.raises(InvariantError):
        buyer.idempotency(Kind.AWS_COMPUTE_SP)


@pytest.mark.parametrize("years", [1, 3])
def test_buys_exactly_the_vcpus_that_were_ordered(
    cloud: GcpSandbox, buyer: GcpBuyer, years: int
) -> None:
    order = vcpus("120", offering=f"gcp_cud/europe-west1/c3/vcpu/{years}")
    outcome = buyer.buy(order)
    assert isinstance(outcome, Bought)
    record = cloud.world.commitments.records[outcome.commitment]
    assert (record.project, record.region, record.family) == (
        "acme-commitments",
        "europe-west1",
        "c3",
    )
    assert (record.plan_months, record.renews) == (12 * years, False)
    bought = record.contents(cloud.clock.now())
    assert (bought.vcpus, bought.memory_mb) == (120, 0)
    assert bought.usd_per_hour == buyer.quote(order).commit_usd_per_hour


@pytest.mark.parametrize("years", [1, 3])
def test_buys_exactly_the_dollars_that_were_ordered(
    cloud: GcpSandbox, buyer: GcpBuyer, years: int
) -> None:
    outcome = buyer.buy(dollars("17.33", offering=f"gcp_flexible/{years}"))
    assert isinstance(outcome, Bought)
    (record,) = cloud.world.orders.records.values()
    assert record.usd_per_hour == Decimal("17.33")
    assert record.term_months == 12 * years
    assert outcome.commitment.endswith(record.order_id)


@KINDS
@pytest.mark.parametrize(
    ("kind", "really_bought"),
    [
        (FaultKind.TIMEOUT_BEFORE, 0),
        (FaultKind.TIMEOUT_AFTER, 1),
        (FaultKind.ERROR_BEFORE, 0),
        (FaultKind.ERROR_AFTER, 1),
        (FaultKind.BROKEN_AFTER, 1),
    ],
)
def test_a_lost_answer_is_unknown_and_sent_only_once(
    cloud: GcpSandbox, order: PurchaseOrder, kind: FaultKind, really_bought: int
) -> None:
    buyer, operation = buyer_of(cloud), call_of(order)
    strike(cloud, Fault(operation, kind))
    assert isinstance(buyer.buy(order), Unknown)
    assert cloud.server.calls[operation] == 1
    assert paid(cloud) == really_bought
    found = [item.intent for item in reader_of(cloud).inventory()]
    assert found == [order.intent] * really_bought
    cloud.advance(1)
    outcome = buyer.buy(order)
    assert isinstance(outcome, Bought)
    assert buyer.look_up(order) == outcome
    assert paid(cloud) == 1


@BOTH
def test_a_read_timeout_is_raised_by_the_http_library_and_is_unknown(
    cloud: GcpSandbox, order: PurchaseOrder, operation: str
) -> None:
    strike(cloud, Fault(operation, FaultKind.TIMEOUT_AFTER, hold_seconds=60))
    with impatient(cloud) as clients:
        outcome = buyer_of(cloud, clients).buy(order)
    wait_until_done(cloud, operation)
    assert isinstance(outcome, Unknown)
    assert "ReadTimeout" in outcome.detail
    assert paid(cloud) == 1


@KINDS
@pytest.mark.parametrize(
    ("code", "status"), [("invalid", 400), ("forbidden", 403), ("quotaExceeded", 403)]
)
def test_a_definite_no_is_refused_with_its_reason(
    cloud: GcpSandbox, order: PurchaseOrder, code: str, status: int
) -> None:
    buyer = buyer_of(cloud)
    strike(cloud, Fault(call_of(order), FaultKind.REFUSE, code=code, status=status))
    outcome = buyer.buy(order)
    assert isinstance(outcome, Refused)
    assert not is_retryable(outcome)
    assert paid(cloud) == 0


@BOTH
def test_a_throttle_is_a_no_that_may_be_tried_again(
    cloud: GcpSandbox, buyer: GcpBuyer, order: PurchaseOrder, operation: str
) -> None:
    strike(cloud, Fault(operation, FaultKind.THROTTLE))
    outcome = buyer.buy(order)
    assert isinstance(outcome, Refused)
    assert is_retryable(outcome)
    assert cloud.server.calls[operation] == 1
    assert isinstance(buyer.buy(order), Bought)


@BOTH
def test_what_was_never_sent_is_a_no_that_may_be_tried_again(
    cloud: GcpSandbox, buyer: GcpBuyer, order: PurchaseOrder, operation: str
) -> None:
    cloud.server.close()
    outcome = buyer.buy(order)
    assert isinstance(outcome, Refused)
    assert is_retryable(outcome)
    assert cloud.server.calls[operation] == 0


def test_an_error_inside_a_done_operation_is_a_no(cloud: GcpSandbox, buyer: GcpBuyer) -> None:
    strike(cloud, Fault(INSERT_OPERATION, FaultKind.REFUSE, code="QUOTA_EXCEEDED"))
    outcome = buyer.buy(vcpus())
    assert isinstance(outcome, Refused)
    assert outcome.code == "QUOTA_EXCEEDED"
    assert paid(cloud) == 0
    assert reader_of(cloud).inventory() == []
    # The name is free again, and the failed operation is what proves the no.
    assert buyer.look_up(vcpus()) == outcome


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "SERVICE_UNAVAILABLE", ""])
def test_an_error_that_is_no_refusal_inside_a_done_operation_proves_nothing(
    cloud: GcpSandbox, buyer: GcpBuyer, code: str
) -> None:
    strike(cloud, Fault(INSERT_OPERATION, FaultKind.REFUSE, code=code))
    assert isinstance(buyer.buy(vcpus()), Unknown)
    # What proves nothing by itself leaves it to the inventory: nothing has the name.
    assert isinstance(buyer.look_up(vcpus()), Absent)


def test_more_than_the_regional_quota_is_refused(buyer: GcpBuyer) -> None:
    assert isinstance(buyer.buy(vcpus("2000")), Bought)
    outcome = buyer.buy(vcpus("1", intent="one-more"))
    assert isinstance(outcome, Refused)
    assert outcome.code == "QUOTA_EXCEEDED"


@BOTH
def test_a_purchase_that_cannot_be_paid_for_leaves_nothing(
    cloud: GcpSandbox, buyer: GcpBuyer, order: PurchaseOrder, operation: str
) -> None:
    strike(cloud, Fault(operation, FaultKind.PAYMENT_FAILS))
    assert isinstance(buyer.buy(order), Refused)
    assert paid(cloud) == 0
    assert reader_of(cloud).inventory() == []


@BOTH
def test_an_operation_that_does_not_end_is_unknown_until_it_shows(
    cloud: GcpSandbox, order: PurchaseOrder, operation: str
) -> None:
    polling = operation.replace("regionCommitments.insert", "regionOperations.get")
    polling = polling.replace("orders.place", "orders.operations.get")
    strike(cloud, Fault(polling, FaultKind.ERROR_BEFORE, times=100))
    buyer = buyer_of(cloud)
    outcome = buyer.buy(order)
    assert isinstance(outcome, Unknown)
    assert "not known to be done" in outcome.detail
    cloud.advance(1)
    assert isinstance(buyer.look_up(order), Bought)
    assert paid(cloud) == 1


def test_a_repeat_after_google_forgot_the_request_finds_the_name(
    cloud: GcpSandbox, buyer: GcpBuyer
) -> None:
    first = buyer.buy(vcpus())
    cloud.advance(24 * 30)
    assert buyer.buy(vcpus()) == first
    assert cloud.server.calls[INSERT] == 2
    assert paid(cloud) == 1


def test_a_name_that_holds_something_else_is_unknown(cloud: GcpSandbox, buyer: GcpBuyer) -> None:
    assert isinstance(buyer.buy(vcpus("100")), Bought)
    cloud.advance(24)
    outcome = buyer.buy(vcpus("101"))
    assert isinstance(outcome, Unknown)
    assert "not what was ordered" in outcome.detail
    assert paid(cloud) == 1


def test_an_order_is_not_placed_again_when_google_forgot_the_request(
    cloud: GcpSandbox, buyer: GcpBuyer
) -> None:
    first = buyer.buy(dollars())
    cloud.advance(24 * 30)
    assert buyer.buy(dollars()) == first
    assert cloud.server.calls[PLACE] == 1
    assert isinstance(buyer.buy(dollars("9.99")), Unknown)
    assert paid(cloud) == 1


def test_an_order_is_not_placed_when_the_orders_cannot_be_listed(
    cloud: GcpSandbox, buyer: GcpBuyer
) -> None:
    strike(cloud, Fault("gcp.orders.list", FaultKind.REFUSE, code="forbidden", status=403))
    outcome = buyer.buy(dollars())
    assert isinstance(outcome, Refused)
    assert is_retryable(outcome)
    assert cloud.server.calls[PLACE] == 0


@BOTH
def test_what_lags_behind_in_lists_is_not_bought_twice(
    cloud: GcpSandbox, buyer: GcpBuyer, order: PurchaseOrder, operation: str
) -> None:
    strike(cloud, Fault(operation, FaultKind.LISTING_LAG, lag_hours=2, lag_reads=1))
    strike(cloud, Fault(operation, FaultKind.ERROR_AFTER))
    assert isinstance(buyer.buy(order), Unknown)
    assert reader_of(cloud).inventory() == []
    assert isinstance(buyer.buy(order), Bought)
    assert paid(cloud) == 1


@KINDS
def test_absence_is_never_proof(buyer: GcpBuyer, order: PurchaseOrder) -> None:
    assert isinstance(buyer.look_up(order), Absent)


@KINDS
def test_what_cannot_be_asked_for_is_not_absent(
    cloud: GcpSandbox, buyer: GcpBuyer, order: PurchaseOrder
) -> None:
    resource = order.kind is Kind.GCP_RESOURCE_CUD
    looking = "gcp.regionCommitments.get" if resource else "gcp.orders.list"
    strike(cloud, Fault(looking, FaultKind.REFUSE, code="forbidden", status=403))
    with pytest.raises(ProviderError, match="forbidden"):
        buyer.look_up(order)


def test_a_commitment_that_is_being_created_is_there(cloud: GcpSandbox, buyer: GcpBuyer) -> None:
    strike(cloud, Fault(INSERT, FaultKind.ERROR_AFTER))
    assert isinstance(buyer.buy(vcpus()), Unknown)
    looked = buyer.look_up(vcpus())
    assert isinstance(looked, Unknown)
    assert "being created" in looked.detail


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (vcpus("0"), "quantity"),
        (vcpus("1.5"), "quantity"),
        (replace(vcpus(), upfront_usd=Decimal(1)), "upfront"),
        (replace(vcpus(), term_months=36), "term"),
        (dollars("0.001"), "quantity"),
        (dollars("1.234"), "quantity"),
        (replace(dollars(), upfront_usd=Decimal(1)), "upfront"),
        (replace(dollars(), offering=OfferingId("gcp_flexible/3")), "not_on_sale"),
        (replace(vcpus(), account=AccountId("acme-web")), "wrong_account"),
        (replace(vcpus(), kind=Kind.AZURE_RESERVATION), "kind"),
        (replace(vcpus(), start_at=datetime(2099, 1, 1, tzinfo=UTC)), "queue"),
    ],
)
def test_an_order_that_cannot_be_right_is_refused_before_anything_is_sent(
    cloud: GcpSandbox, buyer: GcpBuyer, order: PurchaseOrder, code: str
) -> None:
    outcome = buyer.buy(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert cloud.server.calls[INSERT] == cloud.server.calls[PLACE] == 0


def test_an_id_that_names_nothing_is_bad_input(buyer: GcpBuyer) -> None:
    with pytest.raises(InputError, match="does not name"):
        buyer.quote(vcpus(offering="gcp_cud/us-central1/n2/disk/1"))


def test_nothing_is_bought_when_another_account_pays_for_the_project(
    cloud: GcpSandbox, buyer: GcpBuyer
) -> None:
    cloud.world.billing_account = "FFFFFF-FFFFFF-FFFFFF"
    outcome = buyer.buy(vcpus())
    assert isinstance(outcome, Refused)
    assert "other_billing_account" in outcome.detail
    assert cloud.server.calls[INSERT] == 0


def test_a_price_change_after_the_first_quote_shows_in_the_next(
    cloud: GcpSandbox, buyer: GcpBuyer
) -> None:
    reader_of(cloud)
    change = Fault("gcp.skus.list", FaultKind.PRICE_CHANGE, times=1, price_factor=Decimal("1.25"))
    before = buyer.quote(vcpus()).commit_usd_per_hour
    strike(cloud, change)
    buyer.quote(vcpus())
    after = buyer.quote(vcpus()).commit_usd_per_hour
    assert after > before * Decimal("1.2")


def test_what_is_not_on_sale_has_no_quote(buyer: GcpBuyer) -> None:
    gone: tuple[Callable[[], object], ...] = (
        lambda: buyer.quote(vcpus(offering="gcp_cud/us-central1/n4/vcpu/1")),
        lambda: buyer.quote(replace(dollars(), term_months=60)),
    )
    for quote in gone:
        with pytest.raises(ProviderError, match="not_on_sale"):
            quote()
