"""Tokens, for administrators: which there are, and ending one.

Making one needs the command line: an answer can be kept and logged on its way, a token must not.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from service.api import models
from service.api.context import Allowed, Context
from service.api.once import Once, once
from service.api.problems import Kind, ProblemError, documented
from service.api.shapes import STORABLE, Page
from service.api.tokens import TokenRecord, by_id, listed, revoke
from service.observe.events import TokenRevoked
from service.store import ledger
from service.store.engine import reading, writing


def shown(record: TokenRecord) -> models.Token:
    """A token's record as the API shows it."""
    return models.Token(
        id=record.token_id,
        name=record.label,
        role=record.role,
        accounts=None if record.accounts is None else sorted(record.accounts),
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )


def list_tokens(context: Context, _caller: Allowed) -> Page[models.Token]:
    """Every token's record, oldest first; the tokens themselves are nowhere."""
    with reading(context.engine) as connection:
        found = listed(connection)
    return Page(items=[shown(record) for record in found], next=None)


def revoke_token(
    change: Annotated[Once, Depends(once)],
    token_id: Annotated[str, Path(min_length=1, max_length=60, pattern=STORABLE)],
) -> Response:
    """End a token at once, and the sign-ins that it opened. Ending it again changes nothing."""
    return change.reply(None, lambda: _revoke(change, token_id))


def _revoke(change: Once, token_id: str) -> BaseModel:
    context, now = change.context, change.context.auth_clock.now()
    with writing(context.engine) as connection:
        ledger.lock(connection)
        before = by_id(connection, token_id)
        if before is None:
            raise ProblemError(Kind.NOT_FOUND, f"There is no token {token_id}.")
        record = revoke(connection, token_id, now=now)
        if before.revoked_at is None:
            event = TokenRevoked(token_id=record.token_id, label=record.label)
            ledger.append(connection, event, now=context.clock.now(), actor=change.caller.actor)
    return shown(record)


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["access"])
    reading_problems = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_READY, Kind.INTERNAL)
    routes.add_api_route("/v1/tokens", list_tokens, responses=documented(*reading_problems))
    routes.add_api_route(
        "/v1/tokens/{token_id}/revoke",
        revoke_token,
        methods=["POST"],
        response_model=models.Token,
        responses=documented(
            *reading_problems, Kind.NOT_FOUND, Kind.CONFLICT, Kind.TOO_LARGE, Kind.INVALID
        ),
    )
    return routes
