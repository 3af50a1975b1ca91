"""A term that renewed is owned once: on until its next one is listed, and not beside that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.commitments import CommitmentState
from service.domain.ids import AccountId, CommitmentId, IntentId, OfferingId
from service.domain.purchases import RENEWAL_SHOWN_WITHIN, InventoryItem, owned_until
from service.observe.events import ReconcileMatched
from service.store import holdings, ledger
from service.store.engine import reading, writing
from tests.api.world import add_purchase, listed, make_world
from tests.purchase.shop import Shop

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ENDED = NOW - timedelta(hours=12)
TERM = timedelta(days=365)


def term(name: str, start: datetime, **of: object) -> InventoryItem:
    item = listed(None, CommitmentId(name), NOW)
    return replace(
        item,
        commitment=replace(
            item.commitment,
            **{"start": start, "end": start + TERM, **of},  # type: ignore[arg-type]
        ),
    )


def old(name: str = "old") -> InventoryItem:
    """A term that is over and renewed, as Azure lists it."""
    return replace(term(name, ENDED - TERM, state=CommitmentState.RETIRED), renews=True)


def following(name: str = "next") -> InventoryItem:
    return term(name, ENDED)


def of_commitment(**of: object) -> Callable[[InventoryItem], InventoryItem]:
    return lambda item: replace(
        item,
        commitment=replace(item.commitment, **of),  # type: ignore[arg-type]
    )


def owned(engine: Engine, *items: InventoryItem) -> set[str]:
    with writing(engine) as connection:
        for item in items:
            holdings.keep(connection, "aws", item, now=NOW)
        owed = holdings.owed(connection, now=NOW)
    return {
        str(one.commitment.commitment)
        for one in owed
        if one.commitment.state.is_owned and owned_until(one) > NOW
    }


def test_a_term_ends_once_its_next_one_is_listed(engine: Engine) -> None:
    assert owned(engine, old()) == {"old"}
    assert owned(engine, following()) == {"next"}


def test_one_next_term_stands_for_one_term(engine: Engine) -> None:
    assert owned(engine, old("old-a"), old("old-b"), following()) == {"old-b", "next"}
    assert owned(engine, following("next-b")) == {"next", "next-b"}


@pytest.mark.parametrize(
    "other",
    [
        of_commitment(account=AccountId("999999999999")),
        of_commitment(offering=OfferingId("another")),
        of_commitment(scope=frozenset({AccountId("999999999999")})),
        of_commitment(quantity=Decimal("0.01")),
        of_commitment(start=ENDED - timedelta(days=2)),
        of_commitment(start=ENDED + timedelta(days=2)),
        of_commitment(state=CommitmentState.RETURNED),
    ],
)
def test_what_is_not_its_next_term_ends_none(
    engine: Engine, other: Callable[[InventoryItem], InventoryItem]
) -> None:
    assert "old" in owned(engine, old(), other(following()))


def test_another_purchase_of_ours_is_not_its_next_term(engine: Engine) -> None:
    world = make_world(engine)
    world.clock.instant = ENDED
    add_purchase(world, 7)
    assert owned(engine, old()) == {"old", "sp-00000007"}


def test_what_an_exchange_of_ours_made_is_not_its_next_term(engine: Engine) -> None:
    made = following("made")
    with writing(engine) as connection:
        holdings.keep(connection, "aws", made, now=NOW)
        holdings.tie(connection, "aws", [made.commitment.commitment], to=IntentId("exchange"))
    assert owned(engine, old()) == {"old", "made"}


def test_a_reading_dated_by_a_clock_that_was_ahead_ends_no_term(engine: Engine) -> None:
    gone, ahead = term("gone", ENDED - 2 * TERM), NOW + RENEWAL_SHOWN_WITHIN
    with writing(engine) as connection:
        holdings.keep(connection, "aws", gone, now=ahead)
        event = ReconcileMatched("aws", 0, 0, gone.commitment.account, ahead, 1)
        ledger.append(connection, event, now=ahead)
    assert owned(engine, old()) == {"old"}
    with writing(engine) as connection:
        assert "old" not in {
            str(one.commitment.commitment)
            for one in holdings.owed(connection, now=ahead)
            if one.commitment.state.is_owned
        }


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Shop:
    return Shop(engine, tmp_path)


def test_a_listing_of_nothing_ends_a_term_that_was_to_renew(shop: Shop) -> None:
    shop.cloud.renewing.add(shop.owned)
    shop.read()
    shop.clock.pass_time(TERM + timedelta(hours=1))
    shop.cloud.forget(shop.owned)
    shop.read()

    def lasts() -> list[bool]:
        with reading(shop.engine) as connection:
            owed = holdings.owed(connection, now=shop.clock.now())
        return [owned_until(one) > shop.clock.now() for one in owed]

    assert lasts() == [True]
    shop.clock.pass_time(RENEWAL_SHOWN_WITHIN)
    assert lasts() == [True], "nothing was read since"
    shop.read()
    assert not any(lasts())
