"""Renewing, upgrading, merging and splitting Google Cloud commitments, once each."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder, Altered, Target
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import InvariantError, ProviderError
from service.domain.ids import AccountId, ClientToken, CommitmentId, IntentId
from service.domain.purchases import Bought, Idempotency, InventoryItem, Refused, Unknown
from service.providers.gcp.alterer import GcpAlterer
from service.providers.gcp.price_list import Prices
from service.providers.port import ProviderAlterer
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.cloud import GcpSandbox
from tests.sandbox.gcp.clouds import (
    INSERT,
    buyer_of,
    dollars,
    reader_of,
    small_cloud,
    strike,
    vcpus,
)
from tests.sandbox.gcp.raw import insert_raw

UPDATE = "gcp.regionCommitments.update"
LOST = pytest.mark.parametrize(
    "kind", [FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER, FaultKind.BROKEN_AFTER]
)


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    """Two active commitments of 100 and 60 vCPUs, and one of dollars."""
    with small_cloud() as cloud:
        buyer = buyer_of(cloud)
        for order in (vcpus("100"), vcpus("60", intent="second"), dollars()):
            assert isinstance(buyer.buy(order), Bought)
        cloud.advance(30)
        yield cloud


@pytest.fixture
def alterer(cloud: GcpSandbox) -> GcpAlterer:
    return GcpAlterer(cloud.clients(), Prices(cloud.clients(), cloud.clock), clock=cloud.clock)


def items(cloud: GcpSandbox) -> dict[str, InventoryItem]:
    return {str(item.intent): item for item in reader_of(cloud).inventory()}


def order(
    cloud: GcpSandbox,
    alteration: AlterationKind,
    *intents: str,
    parts: tuple[str, ...] = (),
    renew: bool | None = None,
) -> AlterationOrder:
    owned = items(cloud)
    return AlterationOrder(
        intent=IntentId("alter-1"),
        token=ClientToken("token of alter-1"),
        alteration=alteration,
        account=AccountId("acme-commitments"),
        kind=Kind.GCP_RESOURCE_CUD,
        sources=tuple(owned[one].commitment.commitment for one in intents),
        targets=tuple(Target(None, Decimal(q), None, 12, Payment.NO_UPFRONT) for q in parts),
        most_to_pay_usd=Decimal(0),
        renew=renew,
    )


def merge(cloud: GcpSandbox) -> AlterationOrder:
    return order(cloud, AlterationKind.MERGE, "intent-1", "second", parts=("160",))


def split(cloud: GcpSandbox) -> AlterationOrder:
    return order(cloud, AlterationKind.SPLIT, "intent-1", parts=("30", "70"))


def test_says_what_can_be_done_and_that_nothing_can_be_given_back(
    cloud: GcpSandbox, alterer: GcpAlterer
) -> None:
    as_port: ProviderAlterer = alterer
    owned, now = items(cloud), cloud.clock.now()
    assert as_port.ways(owned["intent-2"], now) == frozenset()
    assert as_port.ways(owned["intent-1"], now) == {
        AlterationKind.SET_RENEWAL,
        AlterationKind.UPGRADE_TERM,
        AlterationKind.MERGE,
        AlterationKind.SPLIT,
    }
    for way in (AlterationKind.RETURN, AlterationKind.CANCEL_QUEUED, AlterationKind.EXCHANGE):
        with pytest.raises(InvariantError):
            alterer.alteration_idempotency(way)
        asked = order(cloud, way, "intent-1")
        assert not alterer.quote_alteration(asked).allowed
        assert isinstance(alterer.alter(asked), Refused)
    assert alterer.alteration_idempotency(AlterationKind.MERGE) is Idempotency.NATIVE


def test_what_has_not_begun_can_only_have_its_renewal_set(
    cloud: GcpSandbox, alterer: GcpAlterer
) -> None:
    assert isinstance(buyer_of(cloud).buy(vcpus("1", intent="new")), Bought)
    new = items(cloud)["new"]
    assert new.commitment.state is CommitmentState.QUEUED
    assert alterer.ways(new, cloud.clock.now()) == {AlterationKind.SET_RENEWAL}
    assert not alterer.quote_alteration(order(cloud, AlterationKind.UPGRADE_TERM, "new")).allowed


def test_renewal_is_set_and_unset_until_the_day_before_the_end(
    cloud: GcpSandbox, alterer: GcpAlterer
) -> None:
    on = order(cloud, AlterationKind.SET_RENEWAL, "intent-1", renew=True)
    quote = alterer.quote_alteration(on)
    assert quote.allowed
    assert quote.pay_usd == quote.refund_usd == 0
    # Renewing obliges for another year.
    assert quote.target_value_usd > quote.source_value_usd * Decimal("1.9")
    assert isinstance(alterer.alter(on), Altered)
    assert items(cloud)["intent-1"].renews
    cloud.advance(24 * 365)
    renewed = items(cloud)["intent-1"].commitment
    assert renewed.state is CommitmentState.ACTIVE
    assert items(cloud)["second"].commitment.state is CommitmentState.RETIRED
    cloud.advance((renewed.end - cloud.clock.now()).total_seconds() / 3600 - 12)
    off = order(cloud, AlterationKind.SET_RENEWAL, "intent-1", renew=False)
    assert isinstance(alterer.alter(off), Refused)


def test_a_year_becomes_three_and_costs_what_was_quoted(
    cloud: GcpSandbox, alterer: GcpAlterer
) -> None:
    upgrade = order(cloud, AlterationKind.UPGRADE_TERM, "intent-1")
    quote = alterer.quote_alteration(upgrade)
    assert quote.allowed
    assert quote.target_value_usd == Decimal("0.01422") * 100 * 26_280
    assert isinstance(alterer.alter(upgrade), Altered)
    cloud.advance(24)
    item = items(cloud)["intent-1"]
    assert item.term_months == 36
    assert item.commit_usd_per_hour == Decimal("0.01422") * 100
    assert item.commitment.end.year == 2029


def test_merging_makes_one_and_retires_the_sources(cloud: GcpSandbox, alterer: GcpAlterer) -> None:
    before = cloud.snapshot().committed_usd_per_hour
    outcome = alterer.alter(merge(cloud))
    assert isinstance(outcome, Altered)
    cloud.advance(24)
    owned = items(cloud)
    made = owned["alter-1"].commitment
    assert outcome.made == (made.commitment,)
    assert made.quantity == 160
    assert made.end == max(owned["intent-1"].commitment.end, owned["second"].commitment.end)
    assert owned["intent-1"].commitment.state is CommitmentState.RETIRED
    assert owned["second"].commitment.state is CommitmentState.RETIRED
    assert cloud.snapshot().committed_usd_per_hour == before
    assert cloud.snapshot().made_by_intent == {"alter-1": (made.commitment,)}
    assert cloud.snapshot().double_purchases == 0


def test_splitting_moves_a_part_and_changes_no_money(
    cloud: GcpSandbox, alterer: GcpAlterer
) -> None:
    before = cloud.snapshot().committed_usd_per_hour
    assert isinstance(alterer.alter(split(cloud)), Altered)
    cloud.advance(24)
    owned = items(cloud)
    assert owned["alter-1"].commitment.quantity == 30
    assert owned["intent-1"].commitment.quantity == 70
    assert owned["alter-1"].commitment.end == owned["intent-1"].commitment.end
    assert cloud.snapshot().committed_usd_per_hour == before


def test_memory_goes_with_its_vcpus_in_steps_that_google_sells(
    cloud: GcpSandbox, alterer: GcpAlterer
) -> None:
    assert insert_raw(cloud, name="theirs", vcpus=10, memory_mb=10 * 6_656) == 200
    cloud.advance(30)
    name = CommitmentId("acme-commitments/us-central1/theirs")
    draft = order(cloud, AlterationKind.SPLIT, "intent-1", parts=("3",))
    asked = AlterationOrder(
        **{f: getattr(draft, f) for f in draft.__slots__ if f != "sources"}, sources=(name,)
    )
    assert isinstance(alterer.alter(asked), Altered)
    cloud.advance(24)
    amounts = {
        item.commitment.commitment.removeprefix("acme-commitments/us-central1/"): (
            item.commitment.quantity
        )
        for item in reader_of(cloud).inventory()
        if "theirs" in item.commitment.commitment or item.intent == "alter-1"
    }
    assert amounts["theirs"] == 7
    assert amounts["theirs/memory"] == Decimal("45.5")


@LOST
@pytest.mark.parametrize("make", [merge, split])
def test_what_was_made_though_the_answer_was_lost_is_not_made_again(
    cloud: GcpSandbox, alterer: GcpAlterer, kind: FaultKind, make: object
) -> None:
    asked = merge(cloud) if make is merge else split(cloud)
    calls = cloud.server.calls[INSERT]
    strike(cloud, Fault(INSERT, kind))
    assert isinstance(alterer.alter(asked), Unknown)
    assert cloud.server.calls[INSERT] == calls + 1
    cloud.advance(48)
    assert isinstance(alterer.alter(asked), Altered)
    assert cloud.server.calls[INSERT] == calls + 1
    assert len(cloud.snapshot().made_by_intent["alter-1"]) == 1


@LOST
def test_an_upgrade_whose_answer_was_lost_is_found_done(
    cloud: GcpSandbox, alterer: GcpAlterer, kind: FaultKind
) -> None:
    asked = order(cloud, AlterationKind.UPGRADE_TERM, "intent-1")
    strike(cloud, Fault(UPDATE, kind))
    assert isinstance(alterer.alter(asked), Unknown)
    cloud.advance(48)
    assert isinstance(alterer.alter(asked), Altered)
    assert cloud.server.calls[UPDATE] == 1
    assert items(cloud)["intent-1"].term_months == 36


@pytest.mark.parametrize(
    ("intents", "parts", "why"),
    [
        (("intent-1",), ("100",), "two or more"),
        (("intent-1", "intent-1"), ("200",), "two or more"),
        (("intent-1", "second"), ("150",), "160 vCPUs"),
    ],
)
def test_a_merge_that_google_would_not_do_is_refused(
    cloud: GcpSandbox,
    alterer: GcpAlterer,
    intents: tuple[str, ...],
    parts: tuple[str, ...],
    why: str,
) -> None:
    asked = order(cloud, AlterationKind.MERGE, *intents, parts=parts)
    quote = alterer.quote_alteration(asked)
    assert not quote.allowed
    assert why in quote.detail
    assert isinstance(alterer.alter(asked), Refused)


@pytest.mark.parametrize("parts", [("100",), ("0",), ("1.5",), ("30", "60"), ("10", "20", "70")])
def test_a_split_that_does_not_add_up_is_refused(
    cloud: GcpSandbox, alterer: GcpAlterer, parts: tuple[str, ...]
) -> None:
    asked = order(cloud, AlterationKind.SPLIT, "intent-1", parts=parts)
    assert not alterer.quote_alteration(asked).allowed
    assert isinstance(alterer.alter(asked), Refused)
    assert cloud.snapshot().made_by_intent == {}


def test_what_belongs_to_another_project_is_left_alone(
    cloud: GcpSandbox, alterer: GcpAlterer
) -> None:
    asked = order(cloud, AlterationKind.UPGRADE_TERM, "intent-1")
    theirs = AlterationOrder(
        **{f: getattr(asked, f) for f in asked.__slots__ if f != "account"},
        account=AccountId("acme-web"),
    )
    assert isinstance(alterer.alter(theirs), Refused)
    with pytest.raises(ProviderError):
        alterer.quote_alteration(theirs)
    flexible = order(cloud, AlterationKind.SET_RENEWAL, "intent-2", renew=True)
    assert isinstance(alterer.alter(flexible), Refused)
    assert cloud.server.calls[UPDATE] == 0
