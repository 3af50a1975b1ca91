"""The sandbox Azure on the wire: an HTTP server that is bound to loopback and to nothing else.

Decides which of the world's operations a request means, whether its caller may ask for it, and what
a fault does to its answer. The address is 127.0.0.1 in the code, not a setting.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote

from service.domain.errors import InvariantError
from service.sandbox.azure.access import sandbox_token
from service.sandbox.azure.wire import (
    benefits,
    changes,
    management,
    recommendations,
    reservations,
    retail,
)
from service.sandbox.azure.wire.call import Call, Reply, Route, query_of
from service.sandbox.azure.world import AzureWorld
from service.sandbox.faults import ApiError, Fault, FaultKind

LOOPBACK = "127.0.0.1"
_BODY_BYTES_MAX = 1_000_000
_ROUTES: tuple[Route, ...] = (
    *reservations.ROUTES,
    *changes.ROUTES,
    *benefits.ROUTES,
    *retail.ROUTES,
    *recommendations.ROUTES,
    *management.ROUTES,
)


def shipped_routes() -> tuple[Route, ...]:
    """Every request that any world understands, with the action that it asks for."""
    return _ROUTES


@dataclass(frozen=True, slots=True)
class _Silence:
    """No answer at all: hold the connection so long, then close it."""

    hold_seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that decide its meaning. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class AzureServer:
    """One world answering on loopback. Use as a context manager, or ``start`` and ``close``.

    ``calls`` counts requests by operation, ``bodies`` keeps the last one's body, ``watch`` is told
    of every answer.
    """

    def __init__(self, world: AzureWorld, *, port: int = 0) -> None:
        self.world = world
        self.calls: Counter[str] = Counter()
        self.bodies: dict[str, bytes] = {}
        self.watch: Callable[[str, object], object] = lambda _operation, _body: None
        self._routes = list(_ROUTES)
        self._closing = threading.Event()
        self._http = _Http((LOOPBACK, port), _RequestHandler)
        self._http.sandbox = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="sandbox-azure", daemon=True
        )

    def add_routes(self, routes: tuple[Route, ...]) -> None:
        """Answer these requests too."""
        self._routes += routes

    def answer_first(self, routes: tuple[Route, ...]) -> None:
        """Answer these requests before all others."""
        self._routes[:0] = routes

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
    def port(self) -> int:
        """The port that was bound."""
        return int(self._http.server_address[1])

    @property
    def endpoint_url(self) -> str:
        """What to give the SDKs as their base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def is_closing(self) -> bool:
        """``close`` was called."""
        return self._closing.is_set()

    def wait_closing(self, seconds: float) -> None:
        """Sleep, but not beyond the server's end."""
        self._closing.wait(seconds)

    def answer(self, request: Request) -> Reply | _Silence:
        """Do what one request asks, with whatever fault strikes it."""
        try:
            with self.world.lock:
                self.world.settle()
                route, call = self._understand(request)
                self.calls[route.operation] += 1
                self.bodies[route.operation] = request.body
                faults = self.world.faults.strike(route.operation)
                return self._perform(route, call, faults)
        except ApiError as error:
            return _error(error)

    def _understand(self, request: Request) -> tuple[Route, Call]:
        for route in self._routes:
            found = route.pattern.fullmatch(request.path)
            if route.method != request.method or found is None:
                continue
            self._authorise(route, request)
            call = Call(
                world=self.world,
                endpoint=self.endpoint_url,
                path=request.path,
                names={name: word or "" for name, word in found.groupdict().items()},
                query=query_of(request.query),
                raw=request.body,
                headers=request.headers,
            )
            return route, call
        raise ApiError("NotFound", f"There is nothing at {request.method} {request.path}.", 404)

    def _authorise(self, route: Route, request: Request) -> None:
        if not route.action:
            return
        if request.headers.get("authorization") != f"Bearer {sandbox_token()}":
            raise ApiError("InvalidAuthenticationToken", "The access token is invalid.", 401)
        action = route.action.lower()
        if not any(fnmatchcase(action, granted.lower()) for granted in self.world.granted):
            message = (
                f"The client does not have authorization to perform action '{route.action}' over "
                f"scope '{request.path}'."
            )
            raise ApiError("AuthorizationFailed", message, 403)

    def _perform(self, route: Route, call: Call, faults: tuple[Fault, ...]) -> Reply | _Silence:
        for fault in faults:
            before = _before(fault)
            if before is not None:
                return before
        reply = route.handler(call)
        self.watch(route.operation, reply.body)
        for fault in faults:
            _touch(self.world, call, fault)
        for fault in faults:
            if fault.kind is FaultKind.TIMEOUT_AFTER:
                return _Silence(fault.hold_seconds)
            if fault.kind is FaultKind.ERROR_AFTER:
                raise _internal()
            if fault.kind is FaultKind.BROKEN_AFTER:
                return Reply(200, b'{"properties": {"cut off')
        return reply


def _before(fault: Fault) -> _Silence | None:
    """What a fault does instead of the call: silence, an error raised, or nothing."""
    match fault.kind:
        case FaultKind.REFUSE:
            raise ApiError(fault.code, "Refused by the fault script.", fault.status)
        case FaultKind.THROTTLE:
            raise ApiError("TooManyRequests", "Too many requests.", 429)
        case FaultKind.ERROR_BEFORE:
            raise _internal()
        case FaultKind.TIMEOUT_BEFORE:
            return _Silence(fault.hold_seconds)
        case _:
            return None


def _touch(world: AzureWorld, call: Call, fault: Fault) -> None:
    """What a fault does to the call's effect."""
    match fault.kind:
        case FaultKind.LISTING_LAG:
            for record in call.sold:
                record.hidden_until = world.now() + timedelta(hours=fault.lag_hours)
                record.hidden_reads = fault.lag_reads
        case FaultKind.PAYMENT_FAILS:
            for record in call.sold:
                record.payment_fails = True
        case FaultKind.PRICE_CHANGE:
            for region, arm_name in call.priced:
                world.change_price(region, arm_name, fault.price_factor)
        case _:
            pass


def _internal() -> ApiError:
    return ApiError("InternalServerError", "An internal error has occurred.", 500)


def _error(error: ApiError) -> Reply:
    headers = {"Retry-After": "0.02"} if error.status == 429 else {}  # noqa: PLR2004
    body = {"error": {"code": error.code, "message": error.message}}
    return Reply(error.status, body, headers)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    sandbox: AzureServer | None = None


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    # An answer is one write: headers and body in one segment, so nothing waits for an ACK.
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer one request."""
        self._serve()

    do_POST = do_PUT = do_PATCH = do_HEAD = do_GET  # noqa: N815  # the names that the base calls

    def _serve(self) -> None:
        server = self.server
        if not isinstance(server, _Http) or server.sandbox is None:
            msg = "the sandbox's listener has no sandbox"
            raise InvariantError(msg)
        sandbox = server.sandbox
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
            self.close_connection = True
            self._send(Reply(413, {}))
            return
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=unquote(path),
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
        )
        # A connection kept alive from before must not outlive the server.
        reply = _Silence(0) if sandbox.is_closing else sandbox.answer(request)
        if isinstance(reply, _Silence):
            sandbox.wait_closing(reply.hold_seconds)
            self.close_connection = True
            return
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        raw = reply.raw()
        self.send_response(reply.status)
        headers = {"Content-Type": "application/json", **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", str(len(raw))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: the caller's own log tells of its calls."""
