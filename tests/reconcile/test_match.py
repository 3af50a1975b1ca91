"""What an inventory proves: presence by tag, id or likeness; absence only after the grace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.commitments import CommitmentState, Kind
from service.domain.hours import Waiting
from service.domain.ids import AccountId, CommitmentId
from service.domain.purchases import Idempotency, Intent, IntentState, InventoryItem
from service.reconcile.findings import (
    Changed,
    Confirmed,
    Duplicate,
    External,
    Finding,
    Known,
    NeverListed,
    SettledBought,
    SettledNotBought,
    StillUnknown,
    Vanished,
)
from service.reconcile.match import Match, match
from tests.purchase.cloud import ACCOUNT
from tests.purchase.world import START
from tests.reconcile.listing import intent, listed

GRACE = timedelta(hours=1)
BEFORE = START - timedelta(days=1)
SOON, LATE = START + timedelta(minutes=30), START + timedelta(hours=2)
UNKNOWN, BOUGHT, REFUSED = IntentState.UNKNOWN, IntentState.BOUGHT, IntentState.REFUSED
RECORDED = IntentState.RECORDED


def native(_: Kind) -> Idempotency:
    return Idempotency.NATIVE


def lookup(_: Kind) -> Idempotency:
    return Idempotency.LOOKUP


def matched(
    intents: Sequence[Intent] = (),
    inventory: Sequence[InventoryItem] = (),
    known: Sequence[Known] = (),
    *,
    late: bool = True,
    account: AccountId = ACCOUNT,
    idempotency: Callable[[Kind], Idempotency] = native,
    fence: int = 0,
) -> Match:
    return match(
        intents=intents,
        inventory=inventory,
        known=known,
        account=account,
        waiting=Waiting(read_at := LATE if late else SOON, read_at, GRACE),
        idempotency=idempotency,
        fence=fence,
    )


def mirrored(item: InventoryItem, *, vanished: bool = False, since: datetime = BEFORE) -> Known:
    return Known(item, vanished, since)


def kinds_of(result: Match) -> list[type[Finding]]:
    return [type(finding) for finding in result.findings]


def test_an_unknown_purchase_that_is_listed_with_its_tag_was_bought() -> None:
    result = matched([intent(1, UNKNOWN)], [listed(7, intent="i1")], late=False)
    [found] = result.findings
    assert isinstance(found, SettledBought)
    assert found.item.commitment.commitment == "c7"
    assert result.owner == {"c7": "i1"}
    assert not found.alarming


def test_a_purchase_that_was_never_called_and_is_listed_was_bought_and_alarms() -> None:
    [found] = matched([intent(1, RECORDED)], [listed(7, intent="i1")]).findings
    assert isinstance(found, SettledBought)
    assert found.alarming


def test_a_recorded_purchase_is_known_by_the_reference_that_its_quote_minted() -> None:
    one = intent(1, RECORDED)
    one = replace(one, order=replace(one.order, reference="order-1"))
    item = replace(listed(7), reference="order-1")
    [found] = matched([one], [item]).findings
    assert isinstance(found, SettledBought)


@pytest.mark.parametrize(("fence", "settled"), [(2, True), (1, False)])
def test_a_call_is_settled_by_the_listing_only_when_its_caller_is_gone(
    fence: int, *, settled: bool
) -> None:
    calling = intent(1, IntentState.CALLING)
    result = matched([calling], [listed(7, intent="i1")], fence=fence)
    assert [isinstance(one, SettledBought) for one in result.findings] == [True] * settled
    assert not any(one.alarming for one in result.findings)


@pytest.mark.parametrize(("fence", "held"), [(2, True), (1, False)])
def test_the_like_of_what_an_older_process_recorded_is_held_for_a_person(
    fence: int, *, held: bool
) -> None:
    result = matched([intent(1, RECORDED)], [listed(9, like=1)], idempotency=lookup, fence=fence)
    found = [one for one in result.findings if isinstance(one, StillUnknown)]
    assert [one.alarming for one in found] == [True] * held


@pytest.mark.parametrize(
    ("listed_as", "answered"), [("c1", "c1"), ("t1", None)], ids=["id", "token"]
)
def test_without_a_tag_the_commitments_id_or_the_token_that_became_it_decides(
    listed_as: str, answered: str | None
) -> None:
    item = listed(1)
    owned = replace(item.commitment, commitment=CommitmentId(listed_as))
    unknown = intent(1, UNKNOWN, commitment=answered)
    [found] = matched([unknown], [replace(item, commitment=owned)]).findings
    assert isinstance(found, SettledBought)


def test_what_cannot_carry_a_tag_is_recognised_by_what_was_bought_and_when() -> None:
    [found] = matched([intent(1, UNKNOWN)], [listed(9, like=1)], idempotency=lookup).findings
    assert isinstance(found, SettledBought)


@pytest.mark.parametrize(
    "item",
    [
        listed(9, like=2),
        listed(9, like=1, start=START - timedelta(days=1)),
        replace(listed(9, like=1), term_months=36),
        listed(9, like=1, intent="somebody-else"),
    ],
    ids=["another offering", "bought before", "another term", "another tag"],
)
def test_a_purchase_that_differs_in_one_respect_is_not_ours(item: InventoryItem) -> None:
    result = matched([intent(1, UNKNOWN)], [item], idempotency=lookup)
    assert SettledBought not in kinds_of(result)
    assert External in kinds_of(result)


def test_where_tags_are_certain_likeness_proves_nothing() -> None:
    assert kinds_of(matched([intent(1, UNKNOWN)], [listed(9, like=1)])) == [
        SettledNotBought,
        External,
    ]


@pytest.mark.parametrize(
    ("intents", "items"),
    [((1,), (8, 9)), ((1, 2), (8,)), ((1, 2), (8, 9))],
    ids=["two items", "two intents", "two of both"],
)
def test_likeness_decides_only_when_there_is_one_on_either_side(
    intents: tuple[int, ...], items: tuple[int, ...]
) -> None:
    result = matched(
        [intent(number, UNKNOWN, like=1) for number in intents],
        [listed(number, like=1) for number in items],
        idempotency=lookup,
        late=False,
    )
    assert SettledBought not in kinds_of(result)
    assert kinds_of(result).count(StillUnknown) == len(intents)


def test_what_was_listed_before_the_call_is_not_taken_for_its_effect() -> None:
    old = listed(9, like=1)
    result = matched([intent(1, UNKNOWN)], [old], [mirrored(old)], idempotency=lookup)
    assert kinds_of(result) == [SettledNotBought]


def test_what_was_mirrored_while_the_call_was_still_open_may_be_its_effect() -> None:
    seen = mirrored(listed(9, like=1), since=START + timedelta(minutes=1))
    [found] = matched([intent(1, UNKNOWN)], [seen.item], [seen], idempotency=lookup).findings
    assert isinstance(found, SettledBought)


def test_two_candidates_are_held_for_a_person_at_every_reading() -> None:
    since = START + timedelta(minutes=1)
    twins = [mirrored(listed(number, like=1), since=since) for number in (8, 9)]
    [held] = matched(
        [intent(1, UNKNOWN)], [one.item for one in twins], twins, idempotency=lookup
    ).findings
    assert isinstance(held, StillUnknown)
    assert held.alarming


def test_absence_proves_nothing_before_the_grace_is_over() -> None:
    [found] = matched([intent(1, UNKNOWN)], late=False).findings
    assert isinstance(found, StillUnknown)
    assert not found.alarming


def test_absence_after_the_grace_settles_as_not_bought() -> None:
    assert kinds_of(matched([intent(1, UNKNOWN)])) == [SettledNotBought]


def test_a_purchase_that_the_provider_named_is_held_for_a_person_however_long() -> None:
    [found] = matched([intent(1, UNKNOWN, commitment="c1")]).findings
    assert isinstance(found, StillUnknown)
    assert found.alarming


def test_a_payment_that_failed_settles_the_unknown_as_not_bought() -> None:
    item = listed(1, intent="i1", state=CommitmentState.FAILED)
    assert kinds_of(matched([intent(1, UNKNOWN)], [item])) == [SettledNotBought]


def test_a_refused_purchase_that_is_listed_after_all_raises_an_alarm() -> None:
    [found] = matched([intent(1, REFUSED)], [listed(1, intent="i1")]).findings
    assert isinstance(found, SettledBought)
    assert found.alarming


def test_one_intent_with_two_commitments_is_a_duplicate() -> None:
    bought = intent(1, BOUGHT, commitment="c1")
    items = [listed(1, intent="i1"), listed(2, intent="i1")]
    first = matched([bought], items)
    assert [type(one) for one in first.findings] == [Duplicate, Confirmed]
    again = matched([bought], items, [mirrored(item) for item in items])
    [still] = again.findings
    assert isinstance(still, Duplicate)
    assert not still.is_new


def test_a_yes_is_confirmed_once_when_it_is_first_listed() -> None:
    bought, item = intent(1, BOUGHT, commitment="c1"), listed(1)
    assert kinds_of(matched([bought], [item])) == [Confirmed]
    assert kinds_of(matched([bought], [item], [mirrored(item)])) == []


def test_a_yes_that_is_never_listed_raises_an_alarm_after_the_grace() -> None:
    bought = intent(1, BOUGHT, commitment="c1")
    assert kinds_of(matched([bought], late=False)) == []
    [found] = matched([bought]).findings
    assert isinstance(found, NeverListed)
    assert found.alarming


@pytest.mark.parametrize(
    ("was", "now", "alarming"),
    [
        (CommitmentState.PAYMENT_PENDING, CommitmentState.ACTIVE, False),
        (CommitmentState.QUEUED, CommitmentState.ACTIVE, False),
        (CommitmentState.PAYMENT_PENDING, CommitmentState.FAILED, True),
        (CommitmentState.ACTIVE, CommitmentState.RETURNED, False),
    ],
)
def test_a_changed_state_is_told_and_a_failed_payment_alarms(
    was: CommitmentState, now: CommitmentState, *, alarming: bool
) -> None:
    before = mirrored(listed(1, state=was))
    [found] = matched(inventory=[listed(1, state=now)], known=[before]).findings
    assert isinstance(found, Changed)
    assert (found.was, found.alarming) == (was, alarming)


def test_what_others_bought_is_adopted_quietly_at_first_and_told_later() -> None:
    [first] = matched(inventory=[listed(1)]).findings
    assert isinstance(first, External)
    assert not first.alarming
    known = [mirrored(listed(1))]
    [later] = matched(inventory=[listed(1), listed(2)], known=known).findings
    assert isinstance(later, External)
    assert later.alarming


def test_what_vanishes_before_its_end_alarms_once() -> None:
    assert kinds_of(matched(known=[mirrored(listed(1))])) == [Vanished]
    assert kinds_of(matched(known=[mirrored(listed(1), vanished=True)])) == []


def test_what_ended_may_leave_the_listing() -> None:
    over = listed(1, start=START - timedelta(days=400))
    assert kinds_of(matched(known=[mirrored(over)])) == []


def test_what_was_tied_to_an_intent_stays_so_when_the_tag_is_gone() -> None:
    known = mirrored(listed(1, intent="i1"))
    bought = intent(1, BOUGHT, commitment="c1")
    assert matched([bought], [listed(1)], [known]).owner == {"c1": "i1"}


def test_a_purchase_that_is_being_made_is_left_to_whoever_makes_it() -> None:
    result = matched([intent(1, IntentState.CALLING)], [listed(1, intent="i1")], fence=1)
    assert result.findings == ()
    assert result.owner == {"c1": "i1"}


@given(
    st.lists(st.sampled_from(list(IntentState)), max_size=4),
    st.lists(
        st.tuples(st.sampled_from([None, "i0", "i1", "i2", "else"]), st.integers(0, 3)),
        max_size=5,
    ),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_the_order_of_listings_changes_nothing_and_no_commitment_serves_two_intents(
    states: list[IntentState],
    items: list[tuple[str | None, int]],
    shuffle: object,
    tagged: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    intents = [intent(number, state) for number, state in enumerate(states)]
    inventory = [listed(number, intent=tag, like=like) for number, (tag, like) in enumerate(items)]
    rule = native if tagged else lookup
    result = matched(intents, inventory, idempotency=rule)
    mixed = list(inventory)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    assert matched(intents, mixed, idempotency=rule) == result
    settled = [one for one in result.findings if isinstance(one, SettledBought)]
    named = [one.item.commitment.commitment for one in settled]
    assert len(named) == len(set(named))
    for one in settled:
        assert result.owner[one.item.commitment.commitment] == one.intent.order.intent


OTHER = AccountId("222222222222")


def test_absence_from_another_accounts_inventory_proves_nothing() -> None:
    open_one = intent(1, UNKNOWN)
    [here] = matched([open_one]).findings
    [elsewhere] = matched([open_one], account=OTHER).findings
    assert isinstance(here, SettledNotBought)
    assert isinstance(elsewhere, StillUnknown)
    assert elsewhere.alarming


def test_what_is_owned_in_one_account_does_not_vanish_when_another_is_read() -> None:
    owned = mirrored(listed(7))
    assert kinds_of(matched(known=[owned])) == [Vanished]
    assert kinds_of(matched(known=[owned], account=OTHER)) == []
    assert kinds_of(matched([intent(1, BOUGHT, commitment="c7")], account=OTHER)) == []
