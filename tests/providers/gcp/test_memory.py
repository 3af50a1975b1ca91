"""Memory beside vCPUs: one commitment, one intent, and money that is the same on all sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.commitments import Kind
from service.domain.hours import Waiting
from service.domain.ids import ClientToken, IntentId, LineId, OfferingId, PlanId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import PlanLine
from service.domain.purchases import (
    Bought,
    Intent,
    IntentState,
    PurchaseOrder,
    Refused,
    Unknown,
)
from service.guard.context import spent_so_far
from service.operate.obliging import owed_anew
from service.providers.gcp.alterer import GcpAlterer
from service.providers.gcp.buyer import GcpBuyer
from service.providers.gcp.price_list import Prices
from service.providers.gcp.resource_commitments import insert
from service.providers.gcp.words import Place
from service.providers.port import always_wanted
from service.reconcile.findings import Confirmed, Duplicate, External, SettledBought
from service.reconcile.match import match
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.cloud import GcpSandbox
from tests.sandbox.gcp.clouds import (
    INSERT,
    START,
    buyer_of,
    machines,
    reader_of,
    small_cloud,
    strike,
    vcpus,
)

_TOMORROW = START + timedelta(days=1)
A_DAY_LATER = Waiting(_TOMORROW, _TOMORROW, timedelta(hours=2))


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def buyer(cloud: GcpSandbox) -> GcpBuyer:
    return buyer_of(cloud)


def intent_of(
    order: PurchaseOrder, commit: Decimal, state: IntentState, commitment: Bought | None = None
) -> Intent:
    """What the ledger has of the order."""
    line = PlanLine(
        line=LineId("line"),
        offering=order.offering,
        provider="gcp",
        kind=order.kind,
        account=order.account,
        region="us-central1",
        family="n2",
        term_months=order.term_months,
        payment=order.payment,
        quantity=order.quantity,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=Decimal(0),
        total_usd=commit * 8_760,
        expected_savings_usd_per_hour=Decimal(1),
        expected_savings_low_usd_per_hour=Decimal(1),
        expected_savings_high_usd_per_hour=Decimal(1),
        expected_utilization_ratio=Decimal(1),
        break_even_months=Decimal(8),
        reason="steady use",
        companion=order.companion,
    )
    return Intent(
        order=order,
        plan=PlanId("plan"),
        proposal=None,
        line=line,
        state=state,
        fence=1,
        recorded_at=START,
        updated_at=START,
        commitment=None if commitment is None else commitment.commitment,
        detail="",
    )


@pytest.mark.parametrize("years", [1, 3])
def test_buys_exactly_the_vcpus_and_the_memory_that_were_ordered(
    cloud: GcpSandbox, buyer: GcpBuyer, years: int
) -> None:
    order = machines("37", "150.25", offering=f"gcp_cud/europe-west1/c3/vcpu/{years}")
    quote = buyer.quote(order)
    outcome = buyer.buy(order)
    assert isinstance(outcome, Bought)
    assert cloud.server.calls[INSERT] == 1
    held = cloud.world.commitments.records[outcome.commitment].contents(cloud.clock.now())
    assert (held.vcpus, held.memory_mb) == (37, 150 * 1_024 + 256)
    assert held.usd_per_hour == quote.commit_usd_per_hour
    items = reader_of(cloud).inventory()
    assert [item.intent for item in items] == [order.intent] * 2
    assert [item.commitment.quantity for item in items] == [Decimal(37), Decimal("150.25")]
    assert sum(item.commit_usd_per_hour for item in items) == quote.commit_usd_per_hour
    assert quote.companion is not None
    assert items[1].commit_usd_per_hour == quote.companion.commit_usd_per_hour
    assert order.companion is not None
    assert items[1].commitment.offering == order.companion.offering


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (machines("4", "26.25"), "memory"),
        (machines("4", "0.1"), "memory"),
        (machines("4", "16.3"), "memory"),
        (machines("4", "0"), "memory"),
        (replace(vcpus(), offering=OfferingId("gcp_cud/us-central1/n2/ram/1")), "memory_alone"),
        (replace(vcpus(), companion=machines(offering="gcp_cud/us-central1/e2/vcpu/1").companion),
         "memory"),
        (replace(vcpus(), companion=machines(offering="gcp_cud/us-central1/n2/vcpu/3").companion),
         "memory"),
    ],
)  # fmt: skip
def test_memory_that_google_does_not_sell_is_refused_before_anything_is_sent(
    cloud: GcpSandbox, buyer: GcpBuyer, order: PurchaseOrder, code: str
) -> None:
    outcome = buyer.buy(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert cloud.server.calls[INSERT] == 0


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        ((4, 4 * 6_656 + 256), "6.5 GB for each vCPU"),
        ((4, 1_000), "multiple of 256"),
        ((0, 1_024), "at least one vCPU"),
    ],
)
def test_what_slips_through_google_itself_refuses_and_nothing_is_bought(
    cloud: GcpSandbox, amounts: tuple[int, int], told: str
) -> None:
    body = {
        "plan": "TWELVE_MONTH",
        "type_": "GENERAL_PURPOSE_N2",
        "category": "MACHINE",
        "resources": [
            {"type_": kind, "amount": amount}
            for kind, amount in zip(("VCPU", "MEMORY"), amounts, strict=True)
            if amount
        ],
    }
    place = Place("acme-commitments", "us-central1", "tenor-too-much")
    request = "0b8e4b0e-7f0c-4c55-9d4e-0d6e3a1c9a11"
    outcome = insert(cloud.clients(), place, body, request, always_wanted)
    assert isinstance(outcome, Refused)
    assert told in outcome.detail
    assert reader_of(cloud).inventory() == []


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER])
def test_a_lost_answer_is_found_by_plan_type_vcpus_and_memory(
    cloud: GcpSandbox, buyer: GcpBuyer, kind: FaultKind
) -> None:
    order = machines()
    strike(cloud, Fault(INSERT, kind))
    assert isinstance(buyer.buy(order), Unknown)
    cloud.advance(1)
    found = buyer.look_up(order)
    assert isinstance(found, Bought)
    for other in (machines("100", "399.75"), vcpus(intent=order.intent), machines("99", "400")):
        seen = buyer.look_up(other)
        assert isinstance(seen, Unknown)
        assert "resources" in seen.detail
    assert buyer.buy(order) == found
    assert len(cloud.world.commitments.records) == 1


def test_both_parts_are_one_purchase_to_reconciliation(cloud: GcpSandbox, buyer: GcpBuyer) -> None:
    order = machines()
    commit = Decimal(buyer.quote(order).commit_usd_per_hour)
    outcome = buyer.buy(order)
    assert isinstance(outcome, Bought)
    items = reader_of(cloud).inventory()
    for state, named, expected in (
        (IntentState.BOUGHT, outcome, Confirmed),
        (IntentState.UNKNOWN, None, SettledBought),
    ):
        found = match(
            intents=[intent_of(order, commit, state, named)],
            inventory=items,
            known=(),
            account=order.account,
            waiting=A_DAY_LATER,
            idempotency=buyer.idempotency,
        )
        (finding,) = found.findings
        assert isinstance(finding, expected)
        assert isinstance(finding, Confirmed | SettledBought)
        assert finding.item.commitment.commitment == outcome.commitment
        assert set(found.owner.values()) == {order.intent}
        assert len(found.owner) == 2


def test_a_second_commitment_of_one_intent_is_a_duplicate_for_all_its_parts(
    cloud: GcpSandbox, buyer: GcpBuyer
) -> None:
    order = machines()
    assert isinstance(buyer.buy(order), Bought)
    twin = buyer.buy(machines(intent="twin"))
    assert isinstance(twin, Bought)
    record = cloud.world.commitments.records[twin.commitment]
    record.description = f"tenor:intent={order.intent}"
    found = match(
        intents=[intent_of(order, Decimal(3), IntentState.BOUGHT)],
        inventory=reader_of(cloud).inventory(),
        known=(),
        account=order.account,
        waiting=A_DAY_LATER,
        idempotency=buyer.idempotency,
    )
    (duplicate,) = [one for one in found.findings if isinstance(one, Duplicate)]
    assert len(duplicate.items) == 2
    assert not [one for one in found.findings if isinstance(one, External)]


@pytest.mark.parametrize("named", [True, False])
def test_caps_count_both_parts_once_however_the_purchase_is_known(
    cloud: GcpSandbox, buyer: GcpBuyer, *, named: bool
) -> None:
    order = machines()
    commit = Decimal(buyer.quote(order).commit_usd_per_hour)
    outcome = buyer.buy(order)
    assert isinstance(outcome, Bought)
    items = reader_of(cloud).inventory()
    state = IntentState.BOUGHT if named else IntentState.UNKNOWN
    known = intent_of(order, commit, state, outcome if named else None)
    spent = spent_so_far([known], items, now=START, run=None)
    assert sum(one.commit_usd_per_hour for one in spent) == commit
    # Without the intent both parts count, and come to the same.
    spent = spent_so_far([], items, now=START, run=None)
    assert len(spent) == 2
    assert sum(one.commit_usd_per_hour for one in spent) == commit
    # Memory that the intent did not buy is counted beside it.
    bare = replace(known, line=replace(known.line, companion=None))
    assert len(spent_so_far([bare], items, now=START, run=None)) == 2
    assert {one.target.kind for one in spent} == {Kind.GCP_RESOURCE_CUD}


@pytest.mark.parametrize("years", [1, 3])
def test_renewing_obliges_for_the_memory_too_and_the_guard_is_told(
    cloud: GcpSandbox, buyer: GcpBuyer, years: int
) -> None:
    whole = machines(offering=f"gcp_cud/us-central1/n2/vcpu/{years}")
    bare = vcpus(offering=whole.offering)
    alterer = GcpAlterer(cloud.clients(), Prices(cloud.clients(), cloud.clock), clock=cloud.clock)
    for order in (whole, bare):
        assert isinstance(buyer.buy(order), Bought)
    cloud.advance(30)
    items = reader_of(cloud).inventory()
    for order in (whole, bare):
        (source, *parts) = [item for item in items if item.intent == order.intent]
        renewal = AlterationOrder(
            intent=IntentId("renewal"),
            token=ClientToken("renewal"),
            alteration=AlterationKind.SET_RENEWAL,
            account=order.account,
            kind=order.kind,
            sources=(source.commitment.commitment,),
            targets=(),
            most_to_pay_usd=Decimal(0),
            renew=True,
        )
        owed = owed_anew(items, renewal, alterer.quote_alteration(renewal))
        commit = Decimal(buyer.quote(order).commit_usd_per_hour)
        # Without memory the commitment's own rate tells it already.
        assert owed == (commit * 8_760 * years if parts else None)
    assert len(items) == 3
