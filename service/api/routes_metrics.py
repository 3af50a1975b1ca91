"""``/metrics`` for Prometheus."""

from __future__ import annotations

from fastapi import Response

from service.api.context import Context
from service.api.metrics import CONTENT_TYPE, exposition


def metrics(context: Context) -> Response:
    """How the deployment stands and what this process did, in Prometheus' text format."""
    return Response(exposition(context), media_type=CONTENT_TYPE)
