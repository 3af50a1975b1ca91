"""A cycle that somebody asks for: an event that says who, a run that says what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from service.scheduler import SUPERSEDED, Errand, Executor, Job
from service.store import asked, due, ledger
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.states import RunState

NOW = datetime(2026, 3, 3, 9, tzinfo=UTC)
NEVER = timedelta(days=36_500)


class SetClock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


class Deciding:
    """A job that recurs once in a century, and does what it is asked for."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.ran: list[str] = []
        self.fails = False

    def work(self, run: due.Run, lease: Lease) -> str:
        assert lease.fence > 0
        self.ran.append(run.run)
        if self.fails:
            msg = "no usage"
            raise RuntimeError(msg)
        return "3 lines"

    @property
    def job(self) -> Job:
        errand = Errand(
            asked.schedule_of(self.provider),
            lambda connection, lease, now: asked.open_requests(
                connection, self.provider, lease=lease, now=now
            ),
            self.work,
        )
        return Job(
            f"cycle-{self.provider}",
            NEVER,
            timedelta(0),
            lambda _run, _lease: "on the grid",
            lambda: "there is no usage yet",
            errand,
        )


def executor(engine: Engine, clock: SetClock, *work: Deciding, holder: str = "one") -> Executor:
    return Executor(
        engine=engine,
        clock=clock,
        holder=holder,
        lifetime=timedelta(seconds=60),
        jobs=[one.job for one in work],
        on_acquired=lambda _lease: None,
    )


def ask(engine: Engine, provider: str, at: datetime) -> str:
    with writing(engine) as connection:
        return asked.ask(connection, provider, at=at, actor="command line (ada)")


def ended(engine: Engine, run: str) -> tuple[RunState, str] | None:
    with reading(engine) as connection:
        return asked.ended(connection, run)


def test_what_is_asked_for_runs_once_at_the_next_ring_though_the_job_itself_waits(
    engine: Engine,
) -> None:
    clock, aws, gcp = SetClock(), Deciding("aws"), Deciding("gcp")
    ours = executor(engine, clock, aws, gcp)
    assert ours.ring_all() == 0
    run = ask(engine, "aws", NOW)
    assert ended(engine, run) is None
    assert [ours.ring_all() for _ in range(3)] == [1, 0, 0]
    assert (aws.ran, gcp.ran) == ([run], [])
    assert ended(engine, run) == (RunState.DONE, "3 lines")
    with reading(engine) as connection:
        (event,) = ledger.read(connection, kind="cycle.asked")
    assert (event.actor, event.payload["provider"]) == ("command line (ada)", "aws")


def test_a_failure_is_told_and_not_tried_again(engine: Engine) -> None:
    clock, aws = SetClock(), Deciding("aws")
    aws.fails = True
    ours = executor(engine, clock, aws)
    run = ask(engine, "aws", NOW)
    ours.ring_all()
    assert ended(engine, run) == (RunState.FAILED, "RuntimeError: no usage")
    clock.at += timedelta(minutes=30)
    ours.ring_all()
    assert aws.ran == [run]


def test_of_several_requests_the_newest_stands_for_all(sqlite_engine: Engine) -> None:
    clock, aws = SetClock(), Deciding("aws")
    first = ask(sqlite_engine, "aws", NOW - timedelta(minutes=2))
    second = ask(sqlite_engine, "aws", NOW)
    executor(sqlite_engine, clock, aws).ring_all()
    assert aws.ran == [second]
    assert ended(sqlite_engine, first) == (RunState.DONE, SUPERSEDED)


@pytest.mark.parametrize("off", [-asked.GOOD_FOR - timedelta(seconds=1), timedelta(minutes=1)])
def test_a_request_from_long_ago_or_from_a_clock_ahead_is_nobodys(
    sqlite_engine: Engine, off: timedelta
) -> None:
    aws = Deciding("aws")
    ask(sqlite_engine, "aws", NOW + off)
    assert executor(sqlite_engine, SetClock(), aws).ring_all() == 0
    assert aws.ran == []


def test_a_request_that_an_executor_died_in_is_the_next_ones(sqlite_engine: Engine) -> None:
    clock, aws = SetClock(), Deciding("aws")
    run = ask(sqlite_engine, "aws", NOW)
    dead = executor(sqlite_engine, clock, holder="dead")
    lease = dead.heartbeat()
    assert lease is not None
    with writing(sqlite_engine) as connection:
        due.claim(connection, schedule="manual-aws", due_at=NOW, lease=lease, now=NOW)
    dead.release()
    assert executor(sqlite_engine, clock, aws, holder="next").ring_all() == 1
    assert ended(sqlite_engine, run) == (RunState.DONE, "3 lines")
