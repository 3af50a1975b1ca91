from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, event, select

from service.domain.errors import RefusedError
from service.domain.hours import iso
from service.scheduler import SUPERSEDED, Bell, Executor, Job
from service.store import due
from service.store.engine import reading
from service.store.lease import Lease
from service.store.schema import job_runs

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
WEEK = timedelta(days=7)
SIX = timedelta(days=4, hours=6)  # 1970-01-05 was a Monday


class SetClock:
    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at


class Worker:
    """Counts what was run, and may refuse or be unready."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.reason: str | None = None
        self.refuses = False

    def work(self, run: due.Run, lease: Lease) -> str:
        assert lease.fence > 0
        self.ran.append(run.run)
        if self.refuses:
            raise RefusedError(rule="data_age", detail="60 h is older than 48 h")
        return "did it"

    def waits(self) -> str | None:
        return self.reason

    @property
    def job(self) -> Job:
        return Job("cycle", WEEK, SIX, self.work, self.waits)


def executor(
    engine: Engine,
    clock: SetClock,
    worker: Worker,
    holder: str = "one",
    jobs: Sequence[Job] | None = None,
) -> Executor:
    return Executor(
        engine=engine,
        clock=clock,
        holder=holder,
        lifetime=timedelta(seconds=60),
        jobs=[worker.job] if jobs is None else jobs,
        on_acquired=lambda _lease: None,
    )


def states(engine: Engine) -> dict[str, str]:
    with reading(engine) as connection:
        rows = connection.execute(select(job_runs.c.run_id, job_runs.c.state)).all()
    return {row[0]: row[1] for row in rows}


def test_a_run_is_named_by_its_scheduled_instant_and_done_once(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY + timedelta(hours=5)), Worker()
    ours = executor(engine, clock, worker)
    assert [ours.ring("cycle") for _ in range(3)] == [1, 0, 0]
    assert worker.ran == [f"cycle@{iso(MONDAY)}"]


def test_a_restart_neither_skips_nor_repeats(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    first = executor(engine, clock, worker)
    first.ring("cycle")
    first.release()
    second = executor(engine, clock, worker, holder="two")
    assert second.ring("cycle") == 0
    clock.at = MONDAY + WEEK
    assert second.ring("cycle") == 1
    assert worker.ran == [f"cycle@{iso(MONDAY)}", f"cycle@{iso(MONDAY + WEEK)}"]


def test_instants_that_passed_while_nobody_ran_are_superseded_by_the_newest(
    engine: Engine,
) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    ours = executor(engine, clock, worker)
    ours.ring("cycle")
    clock.at = MONDAY + 3 * WEEK
    assert ours.ring("cycle") == 1
    assert worker.ran[1:] == [f"cycle@{iso(MONDAY + 3 * WEEK)}"]
    with reading(engine) as connection:
        details = connection.execute(
            select(job_runs.c.detail).order_by(job_runs.c.due_at)
        ).scalars()
        assert list(details) == ["did it", SUPERSEDED, SUPERSEDED, "did it"]


def test_a_week_of_minutes_in_which_nobody_ran_is_written_down_at_once(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    job = Job("alerts", timedelta(minutes=5), timedelta(0), worker.work)
    ours = executor(engine, clock, worker, jobs=[job])
    ours.ring("alerts")
    clock.at = MONDAY + WEEK
    begun: list[object] = []
    event.listen(engine, "begin", begun.append)
    assert ours.ring("alerts") == 1
    assert len(begun) < 10
    assert list(states(engine).values()) == ["done"] * (7 * 24 * 12 + 1)


def test_a_run_that_failed_is_ended_once_a_newer_one_stands_for_it(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    ours = executor(engine, clock, worker)
    worker.refuses = True
    ours.ring("cycle")
    worker.refuses = False
    clock.at = MONDAY + 2 * WEEK
    assert ours.ring("cycle") == 1
    assert worker.ran == [f"cycle@{iso(MONDAY)}", f"cycle@{iso(MONDAY + 2 * WEEK)}"]
    assert list(states(engine).values()) == ["done"] * 3


def test_only_the_holder_of_the_lease_runs_anything(engine: Engine) -> None:
    clock = SetClock(MONDAY)
    ours, theirs = Worker(), Worker()
    first = executor(engine, clock, ours)
    second = executor(engine, clock, theirs, holder="two")
    assert (first.ring("cycle"), second.ring("cycle")) == (1, 0)
    clock.at = MONDAY + WEEK
    first.release()
    assert (second.ring("cycle"), first.ring("cycle")) == (1, 0)


def test_a_job_that_waits_stays_due(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    ours = executor(engine, clock, worker)
    worker.reason = "no usage yet"
    assert ours.ring("cycle") == 0
    worker.reason = None
    assert ours.ring("cycle") == 1


def test_a_refused_run_is_recorded_as_failed_and_does_not_end_the_bell(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    worker.refuses = True
    ours = executor(engine, clock, worker)
    ours.ring("cycle")
    assert states(engine) == {f"cycle@{iso(MONDAY)}": "failed"}
    worker.refuses = False
    clock.at = MONDAY + WEEK
    assert ours.ring("cycle") == 1


def test_a_failed_run_is_tried_again_after_a_while_and_not_for_ever(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    worker.refuses = True
    ours = executor(engine, clock, worker)
    ours.ring("cycle")
    assert ours.ring("cycle") == 0, "not at once"
    for hour in range(24 * 6):
        clock.at = MONDAY + hour * timedelta(hours=1)
        ours.ring("cycle")
    assert worker.ran == [f"cycle@{iso(MONDAY)}"] * due.ATTEMPTS_MAX


def test_a_run_that_failed_once_can_still_end_well(engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    worker.refuses = True
    ours = executor(engine, clock, worker)
    ours.ring("cycle")
    worker.refuses = False
    clock.at += due.RETRY_AFTER
    assert ours.ring("cycle") == 1
    assert states(engine) == {f"cycle@{iso(MONDAY)}": "done"}


def test_a_run_whose_end_could_not_be_written_is_run_again(engine: Engine) -> None:
    clock, ran = SetClock(MONDAY), []

    def work(run: due.Run, _lease: Lease) -> str:
        ran.append(run.attempts)
        if len(ran) == 1:
            rename(engine, "job_runs", "away")
        return "did it"

    ours = Executor(
        engine=engine,
        clock=clock,
        holder="one",
        lifetime=timedelta(seconds=60),
        jobs=[Job("cycle", WEEK, SIX, work)],
        on_acquired=lambda _lease: None,
    )
    assert ours.ring("cycle") == 0
    rename(engine, "away", "job_runs")
    assert [ours.ring("cycle") for _ in range(2)] == [1, 0]
    assert ran == [1, 2]
    assert states(engine) == {f"cycle@{iso(MONDAY)}": "done"}


def rename(engine: Engine, old: str, new: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


def test_a_new_holder_settles_before_it_works(engine: Engine) -> None:
    clock, worker, settled = SetClock(MONDAY), Worker(), []
    ours = Executor(
        engine=engine,
        clock=clock,
        holder="one",
        lifetime=timedelta(seconds=60),
        jobs=[worker.job],
        on_acquired=lambda lease: settled.append((lease.fence, len(worker.ran))),
    )
    ours.ring("cycle")
    clock.at = MONDAY + WEEK
    ours.ring("cycle")
    assert settled == [(1, 0)]


def test_the_bell_runs_what_is_due_at_once_and_stops_cleanly(sqlite_engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    bell = Bell(executor(sqlite_engine, clock, worker), every_seconds=0.05, heartbeat_seconds=0.05)
    bell.start()
    waiting = 0
    while not worker.ran and waiting < 200:
        waiting += 1
        _pause()
    assert bell.stop(within_seconds=5)
    assert worker.ran == [f"cycle@{iso(MONDAY)}"]
    assert set(states(sqlite_engine).values()) == {"done"}


def test_the_bell_begins_in_the_jobs_order_not_by_their_names(sqlite_engine: Engine) -> None:
    clock, worker = SetClock(MONDAY), Worker()
    names = ("reconcile", "ingest", "cycle", "alerts")
    jobs = [Job(name, WEEK, SIX, worker.work) for name in names]
    ringing = Executor(
        engine=sqlite_engine,
        clock=clock,
        holder="bell",
        lifetime=timedelta(seconds=60),
        jobs=jobs,
        on_acquired=lambda _: None,
    )
    bell = Bell(ringing, every_seconds=30, heartbeat_seconds=30)
    bell.start()
    for _ in range(400):
        if len(worker.ran) == len(names):
            break
        _pause()
    assert bell.stop(within_seconds=5)
    assert [run.split("@")[0] for run in worker.ran] == list(names)


def _pause() -> None:
    threading.Event().wait(0.05)
