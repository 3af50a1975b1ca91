"""Plans that member accounts own: nothing is sized without them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from service.domain.commitments import Kind, Offering, Payment
from service.domain.errors import RefusedError
from service.domain.ids import AccountId, ClientToken, IntentId
from service.domain.purchases import Bought, PurchaseOrder
from service.operate.demo import Demo
from service.operate.doctor import examined
from service.operate.ingesting import ingest
from service.operate.reconciling import reconcile
from service.operate.situation import Situation, read_situation
from service.operate.unlisted import advice_only, refuse_unlisted, unnamed
from service.providers.aws import savings_plans
from service.providers.aws.clients import AwsClients
from service.providers.port import always_wanted
from service.store.engine import writing
from service.store.lease import Lease
from service.store.usage_seen import note_commitments
from service.usage.days import NamedCommitment


def situation_of(demo: Demo) -> Situation:
    return read_situation(demo.parts, inventory_read_at=demo.parts.clock.now())


@pytest.fixture
def member(demo: Demo) -> Iterator[AwsClients]:
    """An account of the organisation that is not the payer."""
    payer = demo.cloud.world.payer
    other = next(one for one in demo.parts.cloud.reader.accounts() if one != payer)
    clients = AwsClients(demo.cloud.access(account=other))
    yield clients
    clients.close()


def buy(demo: Demo, clients: AwsClients) -> None:
    """Five dollars an hour of Compute Savings Plan, in the account of ``clients``."""
    offering = _compute(situation_of(demo))
    arn = clients.reading("sts").get_caller_identity()  # type: ignore[attr-defined]
    order = PurchaseOrder(
        intent=IntentId("somebody"),
        token=ClientToken("token-of-somebody"),
        account=AccountId(arn["Account"]),
        offering=offering.offering,
        kind=offering.kind,
        term_months=offering.term_months,
        payment=offering.payment,
        quantity=Decimal(5),
        upfront_usd=Decimal(0),
    )
    assert isinstance(savings_plans.purchase(clients, order, always_wanted), Bought)


def _compute(situation: Situation) -> Offering:
    return next(
        one
        for one in situation.prices.offerings.values()
        if (one.kind, one.payment, one.term_months) == (Kind.AWS_COMPUTE_SP, Payment.NO_UPFRONT, 12)
    )


def settled(demo: Demo, lease: Lease) -> None:
    """Five days later, with usage and inventory read again."""
    demo.cloud.advance(5 * 24)
    ingest(demo.parts)
    reconcile(demo.parts, lease=lease)


def test_a_plan_of_a_member_account_stops_sizing_without_it(
    demo: Demo, lease: Lease, member: AwsClients
) -> None:
    buy(demo, member)
    settled(demo, lease)
    with pytest.raises(RefusedError, match="unlisted_commitments"):
        situation_of(demo)


def test_plans_that_are_all_listed_stop_nothing(demo: Demo, lease: Lease) -> None:
    buy(demo, demo.cloud.clients())
    settled(demo, lease)
    [one] = situation_of(demo).commitments
    assert one.quantity == 5


def test_a_commitment_that_exports_name_and_no_inventory_lists_stops_decisions(
    demo: Demo, lease: Lease
) -> None:
    reconcile(demo.parts, lease=lease)
    refuse_unlisted(demo.parts)
    day = (demo.parts.clock.now() - timedelta(days=3)).date()
    arn = "arn:aws:savingsplans::999999999999:savingsplan/5f0c0000-0000-4000-8000-00000000abcd"
    with writing(demo.parts.engine) as connection:
        note_commitments(
            connection, {("aws", day): [NamedCommitment(arn, "999999999999", "spend")]}
        )
    with pytest.raises(RefusedError, match="unlisted_commitments"):
        refuse_unlisted(demo.parts)


def test_names_are_compared_by_their_last_part() -> None:
    known = ["5f0c-ABCD", "/providers/Microsoft.Capacity/reservationOrders/o/reservations/r-1"]
    assert unnamed(["arn:aws:savingsplans::1:savingsplan/5f0c-abcd"], known) == []
    assert unnamed(["/PROVIDERS/x/reservations/R-1", "r-2"], known) == ["r-2"]


def test_reserved_capacity_that_only_exports_name_stops_no_decision(
    demo: Demo, lease: Lease
) -> None:
    """No call of AWS's lists it: it could never be found, and every decision would be refused."""
    reconcile(demo.parts, lease=lease)
    capacity = "arn:aws:dynamodb:us-east-1:999999999999:reserved-capacity/1"
    day = (demo.parts.clock.now() - timedelta(days=3)).date()
    with writing(demo.parts.engine) as connection:
        note_commitments(
            connection, {("aws", day): [NamedCommitment(capacity, "999999999999", "usage")]}
        )
    refuse_unlisted(demo.parts)
    assert advice_only(demo.parts) == [capacity]
    [told] = [one for one in examined(demo.parts) if one.name == "aws: read inventory"]
    assert told.passed
    assert "exports name 1 of DynamoDB's reserved capacity" in told.finding
