"""How exchanges on AWS went wrong elsewhere, one test each; the number is in the docstring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder, Altered
from service.domain.commitments import CommitmentState, Payment
from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId
from service.domain.purchases import Idempotency, Refused, Unknown
from service.providers.aws.reader import AwsReader
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.providers.aws.orders import (
    alteration,
    alterer_of,
    bought,
    item_of,
    reservation_order,
    target,
    terms,
)
from tests.sandbox.clouds import small_cloud, strike

QUOTE = "ec2.GetReservedInstancesExchangeQuote"
ACCEPT = "ec2.AcceptReservedInstancesExchangeQuote"


@pytest.fixture
def cloud() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


def exchange(cloud: SandboxCloud, source: CommitmentId) -> AlterationOrder:
    """An exchange of something paid upfront, with the cap at what was quoted."""
    to = target(terms("r5.large", payment=Payment.ALL_UPFRONT))
    order = alteration(cloud, AlterationKind.EXCHANGE, source, targets=(to,))
    quoted = alterer_of(cloud).quote_alteration(order)
    return replace(order, targets=quoted.targets, most_to_pay_usd=quoted.pay_usd)


def paid_upfront(cloud: SandboxCloud, count: int = 1) -> CommitmentId:
    of = terms("m5.large", payment=Payment.ALL_UPFRONT)
    return bought(cloud, reservation_order(cloud, of, count))


def test_it_is_quoted_again_just_before_it_is_accepted(cloud: SandboxCloud) -> None:
    """Pitfall 23: quote and accept are two calls; what rose in between is not accepted."""
    order = exchange(cloud, paid_upfront(cloud))
    cloud.server.calls.clear()
    offering = next(
        one.offering
        for one in cloud.world.catalog.offerings.values()
        if one.offering in cloud.world.catalog.convertible
        and (one.kind, one.term_months, one.payment) == ("aws_ri_regional", 12, "all_upfront")
        and one.rates_usd.keys() == {"USE1-BoxUsage:r5.large/RunInstances"}
    )
    cloud.world.change_price(offering, Decimal("1.05"))
    refused = alterer_of(cloud).alter(order)
    assert isinstance(refused, Refused)
    assert refused.code == "price_moved"
    assert (cloud.server.calls[QUOTE], cloud.server.calls[ACCEPT]) == (1, 0)


@pytest.mark.parametrize("due", ["", "n/a", "NaN", "Infinity", "-1", "1,000", None])
def test_an_amount_that_cannot_be_read_is_not_taken_for_nothing(
    cloud: SandboxCloud, due: str | None
) -> None:
    """Pitfall 24: a cap failed open on a PaymentDue that could not be read."""
    source = paid_upfront(cloud)
    order = replace(exchange(cloud, source), most_to_pay_usd=Decimal(10_000))
    client = cloud.clients().reading("ec2", "us-east-1")

    def spoil(parsed: dict[str, object], **_: object) -> None:
        parsed["PaymentDue"] = due

    client.meta.events.register("after-call.ec2.GetReservedInstancesExchangeQuote", spoil)
    with pytest.raises(ProviderError, match="unreadable_quote"):
        alterer_of(cloud).quote_alteration(order)
    outcome = alterer_of(cloud).alter(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == "unreadable_quote"
    assert cloud.server.calls[ACCEPT] == 0
    assert item_of(cloud, source).commitment.state is CommitmentState.ACTIVE


def test_what_is_reported_as_paid_is_what_was_due_when_it_was_accepted(
    cloud: SandboxCloud,
) -> None:
    """Pitfall 24, amounts: the sum of what was paid, not of what was quoted earlier."""
    order = exchange(cloud, paid_upfront(cloud))
    cloud.advance(24 * 20)
    done = alterer_of(cloud).alter(order)
    assert isinstance(done, Altered)
    assert 0 < done.paid_usd < order.most_to_pay_usd
    assert cloud.world.reservations.reservations[done.made[0]].upfront_due_usd == done.paid_usd


def test_the_region_is_the_reservations_own(cloud: SandboxCloud) -> None:
    """Pitfall 25: a region that defaulted to us-east-1."""
    of = replace(terms("m5.large"), region="eu-west-1")
    source = bought(cloud, reservation_order(cloud, of, 1))
    to = replace(terms("m6i.large"), region="eu-west-1")
    order = alteration(cloud, AlterationKind.EXCHANGE, source, targets=(target(to),))
    quoted = alterer_of(cloud).quote_alteration(order)
    done = alterer_of(cloud).alter(replace(order, targets=quoted.targets))
    assert isinstance(done, Altered)
    items = {item.commitment.commitment: item for item in AwsReader(cloud.clients()).inventory()}
    assert items[done.made[0]].region == "eu-west-1"
    home = alteration(cloud, AlterationKind.EXCHANGE, source, targets=(target(terms()),))
    with pytest.raises(ProviderError, match="InvalidReservedInstancesId"):
        alterer_of(cloud).quote_alteration(home)


def test_a_timeout_never_exchanges_twice(cloud: SandboxCloud) -> None:
    """Pitfall 25, retries: a client's timeout and retry exchanged the same capacity twice."""
    source = paid_upfront(cloud)
    order = exchange(cloud, source)
    alterer = alterer_of(cloud)
    assert alterer.alteration_idempotency(AlterationKind.EXCHANGE) is Idempotency.LOOKUP
    strike(cloud, Fault(ACCEPT, FaultKind.TIMEOUT_AFTER))
    assert isinstance(alterer.alter(order), Unknown)
    assert isinstance(alterer.alter(order), Unknown)
    assert cloud.server.calls[ACCEPT] == 1
    active = [
        one
        for one in cloud.world.reservations.reservations.values()
        if one.state(cloud.world.now()) == "active"
    ]
    assert len(active) == 1


def test_taking_back_one_queued_purchase_leaves_the_others(cloud: SandboxCloud) -> None:
    """Pitfall 26: one task cancelled what another was waiting for."""
    start = cloud.world.after_hours(48)
    mine, other = (
        bought(cloud, reservation_order(cloud, terms(), 1, name=name, start_at=start), hours=0)
        for name in ("mine", "other")
    )
    done = alterer_of(cloud).alter(alteration(cloud, AlterationKind.CANCEL_QUEUED, mine))
    assert isinstance(done, Altered)
    assert item_of(cloud, mine).commitment.state is CommitmentState.FAILED
    assert item_of(cloud, other).commitment.state is CommitmentState.QUEUED
