"""The database fails at the worst moment: nothing is bought without an intent on disk."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from service.domain.ids import PlanId
from service.domain.plans import Decision
from service.domain.purchases import IntentState
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute
from service.purchase.propose import approve, proposal_id, record_proposals
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.store import migrate
from service.store.engine import open_engine, reading, writing
from tests.postgres_server import NoServerError, OwnServer, own_server
from tests.purchase.cloud import PROVIDER, FileCloud
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
    verdict,
)

LINE = make_line()


def prepare(engine: Engine, tmp_path: Path) -> tuple[Desk, FileCloud]:
    store_plan(engine, LINE)
    clock = HandClock()
    cloud = FileCloud(tmp_path / "cloud.db", clock)
    return open_desk(engine, cloud, take_lease(engine, "a"), clock), cloud


def buy(desk: Desk) -> None:
    execute(desk, line=LINE, plan=PLAN, cycle=CYCLE)


def end_other_sessions(url: str) -> None:
    """What a restart of PostgreSQL does to everybody who is connected."""
    administrator = open_engine(url)
    with administrator.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    administrator.dispose()


@pytest.mark.postgres
def test_a_session_lost_while_the_intent_is_written_buys_nothing(
    postgres_database_url: str, tmp_path: Path
) -> None:
    engine = open_engine(postgres_database_url)
    desk, cloud = prepare(engine, tmp_path)

    asked: list[int] = []

    def digest() -> str:
        asked.append(len(asked))
        if len(asked) == 2:  # once before the transaction, once inside it
            end_other_sessions(postgres_database_url)
        return ""

    with pytest.raises(OperationalError):
        buy(replace(desk, policy_digest=digest))
    assert len(asked) == 2
    assert cloud.calls() == []
    assert states(engine) == []
    buy(desk)
    assert states(engine) == [IntentState.BOUGHT]
    engine.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("step", list(Step))
def test_sessions_lost_between_the_steps_are_opened_again(
    postgres_database_url: str, tmp_path: Path, step: Step
) -> None:
    engine = open_engine(postgres_database_url)
    desk, cloud = prepare(engine, tmp_path)

    def reached(now: Step) -> None:
        if now is step:
            end_other_sessions(postgres_database_url)

    buy(replace(desk, reached=reached))
    assert states(engine) == [IntentState.BOUGHT]
    assert len(cloud.calls()) == 1
    engine.dispose()


@pytest.mark.postgres
def test_a_server_that_crashes_keeps_what_was_committed_and_nothing_is_bought_without_it(
    tmp_path: Path,
) -> None:
    try:
        with own_server() as server:
            engine = open_engine(server.url)
            try:
                crashes(engine, server, tmp_path)
            finally:
                engine.dispose()
    except NoServerError as reason:
        pytest.skip(str(reason))


def crashes(engine: Engine, server: OwnServer, tmp_path: Path) -> None:
    """One purchase through three crashes of the server: before, while, and after it is written."""
    migrate.upgrade(engine)
    desk, cloud = prepare(engine, tmp_path)
    asked: list[int] = []

    def digest() -> str:
        asked.append(len(asked))
        if len(asked) == 2:  # inside the transaction that writes the intent
            server.restart()
        return ""

    with pytest.raises(OperationalError):
        buy(replace(desk, policy_digest=digest))
    assert states(engine) == []
    assert cloud.calls() == []

    def reached(step: Step) -> None:
        if step is Step.INTENT_COMMITTED:
            server.restart()
            assert states(engine) == [IntentState.RECORDED]
        if step is Step.ABOUT_TO_CALL:
            server.restart()
            assert states(engine) == [IntentState.CALLING]

    buy(replace(desk, reached=reached))
    assert states(engine) == [IntentState.BOUGHT]
    assert len(cloud.calls()) == 1


def set_largest_file(size: int) -> None:
    """Let no file of this process grow past ``size``: to SQLite, a disk that is full."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture
def disk() -> Iterator[Callable[[int], None]]:
    """Sets how large a file may grow; without limit again afterwards."""
    yield set_largest_file
    set_largest_file(resource.RLIM_INFINITY)


def test_a_full_disk_buys_nothing(
    sqlite_engine: Engine, tmp_path: Path, disk: Callable[[int], None]
) -> None:
    desk, cloud = prepare(sqlite_engine, tmp_path)

    def reached(step: Step) -> None:
        if step is Step.CHECKED:
            disk(1)

    with pytest.raises(OperationalError, match="disk"):
        buy(replace(desk, reached=reached))
    disk(resource.RLIM_INFINITY)
    assert cloud.calls() == []
    assert states(sqlite_engine) == []
    buy(desk)
    assert len(cloud.sales()) == 1


def test_a_disk_that_fills_during_the_call_leaves_an_outcome_to_be_settled(
    sqlite_engine: Engine, tmp_path: Path, disk: Callable[[int], None]
) -> None:
    desk, cloud = prepare(sqlite_engine, tmp_path)

    def reached(step: Step) -> None:
        if step is Step.ANSWERED:
            disk(1)

    with pytest.raises(OperationalError, match="disk"):
        buy(replace(desk, reached=reached))
    disk(resource.RLIM_INFINITY)
    assert states(sqlite_engine) == [IntentState.CALLING]
    let_lease_run_out(sqlite_engine)
    successor = replace(desk, lease=take_lease(sqlite_engine, "b"))
    resume(successor)
    reconcile(
        provider=PROVIDER,
        engine=sqlite_engine,
        reader=cloud,
        buyer=cloud,
        clock=desk.clock,
        held=successor.lease,
    )
    assert states(sqlite_engine) == [IntentState.BOUGHT]
    assert len(cloud.calls()) == 1


def test_people_and_plans_that_meet_do_not_wait_for_each_other(engine: Engine) -> None:
    """Approving locks a row that a newer plan withdraws: one order of locks, no deadlock."""
    lines = [make_line(number) for number in range(12)]
    verdicts = [verdict(line, Decision.ALLOW) for line in lines]
    plans = [PlanId(f"plan-{number}") for number in range(4)]
    for plan in plans:
        store_plan(engine, *lines, plan=plan)

    def propose(plan: PlanId) -> None:
        with writing(engine) as connection:
            record_proposals(
                connection,
                plan=plan,
                lines=lines,
                verdicts=verdicts,
                lifetime=timedelta(days=1),
                now=START,
            )

    def decide(number: int) -> None:
        proposal = proposal_id(plans[0], lines[-1 - number].line)
        with writing(engine) as connection:
            approve(connection, proposal, version=1, by="ana", comment="", now=START)

    propose(plans[0])
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(propose, plan) for plan in plans[1:]]
        waiting += [threads.submit(decide, number) for number in range(12)]
        for one in waiting:
            one.result()
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM proposals")).scalar_one() == 48
