"""The status route: everything that an operator looks at first, in one answer."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy import select

from service.api.context import Allowed, AppContext, Context
from service.api.problems import Kind, documented
from service.api.status import read_status
from service.api.status_models import Status
from service.domain.errors import InputError
from service.store.engine import reading
from service.store.schema import ledger_head


def status(context: Context, caller: Allowed) -> Response:
    """What Tenor is doing, may do, did, and owns, as of now.

    Readers who ask within a second of each other are shown the same answer, unless anything was
    written to the ledger in between.
    """
    with reading(context.engine) as connection:
        head = connection.execute(select(ledger_head.c.sequence)).scalar_one_or_none()
    try:
        policy = context.policy_source().policy.digest
    except InputError as error:
        policy = str(error)
    body = context.kept.value(
        ("status", id(context.engine), caller.accounts),
        (head, policy),
        seconds=context.status_kept_seconds,
        make=lambda: _made(context, caller.accounts),
    )
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _made(context: AppContext, accounts: frozenset[str] | None) -> bytes:
    with reading(context.engine) as connection:
        found = read_status(connection, context, accounts=accounts)
    return found.model_dump_json().encode()


def router() -> APIRouter:
    """This route, ready to be included."""
    routes = APIRouter(tags=["status"])
    routes.add_api_route(
        "/v1/status",
        status,
        response_model=Status,
        responses=documented(Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_READY, Kind.INTERNAL),
    )
    return routes
