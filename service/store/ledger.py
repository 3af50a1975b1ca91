"""Decides what has happened: an append-only, gap-free, hash-chained list of events.

An event is written in the transaction that makes it true. Each row's hash covers the row and
the hash before it, so a row that was changed or taken out later shows. Writers take the one head
row first: numbers have no gaps, and a reader who has seen number n has seen all before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.domain.errors import InvariantError
from service.domain.hours import iso, require_utc
from service.observe.events import Event, to_payload
from service.store.metadata import canonical_json
from service.store.schema import events, ledger_head

GENESIS = "0" * 64
"""What the first event follows."""

_SUBJECTS = ("cycle", "plan", "proposal", "intent", "commitment")
_BATCH = 1_000
SYSTEM = "tenor"
"""The actor of what nobody did by hand."""


# Built once: every write begins and ends with them.
_HEAD = select(ledger_head).with_for_update()
_MOVE_HEAD = update(ledger_head)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event as the ledger holds it. ``payload`` is the event's fields as JSON values."""

    sequence: int
    happened_at: datetime
    kind: str
    actor: str
    payload: Mapping[str, Any]
    hash: str


def lock(connection: Connection) -> None:
    """Wait for the other writers of events, and keep them waiting until this transaction ends.

    Whoever writes rows and tells of them locks first the lease (if it needs it), then this,
    then rows: one order for all, so that no two transactions can wait for each other.
    """
    _lock_head(connection)


def append(connection: Connection, event: Event, *, now: datetime, actor: str = SYSTEM) -> int:
    """Write one event; returns its sequence number, which is the one before plus one."""
    sequence, previous = _lock_head(connection)
    payload = to_payload(event)
    row: dict[str, Any] = {
        "sequence": sequence + 1,
        "happened_at": require_utc(now),
        "kind": event.name,
        "actor": actor,
        "payload": payload,
        "previous_hash": previous,
    }
    row["hash"] = _hash(row)
    row |= {f"{subject}_id": payload.get(subject) for subject in _SUBJECTS}
    connection.execute(insert(events), row)
    connection.execute(_MOVE_HEAD, {"sequence": row["sequence"], "hash": row["hash"]})
    return sequence + 1


def read(
    connection: Connection,
    *,
    after: int = 0,
    limit: int = 100,
    kind: str | None = None,
    intent: str | None = None,
) -> tuple[Recorded, ...]:
    """Events with a sequence above ``after``, oldest first, at most ``limit``."""
    query = select(events).where(events.c.sequence > after).order_by(events.c.sequence)
    if kind is not None:
        query = query.where(events.c.kind == kind)
    if intent is not None:
        query = query.where(events.c.intent_id == intent)
    return tuple(_recorded(row) for row in connection.execute(query.limit(limit)).mappings())


def latest(connection: Connection, *, limit: int = 100) -> tuple[Recorded, ...]:
    """The newest events, newest first, at most ``limit``."""
    query = select(events).order_by(events.c.sequence.desc()).limit(limit)
    return tuple(_recorded(row) for row in connection.execute(query).mappings())


def newest_of(connection: Connection, kinds: Sequence[str]) -> Recorded | None:
    """The newest event of any of ``kinds``; ``None`` where there is none."""
    query = select(events).where(events.c.kind.in_(kinds)).order_by(events.c.sequence.desc())
    row = connection.execute(query.limit(1)).mappings().one_or_none()
    return None if row is None else _recorded(row)


def holds(
    connection: Connection,
    kind: str,
    *,
    intent: str | None = None,
    commitment: str | None = None,
) -> bool:
    """True when an event of this kind about this subject has been written before."""
    query = select(events.c.sequence).where(events.c.kind == kind)
    if intent is not None:
        query = query.where(events.c.intent_id == intent)
    if commitment is not None:
        query = query.where(events.c.commitment_id == commitment)
    return connection.execute(query.limit(1)).first() is not None


def verify(connection: Connection) -> int:
    """Check the whole chain; returns how many events it has.

    Raises ``InvariantError`` that names the first event which was changed, moved or removed.
    """
    expected, previous = 0, GENESIS
    for row in _all_rows(connection):
        expected += 1
        in_place = row["sequence"] == expected and row["previous_hash"] == previous
        if not in_place or row["hash"] != _hash(dict(row)):
            msg = f"the ledger was altered at event {expected}"
            raise InvariantError(msg)
        previous = row["hash"]
    head = connection.execute(select(ledger_head)).mappings().one_or_none()
    recorded = (0, GENESIS) if head is None else (head["sequence"], head["hash"])
    if recorded != (expected, previous):
        msg = f"the ledger ends at event {expected}, its head says {recorded[0]}"
        raise InvariantError(msg)
    return expected


def _lock_head(connection: Connection) -> tuple[int, str]:
    head = connection.execute(_HEAD).mappings().one_or_none()
    if head is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(ledger_head).values(head_id=1, sequence=0, hash=GENESIS))
        except IntegrityError:  # another writer made it first; wait for that one
            pass
        head = connection.execute(_HEAD).mappings().one()
    return head["sequence"], head["hash"]


def _all_rows(connection: Connection) -> Iterator[RowMapping]:
    after = 0
    while True:
        query = select(events).where(events.c.sequence > after).order_by(events.c.sequence)
        rows = connection.execute(query.limit(_BATCH)).mappings().all()
        yield from rows
        if len(rows) < _BATCH:
            return
        after = rows[-1]["sequence"]


def _recorded(row: RowMapping) -> Recorded:
    return Recorded(
        sequence=row["sequence"],
        happened_at=row["happened_at"],
        kind=row["kind"],
        actor=row["actor"],
        payload=row["payload"],
        hash=row["hash"],
    )


def _hash(row: Mapping[str, Any]) -> str:
    content = {
        "sequence": row["sequence"],
        "happened_at": iso(row["happened_at"]),
        "kind": row["kind"],
        "actor": row["actor"],
        "payload": row["payload"],
        "previous": row["previous_hash"],
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
