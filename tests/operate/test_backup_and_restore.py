"""The backup runbook, rehearsed: what was bought after the backup is neither lost nor bought again.

The commands are those of docs/runbooks/backup-and-restore.md, run by a shell as they stand there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from service.cli import main
from service.domain.ids import CycleId, IntentId
from service.domain.purchases import ProposalState
from service.observe.events import PurchaseCalled
from service.operate.demo import Demo
from service.operate.doctor import examine
from service.operate.settling import tie_loose_ends
from service.pipeline import Cycle, run_cycle
from service.purchase.propose import approve
from service.settings import read_settings
from service.store import holdings, ledger, proposals
from service.store import lease as leases
from service.store.engine import open_engine, reading, writing
from service.store.halt import set_halt
from service.store.lease import Lease
from service.store.schema import SCHEMA
from service.store.states import Origin, Role
from service.wiring import Parts, build
from tests.api.world import World, csrf_in, make_world

NOW = datetime(2026, 3, 3, tzinfo=UTC)
RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbooks" / "backup-and-restore.md"


def documented(beginning: str) -> str:
    """The runbook's command that begins so, on a line of its own or between backticks."""
    shown = rf"(?:^ *|`)({re.escape(beginning)}[^`\n]*)"
    found = re.search(shown, RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, beginning
    return found.group(1)


def run_as_written(command: str, folder: Path, **environment: str) -> None:
    here = Path(sys.executable).parent
    env = os.environ | {"PATH": f"{here}:{os.environ['PATH']}"} | environment
    subprocess.run(["sh", "-ec", command], cwd=folder, env=env, check=True)


def append(engine: Engine, number: int) -> None:
    with writing(engine) as connection:
        called = PurchaseCalled(intent=IntentId(f"i{number}"), fence=number)
        ledger.append(connection, called, now=datetime.now(UTC))


@contextmanager
def writer(engine: Engine) -> Iterator[None]:
    """Somebody who appends to the ledger for as long as the block runs."""
    stop, began = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            append(engine, number)
            number += 1
            began.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert began.wait(30)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def rows(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in SCHEMA.sorted_tables
        }


def sound(url: str, capsys: pytest.CaptureFixture[str]) -> bool:
    done = main(["audit", "verify", "--database-url", url]) == 0
    capsys.readouterr()
    return done


def test_a_copy_made_while_somebody_writes_is_whole(
    sqlite_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "var").symlink_to(Path(str(sqlite_engine.url.database)).parent)
    with writer(sqlite_engine):
        run_as_written(documented("python3 -c"), tmp_path)
    copy = f"sqlite:///{tmp_path / 'tenor-backup.db'}"
    assert sound(copy, capsys)
    restored = open_engine(copy)
    append(restored, 1_000_000)
    restored.dispose()
    assert sound(copy, capsys)


def test_a_copy_that_lost_an_event_does_not_verify(
    sqlite_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        append(sqlite_engine, number)
    copy = tmp_path / "harmed.db"
    with sqlite3.connect(copy) as harmed:
        sqlite3.connect(str(sqlite_engine.url.database)).backup(harmed)
        triggers = harmed.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            harmed.execute(f"DROP TRIGGER {name}")
        harmed.execute("DELETE FROM events WHERE sequence = 2")
    assert not sound(f"sqlite:///{copy}", capsys)


def a_crash_after_a_backup(engine: Engine, folder: Path) -> Path:
    """What a crash leaves in ``var``, its write-ahead log with it, and an earlier backup beside."""
    database, var = Path(str(engine.url.database)), folder / "var"
    var.mkdir(parents=True)
    for number in range(100):
        append(engine, number)
    (folder / "live").symlink_to(database.parent)
    command = documented("python3 -c").replace("var/tenor.db", "live/tenor.db")
    run_as_written(command, folder)
    for number in range(100, 200):
        append(engine, number)
    with engine.connect() as connection:  # what the log held is in the file now, not in the copy
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    for number in range(200, 210):
        append(engine, number)
    for suffix in ("", "-wal", "-shm"):
        shutil.copyfile(f"{database}{suffix}", var / f"tenor.db{suffix}")
    return var


def test_a_copy_put_under_a_crashed_files_log_is_refused_and_as_documented_it_is_whole(
    sqlite_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    var = a_crash_after_a_backup(sqlite_engine, tmp_path / "here")
    url = f"sqlite:///{var / 'tenor.db'}"
    command = documented("rm -f")
    log = (var / "tenor.db-wal").read_bytes()
    assert log
    shutil.copyfile(var.parent / "tenor-backup.db", var / "tenor.db")
    assert main(["migrate", "--database-url", url]) == 2
    assert "is damaged" in capsys.readouterr().err
    (check,) = examine(read_settings({"TENOR_DATABASE_URL": url}))
    assert (check.passed, "is damaged" in check.finding) == (False, True)
    assert "-wal" in check.mend

    (var / "tenor.db-wal").write_bytes(log)
    run_as_written(command, var.parent)
    assert main(["migrate", "--database-url", url]) == 0
    assert sound(url, capsys)


@pytest.mark.postgres
def test_a_dump_made_while_somebody_writes_is_restored_whole(
    postgres_database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("pg_dump") is None or shutil.which("pg_restore") is None:
        pytest.skip("pg_dump and pg_restore are not installed")
    engine = open_engine(postgres_database_url)
    with writer(engine):
        run_as_written(documented("pg_dump"), tmp_path, DATABASE=postgres_database_url)
    later = rows(engine)
    run_as_written(documented("pg_restore"), tmp_path, DATABASE=postgres_database_url)
    back = rows(engine)
    assert 0 < back["events"] <= later["events"]
    assert {n: c for n, c in back.items() if n not in {"events", "ledger_head"}} == {
        n: c for n, c in later.items() if n not in {"events", "ledger_head"}
    }
    append(engine, 1_000_000)
    engine.dispose()
    assert sound(postgres_database_url, capsys)


def a_cycle(day: int) -> Cycle:
    due = datetime(2026, 3, day, 6, tzinfo=UTC)
    return Cycle(CycleId(f"cycle@{due.isoformat()}"), "cycle", due)


def sign_all(parts: Parts) -> int:
    """Approve whatever waits, as a person would who knows nothing of a restore."""
    now = parts.clock.now()
    with writing(parts.engine) as connection:
        waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
        for one in waiting:
            approve(connection, one.proposal, version=one.version, by="lead", comment="", now=now)
    return len(waiting)


def take_over(parts: Parts) -> Lease:
    """The lease of a process that starts after the one before it has been dead for a while."""
    with writing(parts.engine) as connection:
        connection.execute(text("UPDATE leases SET expires_at = '2020-01-01 00:00:00'"))
        granted = leases.acquire(connection, holder=parts.holder, lifetime=parts.lease_lifetime)
    assert granted is not None
    return granted


def sold(demo: Demo) -> Counter[str]:
    """How many commitments of each offer the cloud has sold."""
    world = demo.cloud.world
    return Counter(plan.request.offering for plan in world.savings_plans.plans.values())


def test_what_was_bought_after_the_backup_is_owned_drift_and_not_bought_again(
    demo: Demo, lease: Lease, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cycle(demo.parts, a_cycle(2), lease=lease)
    before = sold(demo)
    (tmp_path / "var").symlink_to(Path(str(demo.parts.engine.url.database)).parent)
    run_as_written(documented("python3 -c"), tmp_path)
    demo.estate.advance(1)
    sign_all(demo.parts)
    tie_loose_ends(demo.parts, lease=lease)
    since_backup = sold(demo) - before
    assert since_backup

    url = f"sqlite:///{tmp_path / 'tenor-backup.db'}"
    assert main(["migrate", "--database-url", url]) == 0
    assert sound(url, capsys)
    settings = demo.parts.settings.model_copy(update={"database_url": url})
    parts = build(settings, clock=demo.estate.clock)
    halt(parts, halted=True)
    held = take_over(parts)
    tie_loose_ends(parts, lease=held)
    with reading(parts.engine) as connection:
        listed = holdings.list_holdings(connection)
        counted = {one.commitment.commitment for one in holdings.owed(connection, now=NOW)}
    drifted = [one.item for one in listed if one.origin is Origin.EXTERNAL]
    assert Counter(one.commitment.offering for one in drifted) == since_backup
    assert {one.commitment.commitment for one in drifted} <= counted
    halt(parts, halted=False)

    # The proposals wait in the restored database still; somebody signs them once more.
    assert sign_all(parts) >= since_backup.total()
    tie_loose_ends(parts, lease=held)
    parts.close()
    again = sold(demo)
    assert all(again[offer] == before[offer] + count for offer, count in since_backup.items())


def halt(parts: Parts, *, halted: bool) -> None:
    with writing(parts.engine) as connection:
        set_halt(connection, halted=halted, by="ops", reason="x", now=parts.clock.now())


def test_what_a_restored_backup_opens_again_is_closed_as_the_runbook_says(
    sqlite_engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(sqlite_engine)
    token = world.token(Role.OPERATOR)
    browser = world.signed_in(token)
    cookies = dict(browser.cookies)
    copy = tmp_path / "restored.db"
    with (
        closing(sqlite3.connect(copy)) as target,
        closing(sqlite3.connect(str(sqlite_engine.url.database))) as source,
    ):
        source.backup(target)
    halt = browser.get("/halt").text
    assert browser.post("/logout", data={"csrf": csrf_in(halt)}).status_code == 200
    assert not opens(world, cookies)
    engine = open_engine(f"sqlite:///{copy}")
    try:
        restored = make_world(engine)
        assert restored.client(token).get("/v1/me").status_code == 200
        assert opens(restored, cookies)  # signed out before the backup was restored
        rekeyed = make_world(engine, app_key=b"n" * 32)
        assert not opens(rekeyed, cookies)
        where = ["--database-url", f"sqlite:///{copy}"]
        capsys.readouterr()
        assert main([*documented("tenor token list").split()[1:], *where, "--json"]) == 0
        (known,) = json.loads(capsys.readouterr().out)["tokens"]
        command = documented("tenor token revoke TOKEN").replace("TOKEN", known["token_id"])
        assert main([*command.split()[1:], *where]) == 0
        assert main([*documented("tenor session list").split()[1:], *where]) == 0
        assert restored.client(token).get("/v1/me").status_code == 401
    finally:
        engine.dispose()


def opens(world: World, cookies: dict[str, str]) -> bool:
    """Whether a browser with these cookies is shown a page, not the sign-in."""
    client = world.client(accept="text/html")
    for name, value in cookies.items():
        client.cookies.set(name, value)
    return client.get("/halt", follow_redirects=False).status_code == 200
