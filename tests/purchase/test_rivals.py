"""Several daemons on one PostgreSQL: one executor at a time, whatever freezes or lies; halting."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from service.domain.ids import AccountId
from service.domain.plans import Decision, PlanLine
from service.domain.purchases import IntentState
from service.purchase.execute import execute_proposal
from service.purchase.propose import approve, proposal_id, record_proposals
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.store import schema
from service.store.engine import open_engine, reading, writing
from service.store.halt import set_halt
from service.store.lease import Lease, current
from tests.purchase.cloud import PROVIDER, FileCloud
from tests.purchase.rivals import STOP, Rival, TimedCloud, call_times, strive
from tests.purchase.world import (
    PLAN,
    START,
    HandClock,
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

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.purchase.rivals"])
LINES = 24
PLANNED = tuple(make_line(number) for number in range(1, LINES + 1))
CAP = Decimal(15)
SKEW = timedelta(hours=2)
FREEZES = 4

pytestmark = pytest.mark.postgres


def start(url: str, folder: Path, *, lease: timedelta, dawdle: float) -> list[ForkServerProcess]:
    rivals = [
        PROCESSES.Process(
            target=strive,
            args=(Rival(url, folder, f"replica-{number}", skew, LINES, CAP, dawdle, lease),),
        )
        for number, skew in enumerate((timedelta(0), SKEW, -SKEW))
    ]
    for one in rivals:
        one.start()
    return rivals


def wait_for_calls(folder: Path, count: int) -> None:
    """Until so many purchases have reached the cloud."""
    deadline = time.monotonic() + 240
    while len(call_times(folder)) < count:
        assert time.monotonic() < deadline, "nobody buys"
        time.sleep(0.01)


def fences(engine: Engine) -> set[int]:
    """The leases under which anything was bought."""
    with reading(engine) as connection:
        return set(connection.execute(select(schema.intents.c.fence)).scalars())


def wait_for_successors(engine: Engine) -> None:
    """Until more than one executor has bought."""
    deadline = time.monotonic() + 240
    while len(fences(engine)) < 2:
        assert time.monotonic() < deadline, "whoever comes after buys nothing"
        time.sleep(0.05)


def wait_for_rest(folder: Path) -> None:
    """Until nobody has called for three seconds: all is bought that the cap and the held allow."""
    count = -1
    while count != len(call_times(folder)):
        count = len(call_times(folder))
        time.sleep(3)


def end(rivals: list[ForkServerProcess], folder: Path) -> None:
    (folder / STOP).touch()
    for one in rivals:
        one.join(timeout=120)
        assert one.exitcode == 0


def bring_to_rest(engine: Engine, folder: Path) -> TimedCloud:
    """One more executor, whose clock is later than all, reads and takes up what the others left.

    A cloud lists nothing before its day: who lived two hours ago saw not all that was sold.
    """
    clock = HandClock(START + 3 * SKEW)
    cloud = TimedCloud(folder, clock)
    let_lease_run_out(engine)
    held = take_lease(engine, "the last", timedelta(minutes=5))
    for _ in range(2):
        reconcile(
            provider=PROVIDER,
            engine=engine,
            reader=cloud,
            buyer=cloud,
            clock=clock,
            held=held,
            grace=timedelta(0),
        )
        resume(open_desk(engine, cloud, held, clock, judge=cap(CAP)))
    return cloud


@contextmanager
def prepared(url: str, lines: Sequence[PlanLine] = PLANNED) -> Iterator[Engine]:
    """A database that knows the plan; closed however the test ends."""
    engine = open_engine(url)
    try:
        store_plan(engine, *lines)
        yield engine
    finally:
        engine.dispose()


def executor(engine: Engine) -> str:
    """The name of whoever holds the lease, waited for: for a moment nobody may."""
    deadline = time.monotonic() + 240
    while True:
        with reading(engine) as connection:
            held = current(connection)
        if held is not None:
            return held.holder
        assert time.monotonic() < deadline, "nobody takes the lease"
        time.sleep(0.01)


def test_daemons_that_freeze_past_their_lease_never_buy_twice_nor_past_the_cap(
    postgres_database_url: str, tmp_path: Path
) -> None:
    with prepared(postgres_database_url) as engine:
        rivals = start(postgres_database_url, tmp_path, lease=timedelta(seconds=2), dawdle=0.1)
        choose = random.Random(5)  # noqa: S311 - chooses how far the executor gets
        wait_for_calls(tmp_path, 1)
        for _ in range(FREEZES):
            time.sleep(choose.random() / 2)
            freeze_past_the_lease(rivals, executor(engine))
        wait_for_successors(engine)
        wait_for_rest(tmp_path)
        end(rivals, tmp_path)
        cloud = bring_to_rest(engine, tmp_path)
        assert problems(engine, cloud, cap_usd_per_hour=CAP) == []
        with reading(engine) as connection:
            most = max(connection.execute(select(schema.intents.c.calls)).scalars())
        assert most == 1


def freeze_past_the_lease(rivals: list[ForkServerProcess], name: str) -> None:
    """Stop ``name`` for longer than its lease, then let it go on where it was."""
    victim = next(one for number, one in enumerate(rivals) if name == f"replica-{number}")
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        time.sleep(2.5)
    finally:
        os.kill(victim.pid, signal.SIGCONT)


def test_a_halt_stops_every_replica_within_a_second(
    postgres_database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with prepared(postgres_database_url) as engine:
        rivals = start(postgres_database_url, tmp_path, lease=timedelta(seconds=20), dawdle=0.03)
        wait_for_calls(tmp_path, 3)
        with writing(engine) as connection:
            set_halt(connection, halted=True, by="ops", reason="drill", now=START)
        halted_at = time.time()
        time.sleep(3)
        end(rivals, tmp_path)
        calls = call_times(tmp_path)
        late = max(0.0, max(calls) - halted_at)
        with capsys.disabled():
            print(f"\na halt took {late:.3f} s, {len(calls)} calls before it")  # noqa: T201
        assert len(calls) >= 3
        assert len(calls) < LINES
        assert late < 1
        assert IntentState.CALLING not in states(engine)


CROWD = 6


def _approve_and_execute(job: tuple[str, Path, int, Lease, Decimal]) -> None:
    url, folder, number, held, most = job
    engine = open_engine(url)
    account = AccountId(f"{number:012d}")
    cloud = FileCloud(folder / "cloud.db", HandClock(), account=account)
    desk = open_desk(engine, cloud, held, HandClock(), judge=cap(most))
    with writing(engine) as connection:
        waiting = proposal_id(PLAN, make_line(number).line)
        approve(connection, waiting, version=1, by="ana", comment="", now=START)
    execute_proposal(desk, waiting)
    engine.dispose()


@pytest.mark.parametrize("most", [Decimal(2), Decimal(5)])
def test_approvals_in_many_processes_at_once_cannot_pass_a_budget(
    postgres_database_url: str, tmp_path: Path, most: Decimal
) -> None:
    lines = [make_line(number, account=AccountId(f"{number:012d}")) for number in range(CROWD)]
    with prepared(postgres_database_url, lines) as engine:
        with writing(engine) as connection:
            record_proposals(
                connection,
                plan=PLAN,
                lines=lines,
                verdicts=[verdict(line, Decision.NEEDS_SIGN_OFF) for line in lines],
                lifetime=timedelta(days=1),
                now=START,
            )
        held = take_lease(engine, "crowd")
        jobs = [(postgres_database_url, tmp_path, number, held, most) for number in range(CROWD)]
        with PROCESSES.Pool(CROWD) as pool:
            pool.map(_approve_and_execute, jobs)
        sold = FileCloud(tmp_path / "cloud.db", HandClock()).sales()
        assert sum((sale.quantity for sale in sold), Decimal(0)) == most
