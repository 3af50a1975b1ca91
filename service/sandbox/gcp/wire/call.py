"""One request as the handlers see it, and what it touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from service.domain.hours import iso
from service.sandbox.faults import ApiError
from service.sandbox.gcp.commitments import CommitmentRecord
from service.sandbox.gcp.orders import OrderRecord
from service.sandbox.gcp.world import GcpWorld

Json = Mapping[str, Any]
Record = CommitmentRecord | OrderRecord
BAD_REQUEST, NOT_FOUND, CONFLICT = 400, 404, 409


class Priced(NamedTuple):
    """A series in a region whose commitments a call named."""

    region: str
    family: str


@dataclass(slots=True)
class Call:
    """One request: the parts of its path, its query and its body; then what it touched."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Json
    bought: list[Record] = field(default_factory=list)
    priced: list[Priced] = field(default_factory=list)


Handler = Callable[[GcpWorld, Call], Json]


def not_found(what: str) -> ApiError:
    """What Google answers for a resource that does not exist."""
    return ApiError("notFound", f"The resource '{what}' was not found", NOT_FOUND)


def invalid(message: str) -> ApiError:
    """What Google answers for a request that it cannot read."""
    return ApiError("invalid", message, BAD_REQUEST)


def listed(world: GcpWorld, records: Iterable[Record]) -> list[Record]:
    """Those that a listing shows now; each that lags behind has one listing less to wait."""
    now = world.now()
    shown: list[Record] = []
    for record in records:
        if record.hidden_until is not None and (
            now < record.hidden_until or record.hidden_reads > 0
        ):
            record.hidden_reads -= 1
            continue
        shown.append(record)
    return shown


def page(
    call: Call, items: Sequence[Json], *, size_name: str, largest: int
) -> tuple[Sequence[Json], str | None]:
    """One page of ``items`` and the next page's token, if there is more."""
    wanted = call.query.get(size_name, "")
    size = min(int(wanted), largest) if wanted.isdigit() and int(wanted) else largest
    token = call.query.get("pageToken", "")
    if token and not token.removeprefix("after-").isdigit():
        raise invalid("Invalid value for field 'pageToken'")
    first = int(token.removeprefix("after-")) if token else 0
    more = first + size < len(items)
    return items[first : first + size], f"after-{first + size}" if more else None


def body_of(raw: bytes) -> Json:
    """The request's JSON object; an empty body is an empty object."""
    try:
        parsed = json.loads(raw) if raw else {}
    except ValueError as error:
        raise invalid("Invalid JSON payload received.") from error
    if not isinstance(parsed, dict):
        raise invalid("Invalid JSON payload received.")
    return parsed


def instant(moment: datetime) -> str:
    """RFC 3339 with a ``Z``."""
    return iso(moment.replace(microsecond=0))
