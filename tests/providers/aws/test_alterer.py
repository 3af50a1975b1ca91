"""What can be altered, and returns and cancelled queues: by AWS's rules, and once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder, Altered
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import InvariantError, ProviderError
from service.domain.ids import AccountId, CommitmentId
from service.domain.purchases import Idempotency, Refused, Unknown
from service.providers.port import ProviderAlterer
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.providers.aws.orders import (
    alteration,
    alterer_of,
    bought,
    item_of,
    plan_order,
    reservation_order,
    target,
    terms,
)
from tests.sandbox.clouds import emptied, offer, small_cloud, strike

RETURN = "savingsplans.ReturnSavingsPlan"
MODIFY = "ec2.ModifyReservedInstances"
LOST = [FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER, FaultKind.BROKEN_AFTER]


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    return emptied(shared)


def plan(
    cloud: SandboxCloud, quantity: str = "2.5", name: str = "1", hours: float = 1
) -> CommitmentId:
    offering = offer(cloud.world, payment=Payment.PARTIAL_UPFRONT)
    return bought(cloud, plan_order(cloud, offering, quantity, name=name), hours)


def back(cloud: SandboxCloud, name: CommitmentId, order: str = "a") -> AlterationOrder:
    kind = Kind.AWS_COMPUTE_SP
    return alteration(cloud, AlterationKind.RETURN, name, of=kind, name=order)


def state(cloud: SandboxCloud, name: CommitmentId) -> CommitmentState:
    return item_of(cloud, name).commitment.state


def test_says_what_can_be_done_to_each_commitment(cloud: SandboxCloud) -> None:
    port: ProviderAlterer = alterer_of(cloud)
    now = cloud.world.now
    returnable = plan(cloud)
    assert port.ways(item_of(cloud, returnable), now()) == {AlterationKind.RETURN}
    pending = plan(cloud, name="2", hours=0)
    assert port.ways(item_of(cloud, pending), now()) == frozenset()
    standard = bought(cloud, reservation_order(cloud, terms(offering_class="standard"), 1))
    assert port.ways(item_of(cloud, standard), now()) == {AlterationKind.MODIFY}
    convertible = bought(cloud, reservation_order(cloud, terms(), 1, name="2"))
    both = {AlterationKind.MODIFY, AlterationKind.EXCHANGE}
    item = item_of(cloud, convertible)
    assert port.ways(item, now()) == both
    last_day = item.commitment.end - timedelta(hours=23)
    assert port.ways(item, last_day) == {AlterationKind.MODIFY}
    cloud.advance(24 * 8)
    assert port.ways(item_of(cloud, returnable), now()) == frozenset()


def test_a_plan_is_returned_within_its_window_and_its_upfront_comes_back(
    cloud: SandboxCloud,
) -> None:
    name = plan(cloud)
    item, order = item_of(cloud, name), back(cloud, name)
    quoted = alterer_of(cloud).quote_alteration(order)
    assert quoted.allowed
    assert quoted.refund_usd == item.upfront_usd > 0
    assert quoted.source_value_usd == pytest.approx(Decimal("2.5") * 8_759)
    assert alterer_of(cloud).alter(order) == Altered((), Decimal(0), item.upfront_usd)
    cloud.advance(3)
    assert state(cloud, name) is CommitmentState.RETURNED
    assert cloud.snapshot().paid_by_intent == {}


@pytest.mark.parametrize("hours", [0.0, 24 * 7.5])
def test_a_plan_outside_its_window_is_not_returned(cloud: SandboxCloud, hours: float) -> None:
    name = plan(cloud, hours=hours)
    order = back(cloud, name)
    assert not alterer_of(cloud).quote_alteration(order).allowed
    assert isinstance(alterer_of(cloud).alter(order), Refused)


def test_more_than_a_hundred_dollars_an_hour_cannot_be_returned(cloud: SandboxCloud) -> None:
    large = plan(cloud, "100.001")
    assert alterer_of(cloud).ways(item_of(cloud, large), cloud.world.now()) == frozenset()
    assert isinstance(alterer_of(cloud).alter(back(cloud, large)), Refused)
    most = plan(cloud, "100", name="2")
    assert isinstance(alterer_of(cloud).alter(back(cloud, most)), Altered)


def test_the_eleventh_return_of_a_year_is_refused_by_the_quote(cloud: SandboxCloud) -> None:
    names = [plan(cloud, "0.1", name=str(number), hours=0) for number in range(11)]
    cloud.advance(1)
    done = [alterer_of(cloud).alter(back(cloud, one, f"r{one}")) for one in names[:10]]
    assert all(isinstance(one, Altered) for one in done)
    quoted = alterer_of(cloud).quote_alteration(back(cloud, names[10]))
    assert not quoted.allowed
    assert "10 plans were returned" in quoted.detail
    assert isinstance(alterer_of(cloud).alter(back(cloud, names[10])), Refused)


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_to_a_return_is_unknown_and_the_same_order_finds_it_done(
    cloud: SandboxCloud, fault: FaultKind
) -> None:
    name = plan(cloud)
    order = back(cloud, name)
    strike(cloud, Fault(RETURN, fault))
    assert isinstance(alterer_of(cloud).alter(order), Unknown)
    assert cloud.server.calls[RETURN] == 1
    assert isinstance(alterer_of(cloud).alter(order), Altered)
    assert cloud.server.calls[RETURN] == 1


def test_a_queued_plan_is_taken_back_and_nothing_is_ever_charged(cloud: SandboxCloud) -> None:
    start = cloud.world.after_hours(48)
    order = plan_order(cloud, offer(cloud.world), start_at=start)
    name = bought(cloud, order)
    assert state(cloud, name) is CommitmentState.QUEUED
    undo = alteration(cloud, AlterationKind.CANCEL_QUEUED, name, of=Kind.AWS_COMPUTE_SP)
    assert alterer_of(cloud).ways(item_of(cloud, name), cloud.world.now()) == {
        AlterationKind.CANCEL_QUEUED
    }
    assert alterer_of(cloud).quote_alteration(undo).allowed
    assert isinstance(alterer_of(cloud).alter(undo), Altered)
    assert isinstance(alterer_of(cloud).alter(undo), Altered)
    cloud.advance(72)
    assert state(cloud, name) is CommitmentState.FAILED
    assert not alterer_of(cloud).quote_alteration(undo).allowed


def test_an_order_for_another_account_is_refused_before_anything_is_asked(
    cloud: SandboxCloud,
) -> None:
    name = plan(cloud)
    cloud.server.calls.clear()
    order = replace(back(cloud, name), account=AccountId("200000000025"))
    refused = alterer_of(cloud).alter(order)
    assert isinstance(refused, Refused)
    assert refused.code == "wrong_account"
    assert set(cloud.server.calls) == {"sts.GetCallerIdentity"}


def test_what_is_not_listed_cannot_be_altered(cloud: SandboxCloud) -> None:
    for order in (
        back(cloud, CommitmentId("none")),
        alteration(cloud, AlterationKind.CANCEL_QUEUED, CommitmentId("none")),
        alteration(cloud, AlterationKind.MODIFY, CommitmentId("none"), targets=(target(terms()),)),
    ):
        with pytest.raises(ProviderError, match="not_listed"):
            alterer_of(cloud).quote_alteration(order)
        assert isinstance(alterer_of(cloud).alter(order), Refused)


def test_ways_that_aws_does_not_know_are_refused(cloud: SandboxCloud) -> None:
    name = plan(cloud)
    for kind, of in (
        (AlterationKind.SPLIT, Kind.AWS_RI_REGIONAL),
        (AlterationKind.EXCHANGE, Kind.AWS_COMPUTE_SP),
        (AlterationKind.RETURN, Kind.AWS_RDS_RI),
    ):
        order = alteration(cloud, kind, name, of=of)
        with pytest.raises(ProviderError, match="no_such_way"):
            alterer_of(cloud).quote_alteration(order)
        outcome = alterer_of(cloud).alter(order)
        assert isinstance(outcome, Refused)
        assert outcome.code == "no_such_way"


def test_says_how_each_alteration_may_be_repeated(cloud: SandboxCloud) -> None:
    alterer = alterer_of(cloud)
    assert alterer.alteration_idempotency(AlterationKind.RETURN) is Idempotency.NATIVE
    assert alterer.alteration_idempotency(AlterationKind.EXCHANGE) is Idempotency.LOOKUP
    with pytest.raises(InvariantError, match="split"):
        alterer.alteration_idempotency(AlterationKind.SPLIT)


@pytest.mark.parametrize("kind", [Kind.AWS_COMPUTE_SP, Kind.AWS_RI_REGIONAL])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_to_a_deletion_is_found_done(
    cloud: SandboxCloud, kind: Kind, fault: FaultKind
) -> None:
    start = cloud.world.after_hours(48)
    name = bought(
        cloud,
        plan_order(cloud, offer(cloud.world), start_at=start)
        if kind.is_spend
        else reservation_order(cloud, terms(), start_at=start),
    )
    order = alteration(cloud, AlterationKind.CANCEL_QUEUED, name, of=kind)
    operation = (
        "savingsplans.DeleteQueuedSavingsPlan"
        if kind.is_spend
        else "ec2.DeleteQueuedReservedInstances"
    )
    strike(cloud, Fault(operation, fault))
    first = alterer_of(cloud).alter(order)
    # An empty answer to a deletion says that it was done, whatever else is in it.
    assert isinstance(first, Unknown | Altered)
    assert isinstance(alterer_of(cloud).alter(order), Altered)
    assert cloud.server.calls[operation] == 1
    assert state(cloud, name) is CommitmentState.FAILED


@pytest.mark.parametrize(
    "fault",
    [FaultKind.REFUSE, FaultKind.THROTTLE, FaultKind.TIMEOUT_BEFORE, FaultKind.ERROR_BEFORE],
)
def test_a_return_that_did_not_happen_leaves_the_plan_and_can_be_asked_again(
    cloud: SandboxCloud, fault: FaultKind
) -> None:
    name = plan(cloud)
    order = back(cloud, name)
    strike(cloud, Fault(RETURN, fault))
    outcome = alterer_of(cloud).alter(order)
    assert isinstance(outcome, Refused | Unknown)
    assert isinstance(outcome, Refused) == (fault in {FaultKind.REFUSE, FaultKind.THROTTLE})
    assert state(cloud, name) is CommitmentState.ACTIVE
    assert isinstance(alterer_of(cloud).alter(order), Altered)
