"""The sandbox AWS on the wire.

Decides which of the world's operations a request means, and what a fault does to its answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.sandbox.faults import ApiError, Fault, FaultKind
from service.sandbox.identity import ROOT_ACCESS_KEY, ROOT_SECRET_KEY, Principal
from service.sandbox.loopback import Answer, Asked, LoopbackServer, Silence
from service.sandbox.wire.call import Call, Handler
from service.sandbox.wire.operations import OPERATIONS
from service.sandbox.wire.protocol import (
    WIRES,
    Request,
    Scope,
    Wire,
    read_request,
    scope_of,
    write_answer,
    write_error,
)
from service.sandbox.world import World


class SandboxServer(LoopbackServer):
    """One world answering on loopback. Use as a context manager, or ``start`` and ``close``."""

    def __init__(self, world: World, *, port: int = 0) -> None:
        super().__init__(name="sandbox", port=port)
        self.world = world

    def environment(self) -> Mapping[str, str]:
        """Environment variables that point an AWS SDK or the AWS CLI here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def respond(self, asked: Asked) -> Answer | Silence:
        """Do what one request asks, with whatever fault strikes it."""
        request = Request(
            path=asked.path,
            authorization=asked.headers.get("authorization"),
            target=asked.headers.get("x-amz-target"),
            body=asked.body,
            method=asked.method,
            query=asked.query,
        )
        return self.answer(request)

    def answer(self, request: Request) -> Answer | Silence:
        """Do what an AWS request asks: ``respond``, once it is read."""
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
    ) -> Answer | Silence:
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
                return Silence(fault.hold_seconds)
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


def _before(wire: Wire, fault: Fault) -> Silence | None:
    """What a fault does instead of the call: silence, an error raised, or nothing."""
    match fault.kind:
        case FaultKind.REFUSE:
            raise ApiError(fault.code, "Refused by the fault script.", fault.status)
        case FaultKind.THROTTLE:
            raise ApiError(wire.throttle_code, "Rate exceeded.", wire.throttle_status)
        case FaultKind.ERROR_BEFORE:
            raise _internal(wire)
        case FaultKind.TIMEOUT_BEFORE:
            return Silence(fault.hold_seconds)
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
