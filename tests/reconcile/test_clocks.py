"""How long a purchase is waited for does not hang on whose clock says so, nor on a clock set."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from service.domain.hours import Clock
from service.domain.purchases import IntentState, InventoryItem
from service.purchase.desk import Desk
from service.purchase.execute import execute
from service.reconcile.settle import reconcile
from service.settings import Settings
from service.store.clock import ASKED_EVERY, UNASKED_AT_MOST, SharedClock, clock_of, steady_since
from service.store.engine import open_aside, open_engine, reading
from service.store.lease import database_now
from service.wiring import opened
from tests.purchase.cloud import Fault, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    HandClock,
    let_lease_run_out,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
)

GRACE = timedelta(hours=1)
LISTED_AFTER = timedelta(minutes=30)
AHEAD = timedelta(minutes=61)


@dataclass
class Machine:
    """A machine whose clock is ``off`` from the true time."""

    true: HandClock
    off: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.true.now() + self.off

    def elapsed(self) -> timedelta:
        return self.true.now() - START


def read(desk: Desk, cloud: FileCloud) -> None:
    reconcile(
        provider=desk.provider,
        engine=desk.engine,
        reader=cloud,
        buyer=cloud,
        clock=desk.clock,
        held=desk.lease,
        grace=GRACE,
    )


def times_out(engine: Engine, cloud: FileCloud, clock: Clock) -> Desk:
    """The desk of a process whose purchase took effect, was not answered, and is not listed yet."""
    store_plan(engine, make_line(1))
    cloud.fault = Fault.TIMEOUT_AFTER
    desk = replace(open_desk(engine, cloud, take_lease(engine, "a"), HandClock()), clock=clock)
    execute(desk, line=make_line(1), plan=PLAN, cycle=CYCLE)
    return desk


def test_a_replica_whose_clock_is_ahead_waits_as_long_as_the_one_that_bought(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    true = HandClock()
    cloud = FileCloud(tmp_path / "cloud.db", true, lag=LISTED_AFTER)
    right, wrong = Machine(true), Machine(true, off=AHEAD)
    ours = SharedClock(true.now, machine=right.now, elapsed=right.elapsed)
    first = times_out(sqlite_engine, cloud, ours)
    let_lease_run_out(sqlite_engine)
    true.pass_time(timedelta(minutes=1))
    theirs = SharedClock(true.now, machine=wrong.now, elapsed=wrong.elapsed)
    second = replace(first, lease=take_lease(sqlite_engine, "b"), clock=theirs)
    read(second, cloud)
    assert states(sqlite_engine) == [IntentState.UNKNOWN]
    true.pass_time(LISTED_AFTER)
    read(second, cloud)
    assert states(sqlite_engine) == [IntentState.BOUGHT]


@pytest.mark.parametrize("by", [AHEAD, -timedelta(minutes=5)])
def test_after_the_machines_clock_was_set_the_grace_period_begins_anew(
    sqlite_engine: Engine, tmp_path: Path, by: timedelta
) -> None:
    true = HandClock()
    cloud = FileCloud(tmp_path / "cloud.db", true, lag=timedelta(days=9))
    machine = Machine(true)
    clock = SharedClock(None, machine=machine.now, elapsed=machine.elapsed)
    desk = times_out(sqlite_engine, cloud, clock)
    true.pass_time(timedelta(minutes=10))
    assert steady_since(clock) is None
    machine.off = by
    for _ in range(2):
        read(desk, cloud)
        assert states(sqlite_engine) == [IntentState.UNKNOWN]
        assert steady_since(clock) is not None
        true.pass_time(GRACE / 2)
    true.pass_time(timedelta(minutes=10))
    read(desk, cloud)
    assert states(sqlite_engine) == [IntentState.REFUSED]


def set_long_ago(true: HandClock) -> tuple[Machine, SharedClock]:
    """A machine whose clock was set five hours ago, when the service had begun already."""
    machine = Machine(true)
    clock = SharedClock(None, machine=machine.now, elapsed=machine.elapsed)
    clock.now()
    machine.off = timedelta(minutes=1)
    assert steady_since(clock) is not None
    true.pass_time(timedelta(hours=5))
    return machine, clock


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(minutes=5)])
def test_a_correction_right_after_a_lost_answer_writes_no_purchase_off(
    sqlite_engine: Engine, tmp_path: Path, back: timedelta
) -> None:
    true = HandClock()
    machine, clock = set_long_ago(true)
    cloud = FileCloud(tmp_path / "cloud.db", true, lag=LISTED_AFTER)
    desk = times_out(sqlite_engine, cloud, clock)
    machine.off -= back
    read(desk, cloud)
    assert states(sqlite_engine) == [IntentState.UNKNOWN]
    true.pass_time(LISTED_AFTER)
    read(desk, cloud)
    assert states(sqlite_engine) == [IntentState.BOUGHT]
    assert len(list(cloud.inventory())) == 1


def test_an_answer_lost_while_another_replica_reads_is_waited_for(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    true = HandClock()
    _, clock = set_long_ago(true)
    cloud = FileCloud(tmp_path / "cloud.db", true, lag=LISTED_AFTER)

    class Slow(FileCloud):
        """Its listing is under way when the other replica's call times out."""

        def inventory(self) -> Sequence[InventoryItem]:
            found = cloud.inventory()
            true.pass_time(timedelta(minutes=2))
            desks.append(times_out(sqlite_engine, cloud, clock))
            return found

    desks: list[Desk] = []
    slow = Slow(tmp_path / "cloud.db", true)
    held = take_lease(sqlite_engine, "a")
    desk = replace(open_desk(sqlite_engine, slow, held, HandClock()), clock=clock)
    read(desk, slow)
    assert len(desks) == 1
    assert states(sqlite_engine) == [IntentState.UNKNOWN]


