"""Live events for the pages' own script: the API's stream, opened by the session's cookie."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from service.api.routes_events import LastEventId, WaitSeconds
from service.api.stream import Listening, open_stream
from service.store.engine import reading
from service.web.frame import WholeVisitor
from service.web.session import signed_in

PATH = "/live/events"


def live(
    visitor: WholeVisitor, last_event_id: LastEventId = None, wait_seconds: WaitSeconds = None
) -> StreamingResponse:
    """Events of the ledger as they are written, while whoever listens stays signed in."""

    def is_welcome() -> bool:
        if visitor.signed_in is None:
            return visitor.context.open_reads
        with reading(visitor.context.engine) as connection:
            return signed_in(connection, visitor.request, visitor.context) is not None

    after = None if last_event_id is None else int(last_event_id)
    return open_stream(visitor.context, Listening(after, wait_seconds, is_welcome))


def router() -> APIRouter:
    """This route, ready to be included."""
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(PATH, live, methods=["GET"], response_model=None)
    return routes
