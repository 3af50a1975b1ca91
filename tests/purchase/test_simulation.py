"""Seeded weeks of buying with everything going wrong, then quiet: nothing doubled, lost or stuck.

Two replicas take turns at one lease; the cloud refuses, times out and lags; processes stop at any
step and forget what they were doing; people halt and resume. Every choice comes from the seed, so
a seed that fails fails again.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service.domain.errors import LeaseLostError
from service.domain.ids import PlanId
from service.domain.plans import Decision, PlanLine
from service.domain.purchases import Bought, Idempotency, IntentState, ProposalState
from service.purchase.desk import Desk, Executed, Step
from service.purchase.execute import execute, execute_approved
from service.purchase.propose import approve, expire_due, record_proposals
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.store import proposals, schema
from service.store.engine import open_engine, writing
from service.store.halt import set_halt
from tests.purchase.cloud import PROVIDER, Fault, FileCloud
from tests.purchase.world import (
    CYCLE,
    HandClock,
    cap,
    let_lease_run_out,
    make_line,
    open_desk,
    problems,
    store_plan,
    take_lease,
    verdict,
)

CAP = Decimal(9)
GRACE = timedelta(hours=2)
TURNS = 60


class ProcessStopped(BaseException):
    """The process is gone. Not an ``Exception``: nothing in the service may handle it."""


class World:
    """One deployment, one cloud and everybody around them, driven by one seed."""

    def __init__(self, engine: Engine, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - chooses faults, keeps no secret
        self.engine = engine
        self.clock = HandClock()
        native = self.random.random() < 0.5
        self.cloud = FileCloud(
            folder / "cloud.db",
            self.clock,
            lag=timedelta(minutes=self.random.choice([0, 20, 90])),
            idempotency=Idempotency.NATIVE if native else Idempotency.LOOKUP,
            tagged=native,
        )
        self.faulty = True
        self.lines: list[PlanLine] = []
        self.plans: list[PlanId] = []
        self.holders = 0
        self.desk = self.start_process()

    def start_process(self) -> Desk:
        """A new replica: it has the lease once the old one's has run out."""
        self.holders += 1
        let_lease_run_out(self.engine)
        held = take_lease(self.engine, f"replica-{self.holders}")
        desk = open_desk(
            self.engine, self.cloud, held, self.clock, judge=cap(CAP), reached=self.reached
        )
        return replace(desk, new_key=lambda: f"{self.random.getrandbits(128):032x}")

    def reached(self, step: Step) -> None:
        """Trouble in the middle of a purchase. What the cloud has answered is then lost too."""
        if not self.faulty or step is Step.ANSWERED:
            return
        trouble = self.random.random()
        if trouble < 0.06:
            raise ProcessStopped
        if trouble < 0.09:
            self.halt()
        if trouble < 0.12:
            self.start_process()  # somebody else has the lease now; this process goes on

    def new_plan(self) -> None:
        number = len(self.lines) + 1
        lines = [make_line(number), make_line(number + 1)]
        plan = PlanId(f"plan-{number}")
        self.lines += lines
        store_plan(self.engine, *lines, plan=plan)
        verdicts = [verdict(line, Decision.NEEDS_SIGN_OFF) for line in lines]
        with writing(self.engine) as connection:
            record_proposals(
                connection,
                plan=plan,
                lines=lines[:1],
                verdicts=verdicts,
                lifetime=timedelta(days=2),
                now=self.clock.now(),
            )
        self.plans.append(plan)

    def approve(self) -> None:
        with writing(self.engine) as connection:
            waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
            for one in waiting:
                approve(
                    connection,
                    one.proposal,
                    version=one.version,
                    by="ana",
                    comment="",
                    now=self.clock.now(),
                )

    def buy(self) -> None:
        """Autopilot's line of any plan so far, again and again, as a confused caller might."""
        if self.plans:
            index = self.random.randrange(len(self.plans))
            line = self.lines[2 * index + 1]
            execute(self.desk, line=line, plan=self.plans[index], cycle=CYCLE)

    def buy_approved(self) -> None:
        execute_approved(self.desk)

    def tidy_up(self) -> None:
        with writing(self.engine) as connection:
            expire_due(connection, now=self.clock.now())
        reconcile(
            provider=PROVIDER,
            engine=self.engine,
            reader=self.cloud,
            buyer=self.cloud,
            clock=self.clock,
            held=self.desk.lease,
            grace=GRACE,
        )
        resume(self.desk)

    def halt(self) -> None:
        self.set_halt(halted=True)

    def set_halt(self, *, halted: bool) -> None:
        with writing(self.engine) as connection:
            set_halt(connection, halted=halted, by="ops", reason="drill", now=self.clock.now())

    def turn(self) -> None:
        """One thing happens, and time passes."""
        acts: list[Callable[[], object]] = [
            self.new_plan,
            self.approve,
            self.buy,
            self.buy,
            self.buy_approved,
            self.tidy_up,
            lambda: self.set_halt(halted=False),
        ]
        self.cloud.fault = self.random.choice(list(Fault)) if self.faulty else Fault.NONE
        try:
            self.random.choice(acts)()
        except (ProcessStopped, LeaseLostError):
            self.desk = self.start_process()
        self.clock.pass_time(timedelta(minutes=self.random.choice([1, 30, 300, 900])))

    def rest(self) -> None:
        """The faults end, and the service does what it does every hour."""
        self.faulty = False
        self.cloud.fault = Fault.NONE
        self.set_halt(halted=False)
        self.desk = self.start_process()
        for _ in range(4):
            self.tidy_up()
            self.clock.pass_time(GRACE)
        self.tidy_up()

    def can_still_buy(self) -> bool:
        """A new line is bought, or only the cap speaks against it."""
        self.new_plan()
        done = execute(self.desk, line=self.lines[-1], plan=self.plans[-1], cycle=CYCLE)
        if isinstance(done, Executed):
            return isinstance(done.outcome, Bought)
        return done.rule == "total_cap" and len(self.cloud.sales()) == CAP


