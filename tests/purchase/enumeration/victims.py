"""A process that buys or alters in a sandbox cloud and is killed on the way, by SIGKILL."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from multiprocessing.connection import Connection

from service.domain.alterations import AlterationOrder
from service.domain.plans import PlanLine
from service.purchase.alter import Bench, alter
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute
from service.store.engine import open_engine
from tests.purchase.altering import yes
from tests.purchase.enumeration.sites import Reach, order_of, reach
from tests.purchase.world import CYCLE, PLAN, HandClock, cap, take_lease

PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Errand:
    """What the process does, and where it dies. Everything in it can cross to a process."""

    provider: str
    endpoint: str
    now: datetime
    database_url: str
    die_at: Step
    cap_usd_per_hour: Decimal
    line: PlanLine | None = None
    order: AlterationOrder | None = None


def run(errand: Errand, reached: Reach, clock: HandClock) -> None:
    """Do the errand; does not return when the step is reached."""
    clock.instant = errand.now
    engine = open_engine(errand.database_url)

    def die(step: Step) -> None:
        if step is errand.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    desk = Desk(
        provider=errand.provider,
        engine=engine,
        reader=reached.reader,
        buyer=reached.buyer,
        clock=clock,
        lease=take_lease(engine, "victim"),
        judge=cap(errand.cap_usd_per_hour),
        reached=die,
    )
    if errand.line is not None:
        execute(desk, line=errand.line, plan=PLAN, cycle=CYCLE)
    if errand.order is not None:
        bench = Bench(desk, reached.alterer, yes, errand.now)
        alter(bench, errand.order.intent)


def breed(provider: str, endpoint: str, line: PlanLine, errands: Connection) -> None:
    """Fork one victim per errand from this process, whose clients are warm; tell how it ended.

    One victim at a time: they inherit this process's idle connections.
    """
    clock = HandClock()
    reached = reach(provider, endpoint, clock)
    reached.reader.identity()
    reached.buyer.quote(order_of(line, "warm"))
    while True:
        errand = errands.recv()
        if errand is None:
            return
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run(errand, reached, clock)
                status = 0
            finally:
                traceback.print_exc() if status else None
                os._exit(status)
        _, status = os.waitpid(child, 0)
        errands.send(os.waitstatus_to_exitcode(status))


class Breeder:
    """A process that forks victims on request."""

    def __init__(self, provider: str, endpoint: str, line: PlanLine) -> None:
        here, there = PROCESSES.Pipe()
        self._errands = here
        self._process = PROCESSES.Process(
            target=breed, args=(provider, endpoint, line, there), daemon=True
        )
        self._process.start()

    def kill(self, errand: Errand) -> int:
        """The exit status of a victim: -9 when it died at its step, 0 when it never got there."""
        self._errands.send(errand)
        assert self._errands.poll(60), "the victim hangs"
        return int(self._errands.recv())

    def close(self) -> None:
        self._errands.send(None)
        self._process.join(timeout=10)
