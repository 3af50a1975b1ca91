"""Google's interfaces on the wire: an HTTP server bound to loopback and to nothing else.

Decides what a fault does to an answer. The address is 127.0.0.1 in the code, not a setting. A
request that carries credentials is refused: nobody's real ones have any business here.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from service.domain.errors import InvariantError
from service.sandbox.faults import ApiError, Fault, FaultKind
from service.sandbox.gcp.operations import OperationError
from service.sandbox.gcp.routes import Route, route
from service.sandbox.gcp.wire import accounts, bigquery, compute, procurement
from service.sandbox.gcp.wire.call import Call, Handler, body_of
from service.sandbox.gcp.world import GcpWorld

LOOPBACK = "127.0.0.1"
_BODY_BYTES_MAX = 1_000_000
_HANDLERS: Mapping[str, Handler] = {
    **compute.OPERATIONS,
    **procurement.OPERATIONS,
    **accounts.OPERATIONS,
    **bigquery.OPERATIONS,
}
_STATUS_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_OK, _TOO_MANY, _UNAVAILABLE = 200, 429, 503


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or with ``silent_seconds`` none: the connection is held so long, then closed."""

    status: int
    body: bytes
    silent_seconds: float | None = None


class GcpServer:
    """One world answering on loopback. Use as a context manager, or ``start`` and ``close``."""

    def __init__(self, world: GcpWorld, *, port: int = 0) -> None:
        self.world = world
        self.calls: Counter[str] = Counter()
        self._closing = threading.Event()
        self._http = _Http((LOOPBACK, port), _RequestHandler)
        self._http.sandbox = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="gcp-sandbox", daemon=True
        )

    def start(self) -> Self:
        """Begin to answer; returns at once, connections are accepted from now on."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop answering and free the port; waits for the listener only."""
        self._closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endpoint_url(self) -> str:
        """What to give Google's SDKs as ``api_endpoint``."""
        return f"http://{LOOPBACK}:{int(self._http.server_address[1])}"

    @property
    def is_closing(self) -> bool:
        """``close`` was called."""
        return self._closing.is_set()

    def wait_closing(self, seconds: float) -> None:
        """Sleep, but not beyond the server's end."""
        self._closing.wait(seconds)

    def answer(self, method: str, target: str, authorization: str | None, raw: bytes) -> Answer:
        """Do what one request asks, with whatever fault strikes it."""
        try:
            parts = urlsplit(target)
            found = _routed(method, parts.path, authorization)
            call = Call(found.parts, dict(parse_qsl(parts.query)), body_of(raw))
            with self.world.lock:
                operation = f"gcp.{found.operation}"
                self.calls[operation] += 1
                return self._perform(operation, _HANDLERS[found.operation], call)
        except ApiError as error:
            return _error(error)

    def _perform(self, operation: str, handler: Handler, call: Call) -> Answer:
        world = self.world
        world.settle()
        faults = world.faults.strike(operation)
        for fault in faults:
            before = _before(fault)
            if before is not None:
                return before
        try:
            members = handler(world, call)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # A body of another shape than Google's: refused as Google does, before any effect.
            raise ApiError("invalid", f"Invalid value: {error!r}", 400) from error
        for fault in faults:
            _touch(world, call, fault)
        for fault in faults:
            if fault.kind is FaultKind.TIMEOUT_AFTER:
                return Answer(0, b"", fault.hold_seconds)
            if fault.kind is FaultKind.ERROR_AFTER:
                raise _unavailable()
            if fault.kind is FaultKind.BROKEN_AFTER:
                return Answer(_OK, b'{"kind": "compute#oper')
        return Answer(_OK, json.dumps(members).encode())


def _routed(method: str, path: str, authorization: str | None) -> Route:
    if authorization is not None:
        raise ApiError("authError", "The sandbox takes no credentials.", 401)
    found = route(method, path)
    if found is None:
        raise ApiError("notFound", f"{method} {path} is not served.", 404)
    return found


def _error(error: ApiError) -> Answer:
    detail = {"message": error.message, "domain": "global", "reason": error.code}
    body: dict[str, Any] = {
        "code": error.status,
        "message": error.message,
        "status": _STATUS_WORDS.get(error.status, "UNKNOWN"),
        "errors": [detail],
    }
    return Answer(error.status, json.dumps({"error": body}).encode())


def _unavailable() -> ApiError:
    return ApiError("backendError", "The service is currently unavailable.", _UNAVAILABLE)


def _before(fault: Fault) -> Answer | None:
    """What a fault answers instead of doing what was asked, or nothing."""
    match fault.kind:
        case FaultKind.REFUSE:
            raise ApiError(fault.code, "Refused by the fault script.", fault.status)
        case FaultKind.THROTTLE:
            raise ApiError("rateLimitExceeded", "Rate Limit Exceeded", _TOO_MANY)
        case FaultKind.ERROR_BEFORE:
            raise _unavailable()
        case FaultKind.TIMEOUT_BEFORE:
            return Answer(0, b"", fault.hold_seconds)
        case _:
            return None


def _touch(world: GcpWorld, call: Call, fault: Fault) -> None:
    """What a fault does to the call's effect."""
    match fault.kind:
        case FaultKind.LISTING_LAG:
            for record in call.bought:
                record.hidden_until = world.after_hours(fault.lag_hours)
                record.hidden_reads = fault.lag_reads
        case FaultKind.PAYMENT_FAILS:
            for record in call.bought:
                message = "The billing account cannot pay for this purchase."
                record.operation.doomed = OperationError("BILLING_FAILED", message)
        case FaultKind.PRICE_CHANGE:
            for region, family in call.priced:
                world.change_price(region, family, Decimal(fault.price_factor))
        case _:
            pass


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    sandbox: GcpServer | None = None


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    # An answer is one write: headers and body in one segment, so nothing waits for an ACK.
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer one read."""
        self._answer()

    def do_POST(self) -> None:
        """Answer one call."""
        self._answer()

    def do_PATCH(self) -> None:
        """Answer one change."""
        self._answer()

    def do_DELETE(self) -> None:
        """Say that this is not served: nothing that is bought can be deleted."""
        self._answer()

    def _answer(self) -> None:
        server = self.server
        if not isinstance(server, _Http) or server.sandbox is None:
            msg = "the sandbox's listener has no sandbox"
            raise InvariantError(msg)
        sandbox = server.sandbox
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
            self.close_connection = True
            self._send(Answer(413, b"{}"))
            return
        raw = self.rfile.read(int(length))
        # A connection kept alive from before must not outlive the server.
        answer = (
            Answer(0, b"", 0)
            if sandbox.is_closing
            else sandbox.answer(self.command, self.path, self.headers.get("Authorization"), raw)
        )
        if answer.silent_seconds is not None:
            sandbox.wait_closing(answer.silent_seconds)
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: the caller's own log tells of its calls."""
