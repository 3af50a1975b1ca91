"""``make simulate YEARS=N``: N seeded years over the three clouds, as fast as this machine can.

Year number n is cloud ``n mod 3`` with seed n. A year in which a checker finds something is printed
with the command that lives it again, identically.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from service.store import migrate
from service.store.engine import open_engine
from tests.purchase.simulation.aws import SimAws
from tests.purchase.simulation.azure import SimAzure
from tests.purchase.simulation.clouds import SimCloud
from tests.purchase.simulation.gcp import SimGcp
from tests.purchase.simulation.life import DAYS, Life

CLOUDS: tuple[type[SimAws | SimAzure | SimGcp], ...] = (SimAws, SimAzure, SimGcp)


@dataclass(frozen=True)
class Lived:
    """One year: what was bought, and what checkers found."""

    year: int
    cloud: str
    purchases: int
    calls: int
    problems: tuple[str, ...]


def cloud_of(year: int) -> SimCloud:
    """The cloud of a year, fresh."""
    return CLOUDS[year % len(CLOUDS)](year, DAYS + 20)


def live(year: int, engine: Engine, kind: type[Life] = Life) -> Life:
    """One year, whole."""
    life = kind(engine, cloud_of(year), year)
    life.live()
    return life


def lived(year: int, template: Path, folder: Path, kind: type[Life] = Life) -> Lived:
    """One year on a database of its own."""
    with database(template, folder, f"year-{year}") as engine:
        life = live(year, engine, kind)
        called = sum(life.cloud.called.values())
        return Lived(year, life.cloud.provider, life.purchases, called, tuple(life.problems))


@contextmanager
def database(template: Path, folder: Path, name: str) -> Iterator[Engine]:
    """A fresh copy of ``template``, removed afterwards."""
    path = folder / f"{name}.db"
    shutil.copyfile(template, path)
    engine = open_engine(f"sqlite:///{path}")
    try:
        yield engine
    finally:
        engine.dispose()
        for left in folder.glob(f"{name}.db*"):
            left.unlink()


def scratch() -> str | None:
    """Memory where there is some: the years need no disk that survives them."""
    shared = Path("/dev/shm")  # noqa: S108 - a scratch folder of this process's own is made in it
    return str(shared) if os.access(shared, os.W_OK) else None


def _worker(job: tuple[int, Path, Path]) -> Lived:
    return lived(*job)


def main() -> int:
    """Run the years; exit status 1 when a checker found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first year's number, its seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=scratch()) as name:
        folder = Path(name)
        template = folder / "template.db"
        engine = open_engine(f"sqlite:///{template}")
        migrate.upgrade(engine)
        engine.dispose()
        years = range(options.first, options.first + options.years)
        jobs = [(year, template, folder) for year in years]
        with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
            done = []
            for one in pool.imap_unordered(_worker, jobs):
                done.append(one)
                for problem in one.problems:
                    again = f"make simulate YEARS=1 FIRST={one.year}"
                    told = f"{one.cloud}, year {one.year}: {problem} (again: {again})\n"
                    sys.stdout.write(told)
    bad = sum(bool(one.problems) for one in done)
    sys.stdout.write(
        f"{len(done)} years, {sum(one.purchases for one in done)} purchases, "
        f"{sum(one.calls for one in done)} calls, {bad} years with problems, "
        f"{time.monotonic() - began:.0f} s\n"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
