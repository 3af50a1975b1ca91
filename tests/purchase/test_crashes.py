"""Every step of a purchase × every fault: a killed process leaves nothing lost, nothing doubled."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from service.domain.ids import IntentId
from service.domain.plans import Decision
from service.domain.purchases import IntentState
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute, execute_approved
from service.purchase.propose import approve, record_proposals
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.store import schema
from service.store.engine import writing
from tests.purchase.cloud import PROVIDER, Fault, FileCloud
from tests.purchase.victim import CAP_USD_PER_HOUR, FENCED, Errand, open_cloud, run
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    HandClock,
    allow,
    cap,
    let_lease_run_out,
    make_line,
    open_desk,
    problems,
    states,
    store_plan,
    take_lease,
    verdict,
)

LINES = (make_line(1), make_line(2), make_line(3))
LAG = timedelta(minutes=30)
GRACE = timedelta(hours=1)
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.purchase.victim"])


def kill_on_the_way(errand: Errand) -> None:
    """Run the errand in a process of its own; it must die by the signal."""
    process = PROCESSES.Process(target=run, args=(errand,))
    process.start()
    process.join(timeout=30)
    assert process.exitcode == -signal.SIGKILL


def prepare(engine: Engine, *, approved: bool) -> None:
    """Three lines of $1/h each under a cap of $2/h, all approved when asked for."""
    store_plan(engine, *LINES)
    if not approved:
        return
    with writing(engine) as connection:
        waiting = record_proposals(
            connection,
            plan=PLAN,
            lines=LINES,
            verdicts=[verdict(line, Decision.NEEDS_SIGN_OFF) for line in LINES],
            lifetime=timedelta(days=7),
            now=START,
        )
        for one in waiting:
            approve(connection, one.proposal, version=1, by="ana", comment="", now=START)


def buy_the_rest(desk: Desk, *, approved: bool) -> None:
    if approved:
        execute_approved(desk)
        return
    for line in LINES:
        execute(desk, line=line, plan=PLAN, cycle=CYCLE)


def settle(desk: Desk, cloud: FileCloud) -> None:
    reconcile(
        provider=PROVIDER,
        engine=desk.engine,
        reader=cloud,
        buyer=cloud,
        clock=desk.clock,
        held=desk.lease,
        grace=GRACE,
    )


def run_to_rest(
    desk: Desk, cloud: FileCloud, clock: HandClock, *, approved: bool, read_first: bool = False
) -> None:
    """What the service does after a restart: resume, reconcile, go on; three hours of it."""
    for _ in range(3):
        if read_first:
            settle(desk, cloud)
        resume(desk)
        settle(desk, cloud)
        buy_the_rest(desk, approved=approved)
        clock.pass_time(GRACE)
    settle(desk, cloud)


def errand_for(url: str, tmp_path: Path, step: Step, fault: Fault) -> Errand:
    return Errand(
        database_url=url,
        cloud_file=tmp_path / "cloud.db",
        fault=fault,
        lag=LAG,
        die_at=step,
        approved=False,
        resuming=False,
        native=True,
        holder="victim",
    )


def restart(
    engine: Engine, errand: Errand, holder: str = "successor"
) -> tuple[Desk, FileCloud, HandClock]:
    """The next process: the dead one's lease has run out, the cloud is well again."""
    let_lease_run_out(engine)
    clock = HandClock(START + timedelta(minutes=10))
    cloud = open_cloud(replace(errand, fault=Fault.NONE), clock)
    desk = open_desk(engine, cloud, take_lease(engine, holder), clock, judge=cap(CAP_USD_PER_HOUR))
    return desk, cloud, clock


BEFORE_THE_CALL = [(step, Fault.NONE) for step in list(Step)[:4]]
AFTER_THE_CALL = [(step, fault) for step in list(Step)[4:] for fault in Fault]


@pytest.mark.parametrize(("step", "fault"), BEFORE_THE_CALL + AFTER_THE_CALL)
def test_a_purchase_killed_anywhere_ends_bought_once_or_not_at_all(
    engine: Engine, database_url: str, tmp_path: Path, step: Step, fault: Fault
) -> None:
    prepare(engine, approved=False)
    errand = errand_for(database_url, tmp_path, step, fault)
    kill_on_the_way(errand)
    desk, cloud, clock = restart(engine, errand)
    run_to_rest(desk, cloud, clock, approved=False)
    assert problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR) == []
    # The cap has room for two of three lines, and nothing that died may hold on to that room.
    assert len(cloud.sales()) == 2


@pytest.mark.parametrize("step", [Step.CHECKED, Step.INTENT_COMMITTED, Step.ANSWERED])
def test_an_approved_proposal_killed_anywhere_is_executed_at_most_once(
    engine: Engine, database_url: str, tmp_path: Path, step: Step
) -> None:
    prepare(engine, approved=True)
    errand = replace(errand_for(database_url, tmp_path, step, Fault.TIMEOUT_AFTER), approved=True)
    kill_on_the_way(errand)
    desk, cloud, clock = restart(engine, errand)
    run_to_rest(desk, cloud, clock, approved=True)
    assert problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR) == []
    assert len(cloud.sales()) == 2


