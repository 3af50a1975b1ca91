"""The status route: everything that an operator looks at first, in one answer."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import Context, Reader
from service.api.problems import Kind, documented
from service.api.status import read_status
from service.api.status_models import Status
from service.store.engine import reading


def status(context: Context, _caller: Reader) -> Status:
    """What Tenor is doing, may do, did, and owns, as of now."""
    with reading(context.engine) as connection:
        return read_status(connection, context)


def router() -> APIRouter:
    """This route, ready to be included."""
    routes = APIRouter(tags=["status"])
    routes.add_api_route(
        "/v1/status", status, responses=documented(Kind.UNAUTHENTICATED, Kind.INTERNAL)
    )
    return routes
