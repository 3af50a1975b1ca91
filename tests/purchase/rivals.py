"""A process that wants to be the executor, again and again, and buys when it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from service.domain.errors import LeaseLostError
from service.domain.purchases import Outcome, PurchaseOrder
from service.providers.port import StillWanted, always_wanted
from service.purchase.desk import Step
from service.purchase.execute import execute
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.store import intents
from service.store import lease as leases
from service.store.engine import open_engine, reading, writing
from tests.purchase.cloud import PROVIDER, FileCloud
from tests.purchase.world import CYCLE, PLAN, START, HandClock, cap, make_line, open_desk

STOP = "stop"
"""The file that tells every replica to end."""
LONGEST_SECONDS = 300


@dataclass(frozen=True)
class Rival:
    """One replica: its clock is ``skew`` off, it dawdles at every step, until it is told to end."""

    database_url: str
    folder: Path
    name: str
    skew: timedelta
    lines: int
    cap_usd_per_hour: Decimal
    dawdle_seconds: float
    lease: timedelta


class TimedCloud(FileCloud):
    """Notes when each call reached it, on the machine's clock."""

    def __init__(self, folder: Path, clock: HandClock) -> None:
        super().__init__(folder / "cloud.db", clock)
        self._times = folder / "times"

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        with self._times.open("a", encoding="utf-8") as file:
            file.write(f"{time.time()}\n")
        return super().buy(order, still_wanted=still_wanted)


def call_times(folder: Path) -> list[float]:
    """When calls reached the cloud, whoever made them."""
    path = folder / "times"
    return [float(one) for one in path.read_text("utf-8").split()] if path.exists() else []


def strive(rival: Rival) -> None:
    """Take the lease whenever it is free; reconcile, resume, buy; go on after losing it."""
    clock = HandClock(START + rival.skew)
    engine = open_engine(rival.database_url)
    cloud = TimedCloud(rival.folder, clock)
    last = time.monotonic() + LONGEST_SECONDS

    def dawdle(_: Step) -> None:
        time.sleep(rival.dawdle_seconds)

    while not (rival.folder / STOP).exists() and time.monotonic() < last:
        with writing(engine) as connection:
            held = leases.acquire(connection, holder=rival.name, lifetime=rival.lease)
        if held is None:
            time.sleep(0.02)
            continue
        desk = open_desk(
            engine, cloud, held, clock, judge=cap(rival.cap_usd_per_hour), reached=dawdle
        )
        try:
            reconcile(
                provider=PROVIDER,
                engine=engine,
                reader=cloud,
                buyer=cloud,
                clock=clock,
                held=held,
                grace=timedelta(0),
            )
            resume(desk)
            for number in range(1, rival.lines + 1):
                line = make_line(number)
                with reading(engine) as connection:
                    known = intents.find_for_line(connection, PLAN, line.line)
                if known is None:
                    execute(desk, line=line, plan=PLAN, cycle=CYCLE)
                    break
        except LeaseLostError:
            continue
    engine.dispose()
