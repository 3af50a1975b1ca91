"""Rings the bell. The database decides what is due, and who may act on it.

APScheduler wakes each job every few seconds; a ring asks the database for scheduled instants
that have not run, claims the newest under the executor's lease, and does the work. Nothing is
remembered between rings, so a restart neither skips nor repeats. Time comes from the clock that
is passed in: the demo's virtual days go through the same code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from service.domain.errors import LeaseLostError, TenorError
from service.domain.hours import Clock
from service.observe.events import LeaseAcquired, LeaseLost
from service.observe.log import get_logger
from service.observe.metrics import timed_job
from service.observe.tracing import span
from service.store import due, ledger
from service.store import lease as leases
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.states import RunState

log = get_logger(__name__)

SUPERSEDED = "superseded: a newer instant of the schedule was due as well"


@dataclass(frozen=True, slots=True)
class Errand:
    """Work of a job at instants that somebody asked for, beside those that it recurs at.

    ``asked`` lists them, oldest first; the newest is done under ``schedule`` and stands for all.
    """

    schedule: str
    asked: Callable[[Connection, Lease, datetime], Sequence[datetime]]
    work: Callable[[due.Run, Lease], str]


@dataclass(frozen=True, slots=True)
class Job:
    """Work that recurs every ``every`` (from 1970 plus ``offset``) on the service's clock.

    ``work`` does it under the lease and returns a sentence for the record. ``waits`` tells why
    the job cannot usefully run yet, or ``None``; a job that waits stays due. What is asked of its
    ``errand`` does not wait: who asked is told why not.
    """

    name: str
    every: timedelta
    offset: timedelta
    work: Callable[[due.Run, Lease], str]
    waits: Callable[[], str | None] = lambda: None
    errand: Errand | None = None


class Executor:
    """This process as a candidate for the executor's lease, and what it does when it holds it.

    ``on_acquired`` runs once each time the lease newly becomes ours, before any job;
    ``on_rung`` after each ring while it is held.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        clock: Clock,
        holder: str,
        lifetime: timedelta,
        jobs: Sequence[Job],
        on_acquired: Callable[[Lease], None],
        on_rung: Callable[[], object] = lambda: None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._holder = holder
        self._lifetime = lifetime
        self._on_acquired = on_acquired
        self._on_rung = on_rung
        self._lease: Lease | None = None
        self._prepared_fence: int | None = None
        self._waiting: dict[str, str] = {}
        self._working = threading.Lock()
        self._released = False
        self._stumbled = False
        self.jobs = tuple(jobs)

    def heartbeat(self) -> Lease | None:
        """Take or keep the lease; ``None`` while another process holds it."""
        if self._released:
            return None
        before, stumbled = self._lease, self._stumbled
        with writing(self._engine) as connection:
            if stumbled and before is not None:
                # A new fence hands the run that could not be ended back to us, as after a crash.
                leases.release(connection, before)
            lease = leases.acquire(connection, holder=self._holder, lifetime=self._lifetime)
            now = self._clock.now()
            if lease is not None and (before is None or before.fence != lease.fence):
                event = LeaseAcquired(holder=lease.holder, fence=lease.fence)
                ledger.append(connection, event, now=now)
            if lease is None and before is not None:
                event_lost = LeaseLost(holder=before.holder, fence=before.fence)
                ledger.append(connection, event_lost, now=now)
        self._lease = lease
        if stumbled:
            self._stumbled = False
        return lease

    def ring(self, name: str) -> int:
        """Run what is due of job ``name``; returns how many runs were done. Never raises."""
        job = next(job for job in self.jobs if job.name == name)
        with self._working:
            try:
                lease = self.heartbeat() if self._stumbled else self._lease or self.heartbeat()
                if lease is None:
                    return 0
                self._prepare(lease)
                done = self._run_asked(job, lease) + self._run_due(job, lease)
                self._on_rung()
            except LeaseLostError as error:
                self._lease = None
                log.warning("lease.lost", job=name, detail=str(error))
            except Exception as error:
                # The edge of a job: a database that is away must not end the scheduler. Nothing is
                # swallowed: the run stays unclaimed or unfinished in the database.
                log.exception("ring.failed", job=name, error=type(error).__name__)
            else:
                return done
            return 0

    def ring_all(self) -> int:
        """Run everything that is due, in the jobs' order; returns how many runs were done."""
        return sum(self.ring(job.name) for job in self.jobs)

    def release(self, *, within_seconds: float = -1) -> bool:
        """Let another process have the lease at once, and do nothing from now on.

        Waits for work under way to end, for ever unless ``within_seconds`` is given; ``False``
        when it has not ended by then.
        """
        if not self._working.acquire(timeout=within_seconds):
            return False
        try:
            self._released = True
            lease, self._lease = self._lease, None
            if lease is not None:
                with writing(self._engine) as connection:
                    leases.release(connection, lease)
        finally:
            self._working.release()
        return True

    def _prepare(self, lease: Lease) -> None:
        if self._prepared_fence != lease.fence:
            self._on_acquired(lease)
            self._prepared_fence = lease.fence

    def _run_asked(self, job: Job, lease: Lease) -> int:
        errand = job.errand
        if errand is None:
            return 0
        with reading(self._engine) as connection:
            instants = errand.asked(connection, lease, self._clock.now())
        if not instants:
            return 0
        return self._run_newest(
            replace(job, name=errand.schedule, work=errand.work), instants, lease
        )

    def _run_due(self, job: Job, lease: Lease) -> int:
        now = self._clock.now()
        with reading(self._engine) as connection:
            instants = due.due_instants(
                connection,
                schedule=job.name,
                every=job.every,
                offset=job.offset,
                now=now,
                lease=lease,
            )
        if not instants:
            return 0
        reason = job.waits()
        if reason is not None:
            if self._waiting.get(job.name) != reason:
                log.info("job.waits", job=job.name, reason=reason)
            self._waiting[job.name] = reason
            return 0
        self._waiting.pop(job.name, None)
        return self._run_newest(job, instants, lease)

    def _run_newest(self, job: Job, instants: Sequence[datetime], lease: Lease) -> int:
        *older, newest = instants
        if older:
            self._supersede(job, older, lease)
        return self._run(job, newest, lease)

    def _supersede(self, job: Job, older: Sequence[datetime], lease: Lease) -> None:
        with writing(self._engine) as connection:
            due.supersede(
                connection,
                schedule=job.name,
                instants=older,
                lease=lease,
                now=self._clock.now(),
                detail=SUPERSEDED,
            )

    def _run(self, job: Job, instant: datetime, lease: Lease) -> int:
        with writing(self._engine) as connection:
            run = due.claim(
                connection,
                schedule=job.name,
                due_at=instant,
                lease=lease,
                now=self._clock.now(),
            )
        if run is None:
            return 0
        with timed_job(job.name) as ended, span(f"job {job.name}", run=run.run):
            state, detail = _worked(job, run, lease)
            ended.append(state.value)
        try:
            with writing(self._engine) as connection:
                due.finish(
                    connection, run, state=state, lease=lease, now=self._clock.now(), detail=detail
                )
        except SQLAlchemyError:
            self._stumbled = True
            raise
        return 1


