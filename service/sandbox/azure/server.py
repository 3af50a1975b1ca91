"""The sandbox Azure on the wire.

Decides which of the world's operations a request means, whether its caller may ask for it, and what
a fault does to its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase
from urllib.parse import unquote

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
from service.sandbox.loopback import Answer, Asked, LoopbackServer, Silence

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


class AzureServer(LoopbackServer):
    """One world answering on loopback. Use as a context manager, or ``start`` and ``close``.

    ``bodies`` keeps each operation's last body, ``watch`` is told of every answer.
    """

    def __init__(self, world: AzureWorld, *, port: int = 0) -> None:
        super().__init__(name="sandbox-azure", port=port)
        self.world = world
        self.bodies: dict[str, bytes] = {}
        self.watch: Callable[[str, object], object] = lambda _operation, _body: None
        self._routes = list(_ROUTES)

    def add_routes(self, routes: tuple[Route, ...]) -> None:
        """Answer these requests too."""
        self._routes += routes

    def answer_first(self, routes: tuple[Route, ...]) -> None:
        """Answer these requests before all others."""
        self._routes[:0] = routes

    def respond(self, asked: Asked) -> Answer | Silence:
        """Do what one request asks, with whatever fault strikes it."""
        reply = self._reply(replace(asked, path=unquote(asked.path)))
        if isinstance(reply, Silence):
            return reply
        headers = {"Content-Type": "application/json", **reply.headers}
        return Answer(reply.status, headers, reply.raw())

    def _reply(self, request: Asked) -> Reply | Silence:
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

    def _understand(self, request: Asked) -> tuple[Route, Call]:
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

    def _authorise(self, route: Route, request: Asked) -> None:
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

    def _perform(self, route: Route, call: Call, faults: tuple[Fault, ...]) -> Reply | Silence:
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
                return Silence(fault.hold_seconds)
            if fault.kind is FaultKind.ERROR_AFTER:
                raise _internal()
            if fault.kind is FaultKind.BROKEN_AFTER:
                return Reply(200, b'{"properties": {"cut off')
        return reply


def _before(fault: Fault) -> Silence | None:
    """What a fault does instead of the call: silence, an error raised, or nothing."""
    match fault.kind:
        case FaultKind.REFUSE:
            raise ApiError(fault.code, "Refused by the fault script.", fault.status)
        case FaultKind.THROTTLE:
            raise ApiError("TooManyRequests", "Too many requests.", 429)
        case FaultKind.ERROR_BEFORE:
            raise _internal()
        case FaultKind.TIMEOUT_BEFORE:
            return Silence(fault.hold_seconds)
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
