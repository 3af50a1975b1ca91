"""Tells open pages that something happened, so that they fetch themselves again: no facts in it.

What is sent is the ledger's newest number, to whoever may read pages. The same places are taken as
by listeners of the API; a page that gets none asks every few seconds instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.context import AppContext
from service.api.problems import Kind, ProblemError
from service.api.stream import HEARTBEAT_SECONDS, LOOK_SECONDS, MEDIA_TYPE, RETRY_MS
from service.store.engine import reading
from service.store.schema import ledger_head
from service.web.frame import ReadingVisitor, Visitor, visitor

LONGEST_SECONDS = 600.0
"""A stream ends by itself after this long; the browser opens the next one."""


def live(visitor: ReadingVisitor) -> StreamingResponse:
    """The stream for one open page."""
    if not visitor.context.slots.take():
        raise ProblemError(Kind.TOO_MANY, "Too many pages listen.", headers={"Retry-After": "10"})
    return _Stream(visitor)


class _Stream(StreamingResponse):
    """A response that gives its place back however it ends."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__(
            _told(visitor),
            media_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._context = visitor.context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._context.slots.give_back()


async def _told(guest: Visitor) -> AsyncIterator[str]:
    began = last_word = time.monotonic()
    seen = await run_in_threadpool(_head, guest.context)
    yield f"retry: {RETRY_MS}\ndata: {seen}\n\n"
    while time.monotonic() - began < LONGEST_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        head = await run_in_threadpool(_head, guest.context)
        now = time.monotonic()
        if head != seen:
            seen, last_word = head, now
            yield f"data: {seen}\n\n"
        elif now - last_word >= HEARTBEAT_SECONDS:
            if not await run_in_threadpool(_is_welcome, guest):
                return
            last_word = now
            yield ": still here\n\n"


def _is_welcome(guest: Visitor) -> bool:
    """Still signed in, or never asked to be."""
    again = visitor(guest.request, guest.context)
    return again.signed_in is not None or guest.context.open_reads


def _head(context: AppContext) -> int:
    """The ledger's last number, looked at once for all pages in the same moment."""

    def look() -> int:
        with reading(context.engine) as connection:
            found = connection.execute(select(ledger_head.c.sequence)).scalar_one_or_none()
        return found or 0

    return context.kept.value(
        ("pages", id(context.engine)), None, seconds=LOOK_SECONDS / 2, make=look
    )
