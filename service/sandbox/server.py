"""The sandbox on the wire: an HTTP server that is bound to loopback and to nothing else.

Decides which world's operation a request means, and what a fault does to its answer. The
address is 127.0.0.1 in the code, not a setting.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from service.domain.errors import InvariantError
from service.sandbox.faults import ApiError, Fault, FaultKind
from service.sandbox.identity import ROOT_ACCESS_KEY, ROOT_SECRET_KEY, Principal
from service.sandbox.wire.call import Call, Handler
from service.sandbox.wire.operations import OPERATIONS
from service.sandbox.wire.protocol import (
    WIRES,
    Answer,
    Request,
    Scope,
    Wire,
    read_request,
    scope_of,
    write_answer,
    write_error,
)
from service.sandbox.world import World

LOOPBACK = "127.0.0.1"
_BODY_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class _Silence:
    """No answer at all: hold the connection so long, then close it."""

    hold_seconds: float


class SandboxServer:
    """One world answering on loopback. Use as a context manager, or ``start`` and ``close``."""

    def __init__(self, world: World, *, port: int = 0) -> None:
        self.world = world
        self.calls: Counter[str] = Counter()
        self._closing = threading.Event()
        self._http = _Http((LOOPBACK, port), _RequestHandler)
        self._http.sandbox = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="sandbox", daemon=True
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
    def port(self) -> int:
        """The port that was bound."""
        return int(self._http.server_address[1])

    @property
    def endpoint_url(self) -> str:
        """What to give boto3 as ``endpoint_url``."""
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> Mapping[str, str]:
        """Environment variables that point an AWS SDK or the AWS CLI here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def is_closing(self) -> bool:
        """``close`` was called."""
        return self._closing.is_set()

    def wait_closing(self, seconds: float) -> None:
        """Sleep, but not beyond the server's end."""
        self._closing.wait(seconds)

    def answer(self, request: Request) -> Answer | _Silence:
        """Do what one request asks, with whatever fault strikes it."""
        wire = WIRES["savingsplans"]
        request_id = ""
        try:
            scope = scope_of(request.authorization)
            operations = _operations(scope.service)
            wire = WIRES[scope.service]
            with self.world.lock:
                request_id = str(self.world.new_id())
                principal = self._principal(scope, wire)
                name, fields = read_request(wire, request)
                handler = operations.get(name)
                if handler is None:
                    raise _unknown_operation(wire, name)
                operation = f"{scope.service}.{name}"
                self.calls[operation] += 1
                call = Call(name, principal, scope.region, fields)
                return self._perform(wire, operation, handler, call, request_id)
        except ApiError as error:
            return write_error(wire, error, request_id)

    def _principal(self, scope: Scope, wire: Wire) -> Principal:
        principal = self.world.identity.principal(scope.access_key)
        if principal is None:
            message = "The security token included in the request is invalid."
            raise ApiError(wire.stranger_code, message, 403)
        return principal

    def _perform(
        self, wire: Wire, operation: str, handler: Handler, call: Call, request_id: str
    ) -> Answer | _Silence:
        world = self.world
        if operation.replace(".", ":") in world.denied:
            message = f"You are not authorized to perform {operation}."
            raise ApiError(wire.denied_code, message, 403)
        world.settle()
        faults = world.faults.strike(operation)
        for fault in faults:
            before = _before(wire, fault)
            if before is not None:
                return before
        members = handler(world, call)
        for fault in faults:
            _touch(world, call, fault)
        for fault in faults:
            if fault.kind is FaultKind.TIMEOUT_AFTER:
                return _Silence(fault.hold_seconds)
            if fault.kind is FaultKind.ERROR_AFTER:
                raise _internal(wire)
            if fault.kind is FaultKind.BROKEN_AFTER:
                return Answer(200, {"Content-Type": "text/plain"}, b'{"savingsPl<cut off')
        return write_answer(wire, call.operation, members, request_id)


def _operations(service: str) -> Mapping[str, Handler]:
    operations = OPERATIONS.get(service)
    if operations is None:
        raise ApiError("UnknownEndpoint", f"No service {service} here.", 404)
    return operations


def _unknown_operation(wire: Wire, name: str) -> ApiError:
    if wire.namespace:
        return ApiError("InvalidAction", f"The action {name} is not valid here.")
    return ApiError("UnknownOperationException", f"There is no operation {name}.", 404)


def _internal(wire: Wire) -> ApiError:
    return ApiError(wire.internal_code, "An internal error has occurred.", 500)


def _before(wire: Wire, fault: Fault) -> _Silence | None:
    """What a fault does instead of the call: silence, an error raised, or nothing."""
    match fault.kind:
        case FaultKind.REFUSE:
            raise ApiError(fault.code, "Refused by the fault script.", fault.status)
        case FaultKind.THROTTLE:
            raise ApiError(wire.throttle_code, "Rate exceeded.", wire.throttle_status)
        case FaultKind.ERROR_BEFORE:
            raise _internal(wire)
        case FaultKind.TIMEOUT_BEFORE:
            return _Silence(fault.hold_seconds)
        case _:
            return None


def _touch(world: World, call: Call, fault: Fault) -> None:
    """What a fault does to the call's effect."""
    match fault.kind:
        case FaultKind.LISTING_LAG:
            for record in call.bought:
                record.hidden_until = world.after_hours(fault.lag_hours)
                record.hidden_reads = fault.lag_reads
        case FaultKind.PAYMENT_FAILS:
            for record in call.bought:
                record.payment_fails = True
        case FaultKind.PRICE_CHANGE:
            for offering in call.offerings:
                world.change_price(offering, fault.price_factor)
        case _:
            pass


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    sandbox: SandboxServer | None = None


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    # An answer is one write: headers and body in one segment, so nothing waits for an ACK.
    wbufsize = -1

    def do_POST(self) -> None:
        """Answer one AWS call."""
        self._answer()

    def do_GET(self) -> None:
        """Answer one AWS call of the services that read by GET."""
        self._answer()

    def _answer(self) -> None:
        sandbox = self._sandbox()
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
            self.close_connection = True
            self._send(Answer(413, {"Content-Type": "application/json"}, b"{}"))
            return
        path, _, query = self.path.partition("?")
        request = Request(
            path=path,
            authorization=self.headers.get("Authorization"),
            target=self.headers.get("X-Amz-Target"),
            body=self.rfile.read(int(length)),
            method=self.command,
            query=query,
        )
        # A connection kept alive from before must not outlive the server.
        answer = _Silence(0) if sandbox.is_closing else sandbox.answer(request)
        if isinstance(answer, _Silence):
            sandbox.wait_closing(answer.hold_seconds)
            self.close_connection = True
            return
        self._send(answer)

    def _sandbox(self) -> SandboxServer:
        server = self.server
        if not isinstance(server, _Http) or server.sandbox is None:
            msg = "the sandbox's listener has no sandbox"
            raise InvariantError(msg)
        return server.sandbox

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: the caller's own log tells of its calls."""
