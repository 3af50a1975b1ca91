"""Decides what is due. The scheduler only rings; the database knows what has been done.

A run's id is its schedule and its scheduled instant, unique in the database, so a restart, a
second replica or a bell that rings twice can neither repeat nor skip one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update

from service.domain.errors import InvariantError, LeaseLostError
from service.domain.hours import iso, require_utc
from service.store.lease import Lease, require
from service.store.schema import job_runs
from service.store.states import RunState

ATTEMPTS_MAX = 6
RETRY_AFTER = timedelta(minutes=15)
RETRY_FACTOR = 3
"""A run that failed is due again after a quarter of an hour, then three times as long each time
(the last about a day after the first), until a newer instant is due."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one schedule. ``attempts`` is above 1 when an earlier holder died in it."""

    run: str
    schedule: str
    due_at: datetime
    attempts: int


def run_id(schedule: str, due_at: datetime) -> str:
    """The one id of a scheduled run; a cycle's id is this."""
    return f"{schedule}@{iso(due_at)}"


def due_instants(
    connection: Connection,
    *,
    schedule: str,
    every: timedelta,
    now: datetime,
    lease: Lease,
    offset: timedelta = timedelta(0),
) -> tuple[datetime, ...]:
    """Scheduled instants that still have to run, oldest first.

    Those are the runs that an earlier holder of the lease began and never ended, the newest run
    when it failed and may be tried again, and every instant of the grid (``every`` from 1970 plus
    ``offset``) after the last one claimed, up to ``now``. On a fresh database it is the newest
    instant alone: there is no past to catch up.
    """
    if every <= timedelta(0):
        msg = f"schedule {schedule} repeats every {every}"
        raise InvariantError(msg)
    query = select(job_runs.c.due_at).where(
        job_runs.c.schedule == schedule,
        job_runs.c.state == RunState.STARTED.value,
        job_runs.c.fence < lease.fence,
    )
    unfinished = list(connection.execute(query.order_by(job_runs.c.due_at)).scalars())
    newest = _EPOCH + offset + (require_utc(now) - _EPOCH - offset) // every * every
    # Runs dated after now are from a clock that was ahead: they must not silence the schedule.
    last = connection.execute(
        select(func.max(job_runs.c.due_at)).where(
            job_runs.c.schedule == schedule, job_runs.c.due_at <= newest
        )
    ).scalar_one()
    if last is None:
        return (newest,)
    if _may_retry(connection, run_id(schedule, last), now):
        unfinished.append(last)
    missed = []
    instant = _EPOCH + offset + ((last - _EPOCH - offset) // every + 1) * every
    while instant <= newest:
        missed.append(instant)
        instant += every
    return (*unfinished, *missed)


def claim(
    connection: Connection, *, schedule: str, due_at: datetime, lease: Lease, now: datetime
) -> Run | None:
    """The right to run, or ``None`` when the run is done, or is being run by this holder.

    A run that an earlier holder began and did not end is handed over, once; one that failed may
    be tried again some times. Raises
    ``LeaseLostError`` when ``lease`` is no longer held.
    """
    require(connection, lease)
    identity = run_id(schedule, due_at)
    row = (
        connection.execute(select(job_runs).where(job_runs.c.run_id == identity))
        .mappings()
        .one_or_none()
    )
    if row is None:
        connection.execute(
            insert(job_runs).values(
                run_id=identity,
                schedule=schedule,
                due_at=due_at,
                state=RunState.STARTED.value,
                holder=lease.holder,
                fence=lease.fence,
                attempts=1,
                started_at=now,
                detail="",
            )
        )
        return Run(identity, schedule, due_at, 1)
    left = row["state"] == RunState.STARTED.value and row["fence"] < lease.fence
    if not left and not _may_retry(connection, identity, now):
        return None
    attempts = row["attempts"] + 1
    connection.execute(
        update(job_runs)
        .where(job_runs.c.run_id == identity)
        .values(
            state=RunState.STARTED.value,
            holder=lease.holder,
            fence=lease.fence,
            attempts=attempts,
            finished_at=None,
        )
    )
    return Run(identity, schedule, due_at, attempts)


def supersede(
    connection: Connection,
    *,
    schedule: str,
    instants: Sequence[datetime],
    lease: Lease,
    now: datetime,
    detail: str,
) -> None:
    """Write ``instants``, which a newer one stands for, down as done, all at once.

    Of a schedule of minutes there are thousands after a week in which nobody ran. One that was
    begun or failed before is ended; one that is done already stays as it is. Raises
    ``LeaseLostError`` when ``lease`` is no longer held.
    """
    require(connection, lease)
    begun = set(
        connection.execute(
            select(job_runs.c.due_at).where(
                job_runs.c.schedule == schedule,
                job_runs.c.due_at >= min(instants),
                job_runs.c.due_at <= max(instants),
            )
        ).scalars()
    )
    for instant in sorted(begun.intersection(instants)):
        run = claim(connection, schedule=schedule, due_at=instant, lease=lease, now=now)
        if run is not None:
            finish(connection, run, state=RunState.DONE, lease=lease, now=now, detail=detail)
    rows = [
        {
            "run_id": run_id(schedule, instant),
            "schedule": schedule,
            "due_at": instant,
            "state": RunState.DONE.value,
            "holder": lease.holder,
            "fence": lease.fence,
            "attempts": 1,
            "started_at": now,
            "finished_at": now,
            "detail": detail,
        }
        for instant in instants
        if instant not in begun
    ]
    if rows:
        connection.execute(insert(job_runs), rows)


def _may_retry(connection: Connection, identity: str, now: datetime) -> bool:
    row = connection.execute(
        select(job_runs.c.state, job_runs.c.attempts, job_runs.c.finished_at).where(
            job_runs.c.run_id == identity
        )
    ).one()
    failed = row.state == RunState.FAILED.value and row.attempts < ATTEMPTS_MAX
    wait = RETRY_AFTER * RETRY_FACTOR ** (row.attempts - 1)
    return bool(failed and row.finished_at + wait <= now)


def finish(
    connection: Connection,
    run: Run,
    *,
    state: RunState,
    lease: Lease,
    now: datetime,
    detail: str = "",
) -> None:
    """Write how a run ended. ``LeaseLostError`` when somebody else has taken it over."""
    changed = connection.execute(
        update(job_runs)
        .where(
            job_runs.c.run_id == run.run,
            job_runs.c.state == RunState.STARTED.value,
            job_runs.c.fence == lease.fence,
        )
        .values(state=state.value, finished_at=now, detail=detail)
    ).rowcount
    if changed != 1:
        raise LeaseLostError(holder=lease.holder, fence=lease.fence)
