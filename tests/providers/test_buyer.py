"""The AWS buyer against the sandbox: one attempt, and never a yes or no that is not proven."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.commitments import Kind, Offering, Payment
from service.domain.errors import InputError, InvariantError, ProviderError
from service.domain.ids import AccountId, ClientToken, IntentId, OfferingId
from service.domain.purchases import (
    Bought,
    Idempotency,
    PurchaseOrder,
    Refused,
    Unknown,
)
from service.providers.aws.buyer import AwsBuyer
from service.providers.aws.clients import AwsAccess, AwsClients
from service.providers.aws.outcome import is_retryable
from service.providers.aws.reader import AwsReader
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.port import ProviderBuyer
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.clouds import impatient, offer, small_cloud, strike
from tests.sandbox.settling import wait_until_done

CREATE = "savingsplans.CreateSavingsPlan"
PURCHASE = "ec2.PurchaseReservedInstancesOffering"


@pytest.fixture
def cloud() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def buyer(cloud: SandboxCloud) -> AwsBuyer:
    return AwsBuyer(cloud.clients(), clock=cloud.world.clock)


def order(
    cloud: SandboxCloud,
    offering: Offering | None = None,
    quantity: str = "2.5",
    account: AccountId | None = None,
) -> PurchaseOrder:
    chosen = offering or offer(cloud.world)
    return PurchaseOrder(
        intent=IntentId("intent-1"),
        token=ClientToken("token-1"),
        account=account or cloud.world.payer,
        offering=chosen.offering,
        kind=chosen.kind,
        term_months=chosen.term_months,
        payment=chosen.payment,
        quantity=Decimal(quantity),
        upfront_usd=chosen.upfront_usd * Decimal(quantity),
    )


def reservation_order(cloud: SandboxCloud, buyer: AwsBuyer, count: int = 2) -> PurchaseOrder:
    terms = ReservationTerms(
        "us-east-1", "m5.large", "Linux/UNIX", "default", "standard", 12, Payment.PARTIAL_UPFRONT
    )
    draft = PurchaseOrder(
        intent=IntentId("intent-9"),
        token=ClientToken("token-9"),
        account=cloud.world.payer,
        offering=terms.offering,
        kind=Kind.AWS_RI_REGIONAL,
        term_months=12,
        payment=Payment.PARTIAL_UPFRONT,
        quantity=Decimal(count),
        upfront_usd=Decimal(0),
    )
    quoted = buyer.quote(draft)
    return replace(
        draft, upfront_usd=quoted.upfront_usd, commit_usd_per_hour=quoted.commit_usd_per_hour
    )


def plans_bought(cloud: SandboxCloud) -> int:
    return len(cloud.world.savings_plans.plans)


@pytest.mark.parametrize("payment", list(Payment))
def test_buys_exactly_what_was_ordered(
    cloud: SandboxCloud, buyer: AwsBuyer, payment: Payment
) -> None:
    wanted = order(cloud, offer(cloud.world, payment=payment), "3.333")
    outcome = buyer.buy(wanted)
    assert isinstance(outcome, Bought)
    plan = cloud.world.savings_plans.plans[outcome.commitment]
    assert plan.commitment_usd_per_hour == Decimal("3.333")
    assert plan.offering.offering == wanted.offering
    assert abs(plan.upfront_usd - wanted.upfront_usd) < 1
    assert plan.upfront_usd == buyer.quote(wanted).upfront_usd
    assert plan.tags == {"tenor:intent": "intent-1"}
    assert plan.token == wanted.token


def test_the_same_order_again_is_the_same_commitment(cloud: SandboxCloud, buyer: AwsBuyer) -> None:
    first = buyer.buy(order(cloud))
    cloud.advance(5)
    assert buyer.buy(order(cloud)) == first
    assert plans_bought(cloud) == 1


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
    cloud: SandboxCloud, buyer: AwsBuyer, kind: FaultKind, really_bought: int
) -> None:
    strike(cloud, Fault(CREATE, kind))
    assert isinstance(buyer.buy(order(cloud)), Unknown)
    assert cloud.server.calls[CREATE] == 1
    assert plans_bought(cloud) == really_bought
    # The inventory is the evidence, and the token makes a repeat safe.
    found = [item.intent for item in AwsReader(cloud.clients()).inventory()]
    assert found == ["intent-1"] * really_bought
    assert isinstance(buyer.buy(order(cloud)), Bought)
    assert plans_bought(cloud) == 1


def test_a_read_timeout_is_unknown(cloud: SandboxCloud) -> None:
    strike(cloud, Fault(CREATE, FaultKind.TIMEOUT_AFTER, hold_seconds=60))
    with impatient(cloud) as clients:
        outcome = AwsBuyer(clients, clock=cloud.world.clock).buy(order(cloud))
    wait_until_done(cloud, CREATE)
    assert isinstance(outcome, Unknown)
    assert "ReadTimeout" in outcome.detail
    assert plans_bought(cloud) == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ValidationException", 400),
        ("ResourceNotFoundException", 404),
        ("ServiceQuotaExceededException", 402),
        ("AccessDeniedException", 403),
    ],
)
def test_a_definite_no_is_refused_with_its_code(
    cloud: SandboxCloud, buyer: AwsBuyer, code: str, status: int
) -> None:
    strike(cloud, Fault(CREATE, FaultKind.REFUSE, code=code, status=status))
    outcome = buyer.buy(order(cloud))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert not is_retryable(outcome)
    assert plans_bought(cloud) == 0


@pytest.mark.parametrize("service", ["savingsplans", "ec2"])
def test_a_throttle_is_a_no_that_may_be_tried_again(
    cloud: SandboxCloud, buyer: AwsBuyer, service: str
) -> None:
    wanted = order(cloud) if service == "savingsplans" else reservation_order(cloud, buyer)
    operation = CREATE if service == "savingsplans" else PURCHASE
    strike(cloud, Fault(operation, FaultKind.THROTTLE))
    outcome = buyer.buy(wanted)
    assert isinstance(outcome, Refused)
    assert is_retryable(outcome)
    assert cloud.server.calls[operation] == 1
    assert isinstance(buyer.buy(wanted), Bought)


def test_a_connection_that_was_never_made_is_not_sent(cloud: SandboxCloud, buyer: AwsBuyer) -> None:
    wanted = order(cloud)
    # Learns the account while the cloud is there, and refuses without a purchase connection.
    assert isinstance(buyer.buy(order(cloud, quantity="0")), Refused)
    cloud.server.close()
    outcome = buyer.buy(wanted)
    assert isinstance(outcome, Refused)
    assert outcome.code == "not_sent"
    assert is_retryable(outcome)


def test_a_kept_connection_that_breaks_is_unknown(cloud: SandboxCloud, buyer: AwsBuyer) -> None:
    assert isinstance(buyer.buy(order(cloud)), Bought)
    cloud.server.close()
    outcome = buyer.buy(order(cloud))
    assert isinstance(outcome, Unknown | Refused)
    assert not isinstance(outcome, Refused) or outcome.code == "not_sent"


def test_an_order_for_another_account_is_refused_before_anything_is_sent(
    cloud: SandboxCloud, buyer: AwsBuyer
) -> None:
    outcome = buyer.buy(order(cloud, account=AccountId("200000000025")))
    assert isinstance(outcome, Refused)
    assert outcome.code == "wrong_account"
    assert cloud.server.calls[CREATE] == 0


def test_buys_in_a_member_account_through_its_role(cloud: SandboxCloud) -> None:
    member = cloud.world.accounts["web"]
    with closing(AwsClients(cloud.access(account=member))) as clients:
        outcome = AwsBuyer(clients, clock=cloud.world.clock).buy(order(cloud, account=member))
        assert AwsReader(clients).identity().account == member
    assert isinstance(outcome, Bought)
    plan = cloud.world.savings_plans.plans[outcome.commitment]
    assert plan.request.account == member


def test_a_role_that_cannot_be_assumed_buys_nothing_with_other_keys(
    cloud: SandboxCloud,
) -> None:
    keys = cloud.access().keys
    access = AwsAccess(
        region="us-east-1",
        role_arn="arn:aws:iam::200000000025:role/somebody-else",
        keys=keys,
        endpoint_url=cloud.endpoint_url,
    )
    with closing(AwsClients(access)) as clients:
        outcome = AwsBuyer(clients, clock=cloud.world.clock).buy(order(cloud))
        with pytest.raises(ProviderError, match="AccessDenied"):
            AwsReader(clients).identity()
    assert isinstance(outcome, Refused)
    assert outcome.code == "not_sent"
    assert plans_bought(cloud) == 0


@pytest.mark.parametrize("quantity", ["0.0005", "1.0005", "0"])
def test_refuses_a_quantity_off_the_step(
    cloud: SandboxCloud, buyer: AwsBuyer, quantity: str
) -> None:
    outcome = buyer.buy(order(cloud, quantity=quantity))
    assert isinstance(outcome, Refused)
    assert outcome.code == "quantity"
    assert cloud.server.calls[CREATE] == 0


def test_refuses_when_more_cash_is_due_than_was_ordered(
    cloud: SandboxCloud, buyer: AwsBuyer
) -> None:
    wanted = order(cloud, offer(cloud.world, payment=Payment.ALL_UPFRONT))
    cheap = PurchaseOrder(
        **{name: getattr(wanted, name) for name in wanted.__slots__ if name != "upfront_usd"},
        upfront_usd=wanted.upfront_usd - 2,
    )
    outcome = buyer.buy(cheap)
    assert isinstance(outcome, Refused)
    assert outcome.code == "upfront"
    assert plans_bought(cloud) == 0


def test_a_quote_changes_nothing_and_says_what_is_due(cloud: SandboxCloud, buyer: AwsBuyer) -> None:
    quote = buyer.quote(order(cloud, offer(cloud.world, years=3, payment=Payment.ALL_UPFRONT)))
    assert quote.commit_usd_per_hour == Decimal("2.5")
    assert quote.upfront_usd == Decimal("2.5") * 26_280
    assert quote.quoted_at == cloud.world.now()
    assert plans_bought(cloud) == 0


def test_a_quote_of_something_else_than_is_sold_fails(cloud: SandboxCloud, buyer: AwsBuyer) -> None:
    good = order(cloud)
    fields = {name: getattr(good, name) for name in good.__slots__}
    with pytest.raises(ProviderError, match="not_on_sale"):
        buyer.quote(PurchaseOrder(**(fields | {"term_months": 36})))
    with pytest.raises(ProviderError, match="not_on_sale"):
        buyer.quote(PurchaseOrder(**(fields | {"offering": OfferingId("0000-0000")})))


def test_reservations_are_bought_tagged_and_found_again(
    cloud: SandboxCloud, buyer: AwsBuyer
) -> None:
    outcome = buyer.buy(reservation_order(cloud, buyer))
    assert isinstance(outcome, Bought)
    (item,) = AwsReader(cloud.clients()).inventory()
    assert item.commitment.commitment == outcome.commitment
    assert item.intent == "intent-9"
    assert item.commitment.quantity == 2


@pytest.mark.parametrize(
    "kind", [FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER, FaultKind.BROKEN_AFTER]
)
def test_a_lost_answer_to_a_reservation_is_unknown_and_never_resent(
    cloud: SandboxCloud, buyer: AwsBuyer, kind: FaultKind
) -> None:
    wanted = reservation_order(cloud, buyer)
    strike(cloud, Fault(PURCHASE, kind))
    assert isinstance(buyer.buy(wanted), Unknown)
    assert cloud.server.calls[PURCHASE] == 1
    assert len(cloud.world.reservations.reservations) == 1


def test_a_reservation_whose_tag_is_refused_is_still_bought(
    cloud: SandboxCloud, buyer: AwsBuyer
) -> None:
    wanted = reservation_order(cloud, buyer)
    code = "InvalidReservationID.NotFound"
    strike(cloud, Fault("ec2.CreateTags", FaultKind.REFUSE, code=code, times=99))
    assert isinstance(buyer.buy(wanted), Bought)
    (item,) = AwsReader(cloud.clients()).inventory()
    assert item.intent is None


def test_a_dearer_reservation_is_refused(cloud: SandboxCloud, buyer: AwsBuyer) -> None:
    wanted = reservation_order(cloud, buyer)
    for name in list(cloud.world.catalog.offerings):
        if cloud.world.catalog.offerings[name].kind is Kind.AWS_RI_REGIONAL:
            cloud.world.change_price(name, Decimal("1.2"))
    outcome = buyer.buy(wanted)
    assert isinstance(outcome, Refused)
    assert outcome.code == "upfront"


def test_says_how_each_kind_may_be_repeated(buyer: AwsBuyer) -> None:
    port: ProviderBuyer = buyer
    assert port.idempotency(Kind.AWS_COMPUTE_SP) is Idempotency.NATIVE
    assert port.idempotency(Kind.AWS_EC2_INSTANCE_SP) is Idempotency.NATIVE
    assert port.idempotency(Kind.AWS_RI_REGIONAL) is Idempotency.LOOKUP
    with pytest.raises(InvariantError, match="azure"):
        port.idempotency(Kind.AZURE_RESERVATION)


def test_a_kind_that_cannot_be_bought_is_refused(cloud: SandboxCloud, buyer: AwsBuyer) -> None:
    wanted = order(cloud)
    fields = {name: getattr(wanted, name) for name in wanted.__slots__}
    outcome = buyer.buy(PurchaseOrder(**(fields | {"kind": Kind.AZURE_SAVINGS_PLAN})))
    assert isinstance(outcome, Refused)
    assert outcome.code == "kind"


def test_an_offering_id_that_names_no_reservation_is_an_input_error() -> None:
    with pytest.raises(InputError, match="does not name a reservation"):
        ReservationTerms.of_offering(OfferingId("aws_ri/us-east-1"))
