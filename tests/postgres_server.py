"""A PostgreSQL server of the test run's own, or the one that the environment names."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

URL_VARIABLE = "TENOR_TEST_POSTGRES_URL"


class NoServerError(Exception):
    """No server is named and no server program is installed."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """URL of a server's ``postgres`` database, which may create and drop other databases."""
    named = os.environ.get(URL_VARIABLE)
    if named:
        yield named
        return
    with own_server() as server:
        yield server.url


@dataclass(frozen=True)
class OwnServer:
    """A server that nobody else uses: pg_ctl on its data is its control, with how it starts."""

    url: str
    control: tuple[str, ...]
    start: tuple[str, ...]

    def restart(self) -> None:
        """Crash: sessions end and nothing is tidied up; then recover, and take connections."""
        _run([*self.control, *self.start, "-m", "immediate", "-w", "restart"])


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server of this test run's own; ``NoServerError`` where its programs are missing."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        msg = f"no initdb and pg_ctl installed; {URL_VARIABLE} may name a server"
        raise NoServerError(msg)
    folder = Path(tempfile.mkdtemp(prefix="tenor-pg-"))
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root, so the folder and the server belong to postgres.
        shutil.chown(folder, "postgres", "postgres")
        prefix = ("runuser", "-u", "postgres", "--")
    data = folder / "data"
    try:
        _run([*prefix, initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"])
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=60"
        control = (*prefix, pg_ctl, "-D", str(data))
        start = ("-o", options, "-l", str(folder / "log"))
        _run([*control, *start, "-w", "start"])
        try:
            yield OwnServer(f"postgresql://postgres@/postgres?host={folder}", control, start)
        finally:
            _run([*control, "-m", "immediate", "-w", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str | None:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(debian[0]) if debian else shutil.which(name)


def _run(command: Sequence[str]) -> None:
    # The server outlives pg_ctl and would hold a pipe open for ever: write to a file instead.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(command, stdout=output, stderr=output, check=False, cwd="/")
        if done.returncode != 0:
            output.seek(0)
            msg = f"{command} failed: {output.read().decode(errors='replace')}"
            raise RuntimeError(msg)