@pytest.mark.parametrize("step", list(Step)[2:])
def test_a_resume_that_is_killed_itself_can_be_resumed(
    engine: Engine, database_url: str, tmp_path: Path, step: Step
) -> None:
    prepare(engine, approved=False)
    errand = errand_for(database_url, tmp_path, Step.INTENT_COMMITTED, Fault.NONE)
    kill_on_the_way(errand)
    let_lease_run_out(engine)
    kill_on_the_way(replace(errand, die_at=step, resuming=True, holder="second victim"))
    desk, cloud, clock = restart(engine, errand)
    run_to_rest(desk, cloud, clock, approved=False)
    assert problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR) == []
    assert len(cloud.sales()) == 2


@pytest.mark.parametrize("read_first", [True, False], ids=["read first", "resume first"])
@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER])
def test_a_purchase_that_carries_no_tag_is_found_by_what_was_bought(
    engine: Engine,
    database_url: str,
    tmp_path: Path,
    fault: Fault,
    read_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    prepare(engine, approved=False)
    errand = replace(
        errand_for(database_url, tmp_path, Step.ANSWERED, fault),
        native=False,
        lag=timedelta(minutes=5),
    )
    kill_on_the_way(errand)
    desk, cloud, clock = restart(engine, errand)
    run_to_rest(desk, cloud, clock, approved=False, read_first=read_first)
    assert problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR) == []
    assert len(cloud.sales()) == 2


@pytest.mark.parametrize(
    ("step", "sold"),
    [(Step.CHECKED, 0), (Step.INTENT_COMMITTED, 1), (Step.CALLING_COMMITTED, 0)],
)
def test_a_process_frozen_for_longer_than_its_lease_wakes_up_fenced(
    engine: Engine, database_url: str, tmp_path: Path, step: Step, sold: int
) -> None:
    """Two real processes on one database: the second takes over, and the first sees it."""
    prepare(engine, approved=False)
    errand = replace(errand_for(database_url, tmp_path, step, Fault.NONE), signal=signal.SIGSTOP)
    sleeper = PROCESSES.Process(target=run, args=(errand,))
    sleeper.start()
    assert sleeper.pid is not None
    wait_until_frozen(sleeper.pid)
    desk, cloud, clock = restart(engine, errand)
    resume(desk)
    os.kill(sleeper.pid, signal.SIGCONT)
    sleeper.join(timeout=30)
    assert sleeper.exitcode == FENCED
    assert len(cloud.sales()) == sold
    run_to_rest(desk, cloud, clock, approved=False)
    assert problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR) == []


def wait_until_frozen(pid: int) -> None:
    """Until the process stands still: its state in the process table is T."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        if state == "T":
            return
        time.sleep(0.01)
    pytest.fail("the process never froze")


def test_an_intent_that_was_never_called_is_bought_with_its_own_token(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    prepare(engine, approved=False)
    errand = errand_for(database_url, tmp_path, Step.INTENT_COMMITTED, Fault.NONE)
    kill_on_the_way(errand)
    assert states(engine) == [IntentState.RECORDED]
    with writing(engine) as connection:
        row = connection.execute(schema.intents.select()).mappings().one()
    desk, cloud, _ = restart(engine, errand)
    resume(desk)
    [sale] = cloud.sales()
    assert (sale.intent, sale.token) == (IntentId(row["intent_id"]), row["token"])


def test_the_checker_notices_a_purchase_without_an_intent(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    """Negative control: a store that forgets its intents, as if none were committed first."""
    prepare(engine, approved=False)
    errand = errand_for(database_url, tmp_path, Step.ANSWERED, Fault.NONE)
    kill_on_the_way(errand)
    with writing(engine) as connection:
        connection.execute(delete(schema.intents))
    desk, cloud, clock = restart(engine, errand)
    run_to_rest(desk, cloud, clock, approved=False)
    found = problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR)
    assert any("sales for line" in one for one in found)
    assert any("no intent for" in one for one in found)


def test_the_checker_notices_a_guard_that_does_not_count(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    """Negative control: a guard that allows everything passes the cap, and it shows."""
    prepare(engine, approved=False)
    errand = errand_for(database_url, tmp_path, Step.ANSWERED, Fault.NONE)
    kill_on_the_way(errand)
    desk, cloud, clock = restart(engine, errand)
    run_to_rest(replace(desk, judge=allow), cloud, clock, approved=False)
    found = problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR)
    assert found == [f"{Decimal(3)} $/h owed above {CAP_USD_PER_HOUR}"]


def test_the_checker_notices_an_outcome_that_nobody_settles(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    """Negative control: without reconciliation an unknown stays, and it shows."""
    prepare(engine, approved=False)
    errand = errand_for(database_url, tmp_path, Step.ANSWERED, Fault.NONE)
    kill_on_the_way(errand)
    desk, cloud, _ = restart(engine, errand)
    resume(desk)
    found = problems(engine, cloud, cap_usd_per_hour=CAP_USD_PER_HOUR)
    assert "stuck in unknown" in found
