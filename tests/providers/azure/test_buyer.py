"""The Azure buyer against the sandbox: two steps, one attempt, and no yes or no without proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.domain.commitments import Kind, Payment
from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId, IntentId
from service.domain.purchases import Absent, Bought, Idempotency, PurchaseOrder, Refused, Unknown
from service.providers.azure.outcome import is_retryable
from service.providers.port import ProviderBuyer, ProviderFinder
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    CREATE_PLAN,
    INTENT,
    PURCHASE,
    SMALL,
    buyer,
    impatient,
    order,
    plan_order,
    quoted,
    reader,
    reservation_id,
    small_cloud,
    strike,
)
from tests.sandbox.settling import wait_until_done

SEND = {Kind.AZURE_RESERVATION: PURCHASE, Kind.AZURE_SAVINGS_PLAN: CREATE_PLAN}
LOST_AFTER = (FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER)
LOST_BEFORE = (FaultKind.TIMEOUT_BEFORE, FaultKind.ERROR_BEFORE)


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture(params=[Kind.AZURE_RESERVATION, Kind.AZURE_SAVINGS_PLAN])
def ordered(request: pytest.FixtureRequest, cloud: AzureSandbox) -> PurchaseOrder:
    """An order of each kind that is sold, ready to be bought."""
    if request.param is Kind.AZURE_RESERVATION:
        return quoted(cloud, order(cloud))
    return plan_order(cloud)


def purchases(cloud: AzureSandbox) -> int:
    return len(cloud.snapshot().paid_by_intent.get(INTENT, ()))


def test_the_buyer_is_what_the_ports_ask_for(cloud: AzureSandbox) -> None:
    as_buyer: ProviderBuyer = buyer(cloud)
    as_finder: ProviderFinder = buyer(cloud)
    assert as_buyer.idempotency(Kind.AZURE_RESERVATION) is Idempotency.NATIVE
    assert as_buyer.idempotency(Kind.AZURE_SAVINGS_PLAN) is Idempotency.NATIVE
    assert as_finder is not None
    with pytest.raises(InvariantError):
        as_buyer.idempotency(Kind.AWS_COMPUTE_SP)


def test_buys_once_and_answers_with_the_commitment_that_the_inventory_lists(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    outcome = buyer(cloud).buy(ordered)
    (item,) = reader(cloud).inventory()
    assert outcome == Bought(item.commitment.commitment)
    assert item.intent == INTENT
    assert item.commitment.quantity == ordered.quantity
    assert item.commitment.offering == ordered.offering
    assert purchases(cloud) == 1


def test_an_upfront_quote_is_cash_and_a_monthly_one_is_not(cloud: AzureSandbox) -> None:
    upfront = buyer(cloud).quote(order(cloud))
    monthly = buyer(cloud).quote(order(cloud, reservation_id(payment=Payment.NO_UPFRONT)))
    assert upfront.upfront_usd == pytest.approx(
        upfront.commit_usd_per_hour * TERM_HOURS[12], rel=Decimal("1e-20")
    )
    assert monthly.upfront_usd == 0
    assert monthly.commit_usd_per_hour == upfront.commit_usd_per_hour
    plan = buyer(cloud).quote(plan_order(cloud, payment=Payment.ALL_UPFRONT))
    assert (plan.commit_usd_per_hour, plan.upfront_usd) == (Decimal("2.5"), Decimal(21_900))


def test_a_quote_changes_nothing_and_names_the_order_that_it_would_become(
    cloud: AzureSandbox,
) -> None:
    first, second = (buyer(cloud).quote(order(cloud)) for _ in range(2))
    assert first.reference is not None
    assert first.reference != second.reference
    assert not cloud.snapshot().states


def test_without_a_stored_order_id_nothing_is_sent(cloud: AzureSandbox) -> None:
    outcome = buyer(cloud).buy(order(cloud))
    assert isinstance(outcome, Refused)
    assert outcome.code == "no_reference"
    assert cloud.server.calls[PURCHASE] == 0


@pytest.mark.parametrize("lost", LOST_AFTER)
def test_an_answer_lost_after_the_effect_is_unknown_and_a_look_finds_the_purchase(
    cloud: AzureSandbox, ordered: PurchaseOrder, lost: FaultKind
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], lost))
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    found = [buyer(cloud).look_up(ordered) for _ in range(3)][-1]
    assert isinstance(found, Bought)
    assert purchases(cloud) == 1


def test_a_read_timeout_is_unknown_and_a_look_finds_the_purchase(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], FaultKind.TIMEOUT_AFTER, hold_seconds=60))
    with impatient(cloud) as hasty:
        outcome = hasty.buy(ordered)
    assert isinstance(outcome, Unknown)
    assert "Read timed out" in outcome.detail
    wait_until_done(cloud, SEND[ordered.kind])
    found = [buyer(cloud).look_up(ordered) for _ in range(3)][-1]
    assert isinstance(found, Bought)
    assert purchases(cloud) == 1


@pytest.mark.parametrize("lost", LOST_BEFORE)
def test_an_answer_lost_before_the_effect_is_unknown_and_a_look_proves_nothing(
    cloud: AzureSandbox, ordered: PurchaseOrder, lost: FaultKind
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], lost))
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    assert isinstance(buyer(cloud).look_up(ordered), Absent)
    assert purchases(cloud) == 0


@pytest.mark.parametrize("lost", [*LOST_AFTER, *LOST_BEFORE, FaultKind.BROKEN_AFTER])
def test_the_same_order_sent_again_after_a_lost_answer_never_buys_twice(
    cloud: AzureSandbox, ordered: PurchaseOrder, lost: FaultKind
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], lost))
    buyer(cloud).buy(ordered)
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    assert purchases(cloud) == 1


def test_an_answer_that_cannot_be_read_is_settled_by_the_order_itself(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], FaultKind.BROKEN_AFTER))
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    assert cloud.server.calls[SEND[ordered.kind]] == purchases(cloud) == 1


def test_an_order_that_is_not_shown_yet_is_not_bought_twice(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], FaultKind.LISTING_LAG, lag_hours=2))
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    assert cloud.server.calls[SEND[ordered.kind]] == 2
    cloud.advance(3)
    assert isinstance(buyer(cloud).look_up(ordered), Bought)
    assert purchases(cloud) == 1


def test_a_failed_look_sends_nothing(cloud: AzureSandbox, ordered: PurchaseOrder) -> None:
    looking = {
        Kind.AZURE_RESERVATION: "azure.ReservationOrder.Get",
        Kind.AZURE_SAVINGS_PLAN: "azure.SavingsPlanOrderAlias.Get",
    }[ordered.kind]
    refuse = Fault(looking, FaultKind.REFUSE, code="AuthorizationFailed", status=403)
    strike(cloud, refuse)
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    assert cloud.server.calls[SEND[ordered.kind]] == 0


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InvalidRequestContent", 400),
        ("CalculatePriceFailed", 400),
        ("CreateQuoteFailed", 400),
        ("RiskCheckFailed", 400),
        ("PaymentInstrumentNotFound", 400),
        ("NotSupportedCountry", 400),
        ("UnsupportedReservationTerm", 400),
        ("AuthorizationFailed", 403),
    ],
)
def test_a_definite_no_is_a_refusal_and_final(
    cloud: AzureSandbox, ordered: PurchaseOrder, code: str, status: int
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], FaultKind.REFUSE, code=code, status=status))
    outcome = buyer(cloud).buy(ordered)
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert not is_retryable(outcome)
    assert purchases(cloud) == 0


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("BillingTransientError", 400),
        ("FulfillmentTransientError", 400),
        ("ServerTimeout", 408),
        ("OperationFailed", 400),
        ("SomethingNew", 400),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
    ],
)
def test_what_proves_nothing_is_unknown(
    cloud: AzureSandbox, ordered: PurchaseOrder, code: str, status: int
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], FaultKind.REFUSE, code=code, status=status))
    assert isinstance(buyer(cloud).buy(ordered), Unknown)


def test_a_throttle_may_be_tried_again_and_is_sent_once(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], FaultKind.THROTTLE))
    outcome = buyer(cloud).buy(ordered)
    assert isinstance(outcome, Refused)
    assert is_retryable(outcome)
    assert cloud.server.calls[SEND[ordered.kind]] == 1
    assert isinstance(buyer(cloud).buy(ordered), Bought)


@pytest.mark.parametrize(
    "kind", [FaultKind.ERROR_BEFORE, FaultKind.TIMEOUT_BEFORE, FaultKind.THROTTLE]
)
def test_a_purchase_is_one_request_on_the_wire_whatever_is_answered(
    cloud: AzureSandbox, ordered: PurchaseOrder, kind: FaultKind
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], kind, times=9))
    buyer(cloud).buy(ordered)
    assert cloud.server.calls[SEND[ordered.kind]] == 1


def test_a_payment_that_fails_is_a_refusal_read_from_the_order_itself(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    strike(cloud, Fault(SEND[ordered.kind], FaultKind.PAYMENT_FAILS))
    outcome = buyer(cloud).buy(ordered)
    assert isinstance(outcome, Refused)
    assert outcome.code in {"BillingFailed", "Failed"}
    assert purchases(cloud) == 0


@pytest.mark.parametrize("style", ["location", "body"])
def test_both_styles_of_operations_end_as_what_the_order_says(style: str) -> None:
    with small_cloud(options=replace(SMALL, poll_style=style)) as cloud:
        assert isinstance(buyer(cloud).buy(quoted(cloud, order(cloud))), Bought)
        assert isinstance(buyer(cloud).buy(plan_order(cloud)), Bought)
        strike(cloud, Fault(PURCHASE, FaultKind.PAYMENT_FAILS))
        failing = quoted(cloud, order(cloud, intent=IntentId("other")))
        assert isinstance(buyer(cloud).buy(failing), Refused)


def test_an_operation_that_goes_on_is_unknown_until_it_ends() -> None:
    with small_cloud(options=replace(SMALL, operation_reads=99)) as cloud:
        ordered = quoted(cloud, order(cloud))
        assert isinstance(buyer(cloud).buy(ordered), Unknown)
        (item,) = reader(cloud).inventory()
        assert item.commitment.state.is_owned
        cloud.advance(1)
        assert isinstance(buyer(cloud).look_up(ordered), Bought)


def test_nothing_listens_is_not_sent(cloud: AzureSandbox) -> None:
    ordered = quoted(cloud, order(cloud))
    there = buyer(cloud)
    cloud.server.close()
    # The look before the purchase fails: an earlier attempt may have bought.
    assert isinstance(there.buy(ordered), Unknown)


def test_an_order_for_another_account_is_refused(cloud: AzureSandbox) -> None:
    elsewhere = replace(quoted(cloud, order(cloud)), account=AccountId("another"))
    outcome = buyer(cloud).buy(elsewhere)
    assert isinstance(outcome, Refused)
    assert outcome.code == "wrong_account"
    assert cloud.server.calls[PURCHASE] == 0


def test_an_order_that_is_to_start_later_is_refused_and_not_bought_at_once(
    cloud: AzureSandbox,
) -> None:
    ordered = quoted(cloud, order(cloud))
    outcome = buyer(cloud).buy(replace(ordered, start_at=datetime(2099, 1, 1, tzinfo=UTC)))
    assert isinstance(outcome, Refused)
    assert outcome.code == "queue"
    assert cloud.server.calls[PURCHASE] == 0


def test_an_order_that_is_there_and_is_anothers_proves_nothing(cloud: AzureSandbox) -> None:
    ordered = quoted(cloud, order(cloud))
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    for other in (
        replace(ordered, intent=IntentId("another")),
        replace(ordered, quantity=Decimal(4)),
        replace(ordered, offering=reservation_id("Standard_D2s_v5")),
        replace(ordered, offering=reservation_id(months=36), term_months=36),
    ):
        assert isinstance(buyer(cloud).look_up(other), Unknown)
        assert isinstance(buyer(cloud).buy(other), Unknown)
    assert cloud.server.calls[PURCHASE] == 1


def test_an_alias_that_is_there_with_other_terms_proves_nothing(cloud: AzureSandbox) -> None:
    assert isinstance(buyer(cloud).buy(plan_order(cloud)), Bought)
    assert isinstance(buyer(cloud).buy(plan_order(cloud, quantity="3")), Unknown)
    other = plan_order(cloud, payment=Payment.ALL_UPFRONT)
    assert isinstance(buyer(cloud).look_up(other), Unknown)
    assert cloud.server.calls[CREATE_PLAN] == 1


@pytest.mark.parametrize("quantity", ["0", "1.5"])
def test_parts_of_machines_are_not_sent(cloud: AzureSandbox, quantity: str) -> None:
    ordered = replace(quoted(cloud, order(cloud)), quantity=Decimal(quantity))
    assert isinstance(buyer(cloud).buy(ordered), Refused)
    assert cloud.server.calls[PURCHASE] == 0


def test_what_is_not_on_sale_has_no_quote(cloud: AzureSandbox) -> None:
    for wrong in (reservation_id("Standard_X9"), reservation_id(months=60)):
        with pytest.raises(ProviderError):
            buyer(cloud).quote(order(cloud, wrong))
    with pytest.raises(ProviderError, match=r"0\.0001"):
        buyer(cloud).quote(plan_order(cloud, quantity="0.0001"))


def test_a_quote_that_ran_out_is_refused_and_buys_nothing(cloud: AzureSandbox) -> None:
    ordered = quoted(cloud, order(cloud))
    cloud.advance(2)
    outcome = buyer(cloud).buy(ordered)
    assert isinstance(outcome, Refused)
    assert "Session timed out" in outcome.detail
    assert purchases(cloud) == 0
