"""The ledger is append-only, without gaps, and shows when somebody has been at it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, delete, update

from service.domain.errors import InvariantError
from service.domain.ids import IntentId
from service.observe.events import HaltSet, PurchaseCalled
from service.store import ledger
from service.store.engine import reading, snapshot, writing
from service.store.schema import events, ledger_head

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def append(engine: Engine, number: int) -> int:
    with writing(engine) as connection:
        return ledger.append(
            connection, PurchaseCalled(intent=IntentId(f"i{number}"), fence=number), now=NOW
        )


def test_events_are_numbered_from_one_and_read_in_order(engine: Engine) -> None:
    assert [append(engine, number) for number in range(3)] == [1, 2, 3]
    with reading(engine) as connection:
        page = ledger.read(connection, after=1, limit=1)
        assert [event.payload["intent"] for event in page] == ["i1"]
        assert [event.sequence for event in ledger.latest(connection, limit=2)] == [3, 2]
        assert ledger.holds(connection, "purchase.called", intent="i2")
        assert not ledger.holds(connection, "purchase.called", intent="i3")
        assert ledger.verify(connection) == 3


def test_an_event_that_is_rolled_back_leaves_no_gap(engine: Engine) -> None:
    append(engine, 1)
    with engine.connect() as connection:
        ledger.append(connection, HaltSet(by="ops", reason="x"), now=NOW)
        connection.rollback()
    assert append(engine, 2) == 2


def test_writers_at_the_same_time_get_one_chain(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as threads:
        numbers = sorted(threads.map(lambda number: append(engine, number), range(24)))
    assert numbers == list(range(1, 25))
    with reading(engine) as connection:
        assert ledger.verify(connection) == 24


@pytest.mark.parametrize("harm", ["changed", "removed", "cut off", "re-dated"])
def test_verification_notices_what_was_done_to_a_row(engine: Engine, harm: str) -> None:
    for number in range(4):
        append(engine, number)
    second = events.c.sequence == 2
    with writing(engine) as connection:
        if harm == "changed":
            forged = {"intent": "i1", "fence": 9}
            connection.execute(update(events).where(second).values(payload=forged))
        elif harm == "removed":
            connection.execute(delete(events).where(second))
        elif harm == "cut off":
            connection.execute(delete(events).where(events.c.sequence == 4))
        else:
            earlier = datetime(2026, 3, 1, tzinfo=UTC)
            connection.execute(update(events).where(second).values(happened_at=earlier))
    with reading(engine) as connection, pytest.raises(InvariantError, match="ledger"):
        ledger.verify(connection)


def test_an_empty_ledger_is_sound(engine: Engine) -> None:
    with reading(engine) as connection:
        assert ledger.verify(connection) == 0
        assert connection.execute(ledger_head.select()).all() == []


def test_a_ledger_that_grows_while_it_is_verified_is_still_whole(engine: Engine) -> None:
    append(engine, 1)
    with snapshot(engine) as connection:
        assert ledger.verify(connection) == 1
        append(engine, 2)
        assert ledger.verify(connection) == 1
    with snapshot(engine) as connection:
        assert ledger.verify(connection) == 2
