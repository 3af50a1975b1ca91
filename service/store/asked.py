"""Decides which cycles somebody asked the running executor for, and are still to be decided.

A request is an event of the ledger, so that who asked stands there for good; what came of it is the
run that is named by the instant of asking. Nothing else is kept.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from service.domain.ids import CycleId
from service.observe.events import CycleAsked
from service.store import ledger
from service.store.due import run_id
from service.store.lease import Lease
from service.store.schema import events, job_runs
from service.store.states import RunState

GOOD_FOR = timedelta(hours=1)
"""A request that nobody took up for so long is nobody's any more: who asked has gone."""

_LOOKED_AT = 100


def schedule_of(provider: str) -> str:
    """The schedule of cycles that somebody asked for; each is named by the instant of asking."""
    return f"manual-{provider}"


def ask(connection: Connection, provider: str, *, at: datetime, actor: str) -> str:
    """Ask for a cycle of ``provider``, named by ``at``; returns the id of the run it will be."""
    cycle = CycleId(run_id(schedule_of(provider), at))
    event = CycleAsked(cycle=cycle, provider=provider, asked_at=at)
    ledger.append(connection, event, now=at, actor=actor)
    return cycle


def open_requests(
    connection: Connection, provider: str, *, lease: Lease, now: datetime
) -> tuple[datetime, ...]:
    """Instants asked for that no run has ended, oldest first; see ``GOOD_FOR``.

    A run that an earlier holder of the lease left is among them.
    """
    query = (
        select(events.c.payload, events.c.happened_at)
        .where(events.c.kind == CycleAsked.name)
        .order_by(events.c.sequence.desc())
        .limit(_LOOKED_AT)
    )
    asked = {
        str(row.payload["cycle"]): row.happened_at
        for row in connection.execute(query)
        if row.payload["provider"] == provider and now - GOOD_FOR <= row.happened_at <= now
    }
    if not asked:
        return ()
    runs = connection.execute(
        select(job_runs.c.run_id, job_runs.c.state, job_runs.c.fence).where(
            job_runs.c.run_id.in_(asked)
        )
    )
    over = {
        run.run_id
        for run in runs
        if run.state != RunState.STARTED.value or run.fence >= lease.fence
    }
    return tuple(sorted(at for run, at in asked.items() if run not in over))


def ended(connection: Connection, run: str) -> tuple[RunState, str] | None:
    """How a run ended, and what it said; ``None`` while it has not."""
    row = connection.execute(
        select(job_runs.c.state, job_runs.c.detail).where(job_runs.c.run_id == run)
    ).one_or_none()
    if row is None or row.state == RunState.STARTED.value:
        return None
    return RunState(row.state), row.detail
