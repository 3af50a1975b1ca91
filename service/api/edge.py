"""The outermost layer of the API: limits on bodies, security headers, one log line a request.

It is also the one place in the API that catches everything: what nothing else foresaw becomes a
500 problem with an id, and the log holds the traceback under the same id.
"""

from __future__ import annotations

import logging
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.api.problems import Kind, respond
from service.observe.log import get_logger

BODY_BYTES_MAX = 64 * 1024

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ROUTINE = ("/static", "/healthz", "/readyz")
"""What probes and pages ask for all the time: logged at DEBUG."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = get_logger("tenor.api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        exchange = _Exchange(receive, send)
        began = time.perf_counter()
        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except Exception:  # noqa: BLE001 - the API's edge: record, apologise, go on
                self._log.exception("api.failed", method=scope["method"], path=scope["path"])
                await self._apologise(scope, exchange, request_id)
            routine = scope["path"].startswith(_ROUTINE)
            self._log.log(
                logging.DEBUG if routine else logging.INFO,
                "api.answered",
                method=scope["method"],
                path=scope["path"],
                status=exchange.status,
                milliseconds=round(1000 * (time.perf_counter() - began), 1),
            )

    @staticmethod
    async def _apologise(scope: Scope, exchange: _Exchange, request_id: str) -> None:
        if exchange.status is not None:
            return
        answer = respond(
            Kind.INTERNAL, "An unforeseen error.", path=scope["path"], error_id=request_id
        )
        await answer(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer: counts what comes in, completes the headers that go out."""

    def __init__(self, receive: Receive, send: Send) -> None:
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
        await self._send(message)
