"""What was promised stands on what the store says has become of each purchase."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationState,
)
from service.domain.commitments import CommitmentState, Kind
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import IntentState, InventoryItem
from service.operate.reporting import promises_now
from service.report.promise import Promise
from service.store import alterations, holdings, intents
from service.store.engine import reading, writing
from tests.api.world import NOW, World, a_line, add_purchase, listed, make_world

TERM = timedelta(days=365)
OLD_TERM = "sp-00000004"
PROMISED_USD_PER_HOUR = a_line().expected_savings_usd_per_hour


@pytest.fixture
def world(engine: Engine) -> World:
    """Five purchases of one promise each, ``sp-00000001`` to ``sp-00000005``."""
    made = make_world(engine)
    for number in range(1, 6):
        add_purchase(made, number)
    return made


def item(name: str, *, commit: str = "1", **of: object) -> InventoryItem:
    found = listed(None, CommitmentId(name), NOW)
    return replace(
        found,
        commit_usd_per_hour=CommitUsdPerHour(Decimal(commit)),
        commitment=replace(found.commitment, **of),  # type: ignore[arg-type]
    )


def alter(
    world: World,
    kind: AlterationKind,
    sources: str,
    made: tuple[InventoryItem, ...] = (),
    *,
    tied: tuple[InventoryItem, ...] = (),
    done_at: datetime = NOW,
    asked_at: datetime = NOW,
    state: AlterationState = AlterationState.ALTERED,
    provider: str = "aws",
) -> None:
    """Store an alteration, ``made`` named by the provider's answer, ``tied`` by a reading."""
    given = tuple(CommitmentId(one) for one in sources.split())
    name = IntentId(f"{kind.value} of {sources} in {provider} {state.value}")
    order = AlterationOrder(
        intent=name,
        token=ClientToken(name),
        alteration=kind,
        account=a_line().account,
        kind=Kind.AWS_COMPUTE_SP,
        sources=given,
        targets=(),
        most_to_pay_usd=Decimal(0),
    )
    row = Alteration(
        order=order,
        provider=provider,
        state=state,
        run="run-1",
        version=1,
        fence=1,
        pay_usd=Decimal(0),
        refund_usd=Decimal(0),
        asked_at=asked_at,
        expires_at=asked_at + TERM,
        recorded_at=None,
        called_at=None,
        updated_at=done_at,
        decided_by=None,
        reason="",
        detail="",
        made=(),
    )
    with writing(world.engine) as connection:
        alterations.record(connection, row)
        alterations.name_made(connection, name, [one.commitment.commitment for one in made])
        for one in (*made, *tied):
            holdings.keep(connection, "aws", one, now=NOW)
        holdings.tie(connection, "aws", [one.commitment.commitment for one in tied], to=name)
        if state is AlterationState.ALTERED and provider == "aws":
            known = {one.commitment.commitment: one for one in holdings.inventory(connection)}
            for source in given:
                gone = replace(known[source].commitment, state=CommitmentState.RETIRED)
                holdings.keep(connection, "aws", replace(known[source], commitment=gone), now=NOW)


def promised(world: World) -> dict[str, Promise]:
    with reading(world.engine) as connection:
        bought = intents.list_intents(connection, states=(IntentState.BOUGHT,))
        found = promises_now(connection, bought, "aws", NOW)
    assert len({one.commitment for one in found}) == len(found)
    return {str(one.commitment): one for one in found}


def shares(world: World) -> dict[str, Decimal]:
    """By commitment, how many purchases' promises stand on it."""
    return {
        name: one.expected_usd_per_hour / PROMISED_USD_PER_HOUR
        for name, one in promised(world).items()
    }


def untouched(*gone: int) -> dict[str, Decimal]:
    return {f"sp-{number:08d}": Decimal(1) for number in range(1, 6) if number not in gone}


def test_promises_stand_on_what_the_store_says_they_have_become(world: World) -> None:
    a, b, merged = item("a", commit="1"), item("b", commit="3"), item("m", commit="5")
    # Asked for in the other order than done: what happened first moves promises first.
    later = NOW + timedelta(hours=1)
    alter(world, AlterationKind.SPLIT, "sp-00000001", (a,), tied=(b,), asked_at=later)
    alter(world, AlterationKind.MERGE, "b sp-00000002", tied=(merged,), done_at=later)
    assert shares(world) == untouched(1, 2) | {"a": Decimal("0.25"), "m": Decimal("1.75")}
    ends = [promised(world)[name] for name in ("a", "m")]
    line = a_line()
    assert sum(one.low_usd_per_hour for one in ends) == 2 * line.expected_savings_low_usd_per_hour
    assert sum(one.high_usd_per_hour for one in ends) == 2 * line.expected_savings_high_usd_per_hour


def test_a_renewed_purchase_is_promised_on_and_a_term_of_nobody_is_not(world: World) -> None:
    ended = NOW - timedelta(hours=12)
    with writing(world.engine) as connection:
        items = holdings.inventory(connection, provider="aws")
        old = next(one for one in items if one.commitment.commitment == OLD_TERM)
        over = replace(old.commitment, start=ended - TERM, end=ended, state=CommitmentState.RETIRED)
        renewing = replace(old, commitment=over, renews=True)
        strangers = replace(
            renewing,
            intent=None,
            commitment=replace(over, commitment=CommitmentId("theirs"), quantity=Decimal(99)),
        )
        following = (
            item("next", start=ended, end=ended + TERM),
            item("their next", start=ended, end=ended + TERM, quantity=Decimal(99)),
        )
        for one in (renewing, strangers, *following):
            holdings.keep(connection, "aws", one, now=NOW)
    assert shares(world) == untouched() | {"next": Decimal(1)}


def test_an_exchange_leaves_its_promise_on_what_is_gone(world: World) -> None:
    alter(world, AlterationKind.EXCHANGE, "sp-00000005", (item("x"),), tied=(item("y"),))
    assert shares(world) == untouched()


@pytest.mark.parametrize(
    ("state", "provider"),
    [
        (AlterationState.REFUSED, "aws"),
        (AlterationState.UNKNOWN, "aws"),
        (AlterationState.ALTERED, "azure"),
    ],
)
def test_what_was_not_altered_here_moves_no_promise(
    world: World, state: AlterationState, provider: str
) -> None:
    pieces = (item("a"), item("b"))
    alter(world, AlterationKind.SPLIT, "sp-00000001", pieces, state=state, provider=provider)
    assert shares(world) == untouched()
