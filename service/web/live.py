"""Tells open pages that something happened, so that they fetch themselves again: no facts in it.

What is sent is the ledger's newest number, to whoever may read pages. The same places are taken as
by listeners of the API; a page asks every so often anyway, so one that gets none is late, not lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, Query
from starlette.concurrency import run_in_threadpool

from service.api.context import listener_of
from service.api.stream import RETRY_MS, EventStream, Watch, ledger_stands_at, take_place
from service.web.frame import ReadingVisitor, Visitor, visitor

Told = Annotated[int | None, Query(ge=0)]
ToldLast = Annotated[int | None, Header(alias="Last-Event-ID", ge=0)]


def live(visitor: ReadingVisitor, since: Told = None, last: ToldLast = None) -> EventStream:
    """The stream for one open page. It ends by itself now and then; the browser opens the next.

    ``since`` is where the ledger stood when the page was made, ``last`` where it stood when the
    browser was told last: nothing is told before it stands elsewhere.
    """
    signed_in = visitor.signed_in
    who = listener_of(visitor.request, None if signed_in is None else signed_in.caller)
    take_place(visitor.context, who, "load the page again")
    known = since if last is None else last
    return EventStream(visitor.context, who, _told(visitor, known))


async def _told(guest: Visitor, known: int | None) -> AsyncIterator[str]:
    watch = Watch(
        guest.context,
        guest.request,
        lambda: _is_welcome(guest),
        wait_seconds=guest.context.pace.longest_seconds,
    )
    seen = -1 if known is None else known
    yield f"retry: {RETRY_MS}\n\n"
    while not await watch.is_over():
        # What is looked at for all together may be half a second older than the page.
        head = await run_in_threadpool(ledger_stands_at, guest.context)
        beat = watch.heartbeat(spoke=head > seen)
        if head > seen:
            seen = head
            yield f"id: {seen}\ndata: {seen}\n\n"
        elif beat:
            yield beat
        await watch.look_again()


def _is_welcome(guest: Visitor) -> bool:
    """Still signed in, or never asked to be."""
    again = visitor(guest.request, guest.context)
    return again.signed_in is not None or guest.context.open_reads
