"""A process that buys one plan's lines and is killed on the way, as a power cut would kill it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from service.domain.errors import LeaseLostError
from service.domain.purchases import Idempotency
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute, execute_proposal
from service.purchase.propose import proposal_id
from service.purchase.resume import resume
from service.store.engine import open_engine
from tests.purchase.cloud import Fault, FileCloud
from tests.purchase.world import CYCLE, PLAN, HandClock, cap, make_line, open_desk, take_lease

CAP_USD_PER_HOUR = Decimal(2)
FENCED = 7
"""The exit status of a process that found out in time that it is no longer the executor."""


@dataclass(frozen=True)
class Errand:
    """What the process does, and where it dies. Everything in it can cross to a process."""

    database_url: str
    cloud_file: Path
    fault: Fault
    lag: timedelta
    die_at: Step
    approved: bool
    resuming: bool
    native: bool
    holder: str
    signal: signal.Signals = signal.SIGKILL


def run(errand: Errand) -> None:
    """Do the errand; does not return when the step is reached."""
    clock = HandClock()
    engine = open_engine(errand.database_url)
    cloud = open_cloud(errand, clock)
    desk = open_desk(
        engine,
        cloud,
        take_lease(engine, errand.holder),
        clock,
        judge=cap(CAP_USD_PER_HOUR),
        reached=killer(errand.die_at, errand.signal),
    )
    try:
        work(desk, errand)
    except LeaseLostError:
        sys.exit(FENCED)
    engine.dispose()


def work(desk: Desk, errand: Errand) -> None:
    """Buy the first line, in the way that the errand names."""
    if errand.resuming:
        resume(desk)
    elif errand.approved:
        execute_proposal(desk, proposal_id(PLAN, make_line().line))
    else:
        execute(desk, line=make_line(), plan=PLAN, cycle=CYCLE)


def open_cloud(errand: Errand, clock: HandClock) -> FileCloud:
    """The errand's cloud: with tags and keys of its own, or with neither."""
    return FileCloud(
        errand.cloud_file,
        clock,
        fault=errand.fault,
        lag=errand.lag,
        idempotency=Idempotency.NATIVE if errand.native else Idempotency.LOOKUP,
        tagged=errand.native,
    )


def killer(die_at: Step, by: signal.Signals) -> Callable[[Step], None]:
    """Kills or freezes this very process, without any warning, when the step is reached."""

    def reached(step: Step) -> None:
        if step is die_at:
            os.kill(os.getpid(), by)

    return reached
