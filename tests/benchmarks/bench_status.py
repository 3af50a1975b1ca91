"""Status under load, beside the same query run bare; start to ready; memory of the idle daemon.

    python -m tests.benchmarks.bench_status [--seconds 8] [--readers 50] [--events 100000]

A PostgreSQL of its own holds the ledger, purchases and commitments. Readers are threads of this
process with one connection each; the service runs in another. "Bare" is the status query alone
(``read_status``), by as many threads over the same pool of connections, without HTTP. Printed are
both, and the service's throughput and p99 as ratios of the bare query's. Exit status 1 when any
read fails.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, insert, text

from service.api.access import Access
from service.api.app import create_app
from service.api.context import AppContext, WallClock
from service.api.limiting import Limiter, Rates
from service.api.ports import policy_file
from service.api.serve import serve
from service.api.status import read_status
from service.observe.log import configure_logging
from service.store import ledger, migrate
from service.store.engine import open_engine, reading, writing
from service.store.schema import events, ledger_head
from service.store.states import Role
from tests.api.world import POLICY, SetClock, World, add_proposals, add_purchase, an_access
from tests.postgres_server import postgres_server

ROOT = Path(__file__).resolve().parents[2]
PURCHASES = 2_000
UNLIMITED = Rates(10**9, 10**9, 10**9)
BATCH = 5_000


@dataclass(frozen=True)
class Measured:
    """Reads of one kind: how many a second, and the 99th percentile in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def fill(engine: Engine, count: int) -> str:
    """A past of ``count`` ledger rows and many purchases; returns a reader's token."""
    clock = SetClock(datetime.now(UTC).replace(microsecond=0))
    app = create_app(
        engine=engine, clock=clock, policy_source=policy_file(POLICY), access=an_access()
    )
    world = World(engine=engine, clock=clock, app=app)
    for number in range(PURCHASES):
        add_purchase(world, number)
    add_proposals(world, 10**5, lines=5)
    with writing(engine) as connection:
        head = connection.execute(ledger_head.select()).one()
        sequence, previous = head.sequence, head.hash
        while sequence < count:
            rows = []
            for number in range(sequence + 1, min(count, sequence + BATCH) + 1):
                row = {
                    "sequence": number,
                    "happened_at": clock.instant - timedelta(seconds=count - number),
                    "kind": "reconcile.matched",
                    "actor": "tenor",
                    "payload": {"provider": "aws", "matched": number, "findings": 0},
                    "previous_hash": previous,
                }
                row["hash"] = previous = ledger._hash(row)  # noqa: SLF001 - as it is written
                rows.append(row)
            connection.execute(insert(events), rows)
            sequence += len(rows)
        connection.execute(ledger_head.update().values(sequence=sequence, hash=previous))
    with engine.connect() as connection:
        connection.execute(text("COMMIT"))
        connection.execute(text("ANALYZE"))
        connection.commit()
    return world.token(Role.VIEWER)


