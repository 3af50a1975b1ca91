"""Live events: the ledger as it grows, for programs and for the pages' own script."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import StreamingResponse

from service.api.context import Allowed, Context, bearer, listener_of
from service.api.problems import Kind, ProblemError, documented
from service.api.stream import MEDIA_TYPE, Listening, open_stream
from service.domain.errors import TenorError

WAIT_SECONDS_MAX = 86_400
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^\d{1,18}$",
        description="the last event that was seen; those after it come first",
        examples=["1204"],
    ),
]
WaitSeconds = Annotated[
    float | None,
    Query(
        ge=0,
        le=WAIT_SECONDS_MAX,
        description="end after so long; 0: what there is, at once. Left out: stay open",
    ),
]


def stream(
    *,
    request: Request,
    context: Context,
    caller: Allowed,
    last_event_id: LastEventId = None,
    wait_seconds: WaitSeconds = None,
) -> StreamingResponse:
    """Every event of the ledger from now on, or after `Last-Event-ID`, as server-sent events.

    Comments keep the connection alive; at most 64 listeners are served at a time,
    8 of one person.
    """
    _, _, token = request.headers.get("authorization", "").partition(" ")
    shown = HTTPAuthorizationCredentials(scheme="Bearer", credentials=token) if token else None

    def is_welcome() -> bool:
        try:
            found = bearer(request, context, shown)
        except (ProblemError, TenorError):
            return False
        return found is not None or caller.token_id is None

    after = None if last_event_id is None else int(last_event_id)
    who = listener_of(request, caller)
    listening = Listening(who, after, wait_seconds, is_welcome)
    return open_stream(context, request, listening)


def router() -> APIRouter:
    """This route, ready to be included."""
    routes = APIRouter(tags=["audit"])
    example = (
        'id: 1204\nevent: proposal.approved\ndata: {"sequence": 1204, "actor": "Ada (tok_1)"}\n\n'
    )
    answers = documented(
        Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.INVALID, Kind.NOT_READY, Kind.INTERNAL
    )
    answers[200] = {
        "description": "Events, until either side ends it",
        # No schema: it is a text of many events, which none describes.
        "content": {MEDIA_TYPE: {"example": example}},
    }
    routes.add_api_route(
        "/v1/events/stream", stream, responses=answers, response_class=StreamingResponse
    )
    return routes
