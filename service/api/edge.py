"""The outermost layer: who may be called what, how often, how much; headers; one log line each.

It is also the one place in the API that catches everything: what nothing else foresaw becomes a
500 problem with an id, and the log holds the traceback under the same id.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.api.access import Access
from service.api.problems import Kind, respond
from service.observe.log import get_logger
from service.observe.metrics import answered

BODY_BYTES_MAX = 64 * 1024

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PROBES = ("/healthz", "/readyz")
"""What orchestrators ask for, by whatever name and as often as they like."""
_ROUTINE = ("/static", "/metrics", *_PROBES)
"""What probes and pages ask for all the time: logged at DEBUG."""
_FOR_PROGRAMS = ("/v1", "/problems", "/openapi.json", *_PROBES)
"""Paths whose errors are problem details whatever the caller accepts."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

TLS_ALONE = ("Strict-Transport-Security", "max-age=31536000")
"""Where browsers come over TLS: for a year they need not be led back to it. This name only, for
whose subdomains others may answer."""

_APOLOGY = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Something went wrong - Tenor</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/static/tenor.css"></head>
<body><main><h1>Something went wrong in Tenor</h1>
<p>Nothing more was done. The log holds the cause under <code>{error_id}</code>.</p>
<p><a href="/">To the overview</a></p></main></body></html>
"""


def _without_port(host: str) -> str:
    """The name in a Host header; brackets stay on an IPv6 address."""
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, access: Callable[[Scope], Access]) -> None:
        self._app = app
        self._access = access
        self._log = get_logger("tenor.api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        exchange = _Exchange(receive, send, is_tls=self._access(scope).is_tls)
        began = time.perf_counter()
        with bound_contextvars(request_id=request_id):
            try:
                refused = self._refusal(scope)
                if refused is None:
                    await self._app(scope, exchange.receive, exchange.send)
                else:
                    await refused(scope, exchange.receive, exchange.send)
            except Exception:  # noqa: BLE001 - the API's edge: record, apologise, go on
                self._log.exception("api.failed", method=scope["method"], path=scope["path"])
                await self._apologise(scope, exchange, request_id)
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "none")
            answered(scope["method"], route, exchange.status or 0, seconds)
            routine = scope["path"].startswith(_ROUTINE)
            self._log.log(
                logging.DEBUG if routine else logging.INFO,
                "api.answered",
                method=scope["method"],
                path=scope["path"],
                status=exchange.status,
                milliseconds=round(1000 * seconds, 1),
            )

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered before anything is looked at: wrong host, or too many requests."""
        if scope["path"] in _PROBES:
            return None
        access = self._access(scope)
        host = Headers(scope=scope).get("host", "")
        if _without_port(host) not in access.hosts and "*" not in access.hosts:
            return respond(Kind.WRONG_HOST, Kind.WRONG_HOST.meaning, path=scope["path"])
        client = scope.get("client")
        wait_seconds = access.limiter.address(client[0] if client else "unknown")
        if wait_seconds is None:
            return None
        return respond(
            Kind.TOO_MANY,
            f"Too many requests. Try again in {wait_seconds} s.",
            path=scope["path"],
            headers={"Retry-After": str(wait_seconds)},
        )

    @staticmethod
    async def _apologise(scope: Scope, exchange: _Exchange, request_id: str) -> None:
        if exchange.status is not None:
            return
        answer: Response = respond(
            Kind.INTERNAL, "An unforeseen error.", path=scope["path"], error_id=request_id
        )
        accepts = Headers(scope=scope).get("accept", "")
        if "text/html" in accepts and not scope["path"].startswith(_FOR_PROGRAMS):
            # Made of nothing that could have failed: no template, no database.
            answer = HTMLResponse(
                _APOLOGY.format(error_id=request_id),
                status_code=Kind.INTERNAL.status,
                headers={"Cache-Control": "no-store"},
            )
        await answer(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer: counts what comes in, completes the headers that go out."""

    def __init__(self, receive: Receive, send: Send, *, is_tls: bool) -> None:
        self._is_tls = is_tls
        self._receive = receive
        self._send = send
        self._body_bytes = 0
        self.status: int | None = None

    async def receive(self) -> Message:
        """The next part of the request; raises a 413 once the body is larger than allowed."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._body_bytes += len(message.get("body", b""))
            if self._body_bytes > BODY_BYTES_MAX:
                raise HTTPException(413, Kind.TOO_LARGE.meaning)
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on, with the security headers that it does not set itself."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if self._is_tls:
                headers.setdefault(*TLS_ALONE)
        await self._send(message)
