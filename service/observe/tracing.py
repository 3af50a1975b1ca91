"""Traces of jobs and of a cycle's stages, sent to an OpenTelemetry collector when one is named.

Without a collector a span costs one look at a flag, and none of the SDK is loaded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from service import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

P = ParamSpec("P")
R = TypeVar("R")

_SEND_SECONDS = 10


class _Tracing:
    """This process' tracer; ``None`` until one is configured."""

    provider: TracerProvider | None = None
    tracer: Tracer | None = None


def configure_tracing(endpoint: str | None) -> None:
    """Send spans to the collector at ``endpoint`` (OTLP over HTTP, ``…/v1/traces``); once."""
    if endpoint is None or _Tracing.provider is not None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    about = {"service.name": "tenor", "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _Tracing.provider = provider
    _Tracing.tracer = provider.get_tracer("tenor", __version__)


def stop_tracing() -> None:
    """Send what is left, and stop."""
    provider, _Tracing.provider, _Tracing.tracer = _Tracing.provider, None, None
    if provider is not None:
        provider.shutdown()


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[None]:
    """One span of work; an error that passes through is recorded in it. Names end in a noun."""
    if _Tracing.tracer is None:
        yield
        return
    with _Tracing.tracer.start_as_current_span(name, attributes=attributes):
        yield


def traced(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function each call of which is a span."""

    def wrapped(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with span(name):
                return function(*args, **kwargs)

        return call

    return wrapped
