"""The database decides what is due: nothing runs twice, nothing is left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from service.domain.errors import LeaseLostError
from service.store import due
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.states import RunState
from tests.purchase.world import let_lease_run_out, take_lease

HOUR = timedelta(hours=1)
NOW = datetime(2026, 3, 2, 12, 20, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def instants(engine: Engine, lease: Lease, now: datetime = NOW) -> tuple[datetime, ...]:
    with reading(engine) as connection:
        return due.due_instants(connection, schedule="job", every=HOUR, now=now, lease=lease)


def claim(engine: Engine, lease: Lease, at: datetime = NOON) -> due.Run | None:
    with writing(engine) as connection:
        return due.claim(connection, schedule="job", due_at=at, lease=lease, now=NOW)


def finish(engine: Engine, run: due.Run, lease: Lease) -> None:
    with writing(engine) as connection:
        due.finish(connection, run, state=RunState.DONE, lease=lease, now=NOW)


def test_a_fresh_database_owes_the_newest_instant_only(engine: Engine) -> None:
    assert instants(engine, take_lease(engine, "a")) == (NOON,)


def test_a_run_is_claimed_once_and_its_id_is_its_scheduled_time(engine: Engine) -> None:
    lease = take_lease(engine, "a")
    run = claim(engine, lease)
    assert run is not None
    assert run.run == "job@2026-03-02T12:00:00Z"
    assert claim(engine, lease) is None
    assert instants(engine, lease) == ()
    finish(engine, run, lease)
    assert claim(engine, lease) is None


def test_every_instant_missed_while_nobody_ran_is_due_oldest_first(engine: Engine) -> None:
    lease = take_lease(engine, "a")
    run = claim(engine, lease)
    assert run is not None
    finish(engine, run, lease)
    later = instants(engine, lease, NOW + 3 * HOUR)
    assert later == (NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR)


def test_a_clock_that_was_years_ahead_does_not_silence_the_schedule(engine: Engine) -> None:
    lease = take_lease(engine, "a")
    ahead = claim(engine, lease, NOON + 1_000 * HOUR)
    assert ahead is not None
    finish(engine, ahead, lease)
    run = claim(engine, lease)
    assert run is not None
    finish(engine, run, lease)
    assert instants(engine, lease) == ()
    assert instants(engine, lease, NOW + HOUR) == (NOON + HOUR,)


def test_a_run_whose_holder_died_is_handed_over_once(engine: Engine) -> None:
    first = take_lease(engine, "a")
    run = claim(engine, first)
    assert run is not None
    let_lease_run_out(engine)
    second = take_lease(engine, "b")
    assert instants(engine, second) == (NOON,)
    taken = claim(engine, second)
    assert taken is not None
    assert (taken.run, taken.attempts) == (run.run, 2)
    assert claim(engine, second) is None
    with pytest.raises(LeaseLostError):
        finish(engine, run, first)
    finish(engine, taken, second)
    assert instants(engine, second) == ()


def test_a_replica_without_the_lease_claims_nothing(engine: Engine) -> None:
    first = take_lease(engine, "a")
    let_lease_run_out(engine)
    take_lease(engine, "b")
    with pytest.raises(LeaseLostError):
        claim(engine, first)


def test_a_weekly_grid_can_be_shifted(engine: Engine) -> None:
    lease = take_lease(engine, "a")
    with reading(engine) as connection:
        [monday] = due.due_instants(
            connection,
            schedule="cycle",
            every=timedelta(days=7),
            offset=timedelta(days=4, hours=6),
            now=NOW,
            lease=lease,
        )
    assert (monday.weekday(), monday.hour) == (0, 6)
    assert NOW - timedelta(days=7) < monday <= NOW