def measure(readers: int, seconds: float, ready: Callable[[], Callable[[], None]]) -> Measured:
    """Let ``readers`` threads read for ``seconds``; each makes its own reader by ``ready``."""
    times: list[list[float]] = [[] for _ in range(readers)]
    errors = [0] * readers
    together = threading.Barrier(readers + 1)
    over = threading.Event()

    def run(index: int) -> None:
        read = ready()
        together.wait()
        while not over.is_set():
            began = time.perf_counter()
            try:
                read()
            except Exception as error:  # noqa: BLE001 - counted and shown
                errors[index] += 1
                sys.stderr.write(f"{error!r}\n")
            times[index].append(time.perf_counter() - began)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(readers)]
    for thread in threads:
        thread.start()
    together.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    over.set()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    every = sorted(one for mine in times for one in mine)
    return Measured(
        per_second=len(every) / took,
        p50_ms=1000 * every[len(every) // 2],
        p99_ms=1000 * every[int(len(every) * 0.99)],
        errors=sum(errors),
    )


def over_http(port: int, token: str) -> Callable[[], Callable[[], None]]:
    """Readers of ``/v1/status``, each over a connection that stays open."""

    def ready() -> Callable[[], None]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def read() -> None:
            connection.request("GET", "/v1/status", headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.client.OK or not body.startswith(b"{"):
                msg = f"{answer.status}: {body[:200]!r}"
                raise RuntimeError(msg)

        return read

    return ready


def bare(engine: Engine) -> Callable[[], Callable[[], None]]:
    """Readers of the status query itself."""
    context = AppContext(
        engine=engine,
        clock=WallClock(),
        auth_clock=WallClock(),
        policy_source=policy_file(POLICY),
        jobs=(),
        open_reads=False,
        access=Access(),
    )

    def read() -> None:
        with reading(engine) as connection:
            read_status(connection, context)

    return lambda: read


def serve_here(url: str, kept_seconds: float) -> None:
    """Be the service until standard input ends."""
    configure_logging("ERROR")  # nobody reads a log here, and a full pipe would stop the service
    app = create_app(
        engine=open_engine(url),
        clock=WallClock(),
        policy_source=policy_file(POLICY),
        access=Access(limiter=Limiter(UNLIMITED)),
        status_kept_seconds=kept_seconds,
    )
    running = serve(app, "127.0.0.1", 0)
    sys.stdout.write(f"{running.url.rsplit(':', 1)[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    running.stop()


def served(url: str, kept_seconds: float) -> subprocess.Popen[str]:
    """The service in a process of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.bench_status",
            *("--serve", url, "--kept", str(kept_seconds)),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@dataclass(frozen=True)
class Started:
    """From the start of ``tenor run`` to ready: by the clock, and of processor time; memory."""

    ready_seconds: float
    ready_cpu_seconds: float
    memory_at_ready_mib: float
    memory_idle_mib: float


def start_and_idle(url: str) -> Started:
    """Start the daemon, wait until it is ready, and leave it alone for a while."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TENOR_")},
        "TENOR_DATABASE_URL": url,
        "TENOR_LISTEN_PORT": str(port),
        "TENOR_AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "TENOR_LOG_LEVEL": "ERROR",
    }
    began = time.perf_counter()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "run"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                    break
            except (urllib.error.URLError, OSError):
                if daemon.poll() is not None or time.perf_counter() - began > 120:
                    raise
                time.sleep(0.02)
        ready = time.perf_counter() - began
        cpu, first = cpu_seconds(daemon.pid), resident_mib(daemon.pid)
        time.sleep(10)
        return Started(ready, cpu, first, resident_mib(daemon.pid))
    finally:
        daemon.terminate()
        daemon.wait(30)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Measure, print one JSON object, and say whether every read was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--serve")
    parser.add_argument("--kept", type=float, default=1.0)
    options = parser.parse_args()
    if options.serve:
        serve_here(options.serve, options.kept)
        return 0
    with postgres_server() as url:
        engine = open_engine(url)
        migrate.upgrade(engine)
        token = fill(engine, options.events)
        results: dict[str, Measured] = {
            "bare": measure(options.readers, options.seconds, bare(engine))
        }
        engine.dispose()
        for name, kept in (("service", 1.0), ("service, nothing kept", 0.0)):
            process = served(url, kept)
            assert process.stdout is not None
            port = int(process.stdout.readline())
            results[name] = measure(options.readers, options.seconds, over_http(port, token))
            process.communicate("")
        started = start_and_idle(url)
    base = results["bare"]
    told = {
        name: {
            "per_second": round(one.per_second, 1),
            "p50_ms": round(one.p50_ms, 1),
            "p99_ms": round(one.p99_ms, 1),
            "errors": one.errors,
            "throughput_ratio": round(one.per_second / base.per_second, 3),
            "p99_ratio": round(one.p99_ms / base.p99_ms, 3),
        }
        for name, one in results.items()
    }
    report = {
        "readers": options.readers,
        "ledger_rows": options.events,
        "purchases": PURCHASES,
        "cores": os.cpu_count(),
        "load_1_minute": round(os.getloadavg()[0], 1),
        **told,
        **{name: round(value, 2) for name, value in asdict(started).items()},
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if any(one.errors for one in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
