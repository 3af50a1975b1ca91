"""Long-running operations: decides what is answered at once, and what when it is asked about.

Two styles, as Azure has them: 202 with a Location that answers 202 until it is done and then 200
with the result, whatever it says; or 200 with a provisioning state that the caller watches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.sandbox.azure.wire.call import Call, Reply
from service.sandbox.faults import ApiError

_WAIT = {"Retry-After": "0"}


@dataclass(slots=True)
class Operation:
    """Something that goes on: ``result`` is ``None`` until it is done."""

    result: Callable[[], object | None]


def started(
    call: Call, result: Callable[[], object | None], at_once: Callable[[], object]
) -> Reply:
    """The answer to a request that began something, in the world's style."""
    if call.world.options.poll_style == "body":
        return Reply(200, at_once())
    name = str(call.world.new_id())
    call.world.operations[name] = Operation(result)
    location = (
        f"{call.endpoint}/providers/Microsoft.Capacity/operations/{name}?api-version=2022-11-01"
    )
    return Reply(202, at_once(), {"Location": location, **_WAIT})


def counted(reads: int, result: Callable[[], object]) -> Callable[[], object | None]:
    """A result that shows only after so many questions."""
    asked = 0

    def ask() -> object | None:
        nonlocal asked
        asked += 1
        return result() if asked >= reads else None

    return ask


def poll(call: Call) -> Reply:
    """The answer of an operation's Location."""
    operation = call.world.operations.get(call.names["operation"])
    if not isinstance(operation, Operation):
        raise ApiError("NotFound", "There is no such operation.", 404)
    result = operation.result()
    if result is None:
        return Reply(
            202, {"status": "Pending"}, {"Location": f"{call.endpoint}{call.path}", **_WAIT}
        )
    return Reply(200, result)
