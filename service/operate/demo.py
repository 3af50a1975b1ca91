"""``tenor demo``: the whole service against a sandbox cloud on this machine, on a virtual clock.

Nothing here is special to the demo but the clock and the cloud's address: the same jobs, the
same SDK clients over HTTP, the same API. ``--once`` runs days headless, with a simulated approver
who signs proposals over the API; without it the pages are served until interrupted.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from service.api.serve import RunningServer
from service.api.tokens import mint
from service.observe.log import configure_logging
from service.operate.approver import approve_waiting
from service.operate.daemon import executor_of, serve_api
from service.operate.demo_result import print_result, result_of, unsound
from service.report.render import print_json, progress
from service.sandbox.cloud import SandboxCloud
from service.sandbox.estate import PROVIDERS, Estate, running
from service.sandbox.faults import Fault, FaultKind
from service.scheduler import Bell, Executor
from service.settings import Settings
from service.store import schema
from service.store.engine import reading, writing
from service.store.states import Role
from service.wiring import Parts, build

FOLDER = Path("var") / "demo"
HISTORY_DAYS = 120
FIRST_HOURS = 6
STEP_HOURS = 6
DAY_STEPS = 24 // STEP_HOURS
LOSING = {
    "aws": ("savingsplans.CreateSavingsPlan", "ec2.PurchaseReservedInstancesOffering"),
    "azure": ("azure.ReservationOrder.Purchase", "azure.SavingsPlanOrderAlias.Create"),
    "gcp": ("gcp.regionCommitments.insert", "gcp.orders.place"),
}
"""The operations whose answers the demo loses now and then, by provider."""

TICK_SECONDS = 0.5
VIRTUAL_HOURS_PER_SECOND = 1.0
"""The live demo's pace: a virtual week takes just under three minutes."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Sandbox clouds and a Tenor on them."""

    estate: Estate
    parts: Parts
    executor: Executor

    @property
    def cloud(self) -> SandboxCloud:
        """The sandbox AWS, which is always there."""
        return self.estate.aws


@contextmanager
def prepared(
    *,
    seed: int,
    port: int,
    folder: Path,
    history_days: int = HISTORY_DAYS,
    providers: tuple[str, ...] = ("aws",),
) -> Iterator[Demo]:
    """Fresh sandbox clouds and a fresh Tenor in ``folder``, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with running(
        seed=seed, history_days=history_days, folder=folder, providers=providers
    ) as estate:
        # Clouds fail now and then: one answer in six is lost although the purchase was made.
        for provider, script in estate.faults.items():
            for operation in LOSING[provider]:
                script.add(Fault(operation, FaultKind.ERROR_AFTER, times=1_000, chance=1 / 6))
        # Decisions fall due on Mondays at six, when this world's first day has come so far.
        estate.advance(FIRST_HOURS)
        urls = {name: cloud.endpoint_url for name, cloud in estate.clouds.items()}
        settings = Settings(
            database_url=f"sqlite:///{folder / 'tenor.db'}",
            data_dir=folder,
            policy_file=_policy(folder, estate),
            exports=folder / "exports",
            aws_endpoint_url=urls["aws"],
            azure_endpoint_url=urls.get("azure"),
            gcp_endpoint_url=urls.get("gcp"),
            ingest_every_hours=24,
            reconcile_every_hours=STEP_HOURS,
            listing_lag_hours=1,
            listen_port=port,
            open_reads=True,
            seed=seed,
        )
        parts = build(settings, clock=estate.clock)
        try:
            yield Demo(estate, parts, executor_of(parts))
        finally:
            parts.close()


def run_once(
    *,
    days: int,
    seed: int,
    as_json: bool,
    providers: tuple[str, ...] = PROVIDERS,
    folder: Path = FOLDER,
) -> int:
    """Run ``days`` simulated days headless and report; exit status 0 when the run is sound."""
    configure_logging("CRITICAL")
    with prepared(seed=seed, port=0, folder=folder, providers=providers) as demo:
        token = _token(demo.parts, Role.APPROVER, "simulated approver")
        server = serve_api(demo.parts, demo.executor.jobs)
        try:
            with progress("Simulating days", days) as advance:
                for step in range(days * DAY_STEPS):
                    demo.executor.heartbeat()  # no bell runs beside the simulation
                    demo.executor.ring_all()
                    if step % DAY_STEPS == DAY_STEPS - 1:
                        approve_waiting(server.url, token)
                        advance()
                    demo.estate.advance(STEP_HOURS)
                demo.executor.ring_all()
        finally:
            server.stop()
        result = result_of(demo.parts, demo.estate, days=days)
        demo.executor.release()
    if as_json:
        print_json(result)
    else:
        print_result(result)
    faults = unsound(result)
    for fault in faults:
        sys.stderr.write(f"tenor: the demo is not sound: {fault}\n")
    return 1 if faults else 0


def run_live(
    *, port: int, seed: int, providers: tuple[str, ...] = PROVIDERS, folder: Path = FOLDER
) -> int:
    """Serve the pages while virtual time runs, until interrupted."""
    configure_logging("CRITICAL")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    with prepared(seed=seed, port=port, folder=folder, providers=providers) as demo:
        server = serve_api(demo.parts, demo.executor.jobs)
        bell = Bell(demo.executor, every_seconds=1.0, heartbeat_seconds=5.0)
        _say(server, _token(demo.parts, Role.OPERATOR, "you, in the demo"))
        bell.start()
        try:
            # Time stands still until every cloud was decided for: what they propose waits for
            # people for all of its lifetime, however slow the machine.
            while not stop.wait(TICK_SECONDS) and not _has_rung(demo):
                pass
            while not stop.wait(TICK_SECONDS):
                demo.estate.advance(TICK_SECONDS * VIRTUAL_HOURS_PER_SECOND)
            sys.stderr.write("stopping\n")
        finally:
            bell.stop(within_seconds=8)
            server.stop()
    return 0


def _has_rung(demo: Demo) -> bool:
    """True once the last of the jobs has run, and so all before it."""
    table = schema.job_runs.c
    query = select(table.run_id).where(
        table.schedule == demo.executor.jobs[-1].name, table.finished_at.is_not(None)
    )
    with reading(demo.parts.engine) as connection:
        return connection.execute(query.limit(1)).first() is not None


def _policy(folder: Path, estate: Estate) -> Path:
    shipped = Path(__file__).with_name("demo_policy.yaml").read_text(encoding="utf-8")
    accounts = "\n".join(f'  {name}: "{payer}"' for name, payer in estate.payers.items())
    payers = ", ".join(f'"{payer}"' for payer in estate.payers.values())
    path = folder / "policy.yaml"
    path.write_text(
        shipped.replace("  ACCOUNTS", accounts).replace("PAYERS", payers), encoding="utf-8"
    )
    return path


def _token(parts: Parts, role: Role, label: str) -> str:
    # Tokens expire by the wall clock, whatever the virtual one says.
    now = datetime.now(UTC)
    with writing(parts.engine) as connection:
        minted = mint(
            connection, label=label, role=role, now=now, expires_at=now + timedelta(days=1)
        )
    return minted.text


def _say(server: RunningServer, token: str) -> None:
    sys.stdout.write(
        f"Tenor is running against a sandbox cloud on this machine. open {server.url}\n"
        f"To approve proposals or halt, sign in with the token {token}\n"
        "A virtual day passes in 24 seconds, so a proposal waits for you two minutes. "
        "Ctrl-C ends it.\n"
    )
    sys.stdout.flush()
