"""``/metrics``: what Prometheus scrapes."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.api.context import Allowed, Context
from service.api.metrics import CONTENT_TYPE, exposition
from service.api.problems import Kind, documented


def read_metrics(context: Context, _caller: Allowed) -> Response:
    """How the deployment stands and what this process did, in Prometheus' text format."""
    return Response(exposition(context), media_type=CONTENT_TYPE)


def router() -> APIRouter:
    """This route, ready to be included."""
    routes = APIRouter(tags=["status"])
    routes.add_api_route(
        "/metrics",
        read_metrics,
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"example": "tenor_halted 0.0"}}},
            **documented(Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_READY, Kind.INTERNAL),
        },
    )
    return routes
