"""Decides what is told as it happens: the ledger's events, in order, over one open connection.

Server-sent events: each carries its place in the ledger, so whoever is cut off resumes where they
were. The database is looked at once a second for all listeners together, in a thread: nothing here
holds up the event loop. Source: WHATWG HTML, 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import models
from service.api.context import AppContext
from service.api.problems import Kind, ProblemError
from service.api.reads import event_of
from service.store.engine import reading
from service.store.schema import events, ledger_head

MEDIA_TYPE = "text/event-stream"
LOOK_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 3_000
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Listening:
    """What one listener is told: events after ``after``, for ``wait_seconds`` (``None``: on).

    ``is_welcome`` is asked at each heartbeat: a revoked token ends its streams too.
    """

    after: int | None
    wait_seconds: float | None
    is_welcome: Callable[[], bool]


def open_stream(context: AppContext, listening: Listening) -> StreamingResponse:
    """The stream, or a 429 problem when too many are open."""
    if not context.slots.take():
        raise ProblemError(
            Kind.TOO_MANY,
            "Too many listeners. Try again later, or read /v1/audit.",
            headers={"Retry-After": "10"},
        )
    return _Stream(context, listening)


class _Stream(StreamingResponse):
    """A response that gives its place back however it ends."""

    def __init__(self, context: AppContext, listening: Listening) -> None:
        super().__init__(
            _told(context, listening),
            media_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._context.slots.give_back()


async def _told(context: AppContext, listening: Listening) -> AsyncIterator[str]:
    began = last_word = time.monotonic()
    after = listening.after
    if after is None:
        after = await run_in_threadpool(_head, context)
    yield f"retry: {RETRY_MS}\n: the ledger stands at {after}\n\n"
    while True:
        found = await run_in_threadpool(_after, context, after)
        for event in found:
            after = event.sequence
            yield f"id: {after}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
        now = time.monotonic()
        if found:
            last_word = now
        elif now - last_word >= HEARTBEAT_SECONDS:
            if not await run_in_threadpool(listening.is_welcome):
                return
            last_word = now
            yield ": still here\n\n"
        if len(found) == _BATCH:
            continue
        if listening.wait_seconds is not None and now - began >= listening.wait_seconds:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _head(context: AppContext) -> int:
    """The ledger's last number, looked at once for all who ask in the same moment."""

    def look() -> int:
        with reading(context.engine) as connection:
            found = connection.execute(select(ledger_head.c.sequence)).scalar_one_or_none()
        return found or 0

    return context.kept.value(
        ("ledger head", id(context.engine)), None, seconds=LOOK_SECONDS / 2, make=look
    )


def _after(context: AppContext, after: int) -> list[models.AuditEvent]:
    if _head(context) <= after:
        return []
    query = select(events).where(events.c.sequence > after).order_by(events.c.sequence)
    with reading(context.engine) as connection:
        return [event_of(row) for row in connection.execute(query.limit(_BATCH))]
