"""``make simulate YEARS=N``: N seeded years over the three clouds, as fast as this machine can.

Year number n is cloud ``n mod 3`` with seed n; with ``WIDE=1`` it is one of all three at once, with
``WHOLE=1`` one of the whole service, from billing exports to alerts. A year in which a checker
finds something is printed with the command that lives it again, identically.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from service.observe.log import configure_logging
from service.store import migrate
from service.store.engine import open_engine
from tests.purchase.simulation.aws import SimAws
from tests.purchase.simulation.azure import SimAzure
from tests.purchase.simulation.clouds import SimCloud
from tests.purchase.simulation.gcp import SimGcp
from tests.purchase.simulation.life import DAYS, Life
from tests.purchase.simulation.whole import WEEKS, WholeLife, whole_life
from tests.purchase.simulation.wide import WideLife

CHUNK = 10
"""So many years does a process live before it answers."""

CLOUDS: tuple[type[SimAws | SimAzure | SimGcp], ...] = (SimAws, SimAzure, SimGcp)


@dataclass(frozen=True)
class Lived:
    """One year: what was bought, and what checkers found."""

    year: int
    cloud: str
    purchases: int
    calls: int
    capped: int
    problems: tuple[str, ...]


def cloud_of(year: int) -> SimCloud:
    """The cloud of a year, fresh."""
    return CLOUDS[year % len(CLOUDS)](year, DAYS + 20)


def live(year: int, engine: Engine, kind: type[Life] = Life) -> Life:
    """One year, whole."""
    life = kind(engine, cloud_of(year), year)
    life.live()
    return life


def lived(year: int, databases: Databases, kind: type[Life] = Life) -> Lived:
    """One year on a fresh database."""
    life = live(year, databases.fresh(), kind)
    return _told(year, life.cloud.provider, life, [life.cloud])


def live_wide(year: int, engine: Engine, kind: type[WideLife] = WideLife) -> WideLife:
    """One year of all clouds, whole."""
    life = kind(engine, [cloud(year, DAYS + 20) for cloud in CLOUDS], year)
    life.live()
    return life


def lived_wide(year: int, databases: Databases, kind: type[WideLife] = WideLife) -> Lived:
    """One year of all clouds on a fresh database."""
    life = live_wide(year, databases.fresh(), kind)
    return _told(year, f"all clouds, {life.ceiling.name}", life, life.clouds)


def live_whole(
    year: int, databases: Databases, kind: type[WholeLife] = WholeLife, weeks: int = WEEKS
) -> WholeLife:
    """One year of the whole service, or the first ``weeks`` of it."""
    with tempfile.TemporaryDirectory(dir=scratch()) as name:
        with whole_life(year, databases.fresh(), Path(name), kind) as life:
            life.live(weeks)
        return life


def lived_whole(
    year: int, databases: Databases, kind: type[WholeLife] = WholeLife, weeks: int = WEEKS
) -> Lived:
    """The same, told."""
    life = live_whole(year, databases, kind, weeks)
    sim = life.cloud.sim
    called = sum(sim.called.values())
    name = f"{sim.provider}, the whole service, stopped {life.stops} times"
    return Lived(year, name, life.purchases, called, life.refused, tuple(life.problems))


def _told(year: int, name: str, life: Life, clouds: Sequence[SimCloud]) -> Lived:
    called = sum(sum(cloud.called.values()) for cloud in clouds)
    return Lived(year, name, life.purchases, called, life.guard.capped, tuple(life.problems))


class Databases:
    """One migrated database after the other, all behind one engine: it has compiled its SQL."""

    def __init__(self, template: Path, folder: Path) -> None:
        self._template = template
        self._path = folder / "year.db"
        self._engine = open_engine(f"sqlite:///{self._path}")

    def fresh(self) -> Engine:
        """A new database; the one before is gone."""
        self.close()
        shutil.copyfile(self._template, self._path)
        return self._engine

    def close(self) -> None:
        """Let go of the file, and remove it."""
        self._engine.dispose()
        for left in self._path.parent.glob("year.db*"):
            left.unlink()


@contextmanager
def opened(template: Path | None = None) -> Iterator[Databases]:
    """Databases in a scratch folder, as copies of ``template``, else of one migrated here."""
    with tempfile.TemporaryDirectory(dir=scratch()) as name:
        folder = Path(name)
        if template is None:
            template = folder / "template.db"
            engine = open_engine(f"sqlite:///{template}")
            migrate.upgrade(engine)
            engine.dispose()
        databases = Databases(template, folder)
        try:
            yield databases
        finally:
            databases.close()


def scratch() -> str | None:
    """Memory where there is some: the years need no disk that survives them."""
    shared = Path("/dev/shm")  # noqa: S108 - a scratch folder of this process's own is made in it
    return str(shared) if os.access(shared, os.W_OK) else None


def _work(years: list[int]) -> list[Lived]:
    with opened() as databases:
        return [lived(year, databases) for year in years]


def _work_wide(years: list[int]) -> list[Lived]:
    with opened() as databases:
        return [lived_wide(year, databases) for year in years]


def _work_whole(years: list[int]) -> list[Lived]:
    configure_logging("CRITICAL")
    with opened() as databases:
        return [lived_whole(year, databases) for year in years]


WORK: dict[str, tuple[Callable[[list[int]], list[Lived]], int]] = {
    "": (_work, CHUNK),
    "wide": (_work_wide, CHUNK),
    "whole": (_work_whole, 1),
}
"""By kind: how years are lived, and how many at a time."""


def main() -> int:
    """Run the years; exit status 1 when a checker found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first year's number, its seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--wide", type=int, default=0, help="1: years of all clouds at once")
    parser.add_argument("--whole", type=int, default=0, help="1: years of the whole service")
    options = parser.parse_args()
    began = time.monotonic()
    years = range(options.first, options.first + options.years)
    kind = "whole" if options.whole else "wide" if options.wide else ""
    work, chunk = WORK[kind]
    chunks = [list(years[first : first + chunk]) for first in range(0, len(years), chunk)]
    done: list[Lived] = []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for some in pool.imap_unordered(work, chunks):
            done += some
            _tell_problems(some, kind)
    bad = sum(bool(one.problems) for one in done)
    sys.stdout.write(f"{told(done)}, {bad} years with problems, {time.monotonic() - began:.0f} s\n")
    return 1 if bad else 0


def told(done: Sequence[Lived]) -> str:
    """How much was proven, in words."""
    return (
        f"{len(done)} simulated years, {sum(one.purchases for one in done)} purchases, "
        f"{sum(one.calls for one in done)} calls, "
        f"{sum(one.capped for one in done)} times stopped by a cap"
    )


def _tell_problems(done: Sequence[Lived], kind: str) -> None:
    for one in done:
        for problem in one.problems:
            again = f"make simulate YEARS=1 FIRST={one.year}{f' {kind.upper()}=1' * bool(kind)}"
            sys.stdout.write(f"{one.cloud}, year {one.year}: {problem} (again: {again})\n")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