def _worked(job: Job, run: due.Run, lease: Lease) -> tuple[RunState, str]:
    """How one run of ``job`` ended, and what it said. Only a lost lease is raised."""
    try:
        return RunState.DONE, job.work(run, lease)
    except LeaseLostError:
        raise
    except TenorError as error:
        log.warning("job.refused", job=job.name, run=run.run, detail=str(error))
        return RunState.FAILED, f"{type(error).__name__}: {error}"
    except Exception as error:
        # The edge of a job: whatever it was is written down, and due again after a while.
        log.exception("job.failed", job=job.name, run=run.run)
        return RunState.FAILED, f"{type(error).__name__}: {error}"


class Bell:
    """APScheduler, ringing an ``Executor``: work one job at a time, the heartbeat beside it.

    ``every_seconds`` is how often each job asks whether something is due, on the wall's clock.
    """

    def __init__(
        self, executor: Executor, *, every_seconds: float, heartbeat_seconds: float
    ) -> None:
        self._executor = executor
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(1), "heartbeat": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        self._scheduler.add_job(
            self._beat, "interval", seconds=heartbeat_seconds, executor="heartbeat", id="heartbeat"
        )
        for job in executor.jobs:
            self._scheduler.add_job(
                executor.ring, "interval", seconds=every_seconds, args=[job.name], id=job.name
            )

    def start(self) -> None:
        """Begin to ring, the first time at once and in the jobs' order."""
        self._beat()
        self._scheduler.start()
        first = datetime.now(UTC)
        for number, job in enumerate(self._executor.jobs):
            # APScheduler takes what is due at the same instant by name; a hair apart, in order.
            at = first + timedelta(microseconds=number)
            self._scheduler.modify_job(job.name, next_run_time=at)

    def stop(self, *, within_seconds: float) -> bool:
        """Stop ringing, let the work under way end, and give the lease back.

        ``False`` when the work had not ended in time: the lease is then left to expire.
        """
        self._scheduler.shutdown(wait=False)
        return self._executor.release(within_seconds=within_seconds)

    def _beat(self) -> None:
        try:
            self._executor.heartbeat()
        except Exception as error:
            # The edge of a job, as in ``ring``: a database that is away must not end the bell.
            log.exception("heartbeat.failed", error=type(error).__name__)