@pytest.mark.parametrize("by", [timedelta(minutes=90), -timedelta(hours=6)])
def test_a_reading_during_which_the_clock_is_set_has_waited_for_nothing(
    sqlite_engine: Engine, tmp_path: Path, by: timedelta
) -> None:
    true = HandClock()
    machine, clock = set_long_ago(true)
    cloud = FileCloud(tmp_path / "cloud.db", true, lag=timedelta(days=9))

    class Slow(FileCloud):
        def inventory(self) -> Sequence[InventoryItem]:
            machine.off += by
            clock.now()  # as any thread does meanwhile
            true.pass_time(GRACE + GRACE / 2)
            return cloud.inventory()

    desk = times_out(sqlite_engine, cloud, clock)
    true.pass_time(timedelta(minutes=40))
    read(desk, Slow(tmp_path / "cloud.db", true))
    assert states(sqlite_engine) == [IntentState.UNKNOWN]
    for _ in range(2):
        true.pass_time(GRACE)
        read(desk, cloud)
    assert states(sqlite_engine) == [IntentState.REFUSED]


def test_what_another_replica_dated_by_the_database_set_back_is_waited_for(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    """This one asked for the time a moment before that, and would not ask again for a while."""
    true = HandClock()
    database = Machine(true)
    cloud = FileCloud(tmp_path / "cloud.db", true, lag=LISTED_AFTER)
    ours = SharedClock(database.now, elapsed=database.elapsed)
    ours.now()
    database.off = -timedelta(hours=3)
    theirs = SharedClock(database.now, elapsed=database.elapsed)
    desk = times_out(sqlite_engine, cloud, theirs)
    let_lease_run_out(sqlite_engine)
    read(replace(desk, lease=take_lease(sqlite_engine, "b"), clock=ours), cloud)
    assert states(sqlite_engine) == [IntentState.UNKNOWN]
    since = steady_since(ours)
    assert since is not None
    assert since >= database.now() + UNASKED_AT_MOST  # others may date by what it was until then


def test_a_clock_goes_back_neither_by_a_slow_question_nor_by_a_small_correction() -> None:
    true = HandClock()
    machine = Machine(true)
    slow = [timedelta(seconds=2.9)]

    def ask() -> datetime:
        if slow:
            true.pass_time(slow.pop())
        return true.now()

    def local() -> datetime:
        machine.off -= timedelta(seconds=2)
        return machine.now()

    for shared in (ask, None):
        clock = SharedClock(shared, machine=local, elapsed=machine.elapsed)
        told = [clock.now()]
        for passed in (ASKED_EVERY - timedelta(seconds=2), timedelta(seconds=1)):
            true.pass_time(passed)
            told.append(clock.now())
        assert told == sorted(told)
        assert steady_since(clock) is None


def test_a_clock_set_back_in_small_steps_was_set() -> None:
    true = HandClock()
    machine = Machine(true)
    clock = SharedClock(None, machine=machine.now, elapsed=machine.elapsed)
    clock.now()
    told = []
    for _ in range(2):
        machine.off -= timedelta(seconds=20)
        told.append(clock.now())
    assert told == [START, machine.now()]
    assert steady_since(clock) == machine.now()


def test_a_clock_that_drifts_slowly_was_not_set() -> None:
    true = HandClock()
    machine = Machine(true)
    clock = SharedClock(None, machine=machine.now, elapsed=machine.elapsed)
    for _ in range(100):
        clock.now()
        true.pass_time(timedelta(minutes=1))
        machine.off += timedelta(seconds=1)
    assert clock.stepped_at is None


def test_a_database_that_does_not_answer_is_waited_for_only_so_long() -> None:
    true = HandClock()
    machine = Machine(true, off=AHEAD)
    answers = [START]

    def ask() -> datetime:
        if not answers:
            raise OperationalError("", None, Exception("gone"))
        return answers.pop()

    clock = SharedClock(ask, machine=machine.now, elapsed=machine.elapsed)
    assert clock.now() == START
    true.pass_time(2 * ASKED_EVERY)
    assert clock.now() == true.now()
    true.pass_time(UNASKED_AT_MOST)
    with pytest.raises(OperationalError):
        clock.now()


def test_whoever_has_an_answer_does_not_wait_for_the_next_one() -> None:
    true = HandClock()
    asking: list[datetime] = []

    def ask() -> datetime:
        if clock_told:
            asking.append(clock.now())  # another caller, while the question is open
        return true.now()

    clock_told: list[datetime] = []
    clock = SharedClock(ask, machine=true.now, elapsed=Machine(true).elapsed)
    clock_told.append(clock.now())
    true.pass_time(2 * ASKED_EVERY)
    done = threading.Thread(target=clock.now, daemon=True)
    done.start()
    done.join(timeout=20)
    assert asking == [true.now()]


def test_the_clock_waits_for_no_connection_that_callers_hold() -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:1/nowhere")
    aside = open_aside(engine, answers_within_s=3)
    try:
        assert aside.pool is not engine.pool
        assert isinstance(aside.pool, NullPool)  # nothing to wait for, nothing left open
        assert aside.url == engine.url
    finally:
        aside.dispose()
        engine.dispose()


def test_replicas_of_a_served_database_go_by_its_clock_or_by_none() -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:1/nowhere")
    try:
        with pytest.raises(OperationalError):
            clock_of(engine).now()
    finally:
        engine.dispose()


@pytest.mark.postgres
def test_a_served_databases_clock_is_asked(postgres_database_url: str) -> None:
    engine = open_engine(postgres_database_url)
    try:
        with reading(engine) as connection:
            told = database_now(connection)
        assert abs(clock_of(engine).now() - told) < AHEAD / 2
    finally:
        engine.dispose()


def test_a_running_service_goes_by_the_shared_clock(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'tenor.db'}")
    with opened(settings) as parts:
        assert isinstance(parts.clock, SharedClock)
