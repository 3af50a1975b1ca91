"""Decides whether this process is alive, and whether it could do its work now.

Neither route needs a token: orchestrators have none. Neither tells more than what is wrong.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from service.api.context import AppContext, Context
from service.api.problems import Kind, ProblemError, documented
from service.api.shapes import Answer
from service.domain.errors import TenorError
from service.store import lease
from service.store.engine import reading
from service.store.migrate import head_revision, is_behind


class Healthy(Answer):
    """The process answers."""

    status: str = Field(examples=["alive"])


class Ready(Answer):
    """Everything that was checked, and found in order."""

    status: str = Field(examples=["ready"])
    checked: list[str] = Field(examples=[["database", "migrations", "scheduler", "policy"]])


SERVING = ("database", "migrations")
CHECKS = (*SERVING, "scheduler", "policy")
_Serving = Annotated[
    bool,
    Query(
        description="only what answering pages and API takes: for probes that cut off whoever is"
        " not ready, and must not do so to every replica for a mistake in the policy"
    ),
]


async def healthz() -> Healthy:
    """Alive: the process answers. Says nothing of its surroundings."""
    # On the event loop itself, so that it needs no worker thread: they may all be waiting.
    return Healthy(status="alive")


def readyz(context: Context, serving: _Serving = False) -> Ready:  # noqa: FBT002 - in the URL
    """Ready: database reachable, schema not behind, executor's lease fresh, policy readable."""
    reasons = _database_reasons(context, scheduler=not serving)
    if not serving:
        reasons |= _policy_reasons(context)
    if reasons:
        raise ProblemError(
            Kind.NOT_READY, "Not ready: " + ", ".join(reasons) + ".", reasons=reasons
        )
    return Ready(status="ready", checked=list(SERVING if serving else CHECKS))


def _database_reasons(context: AppContext, *, scheduler: bool) -> dict[str, str]:
    try:
        with reading(context.engine) as connection:
            connection.execute(text("SELECT 1"))
            reasons = _schema_reasons(connection)
            return _scheduler_reasons(connection) if scheduler and not reasons else reasons
    except SQLAlchemyError as error:
        # The message of a driver may hold the address and user; its type says enough.
        return {"database": f"unreachable ({type(error).__name__})"}


def _schema_reasons(connection: Connection) -> dict[str, str]:
    head = _head()
    try:
        current = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except SQLAlchemyError:
        current = None
    if not is_behind(current, head):
        return {}
    return {"migrations": f"schema is at {current}, this version needs {head}: run tenor migrate"}


@cache
def _head() -> str:
    # What the code needs does not change while it runs, and finding it out reads every revision.
    return head_revision()


def _scheduler_reasons(connection: Connection) -> dict[str, str]:
    # Every replica's scheduler renews or awaits the one lease; while somebody holds it, cycles run.
    if lease.current(connection) is not None:
        return {}
    return {"scheduler": "nobody holds the executor's lease: no scheduler has beaten lately"}


def _policy_reasons(context: AppContext) -> dict[str, str]:
    try:
        context.policy_source()
    except TenorError as error:
        return {"policy": str(error)}
    return {}


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["health"])
    routes.add_api_route("/healthz", healthz, responses=documented(Kind.INTERNAL))
    routes.add_api_route(
        "/readyz", readyz, responses=documented(Kind.INVALID, Kind.NOT_READY, Kind.INTERNAL)
    )
    return routes
