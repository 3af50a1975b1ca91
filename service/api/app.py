"""Puts the application together: routes, problems, pages, the edge around them all.

Nothing happens at import; every part is handed to ``create_app``. Handlers are plain functions,
which FastAPI runs in its thread pool, because the store is synchronous.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

from service import __version__
from service.api import (
    routes_alterations,
    routes_events,
    routes_exports,
    routes_halt,
    routes_health,
    routes_ledger,
    routes_meta,
    routes_metrics,
    routes_proposals,
    routes_sessions,
    routes_status,
    routes_tokens,
)
from service.api.access import Access
from service.api.context import AppContext, WallClock, attach, context_in
from service.api.edge import Edge
from service.api.examples import add_examples
from service.api.ports import PolicySource, ScheduledJob, UsageSource
from service.api.problems import Kind, Problem, ProblemError, answer, documented
from service.domain.errors import PolicyError
from service.domain.hours import Clock
from service.web.frame import SignInNeededError
from service.web.pages import mount_pages, page_for

_DESCRIPTION = (
    "What Tenor did, is about to do and refused to do; sign-off of proposals; halt and resume. "
    "Amounts are decimal text in US dollars, ratios run from 0 to 1, instants are UTC."
)


_PARTS = (
    routes_health,
    routes_status,
    routes_metrics,
    routes_ledger,
    routes_proposals,
    routes_alterations,
    routes_exports,
    routes_events,
    routes_halt,
    routes_tokens,
    routes_sessions,
    routes_meta,
)


def create_app(
    *,
    engine: Engine,
    clock: Clock,
    policy_source: PolicySource,
    jobs: Sequence[ScheduledJob] = (),
    open_reads: bool = False,
    access: Access | None = None,
    auth_clock: Clock | None = None,
    usage: UsageSource | None = None,
    status_kept_seconds: float = 1.0,
) -> FastAPI:
    """The API and its pages over ``engine``.

    ``jobs`` are those of the scheduler beside it, whose next runs are shown.
    ``open_reads`` lets whoever reaches the server read without a token; writing always needs one.
    ``access`` says by which names and how often it may be called, how sessions are signed and who
    vouches for people; left out, loopback names, and a session key of this process alone: a
    restart signs everybody out. Tokens and sessions expire by ``auth_clock``, the wall clock
    unless given, however fast ``clock`` runs. ``usage`` is what bills and pictures are made of.
    """
    app = FastAPI(
        title="Tenor",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    attach(
        app.state,
        AppContext(
            engine=engine,
            clock=clock,
            auth_clock=auth_clock or WallClock(),
            policy_source=policy_source,
            jobs=tuple(jobs),
            open_reads=open_reads,
            access=access or Access(),
            usage=usage,
            status_kept_seconds=status_kept_seconds,
        ),
    )
    for part in _PARTS:
        app.include_router(part.router())
    mount_pages(app)
    for error in (
        ProblemError,
        HTTPException,
        RequestValidationError,
        PolicyError,
        SignInNeededError,
    ):
        app.add_exception_handler(error, _answer)
    # Asked for at each request: a test hangs another context into the same application.
    app.add_middleware(Edge, access=lambda scope: context_in(scope["app"].state).access)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _answer(request: Request, error: Exception) -> Response:
    return page_for(request, error) or answer(request, error)


def _document_the_edge(schema: dict[str, Any]) -> None:
    """Every operation may be answered so, before any handler is asked."""
    everywhere = documented(Kind.BAD_REQUEST, Kind.WRONG_HOST, Kind.TOO_MANY)
    for operations in schema["paths"].values():
        for operation in operations.values():
            for code, described in everywhere.items():
                operation["responses"].setdefault(str(code), described)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        schemas = schema["components"]["schemas"]
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        _document_the_edge(schema)
        add_examples(schema)
        app.openapi_schema = schema
    return app.openapi_schema