class Retrying(World):
    """The planted defect: what was interrupted is simply tried again, as many a queue would."""

    def start_process(self) -> Desk:
        unsettled = schema.intents.c.state.in_([IntentState.CALLING, IntentState.UNKNOWN])
        with writing(self.engine) as connection:
            connection.execute(
                update(schema.intents).where(unsettled).values(state=IntentState.RECORDED)
            )
        return super().start_process()


def live_through(
    engine: Engine, folder: Path, seed: int, kind: Callable[[Engine, Path, int], World] = World
) -> World:
    world = kind(engine, folder, seed)
    for _ in range(TURNS):
        world.turn()
    world.rest()
    return world


@pytest.mark.parametrize("seed", range(10))
def test_after_any_weeks_of_trouble_the_ledger_is_the_cloud_and_the_cap_is_held(
    sqlite_engine: Engine, tmp_path: Path, seed: int
) -> None:
    world = live_through(sqlite_engine, tmp_path, seed)
    assert problems(sqlite_engine, world.cloud, cap_usd_per_hour=CAP) == []
    assert world.can_still_buy()


@pytest.mark.parametrize("seed", [100, 101])
def test_it_is_the_same_on_either_database(engine: Engine, tmp_path: Path, seed: int) -> None:
    world = live_through(engine, tmp_path, seed)
    assert problems(engine, world.cloud, cap_usd_per_hour=CAP) == []
    assert world.can_still_buy()


def test_the_checker_notices_a_service_that_tries_again(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """Negative control: with the planted defect some seed shows a second call for one intent."""
    found: list[str] = []
    for seed in range(6):
        if any("calls for intent" in one for one in found):
            break
        engine = fresh_database(tmp_path / str(seed), sqlite_template)
        world = live_through(engine, tmp_path / str(seed), seed, Retrying)
        found += problems(engine, world.cloud, cap_usd_per_hour=CAP)
        engine.dispose()
    assert any("calls for intent" in one for one in found)


def fresh_database(folder: Path, template: Path) -> Engine:
    folder.mkdir()
    shutil.copyfile(template, folder / "tenor.db")
    return open_engine(f"sqlite:///{folder / 'tenor.db'}")


def test_a_seed_replays_identically(tmp_path: Path, sqlite_template: Path) -> None:
    lives = []
    for name in ("first", "second"):
        engine = fresh_database(tmp_path / name, sqlite_template)
        world = live_through(engine, tmp_path / name, 3)
        lives.append([(sale.offering, sale.quantity) for sale in world.cloud.sales()])
        engine.dispose()
    assert lives[0] == lives[1] != []
