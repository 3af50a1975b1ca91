"""Google's interfaces on the wire.

Decides which operation a request means, and what a fault does to its answer. A request that carries
credentials is refused: nobody's real ones have any business here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from service.sandbox.faults import ApiError, Fault, FaultKind
from service.sandbox.gcp.operations import OperationError
from service.sandbox.gcp.routes import Route, route
from service.sandbox.gcp.wire import accounts, bigquery, compute, procurement
from service.sandbox.gcp.wire.call import Call, Handler, body_of
from service.sandbox.gcp.world import GcpWorld
from service.sandbox.loopback import Answer, Asked, LoopbackServer, Silence

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
_JSON = {"Content-Type": "application/json; charset=UTF-8"}
_OK, _TOO_MANY, _UNAVAILABLE = 200, 429, 503


class GcpServer(LoopbackServer):
    """One world answering on loopback. Use as a context manager, or ``start`` and ``close``."""

    def __init__(self, world: GcpWorld, *, port: int = 0) -> None:
        super().__init__(name="gcp-sandbox", port=port)
        self.world = world

    def respond(self, asked: Asked) -> Answer | Silence:
        """Do what one request asks, with whatever fault strikes it."""
        try:
            found = _routed(asked.method, asked.path, asked.headers.get("authorization"))
            call = Call(found.parts, dict(parse_qsl(asked.query)), body_of(asked.body))
            with self.world.lock:
                operation = f"gcp.{found.operation}"
                self.calls[operation] += 1
                return self._perform(operation, _HANDLERS[found.operation], call)
        except ApiError as error:
            return _error(error)

    def _perform(self, operation: str, handler: Handler, call: Call) -> Answer | Silence:
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
                return Silence(fault.hold_seconds)
            if fault.kind is FaultKind.ERROR_AFTER:
                raise _unavailable()
            if fault.kind is FaultKind.BROKEN_AFTER:
                return Answer(_OK, _JSON, b'{"kind": "compute#oper')
        return Answer(_OK, _JSON, json.dumps(members).encode())


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
    return Answer(error.status, _JSON, json.dumps({"error": body}).encode())


def _unavailable() -> ApiError:
    return ApiError("backendError", "The service is currently unavailable.", _UNAVAILABLE)


def _before(fault: Fault) -> Silence | None:
    """What a fault answers instead of doing what was asked, or nothing."""
    match fault.kind:
        case FaultKind.REFUSE:
            raise ApiError(fault.code, "Refused by the fault script.", fault.status)
        case FaultKind.THROTTLE:
            raise ApiError("rateLimitExceeded", "Rate Limit Exceeded", _TOO_MANY)
        case FaultKind.ERROR_BEFORE:
            raise _unavailable()
        case FaultKind.TIMEOUT_BEFORE:
            return Silence(fault.hold_seconds)
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
                record.operation.doomed = OperationError("BILLING_DISABLED", message)
        case FaultKind.PRICE_CHANGE:
            for region, family in call.priced:
                world.change_price(region, family, Decimal(fault.price_factor))
        case _:
            pass
