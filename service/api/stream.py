"""Decides what is told as it happens: the ledger's events, in order, over one open connection.

Server-sent events: each carries its place in the ledger, so whoever is cut off resumes where they
were. The database is looked at once a second for all listeners together, in a thread: nothing here
holds up the event loop, and no listener holds a connection of the database while it waits.
Source: WHATWG HTML, 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy import Connection, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api import models
from service.api.context import AppContext
from service.api.problems import Kind, ProblemError
from service.api.reads import event_of
from service.api.slots import is_ending
from service.store.engine import reading
from service.store.schema import events, ledger_head

MEDIA_TYPE = "text/event-stream"
RETRY_MS = 3_000
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Listening:
    """What ``who`` is told: events after ``after``, for ``wait_seconds`` (``None``: on).

    ``is_welcome`` is asked every heartbeat, however much there is to tell: a revoked token ends
    its streams too.
    """

    who: str
    after: int | None
    wait_seconds: float | None
    is_welcome: Callable[[], bool]


class Watch:
    """One open stream's own time: when it is over, and when silence must be broken."""

    def __init__(
        self,
        context: AppContext,
        request: Request,
        is_welcome: Callable[[], bool],
        *,
        wait_seconds: float | None,
    ) -> None:
        self._pace, self._request = context.pace, request
        self._is_welcome, self._wait_seconds = is_welcome, wait_seconds
        self._began = self._asked = self._spoke = time.monotonic()

    async def is_over(self, *, has_more: bool = False) -> bool:
        """True when it has lasted long enough, the server ends, or its listener is not let in.

        One that ``has_more`` to tell is not cut short by its time.
        """
        now, most = time.monotonic(), self._wait_seconds
        if is_ending(self._request.scope):
            return True
        if most is not None and now - self._began >= most and not has_more:
            return True
        if now - self._asked < self._pace.heartbeat_seconds:
            return False
        self._asked = now
        return not await run_in_threadpool(self._is_welcome)

    def heartbeat(self, *, spoke: bool) -> str:
        """The comment that keeps a silent connection alive, when it is time for it; else empty."""
        now = time.monotonic()
        if spoke or now - self._spoke >= self._pace.heartbeat_seconds:
            self._spoke = now
            return "" if spoke else ": still here\n\n"
        return ""

    async def look_again(self) -> None:
        """Wait until it is time to look."""
        await asyncio.sleep(self._pace.look_seconds)


class EventStream(StreamingResponse):
    """A response of events, which takes one of the places and gives it back however it ends."""

    def __init__(self, context: AppContext, who: str, told: AsyncIterator[str]) -> None:
        super().__init__(
            told,
            media_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._context, self._who = context, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until either side ends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._context.slots.give_back(self._who)


def take_place(context: AppContext, who: str, instead: str) -> None:
    """Take a place for ``who``; a 429 problem that says what to do ``instead`` without a free one.

    The ``EventStream`` that follows gives it back.
    """
    if not context.slots.take(who):
        raise ProblemError(
            Kind.TOO_MANY,
            f"Too many listeners. Try again later, or {instead}.",
            headers={"Retry-After": "10"},
        )


def open_stream(context: AppContext, request: Request, listening: Listening) -> EventStream:
    """The stream, or a 429 problem when too many are open."""
    take_place(context, listening.who, "read /v1/audit")
    return EventStream(context, listening.who, _told(context, request, listening))


async def _told(context: AppContext, request: Request, listening: Listening) -> AsyncIterator[str]:
    watch = Watch(context, request, listening.is_welcome, wait_seconds=listening.wait_seconds)
    after = listening.after
    if after is None:
        after = await run_in_threadpool(ledger_stands_at, context)
    yield f"retry: {RETRY_MS}\n: the ledger stands at {after}\n\n"
    while True:
        found = await run_in_threadpool(_after, context, after)
        for event in found:
            after = event.sequence
            yield f"id: {after}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
        beat = watch.heartbeat(spoke=bool(found))
        if beat:
            yield beat
        more = len(found) == _BATCH
        if await watch.is_over(has_more=more):
            return
        if not more:
            await watch.look_again()


def ledger_stands_at(context: AppContext) -> int:
    """The ledger's last number, looked at once for all who ask in the same moment."""

    def look() -> int:
        with reading(context.engine) as connection:
            return head_of(connection)

    return context.kept.value(
        ("ledger head", id(context.engine)), None, seconds=context.pace.look_seconds / 2, make=look
    )


def head_of(connection: Connection) -> int:
    """The ledger's last number as ``connection`` sees it; 0 of an empty one."""
    return connection.execute(select(ledger_head.c.sequence)).scalar_one_or_none() or 0


def _after(context: AppContext, after: int) -> list[models.AuditEvent]:
    if ledger_stands_at(context) <= after:
        return []
    query = select(events).where(events.c.sequence > after).order_by(events.c.sequence)
    with reading(context.engine) as connection:
        return [event_of(row) for row in connection.execute(query.limit(_BATCH))]
