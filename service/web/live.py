"""Tells open pages that something happened, so that they fetch themselves again: no facts in it.

What is sent is the ledger's newest number, to whoever may read pages. The same places are taken as
by listeners of the API; a page that gets none asks every few seconds instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool

from service.api.context import listener_of
from service.api.stream import RETRY_MS, EventStream, Watch, ledger_stands_at, take_place
from service.web.frame import ReadingVisitor, Visitor, visitor


def live(visitor: ReadingVisitor) -> EventStream:
    """The stream for one open page. It ends by itself now and then; the browser opens the next."""
    signed_in = visitor.signed_in
    who = listener_of(visitor.request, None if signed_in is None else signed_in.caller)
    take_place(visitor.context, who, "load the page again")
    return EventStream(visitor.context, who, _told(visitor))


async def _told(guest: Visitor) -> AsyncIterator[str]:
    watch = Watch(
        guest.context,
        guest.request,
        lambda: _is_welcome(guest),
        wait_seconds=guest.context.pace.longest_seconds,
    )
    seen = await run_in_threadpool(ledger_stands_at, guest.context)
    yield f"retry: {RETRY_MS}\ndata: {seen}\n\n"
    while not await watch.is_over():
        await watch.look_again()
        head = await run_in_threadpool(ledger_stands_at, guest.context)
        beat = watch.heartbeat(spoke=head != seen)
        if head != seen:
            seen = head
            yield f"data: {seen}\n\n"
        elif beat:
            yield beat


def _is_welcome(guest: Visitor) -> bool:
    """Still signed in, or never asked to be."""
    again = visitor(guest.request, guest.context)
    return again.signed_in is not None or guest.context.open_reads
