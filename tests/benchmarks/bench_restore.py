"""What a backup costs: copy a ledger, put it back, verify it; beside a bare copy of its file.

    python -m tests.benchmarks.bench_restore [--events 100000]

SQLite: the runbook's copy (``sqlite3``'s own backup, which is consistent while Tenor writes),
migrating what was put back, and ``tenor audit verify``. PostgreSQL, where its programs are
installed: ``pg_dump``, ``pg_restore`` and the same verification. Each is printed in seconds and as
a ratio to copying the SQLite file's bytes. Exit status 1 when a chain does not verify.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, create_engine, insert, text
from sqlalchemy.engine import make_url

from service.cli import main as tenor
from service.observe.events import HaltSet
from service.store import ledger, migrate
from service.store.engine import open_engine, writing
from service.store.schema import events, ledger_head
from tests.postgres_server import NoServerError, postgres_server

BATCH = 5_000
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def fill(engine: Engine, count: int) -> None:
    """A migrated database with a chain of ``count`` events."""
    migrate.upgrade(engine)
    with writing(engine) as connection:
        ledger.append(connection, HaltSet(by="ops", reason="the first event"), now=NOW)
        previous = connection.execute(ledger_head.select()).one().hash
        for first in range(2, count + 1, BATCH):
            rows = []
            for number in range(first, min(count, first + BATCH - 1) + 1):
                row = {
                    "sequence": number,
                    "happened_at": NOW,
                    "kind": "reconcile.matched",
                    "actor": "tenor",
                    "payload": {"provider": "aws", "matched": number, "findings": 0},
                    "previous_hash": previous,
                }
                row["hash"] = previous = ledger._hash(row)  # noqa: SLF001 - as it is written
                rows.append(row)
            connection.execute(insert(events), rows)
        connection.execute(ledger_head.update().values(sequence=count, hash=previous))


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def verify(url: str) -> None:
    """``tenor audit verify``, silently; ends the program when the chain is not whole."""
    with contextlib.redirect_stdout(io.StringIO()):
        status = tenor(["audit", "verify", "--database-url", url])
    if status:
        sys.exit(1)


def copy_consistently(source: Path, target: Path) -> None:
    """The runbook's copy."""
    with (
        contextlib.closing(sqlite3.connect(source)) as there,
        contextlib.closing(sqlite3.connect(target)) as here,
    ):
        there.backup(here)


def put_back(source: Path, target: Path) -> None:
    """Put a copy in place and bring it up to date."""
    shutil.copyfile(source, target)
    engine = open_engine(f"sqlite:///{target}")
    migrate.upgrade(engine)
    engine.dispose()


def on_sqlite(folder: Path, count: int) -> tuple[float, dict[str, float]]:
    """Seconds of the bare copy, and of each step."""
    source, bare, backup, back = (folder / n for n in ("a.db", "bare.db", "backup.db", "back.db"))
    engine = open_engine(f"sqlite:///{source}")
    fill(engine, count)
    with engine.connect() as connection:
        connection.execute(text("COMMIT"))
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    engine.dispose()
    copied = min(seconds(lambda: shutil.copyfile(source, bare)) for _ in range(3))
    return copied, {
        "sqlite: back up": seconds(lambda: copy_consistently(source, backup)),
        "sqlite: put back, migrate": seconds(lambda: put_back(backup, back)),
        "sqlite: verify": seconds(lambda: verify(f"sqlite:///{back}")),
    }


def on_postgres(folder: Path, count: int) -> dict[str, float]:
    """Seconds of each step on a server of its own; nothing where there is none."""
    if not all(shutil.which(name) for name in ("pg_dump", "pg_restore")):
        return {}
    try:
        with postgres_server() as url:
            server = make_url(url).set(drivername="postgresql+psycopg")
            administrator = create_engine(server, isolation_level="AUTOCOMMIT")
            with administrator.connect() as connection:
                connection.execute(text("CREATE DATABASE timed"))
            administrator.dispose()
            named = make_url(url).set(database="timed").render_as_string(hide_password=False)
            engine = open_engine(named)
            fill(engine, count)
            engine.dispose()
            return _dump_and_restore(named, folder / "tenor.dump")
    except NoServerError:
        return {}


def _dump_and_restore(url: str, dump: Path) -> dict[str, float]:
    def run(*command: str) -> None:
        subprocess.run(command, check=True)

    return {
        "postgres: pg_dump": seconds(
            lambda: run("pg_dump", "--format=custom", f"--file={dump}", url)
        ),
        "postgres: pg_restore": seconds(
            lambda: run("pg_restore", "--clean", "--if-exists", f"--dbname={url}", str(dump))
        ),
        "postgres: verify": seconds(lambda: verify(url)),
    }


def main() -> None:
    """Time all of it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copied, steps = on_sqlite(folder, count)
        size_mb = (folder / "a.db").stat().st_size / 1e6
        steps |= on_postgres(folder, count)
    sys.stdout.write(f"{count} events, {size_mb:.1f} MB; a bare copy takes {copied:.3f} s\n")
    for step, took in steps.items():
        sys.stdout.write(f"{step:<28} {took:8.2f} s  {took / copied:8.1f} × a bare copy\n")


if __name__ == "__main__":
    main()
