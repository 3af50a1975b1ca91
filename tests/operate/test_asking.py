"""While a daemon runs, `tenor cycle` asks it, waits for what comes of it, and says so."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from service import cli
from service.api.shell import at_the_shell
from service.observe.log import configure_logging
from service.scheduler import Executor
from service.store import ledger
from service.store.engine import reading
from service.wiring import WallClock
from tests.store.test_asked import Deciding


@pytest.fixture(autouse=True)
def environment(sqlite_engine: Engine) -> Iterator[None]:
    """This process on a database, and on credentials of a cloud that it must not need."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("TENOR_")]:
        del os.environ[name]
    os.environ["TENOR_DATABASE_URL"] = str(sqlite_engine.url)
    os.environ["TENOR_AWS_PROFILE"] = "nobody-made-this-profile"
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def daemon(sqlite_engine: Engine) -> Iterator[Deciding]:
    """An executor that rings again and again, as a daemon's does."""
    deciding = Deciding("aws")
    running = Executor(
        engine=sqlite_engine,
        clock=WallClock(),
        holder="the daemon",
        lifetime=timedelta(minutes=10),
        jobs=[deciding.job],
        on_acquired=lambda _lease: None,
    )
    stop = threading.Event()

    def ring() -> None:
        while not stop.wait(0.05):
            running.ring_all()

    configure_logging("WARNING")  # as a command does: a log goes to standard error
    assert running.heartbeat() is not None
    thread = threading.Thread(target=ring)
    thread.start()
    try:
        yield deciding
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def silent(sqlite_engine: Engine) -> Iterator[None]:
    """Somebody holds the lease and rings for nobody."""
    holder = Executor(
        engine=sqlite_engine,
        clock=WallClock(),
        holder="the silent one",
        lifetime=timedelta(minutes=10),
        jobs=[],
        on_acquired=lambda _lease: None,
    )
    assert holder.heartbeat() is not None
    yield
    holder.release()


def test_the_daemon_decides_when_it_is_asked_and_the_command_tells_what_it_said(
    daemon: Deciding, sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cycle", "--json"]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    (cycle,) = told["cycles"]
    assert (told["asked"], cycle["state"], cycle["detail"]) == ("the daemon", "done", "3 lines")
    assert daemon.ran == [cycle["cycle"]]
    assert "the daemon is the executor and has been asked" in printed.err
    with reading(sqlite_engine) as connection:
        (event,) = ledger.read(connection, kind="cycle.asked")
    assert event.actor == at_the_shell().actor


def test_a_cycle_that_fails_there_fails_here(
    daemon: Deciding, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.fails = True
    assert cli.main(["cycle"]) == 3
    assert "RuntimeError: no usage" in capsys.readouterr().err


@pytest.mark.usefixtures("silent")
def test_the_command_waits_no_longer_than_it_is_told_to(
    sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["cycle", "--no-wait", "--json"]) == 0
    (cycle,) = json.loads(capsys.readouterr().out)["cycles"]
    assert cycle["state"] == "asked"
    assert cli.main(["cycle", "--wait-seconds", "0"]) == 3
    assert "has not ended within 0 s; it stays asked for" in capsys.readouterr().err
    assert cli.main(["cycle", "--provider", "azure"]) == 2
    with reading(sqlite_engine) as connection:
        assert len(ledger.read(connection, kind="cycle.asked")) == 2
