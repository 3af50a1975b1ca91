"""Altering Azure reservations: value ratchet, refund limit, one attempt, proof by the records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder, Altered
from service.domain.commitments import CommitmentState, Kind
from service.domain.errors import InputError, ProviderError
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId, CommitmentId
from service.domain.purchases import Bought, InventoryItem, Refused, Unknown
from service.providers.port import ProviderAlterer, always_wanted
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    SMALL,
    alteration,
    alterer,
    buyer,
    order,
    owned,
    plan_order,
    reader,
    reservation_id,
    small_cloud,
    strike,
    target,
)

E8_THREE_YEARS = reservation_id("Standard_E8s_v5", months=36)
SENT = {
    AlterationKind.EXCHANGE: "azure.Exchange.Post",
    AlterationKind.RETURN: "azure.Return.Post",
    AlterationKind.SPLIT: "azure.Reservation.Split",
    AlterationKind.MERGE: "azure.Reservation.Merge",
    AlterationKind.SET_RENEWAL: "azure.Reservation.Update",
}


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def ordered(cloud: AzureSandbox, kind: AlterationKind) -> AlterationOrder:
    """An order of that kind for a reservation of six machines that is owned now."""
    source = owned(cloud)
    payer = cloud.world.payer
    match kind:
        case AlterationKind.EXCHANGE:
            return alteration(
                kind, (source,), target(2, E8_THREE_YEARS), account=payer, most_to_pay_usd="50000"
            )
        case AlterationKind.SPLIT:
            return alteration(kind, (source,), target(2), target(4), account=payer)
        case AlterationKind.MERGE:
            split = alteration(AlterationKind.SPLIT, (source,), target(2), target(4), account=payer)
            outcome = alterer(cloud).alter(split)
            assert isinstance(outcome, Altered)
            return alteration(kind, outcome.made, account=payer)
        case AlterationKind.SET_RENEWAL:
            return alteration(kind, (source,), account=payer, renew=True)
        case _:
            return alteration(kind, (source,), account=payer)


def items(cloud: AzureSandbox) -> dict[CommitmentId, InventoryItem]:
    return {one.commitment.commitment: one for one in reader(cloud).inventory()}


def active(cloud: AzureSandbox) -> list[InventoryItem]:
    return [one for one in items(cloud).values() if one.commitment.state is CommitmentState.ACTIVE]


def test_an_exchange_gives_the_sources_and_makes_the_targets(cloud: AzureSandbox) -> None:
    there: ProviderAlterer = alterer(cloud)
    change = ordered(cloud, AlterationKind.EXCHANGE)
    quote = there.quote_alteration(change)
    assert quote.allowed
    assert quote.target_value_usd > quote.source_value_usd > 0
    assert quote.pay_usd == quote.target_value_usd - quote.source_value_usd
    outcome = there.alter(change, still_wanted=always_wanted)
    assert isinstance(outcome, Altered)
    assert outcome.paid_usd == quote.pay_usd
    (made,) = active(cloud)
    assert outcome.made == (made.commitment.commitment,)
    assert made.intent == change.intent
    assert made.commitment.offering == E8_THREE_YEARS


def test_an_exchange_that_would_lower_the_value_is_not_sent(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    small = target(1, reservation_id("Standard_D2s_v5"))
    change = alteration(AlterationKind.EXCHANGE, (source,), small, account=cloud.world.payer)
    quote = alterer(cloud).quote_alteration(change)
    assert not quote.allowed
    assert quote.target_value_usd < quote.source_value_usd
    outcome = alterer(cloud).alter(change)
    assert isinstance(outcome, Refused)
    assert outcome.code == "policy"
    assert cloud.server.calls[SENT[AlterationKind.EXCHANGE]] == 0


def test_an_exchange_above_the_cap_is_not_sent(cloud: AzureSandbox) -> None:
    change = ordered(cloud, AlterationKind.EXCHANGE)
    pay = alterer(cloud).quote_alteration(change).pay_usd
    below = replace(change, most_to_pay_usd=pay - Decimal("0.01"))
    outcome = alterer(cloud).alter(below)
    assert isinstance(outcome, Refused)
    assert outcome.code == "price_moved"
    assert cloud.server.calls[SENT[AlterationKind.EXCHANGE]] == 0
    assert isinstance(alterer(cloud).alter(replace(change, most_to_pay_usd=pay)), Altered)


def test_a_price_that_rises_between_quote_and_exchange_meets_the_cap(cloud: AzureSandbox) -> None:
    change = ordered(cloud, AlterationKind.EXCHANGE)
    calculate = "azure.CalculateExchange.Post"
    strike(cloud, Fault(calculate, FaultKind.PRICE_CHANGE, price_factor=Decimal(3)))
    quote = alterer(cloud).quote_alteration(change)
    outcome = alterer(cloud).alter(replace(change, most_to_pay_usd=quote.pay_usd))
    assert isinstance(outcome, Refused)
    assert outcome.code == "price_moved"


def test_a_return_gives_all_or_leaves_what_remains(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    part = alteration(AlterationKind.RETURN, (source,), target(2), account=cloud.world.payer)
    outcome = alterer(cloud).alter(part)
    assert isinstance(outcome, Altered)
    assert outcome.refunded_usd > 0
    assert items(cloud)[source].commitment.quantity == 2
    rest = alteration(AlterationKind.RETURN, (source,), account=cloud.world.payer)
    assert isinstance(alterer(cloud).alter(rest), Altered)
    assert items(cloud)[source].commitment.state is CommitmentState.RETURNED


def test_returns_stop_at_the_limit_of_twelve_months_and_go_on_after_it() -> None:
    with small_cloud(options=replace(SMALL, refund_limit_usd=Decimal(3_000))) as cloud:
        three_years = reservation_id(months=36)
        first, second = (
            owned(cloud, three_years, "1", intent=order(cloud).intent) for _ in range(2)
        )
        one, other = (
            alteration(AlterationKind.RETURN, (source,), account=cloud.world.payer)
            for source in (first, second)
        )
        assert isinstance(alterer(cloud).alter(one), Altered)
        quote = alterer(cloud).quote_alteration(other)
        assert not quote.allowed
        assert "3000" in quote.detail
        assert isinstance(alterer(cloud).alter(other), Refused)
        assert cloud.server.calls[SENT[AlterationKind.RETURN]] == 1
        cloud.advance(24 * 366)
        assert isinstance(alterer(cloud).alter(other), Altered)


def test_an_exchange_does_not_use_up_the_refund_limit(cloud: AzureSandbox) -> None:
    assert isinstance(alterer(cloud).alter(ordered(cloud, AlterationKind.EXCHANGE)), Altered)
    assert cloud.snapshot().refunds_consumed_usd == 0


def test_a_split_and_a_merge_keep_the_capacity_and_end_without_an_intent_of_their_own(
    cloud: AzureSandbox,
) -> None:
    merging = ordered(cloud, AlterationKind.MERGE)
    assert [one.commitment.quantity for one in active(cloud)] == [2, 4]
    assert [one.intent for one in active(cloud)] == [None, None]
    ends = {one.commitment.end for one in items(cloud).values()}
    assert isinstance(alterer(cloud).alter(merging), Altered)
    (whole,) = active(cloud)
    assert whole.commitment.quantity == Decimal(6)
    assert {whole.commitment.end} == ends
    assert cloud.snapshot().double_purchases == 0


def test_what_a_split_made_costs_what_its_part_of_the_order_does(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    before = items(cloud)[source].commit_usd_per_hour
    change = alteration(
        AlterationKind.SPLIT, (source,), target(2), target(4), account=cloud.world.payer
    )
    alterer(cloud).alter(change)
    rates = [one.commit_usd_per_hour for one in active(cloud)]
    assert sum(rates) == pytest.approx(before, rel=Decimal("1e-20"))
    assert rates[1] == pytest.approx(2 * rates[0], rel=Decimal("1e-20"))


def test_renewal_is_set_and_unset_and_saying_it_again_changes_nothing(
    cloud: AzureSandbox,
) -> None:
    on = ordered(cloud, AlterationKind.SET_RENEWAL)
    (source,) = on.sources
    for renew in (True, True, False):
        assert isinstance(alterer(cloud).alter(replace(on, renew=renew)), Altered)
        assert items(cloud)[source].renews is renew
    assert cloud.server.calls[SENT[AlterationKind.SET_RENEWAL]] == 2


def test_renewing_is_quoted_as_the_obligation_of_another_whole_term(cloud: AzureSandbox) -> None:
    on = ordered(cloud, AlterationKind.SET_RENEWAL)
    (source,) = on.sources
    item = items(cloud)[source]
    quote = alterer(cloud).quote_alteration(on)
    more = quote.target_value_usd - quote.source_value_usd
    assert more == item.commit_usd_per_hour * TERM_HOURS[item.term_months] > 0
    assert quote.source_value_usd > 0
    assert quote.pay_usd == quote.refund_usd == 0
    off = alterer(cloud).quote_alteration(replace(on, renew=False))
    assert off.target_value_usd == off.source_value_usd


def test_a_savings_plan_can_be_set_to_renew_and_nothing_else(cloud: AzureSandbox) -> None:
    outcome = buyer(cloud).buy(plan_order(cloud))
    assert isinstance(outcome, Bought)
    item = items(cloud)[outcome.commitment]
    assert alterer(cloud).ways(item, cloud.world.now()) == {AlterationKind.SET_RENEWAL}
    change = alteration(
        AlterationKind.SET_RENEWAL,
        (outcome.commitment,),
        account=cloud.world.payer,
        renew=True,
        of=Kind.AZURE_SAVINGS_PLAN,
    )
    assert isinstance(alterer(cloud).alter(change), Altered)
    assert items(cloud)[outcome.commitment].renews
    lost = Fault("azure.SavingsPlan.Update", FaultKind.ERROR_AFTER)
    strike(cloud, lost)
    assert isinstance(alterer(cloud).alter(replace(change, renew=False)), Unknown)


def test_ways_follow_state_size_and_time(cloud: AzureSandbox) -> None:
    source = owned(cloud, quantity="1")
    item, now = items(cloud)[source], cloud.world.now()
    ways = alterer(cloud).ways(item, now)
    assert AlterationKind.SPLIT not in ways
    assert {AlterationKind.EXCHANGE, AlterationKind.RETURN, AlterationKind.MERGE} <= ways
    assert alterer(cloud).ways(item, item.commitment.end) == frozenset()
    gone = replace(item, commitment=replace(item.commitment, state=CommitmentState.RETURNED))
    assert alterer(cloud).ways(gone, now) == frozenset()


def test_what_azure_will_not_renew_is_not_set_to_renew(cloud: AzureSandbox) -> None:
    retired = owned(cloud, reservation_id("Standard_F8s_v2"))
    way = AlterationKind.SET_RENEWAL
    assert way not in alterer(cloud).ways(items(cloud)[retired], cloud.world.now())


@pytest.mark.parametrize("kind", list(SENT))
def test_an_answer_lost_after_the_effect_is_unknown_and_the_records_show_it(
    cloud: AzureSandbox, kind: AlterationKind
) -> None:
    change = ordered(cloud, kind)
    before = items(cloud)
    strike(cloud, Fault(SENT[kind], FaultKind.ERROR_AFTER))
    assert isinstance(alterer(cloud).alter(change), Unknown)
    assert items(cloud) != before
    assert cloud.server.calls[SENT[kind]] == 1


@pytest.mark.parametrize("kind", list(SENT))
def test_an_answer_lost_before_the_effect_is_unknown_and_nothing_changed(
    cloud: AzureSandbox, kind: AlterationKind
) -> None:
    change = ordered(cloud, kind)
    before = items(cloud)
    strike(cloud, Fault(SENT[kind], FaultKind.ERROR_BEFORE))
    assert isinstance(alterer(cloud).alter(change), Unknown)
    assert items(cloud) == before


@pytest.mark.parametrize("kind", list(SENT))
@pytest.mark.parametrize("fault", [FaultKind.THROTTLE, FaultKind.REFUSE])
def test_a_no_is_a_refusal_in_one_request(
    cloud: AzureSandbox, kind: AlterationKind, fault: FaultKind
) -> None:
    change = ordered(cloud, kind)
    before = items(cloud)
    code = "OperationCannotBePerformedInCurrentState"
    strike(cloud, Fault(SENT[kind], fault, code=code, times=9))
    assert isinstance(alterer(cloud).alter(change), Refused)
    assert cloud.server.calls[SENT[kind]] == 1
    assert items(cloud) == before


def test_an_exchange_whose_payment_is_not_through_yet_is_unknown(cloud: AzureSandbox) -> None:
    change = ordered(cloud, AlterationKind.EXCHANGE)
    strike(cloud, Fault(SENT[change.alteration], FaultKind.PAYMENT_FAILS))
    assert isinstance(alterer(cloud).alter(change), Unknown)


def test_orders_that_make_no_sense_are_refused_before_anything_is_sent(
    cloud: AzureSandbox,
) -> None:
    source, payer = owned(cloud), cloud.world.payer
    for change in (
        alteration(AlterationKind.RETURN, (source,), target(6), account=payer),
        alteration(AlterationKind.RETURN, (source, source), account=payer),
        alteration(AlterationKind.EXCHANGE, (source,), target(1), account=payer),
        alteration(AlterationKind.UPGRADE_TERM, (source,), account=payer),
        alteration(AlterationKind.SET_RENEWAL, (source,), account=payer),
        alteration(AlterationKind.RETURN, (CommitmentId("nothing"),), account=payer),
        alteration(AlterationKind.RETURN, (source,), account=AccountId("another")),
    ):
        assert isinstance(alterer(cloud).alter(change), Refused)
    assert not any(cloud.server.calls[operation] for operation in SENT.values())
    with pytest.raises(InputError):
        alterer(cloud).quote_alteration(alteration(AlterationKind.MODIFY, (source,), account=payer))


def test_a_quote_that_azure_does_not_give_is_an_error(cloud: AzureSandbox) -> None:
    change = ordered(cloud, AlterationKind.EXCHANGE)
    fault = Fault("azure.CalculateExchange.Post", FaultKind.REFUSE, code="Forbidden", status=403)
    strike(cloud, fault)
    with pytest.raises(ProviderError, match="Forbidden"):
        alterer(cloud).quote_alteration(change)


@pytest.mark.parametrize("style", ["location", "body"])
def test_alterations_settle_in_both_styles_of_operations(style: str) -> None:
    with small_cloud(options=replace(SMALL, poll_style=style)) as cloud:
        for kind in SENT:
            assert isinstance(alterer(cloud).alter(ordered(cloud, kind)), Altered), kind


def test_the_bill_counts_every_part_of_a_reservations_life_once(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    hourly = items(cloud)[source].commit_usd_per_hour
    cloud.advance(24)
    change = alteration(
        AlterationKind.SPLIT, (source,), target(2), target(4), account=cloud.world.payer
    )
    outcome = alterer(cloud).alter(change)
    assert isinstance(outcome, Altered)
    cloud.advance(24)
    part = alteration(AlterationKind.RETURN, (outcome.made[1],), account=cloud.world.payer)
    assert isinstance(alterer(cloud).alter(part), Altered)
    cloud.advance(24)
    paid = cloud.totals().commitment_usd
    assert paid == pytest.approx(hourly * (24 + 24 + 24 * 2 / Decimal(6)), rel=Decimal("1e-9"))
    assert sum(owed(one) for one in active(cloud)) == 2


def owed(item: InventoryItem) -> Decimal:
    return item.commitment.quantity
