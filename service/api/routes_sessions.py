"""Sign-ins through the identity provider, for administrators: which there are, and ending them.

A sign-in keeps the role that it began with. Ending it signs its holder out at once; whether they
may sign in again is for the identity provider to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api import sessions
from service.api.context import Allowed, Context
from service.api.once import Once, once
from service.api.problems import Kind, ProblemError, documented
from service.api.shapes import REASON, STORABLE, Answer, Instant, Page
from service.api.shapes import Body as StrictBody
from service.store.engine import reading, writing
from service.store.states import Role

PERSON_LENGTH_MAX = 500


class Session(Answer):
    """One sign-in through the identity provider; sign-ins with a token end with the token."""

    id: str = Field(examples=["sso_5f4dcc3b5aa765d61d8327deb882cf99"])
    person: str = Field(description="the provider's address and their subject there")
    name: str = Field(examples=["ada@example.com"])
    role: Role
    accounts: list[str] | None
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None


class RevokeSessions(StrictBody):
    """Whose sign-ins end."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"person": "ada@example.com"}]},
    )

    person: str = Field(
        min_length=1,
        max_length=PERSON_LENGTH_MAX,
        pattern=REASON,
        description="as they are called, or the identity provider knows them",
    )


def shown(record: sessions.SessionRecord) -> Session:
    """A sign-in as the API shows it."""
    return Session(
        id=record.session_id,
        person=record.person,
        name=record.label,
        role=record.role,
        accounts=None if record.accounts is None else sorted(record.accounts),
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )


def list_sessions(context: Context, _caller: Allowed) -> Page[Session]:
    """Every sign-in through the identity provider that is kept, oldest first."""
    with reading(context.engine) as connection:
        found = sessions.listed(connection)
    return Page(items=[shown(record) for record in found], next=None)


def revoke_session(
    change: Annotated[Once, Depends(once)],
    session_id: Annotated[str, Path(min_length=1, max_length=60, pattern=STORABLE)],
) -> Response:
    """End a sign-in at once, its open pages too. Ending it again changes nothing."""

    def revoked() -> BaseModel:
        with reading(change.context.engine) as connection:
            found = sessions.by_id(connection, session_id)
        if found is None:
            raise ProblemError(Kind.NOT_FOUND, f"There is no sign-in {session_id}.")
        ended = _end(change, (found,))
        return shown(ended[0] if ended else found)

    return change.reply(None, revoked)


def revoke_person(change: Annotated[Once, Depends(once)], order: RevokeSessions) -> Response:
    """End all sign-ins of a person, by what they are known or called by; those that it ended."""

    def revoked() -> BaseModel:
        with reading(change.context.engine) as connection:
            found = sessions.of_person(connection, order.person)
        if not found:
            raise ProblemError(Kind.NOT_FOUND, "Nobody of this name is signed in.")
        return Page(items=[shown(one) for one in _end(change, found)], next=None)

    return change.reply(order, revoked)


def _end(
    change: Once, found: Iterable[sessions.SessionRecord]
) -> tuple[sessions.SessionRecord, ...]:
    context, by = change.context, change.caller.actor
    with writing(context.engine) as connection:
        return sessions.revoke(
            connection, found, by=by, now=context.auth_clock.now(), at=context.clock.now()
        )


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["access"])
    reading_problems = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_READY, Kind.INTERNAL)
    changing = documented(
        *reading_problems, Kind.NOT_FOUND, Kind.CONFLICT, Kind.TOO_LARGE, Kind.INVALID
    )
    routes.add_api_route("/v1/sessions", list_sessions, responses=documented(*reading_problems))
    routes.add_api_route(
        "/v1/sessions/revoke",
        revoke_person,
        methods=["POST"],
        response_model=Page[Session],
        responses=changing,
    )
    routes.add_api_route(
        "/v1/sessions/{session_id}/revoke",
        revoke_session,
        methods=["POST"],
        response_model=Session,
        responses=changing,
    )
    return routes
