"""The room under the caps that is shown is the room that the guard leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, delete, update

from service.api.status_caps import used
from service.domain.commitments import CommitmentState
from service.domain.hours import HOUR
from service.domain.ids import CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion
from service.domain.purchases import IntentState
from service.guard.caps import total
from service.guard.caps import used as used_by_guard
from service.guard.context import spent_so_far
from service.guard.policy import load_policy
from service.store import holdings
from service.store.codec import to_document
from service.store.engine import reading, writing
from service.store.intents import COUNTED, list_intents
from service.store.schema import commitments, intents
from tests.api.world import POLICY, World, add_purchase, listed, make_world


def agree(world: World) -> None:
    now = world.clock.now()
    with reading(world.engine) as connection:
        spent = spent_so_far(
            list_intents(connection, states=COUNTED),
            holdings.inventory(connection),
            now=now,
            run=None,
        )
        shown = used(connection, now)
    guard = {
        span: amounts
        for span, _, amounts in used_by_guard(load_policy(POLICY).caps, spent, now=now)
    }
    assert guard["day"] == shown.day
    assert guard["total"] == shown.total


@pytest.mark.parametrize("hours", [0, 23, 25, 8759, 8761, 8833])
def test_sums_of_the_database_are_those_of_the_guard(engine: Engine, hours: int) -> None:
    world = make_world(engine)
    for number, state in enumerate((IntentState.BOUGHT, IntentState.UNKNOWN, IntentState.REFUSED)):
        add_purchase(world, number, state=state)
    now = world.clock.now()
    outside = listed(None, CommitmentId("sp-outside"), now)
    ended = replace(
        outside,
        commitment=replace(
            outside.commitment,
            commitment=CommitmentId("sp-returned"),
            state=CommitmentState.RETURNED,
        ),
    )
    renews = replace(
        outside,
        commitment=replace(outside.commitment, commitment=CommitmentId("sp-renews")),
        renews=True,
    )
    twins = [listed(IntentId("i-1"), CommitmentId(f"sp-twin-{n}"), now) for n in (1, 2)]
    with writing(engine) as connection:
        for item in (outside, ended, renews, *twins):
            holdings.keep(connection, "aws", item, now=now)
    agree(world)
    world.clock.instant += timedelta(hours=hours)
    agree(world)


@pytest.mark.parametrize("more_usd_per_hour", ["0.5", "-0.5"])
def test_what_is_listed_at_another_amount_counts_at_the_dearer(
    engine: Engine, more_usd_per_hour: str
) -> None:
    world = make_world(engine)
    identity = add_purchase(world, 6)
    now = world.clock.now()
    item = listed(identity, CommitmentId("sp-00000006"), now)
    amount = Decimal(item.commit_usd_per_hour) + Decimal(more_usd_per_hour)
    dearer = replace(item, commit_usd_per_hour=CommitUsdPerHour(amount), upfront_usd=Decimal(7))
    with writing(engine) as connection:
        holdings.keep(connection, "aws", dearer, now=now)
        shown = used(connection, now)
    agree(world)
    assert shown.total.commit_usd_per_hour >= max(amount, item.commit_usd_per_hour)
    assert shown.total.upfront_usd >= 7


@pytest.mark.parametrize("state", [IntentState.BOUGHT, IntentState.UNKNOWN])
@pytest.mark.parametrize("part_usd_per_hour", ["0.25", "0.75"])
def test_what_is_listed_apart_counts_once_and_at_the_dearer_sum(
    engine: Engine, state: IntentState, part_usd_per_hour: str
) -> None:
    world = make_world(engine)
    identity = add_purchase(world, 6, state=state)
    now = world.clock.now()
    whole = replace(
        listed(identity, CommitmentId("sp-00000006"), now),
        commit_usd_per_hour=CommitUsdPerHour(Decimal(1)),
        reference="one purchase",
    )
    part = replace(
        whole,
        commitment=replace(
            whole.commitment,
            commitment=CommitmentId("sp-00000006/memory"),
            offering=OfferingId("memory"),
        ),
        commit_usd_per_hour=CommitUsdPerHour(Decimal(part_usd_per_hour)),
    )
    with writing(engine) as connection:
        (one,) = list_intents(connection)
        beside = Companion(
            OfferingId("memory"), Decimal(1), CommitUsdPerHour(Decimal("0.25")), "GB"
        )
        line = to_document(replace(one.line, companion=beside))
        connection.execute(update(intents).values(line=line))
        for item in (part, whole):
            holdings.keep(connection, "aws", item, now=now)
        shown = used(connection, now)
    agree(world)
    known = state is IntentState.BOUGHT and part_usd_per_hour == "0.75"
    assert shown.total.commit_usd_per_hour == Decimal("1.75" if known else "1.25")


def test_a_term_that_was_lengthened_is_owed_for_all_of_it(engine: Engine) -> None:
    world = make_world(engine)
    identity = add_purchase(world, 6)
    now = world.clock.now()
    item = replace(listed(identity, CommitmentId("sp-00000006"), now), term_months=36)
    with writing(engine) as connection:
        holdings.keep(connection, "aws", item, now=now)
        shown = used(connection, now)
    agree(world)
    assert shown.total.obligation_usd == Decimal("1.25") * 26_280


def test_of_two_with_one_tag_the_same_one_counts_beside_whichever_was_seen_first(
    engine: Engine,
) -> None:
    world = make_world(engine)
    identity = add_purchase(world, 1, state=IntentState.UNKNOWN)
    now = world.clock.now()
    for name, usd_per_hour, seen_at in (("b", "0.5", now), ("a", "0.25", now + HOUR)):
        item = listed(identity, CommitmentId(f"sp-twin-{name}"), now)
        item = replace(item, commit_usd_per_hour=CommitUsdPerHour(Decimal(usd_per_hour)))
        with writing(engine) as connection:
            holdings.keep(connection, "aws", item, now=seen_at)
    agree(world)


def test_a_commitment_that_vanished_counts_through_its_intent(engine: Engine) -> None:
    world = make_world(engine)
    add_purchase(world, 7)
    with writing(engine) as connection:
        connection.execute(update(commitments).values(vanished_at=world.clock.now()))
    agree(world)


def test_an_intent_of_before_terms_were_kept_counts_as_the_longest(engine: Engine) -> None:
    world = make_world(engine)
    add_purchase(world, 8)
    with writing(engine) as connection:
        connection.execute(update(intents).values(term_months=None))
    with reading(engine) as connection:
        shown = used(connection, world.clock.now())
    assert shown.total.obligation_usd >= 10_950
    assert total(()) != shown.total


@pytest.mark.parametrize(
    ("state", "called", "in_day"),
    [
        (IntentState.RECORDED, None, True),
        (IntentState.BOUGHT, -HOUR, True),
        (IntentState.BOUGHT, -29 * HOUR, False),
        (IntentState.BOUGHT, None, True),
    ],
)
def test_a_purchase_counts_on_the_day_of_its_call(
    engine: Engine, state: IntentState, called: timedelta | None, *, in_day: bool
) -> None:
    world = make_world(engine)
    add_purchase(world, 1)
    now = world.clock.now()
    moved = {
        "state": state.value,
        "recorded_at": now - 30 * HOUR,
        "called_at": None if called is None else now + called,
        "updated_at": now - (30 if state is IntentState.RECORDED else 1) * HOUR,
    }
    with writing(engine) as connection:
        connection.execute(delete(commitments))
        connection.execute(update(intents).values(**moved))
        shown = used(connection, now)
    agree(world)
    assert (shown.day != total(())) == in_day
