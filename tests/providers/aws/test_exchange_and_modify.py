"""Exchanges and modifications of EC2 reservations: by AWS's rules, once, within the cap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder, Altered, Target
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId, OfferingId
from service.domain.purchases import Refused, Unknown
from service.providers.aws.reservation_terms import ReservationTerms
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.providers.aws.orders import (
    alteration,
    alterer_of,
    bought,
    item_of,
    reader_of,
    reservation_order,
    target,
    terms,
)
from tests.sandbox.clouds import emptied, small_cloud, strike

ACCEPT = "ec2.AcceptReservedInstancesExchangeQuote"
QUOTE = "ec2.GetReservedInstancesExchangeQuote"
MODIFY = "ec2.ModifyReservedInstances"
LOST = [FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER, FaultKind.BROKEN_AFTER]


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    return emptied(shared)


def exchange(
    cloud: SandboxCloud, *sources: CommitmentId, pay: str = "0", to: str = "m6i.large"
) -> AlterationOrder:
    """An exchange whose target counts what its quote gave."""
    order = alteration(
        cloud,
        AlterationKind.EXCHANGE,
        *sources,
        targets=(target(terms(to)),),
        most_to_pay_usd=pay,
    )
    quoted = alterer_of(cloud).quote_alteration(order)
    return replace(order, targets=quoted.targets or order.targets)


def state(cloud: SandboxCloud, name: CommitmentId) -> CommitmentState:
    return item_of(cloud, name).commitment.state


def test_an_exchange_keeps_the_end_and_never_lowers_the_value(cloud: SandboxCloud) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large"), 3))
    before = item_of(cloud, source)
    cloud.advance(24 * 30)
    order = exchange(cloud, source, to="r5.xlarge")
    quoted = alterer_of(cloud).quote_alteration(order)
    assert quoted.allowed
    assert quoted.target_value_usd >= quoted.source_value_usd > 0
    done = alterer_of(cloud).alter(order)
    assert isinstance(done, Altered)
    assert state(cloud, source) is CommitmentState.RETIRED
    (made,) = done.made
    after = item_of(cloud, made)
    assert after.commitment.end == before.commitment.end
    assert after.commitment.quantity == order.targets[0].quantity
    assert after.commit_usd_per_hour >= before.commit_usd_per_hour
    assert after.intent == order.intent
    assert after.exchangeable


def test_many_are_merged_into_one_that_ends_with_the_latest(cloud: SandboxCloud) -> None:
    first = bought(cloud, reservation_order(cloud, terms("m5.large"), 1), hours=24)
    second = bought(cloud, reservation_order(cloud, terms("c5.large"), 2, name="2"))
    latest = item_of(cloud, second).commitment.end
    done = alterer_of(cloud).alter(exchange(cloud, first, second))
    assert isinstance(done, Altered)
    assert item_of(cloud, done.made[0]).commitment.end == latest
    assert state(cloud, first) is state(cloud, second) is CommitmentState.RETIRED


def test_what_is_missing_upfront_is_paid_within_the_cap_and_refused_above_it(
    cloud: SandboxCloud,
) -> None:
    paid = terms("m5.large", payment=Payment.ALL_UPFRONT)
    source = bought(cloud, reservation_order(cloud, paid, 1))
    bigger = terms("r5.large", payment=Payment.ALL_UPFRONT)
    order = alteration(cloud, AlterationKind.EXCHANGE, source, targets=(target(bigger),))
    due = alterer_of(cloud).quote_alteration(order).pay_usd
    assert due > 0
    refused = alterer_of(cloud).alter(replace(order, most_to_pay_usd=due - Decimal("0.01")))
    assert isinstance(refused, Refused)
    assert refused.code == "price_moved"
    assert cloud.server.calls[ACCEPT] == 0
    done = alterer_of(cloud).alter(replace(order, most_to_pay_usd=due))
    assert isinstance(done, Altered)
    assert done.paid_usd == due
    record = cloud.world.reservations.reservations[done.made[0]]
    assert record.upfront_due_usd == due


@pytest.mark.parametrize(
    ("source", "to", "reason"),
    [
        (terms(offering_class="standard"), terms("m6i.large"), "not convertible"),
        (terms(), terms("m6i.large", "standard"), "target is not convertible"),
        (terms(payment=Payment.ALL_UPFRONT), terms("m6i.large"), "No Upfront"),
        (terms(), terms("m6i.large", years=3), "term"),
    ],
)
def test_an_exchange_against_the_rules_is_refused_with_the_reason(
    cloud: SandboxCloud, source: ReservationTerms, to: ReservationTerms, reason: str
) -> None:
    name = bought(cloud, reservation_order(cloud, source, 1))
    order = alteration(cloud, AlterationKind.EXCHANGE, name, targets=(target(to),))
    quoted = alterer_of(cloud).quote_alteration(order)
    assert not quoted.allowed
    assert reason in quoted.detail
    done = alterer_of(cloud).alter(replace(order, most_to_pay_usd=Decimal(10_000)))
    assert isinstance(done, Refused)
    assert cloud.server.calls[ACCEPT] == 0


def test_a_price_that_moves_after_the_quote_is_seen_before_accepting(cloud: SandboxCloud) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large"), 4))
    strike(cloud, Fault(QUOTE, FaultKind.PRICE_CHANGE, price_factor=Decimal("0.5")))
    order = exchange(cloud, source)
    refused = alterer_of(cloud).alter(order)
    assert isinstance(refused, Refused)
    assert refused.code == "count_moved"
    assert state(cloud, source) is CommitmentState.ACTIVE


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_to_an_exchange_is_unknown_and_never_exchanges_twice(
    cloud: SandboxCloud, fault: FaultKind
) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large"), 2))
    order = exchange(cloud, source)
    strike(cloud, Fault(ACCEPT, fault))
    assert isinstance(alterer_of(cloud).alter(order), Unknown)
    assert cloud.server.calls[ACCEPT] == 1
    again = alterer_of(cloud).alter(order)
    assert isinstance(again, Unknown)
    assert "retired already" in again.detail
    assert cloud.server.calls[ACCEPT] == 1
    owned = [one for one in reader_of(cloud).inventory() if one.commitment.state.is_owned]
    assert len(owned) == 1


def test_an_exchange_that_was_done_and_tagged_is_found_done(cloud: SandboxCloud) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large"), 2))
    order = exchange(cloud, source)
    done = alterer_of(cloud).alter(order)
    assert isinstance(done, Altered)
    again = alterer_of(cloud).alter(order)
    assert isinstance(again, Altered)
    assert again.made == done.made
    assert cloud.server.calls[ACCEPT] == 1


@pytest.mark.parametrize("fault", [FaultKind.TIMEOUT_BEFORE, FaultKind.ERROR_BEFORE])
def test_an_exchange_that_never_happened_is_unknown_and_can_be_tried_again(
    cloud: SandboxCloud, fault: FaultKind
) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large"), 2))
    order = exchange(cloud, source)
    strike(cloud, Fault(ACCEPT, fault))
    assert isinstance(alterer_of(cloud).alter(order), Unknown)
    assert state(cloud, source) is CommitmentState.ACTIVE
    assert isinstance(alterer_of(cloud).alter(order), Altered)


def test_a_modification_is_accepted_once_and_found_done_later(cloud: SandboxCloud) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.2xlarge", "standard"), 1))
    before = item_of(cloud, source)
    parts = (
        replace(target(terms("m5.xlarge", "standard")), quantity=Decimal(1)),
        replace(target(terms("m5.large", "standard")), quantity=Decimal(2), zone="us-east-1a"),
    )
    order = alteration(cloud, AlterationKind.MODIFY, source, targets=parts)
    quoted = alterer_of(cloud).quote_alteration(order)
    assert quoted.allowed
    assert quoted.source_value_usd == quoted.target_value_usd > 0
    assert isinstance(alterer_of(cloud).alter(order), Unknown)
    assert isinstance(alterer_of(cloud).alter(order), Unknown)
    assert cloud.server.calls[MODIFY] == 1
    cloud.advance(1)
    done = alterer_of(cloud).alter(order)
    assert isinstance(done, Altered)
    assert len(done.made) == 2
    assert state(cloud, source) is CommitmentState.RETIRED
    made = [item_of(cloud, name) for name in done.made]
    assert {(one.kind, one.commitment.zone) for one in made} == {
        (Kind.AWS_RI_REGIONAL, None),
        (Kind.AWS_RI_ZONAL, "us-east-1a"),
    }
    assert {one.commitment.end for one in made} == {before.commitment.end}
    assert {one.intent for one in made} == {order.intent}
    assert cloud.server.calls[MODIFY] == 1


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_to_a_modification_is_found_by_its_token(
    cloud: SandboxCloud, fault: FaultKind
) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large", "standard"), 2))
    parts = (Target(None, Decimal(2), "us-east-1b", 12, Payment.NO_UPFRONT),)
    order = alteration(cloud, AlterationKind.MODIFY, source, targets=parts)
    strike(cloud, Fault(MODIFY, fault))
    assert isinstance(alterer_of(cloud).alter(order), Unknown)
    cloud.advance(1)
    assert isinstance(alterer_of(cloud).alter(order), Altered)
    assert cloud.server.calls[MODIFY] == 1


def test_a_modification_that_fails_is_refused_and_changes_nothing(cloud: SandboxCloud) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large", "standard"), 2))
    parts = (Target(None, Decimal(2), "us-east-1b", 12, Payment.NO_UPFRONT),)
    order = alteration(cloud, AlterationKind.MODIFY, source, targets=parts)
    strike(cloud, Fault(MODIFY, FaultKind.PAYMENT_FAILS))
    assert isinstance(alterer_of(cloud).alter(order), Unknown)
    cloud.advance(1)
    outcome = alterer_of(cloud).alter(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == "failed"
    assert state(cloud, source) is CommitmentState.ACTIVE


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([("m5.xlarge", 2, None)], "footprint"),
        ([("c5.large", 2, None)], "family"),
        ([("m5.large", 1, None)], "footprint"),
        ([], "whole numbers"),
    ],
)
def test_a_modification_against_the_rules_is_not_sent(
    cloud: SandboxCloud, parts: list[tuple[str, int, str | None]], reason: str
) -> None:
    source = bought(cloud, reservation_order(cloud, terms("m5.large", "standard"), 2))
    targets = tuple(
        replace(target(terms(size, "standard"), count), zone=zone) for size, count, zone in parts
    )
    order = alteration(cloud, AlterationKind.MODIFY, source, targets=targets)
    quoted = alterer_of(cloud).quote_alteration(order)
    assert reason in quoted.detail
    assert isinstance(alterer_of(cloud).alter(order), Refused)
    assert cloud.server.calls[MODIFY] == 0


def test_an_exchange_names_one_target(cloud: SandboxCloud) -> None:
    source = bought(cloud, reservation_order(cloud, terms(), 1))
    for targets in ((), (target(terms()), target(terms("m6i.large")))):
        order = alteration(cloud, AlterationKind.EXCHANGE, source, targets=targets)
        with pytest.raises(ProviderError, match="targets"):
            alterer_of(cloud).quote_alteration(order)
    unsold = replace(target(terms()), offering=OfferingId(terms("m9.large").offering))
    order = alteration(cloud, AlterationKind.EXCHANGE, source, targets=(unsold,))
    assert isinstance(alterer_of(cloud).alter(order), Refused)
