"""A process that buys or alters in a sandbox cloud and is killed on the way, by SIGKILL."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import Engine, event

from service.domain.alterations import AlterationOrder
from service.domain.plans import PlanLine
from service.domain.purchases import PurchaseOrder
from service.purchase.alter import Bench, alter, resume_alterations
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.store.engine import open_engine
from tests.purchase.altering import ask_for, make_order, open_bench
from tests.purchase.enumeration.guarding import Ceiling
from tests.purchase.enumeration.sites import Reach, reach
from tests.purchase.shop import Shop
from tests.purchase.world import CYCLE, PLAN, HandClock, cap, take_lease

HANGS_SECONDS = 300
LOOKS_EVERY_SECONDS = 0.01
GRACE = timedelta(hours=1)
PROCESSES = multiprocessing.get_context("spawn")


LOADED_LATE = {
    "gcp": ("google.cloud.compute_v1", "google.cloud.commerce_consumer_procurement_v1"),
}
"""What adapters import when they first need it: once here, instead of in every victim."""


@dataclass(frozen=True)
class Way:
    """A cloud that answers at ``endpoint``, and something to ask the price of."""

    endpoint: str
    now: datetime
    order: PurchaseOrder


@dataclass(frozen=True)
class InCall:
    """Right before the adapter's n-th request of the call that spends: n - 1 were answered."""

    number: int

    @property
    def value(self) -> str:
        return f"before request {self.number} of the call"


@dataclass(frozen=True)
class InFlight:
    """While the call is on the wire: asked, and not answered. Whoever sees it there kills."""

    value = "in flight"


@dataclass(frozen=True)
class InSettling:
    """When the n-th transaction that settles and may write is about to be committed."""

    number: int

    @property
    def value(self) -> str:
        return f"transaction {self.number} of settling"


@dataclass(frozen=True)
class Errand:
    """What the process does, and where it dies. Everything in it can cross to a process.

    ``settles``: it takes up what others left, and reconciles. ``guard`` judges ``order``.
    """

    now: datetime
    die_at: Step | InCall | InFlight | InSettling
    cap_usd_per_hour: Decimal
    line: PlanLine | None = None
    order: AlterationOrder | None = None
    guard: Ceiling | None = None
    settles: bool = False


def run(errand: Errand, provider: str, engine: Engine, reached: Reach, clock: HandClock) -> None:
    """Do the errand; does not return when the step is reached."""
    clock.instant = errand.now

    def die(step: Step) -> None:
        if step is errand.die_at:
            _die()
        if step is Step.ABOUT_TO_CALL and isinstance(errand.die_at, InCall):
            _die_before_request(errand.die_at.number)

    desk = Desk(
        provider=provider,
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
    if errand.guard is not None:
        guard = errand.guard
        bench = Bench(desk, reached.alterer, guard.judge, errand.now, evidence=guard.value)
        if errand.order is not None:
            alter(bench, errand.order.intent)
    if errand.settles:
        if isinstance(errand.die_at, InSettling):
            _die_in_transaction(engine, errand.die_at.number)
        resume(desk)
        if errand.guard is not None:
            resume_alterations(bench)
        reconcile(
            provider=provider,
            engine=engine,
            reader=reached.reader,
            buyer=reached.buyer,
            clock=clock,
            held=desk.lease,
            grace=GRACE,
            finder=reached.finder,
        )


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


REQUESTS = (b"GET ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ")


def _die_before_request(number: int) -> None:
    """Die when this process is about to write its n-th HTTP request from now."""
    begun = 0

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal begun
        if event == "http.client.send" and bytes(arguments[1]).startswith(REQUESTS):  # type: ignore[call-overload]
            begun += 1
            if begun == number:
                _die()

    sys.addaudithook(look)


def _die_in_transaction(engine: Engine, number: int) -> None:
    """Die right before the n-th commit from now: what it wrote is gone, what came before is not."""
    begun = 0

    def look(_: object) -> None:
        nonlocal begun
        begun += 1
        if begun == number:
            _die()

    event.listen(engine, "commit", look)


def breed(provider: str, database_url: str, folder: Path, errands: Connection) -> None:
    """Fork one victim per errand from this process, which is warm; tell how it ended.

    One victim at a time: they inherit this process's idle connections to the cloud. To the
    database there is none.
    """
    for module in LOADED_LATE.get(provider, ()):
        importlib.import_module(module)
    clock = HandClock()
    engine = open_engine(database_url)
    _compile(engine, folder)
    reached: Reach | None = None
    while (errand := errands.recv()) is not None:
        if reached is None or isinstance(errand, Way):
            reached = _reach(reached, provider, errand, clock)
            errands.send(0)
            continue
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run(errand, provider, engine, reached, clock)
                status = 0
            finally:
                traceback.print_exc() if status else None
                os._exit(status)
        if isinstance(errand.die_at, InFlight):
            errands.send(child)
        _, status = os.waitpid(child, 0)
        errands.send(os.waitstatus_to_exitcode(status))


def _reach(before: Reach | None, provider: str, way: Way, clock: HandClock) -> Reach:
    """A warm way to another cloud, instead of the one before."""
    if before is not None:
        before.close()
    clock.instant = way.now
    reached = reach(provider, way.endpoint, clock)
    reached.reader.identity()
    reached.buyer.quote(way.order)
    gc.freeze()  # a fork copies no more than it changes
    return reached


def _compile(engine: Engine, folder: Path) -> None:
    """Buy and alter something in a cloud that is a file, so that all SQL has been compiled."""
    shop = Shop(engine, folder)
    order = make_order(shop.owned)
    ask_for(engine, order)
    alter(open_bench(shop.desk, shop.alterer), order.intent)
    engine.dispose()


class Breeder:
    """A process that forks victims on request."""

    def __init__(self, provider: str, database_url: str, folder: Path) -> None:
        self._errands, there = PROCESSES.Pipe()
        self._process = PROCESSES.Process(
            target=breed, args=(provider, database_url, folder, there), daemon=True
        )
        self._process.start()
        there.close()

    def reach(self, way: Way) -> None:
        """Victims from now on speak to another cloud."""
        self._ask(way)

    def kill(self, errand: Errand) -> int:
        """The exit status of a victim: -9 when it died at its step, 0 when it never got there."""
        return self._ask(errand)

    def kill_once(self, errand: Errand, is_in_flight: Callable[[], bool]) -> int:
        """The same, of a victim that is killed from here, when its call is seen to be asked."""
        victim = self._ask(errand)
        ends = time.monotonic() + HANGS_SECONDS
        while not is_in_flight():
            # Where it ended by itself there is nothing to kill, and its exit status says so.
            if self._errands.poll(LOOKS_EVERY_SECONDS):
                return self._answer()
            assert time.monotonic() < ends, "the call never came"
        os.kill(victim, signal.SIGKILL)
        return self._answer()

    def _ask(self, what: Errand | Way) -> int:
        self._errands.send(what)
        return self._answer()

    def _answer(self) -> int:
        assert self._errands.poll(HANGS_SECONDS), "the victim hangs"
        return int(self._errands.recv())

    def close(self) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(OSError):
            self._errands.send(None)
        self._process.join(timeout=HANGS_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self._errands.close()
