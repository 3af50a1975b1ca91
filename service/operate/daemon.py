"""The daemon: the jobs and when they are due, the bell, the API beside them, a clean end."""

from __future__ import annotations

import threading

from service.api.access import access_from
from service.api.app import create_app
from service.api.serve import RunningServer, serve
from service.domain.errors import RefusedError, TenorError
from service.domain.ids import CycleId
from service.observe.log import get_logger
from service.operate import timetable
from service.operate.alerting import tell
from service.operate.billed_usage import BilledUsage
from service.operate.demoting import demote_on_stale_data
from service.operate.event_log import EventLog
from service.operate.ingesting import ingest
from service.operate.once import look_first
from service.operate.settling import expire, tie_loose_ends
from service.operate.situation import LEAST_HISTORY_HOURS
from service.operate.timetable import EXPIRING, TELLING
from service.operate.undoing import undo
from service.pipeline import Cycle, run_cycle
from service.scheduler import Bell, Errand, Executor, Job
from service.store import asked, due
from service.store.lease import Lease
from service.usage.quality import decision_window
from service.wiring import Parts, WallClock

log = get_logger(__name__)

STOP_SECONDS = 8.0
"""How long work under way may take to end when the daemon is told to stop."""


def jobs_of(parts: Parts) -> tuple[Job, ...]:
    """What recurs, in the order in which it runs when several are due.

    All inventories are read before anything is decided: caps count every cloud's. Then cloud by
    cloud, so that none waits for another's billing data.
    """
    expiring = Job(*EXPIRING, lambda _run, _lease: expire(parts))
    telling = Job(*TELLING, lambda _run, _lease: tell(parts))
    each = parts.each()
    deciding = (job(one) for one in each for job in (_ingest_job, _undo_job, _cycle_job))
    return (expiring, *map(_reconcile_job, each), *deciding, telling)


def _ingest_job(parts: Parts) -> Job:
    provider = parts.cloud.provider
    slot = timetable.ingesting(parts.settings, provider)
    return Job(*slot, lambda _run, _lease: ingest(parts, provider=provider))


def _reconcile_job(parts: Parts) -> Job:
    slot = timetable.reconciling(parts.settings, parts.cloud.provider)
    return Job(*slot, lambda _run, lease: tie_loose_ends(parts, lease=lease))


def _undo_job(parts: Parts) -> Job:
    slot = timetable.undoing(parts.cloud.provider)
    return Job(*slot, lambda _run, lease: undo(parts, lease=lease), lambda: waits(parts))


def _cycle_job(parts: Parts) -> Job:
    slot = timetable.deciding(parts.settings, parts.cloud.provider)
    provider = parts.cloud.provider
    errand = Errand(
        asked.schedule_of(provider),
        lambda connection, lease, now: asked.open_requests(
            connection, provider, lease=lease, now=now
        ),
        lambda run, lease: decide_asked(parts, run, lease),
    )
    return Job(
        *slot, lambda run, lease: decide(parts, run, lease), lambda: waits(parts), errand=errand
    )


def decide(parts: Parts, run: due.Run, lease: Lease) -> str:
    """Run the cycle that ``run`` names; returns a sentence."""
    cycle = Cycle(CycleId(run.run), run.schedule, run.due_at)
    result = run_cycle(parts, cycle, lease=lease)
    acted = result.acted
    return (
        f"{len(result.plan.lines)} lines: {acted.bought} bought, {acted.proposed} proposed, "
        f"{acted.refused} refused, {acted.declined} declined, {acted.unknown} unknown"
    )


def decide_asked(parts: Parts, run: due.Run, lease: Lease) -> str:
    """The cycle that somebody asked for, on what usage and inventory say now."""
    look_first(parts, lease=lease)
    return decide(parts, run, lease)


def not_ready(parts: Parts) -> str | None:
    """Why a decision could not be made now; a cycle waits, still due, until there is no reason."""
    error = _unfit(parts)
    return None if error is None else str(error)


def waits(parts: Parts) -> str | None:
    """``not_ready``, as the executor asks it: data that is too old costs autopilot its trust."""
    error = _unfit(parts)
    if isinstance(error, RefusedError):
        demote_on_stale_data(parts, error)
    return None if error is None else str(error)


def _unfit(parts: Parts) -> TenorError | None:
    try:
        policy = parts.policy().policy
        decision_window(
            parts.usage.manifest(),
            now=parts.clock.now(),
            lag_hours=parts.settings.lag_hours,
            want_hours=parts.settings.history_hours,
            least_hours=LEAST_HISTORY_HOURS,
            age_hours_max=int(policy.freshness.max_data_age_hours),
            provider=parts.cloud.provider,
        )
    except TenorError as error:
        return error
    return None


def executor_of(parts: Parts) -> Executor:
    """This process as a candidate for the lease, with all jobs.

    What an earlier holder left half done is settled by the reconcile job, which is due at least
    as often as anything that buys; until then the open outcome itself keeps purchases out.
    """
    return Executor(
        engine=parts.engine,
        clock=parts.clock,
        holder=parts.holder,
        lifetime=parts.lease_lifetime,
        jobs=jobs_of(parts),
        on_acquired=lambda lease: log.info("executor.ready", fence=lease.fence),
        on_rung=EventLog(parts.engine).tell,
    )


def serve_api(parts: Parts, jobs: tuple[Job, ...]) -> RunningServer:
    """The API and pages, answering in a thread."""
    access = access_from(parts.settings, WallClock())
    app = create_app(
        engine=parts.engine,
        clock=parts.clock,
        policy_source=parts.policy,
        jobs=jobs,
        open_reads=parts.settings.open_reads,
        access=access,
        usage=BilledUsage(parts),
    )
    return serve(
        app,
        parts.settings.listen_host,
        parts.settings.listen_port,
        trusted_proxies=access.trusted_proxies,
    )


def run_daemon(
    parts: Parts, stop: threading.Event, *, bell_seconds: float = 15.0, announce: bool = True
) -> bool:
    """Run until ``stop`` is set; ``True`` when everything under way had ended in time.

    Work that was cut off is resumed at the next start: that is what intents are for.
    """
    executor = executor_of(parts)
    heartbeat = min(bell_seconds, parts.settings.lease_seconds / 4)
    bell = Bell(executor, every_seconds=bell_seconds, heartbeat_seconds=heartbeat)
    server = serve_api(parts, executor.jobs)
    bell.start()
    if announce:
        log.info("daemon.started", url=server.url, holder=parts.holder)
    try:
        stop.wait()
    finally:
        ended = bell.stop(within_seconds=STOP_SECONDS)
        server.stop()
        log.info("daemon.stopped", clean=ended)
    return ended
