"""The API's own reads of the store: one page of a collection, newest first, in one statement.

Writing is never done here; approvals, rejections and halts go through the functions that own
those moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, select

from service.api import models
from service.api.cursor import (
    Position,
    decode,
    decode_position,
    encode,
    encode_position,
    older_than,
)
from service.store import schema

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Some rows of a collection, and the cursor of those after them, if there are any."""

    items: tuple[T, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Ordering:
    """How a collection is ordered, newest first: by an instant, ties by its key."""

    collection: str
    instant: str
    key: str


def page_of(
    connection: Connection,
    query: Select[Any],
    table: Table,
    ordering: Ordering,
    *,
    limit: int,
    cursor: str | None,
) -> Slice[Row[Any]]:
    """The rows of ``query`` after ``cursor``, at most ``limit`` of them, newest first."""
    instant, key = table.c[ordering.instant], table.c[ordering.key]
    if cursor is not None:
        query = query.where(older_than(instant, key, decode_position(ordering.collection, cursor)))
    query = query.order_by(instant.desc(), key.desc()).limit(limit + 1)
    rows = connection.execute(query).all()
    if len(rows) <= limit:
        return Slice(tuple(rows), None)
    last = rows[limit - 1]._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    position = Position(instant=last[instant], key=last[key])
    return Slice(tuple(rows[:limit]), encode_position(ordering.collection, position))


CYCLES = Ordering("cycles", "due_at", "cycle_id")


def cycles(connection: Connection, *, limit: int, cursor: str | None = None) -> Slice[models.Cycle]:
    """Decision cycles by the instant that they were due."""
    found = page_of(
        connection, select(schema.cycles), schema.cycles, CYCLES, limit=limit, cursor=cursor
    )
    return Slice(tuple(_cycle(row) for row in found.items), found.cursor)


def cycle(connection: Connection, cycle_id: str) -> models.Cycle | None:
    """One decision cycle."""
    row = connection.execute(
        select(schema.cycles).where(schema.cycles.c.cycle_id == cycle_id)
    ).one_or_none()
    return None if row is None else _cycle(row)


def _cycle(row: Row[Any]) -> models.Cycle:
    return models.Cycle(
        id=row.cycle_id,
        schedule=row.schedule,
        due_at=row.due_at,
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        summary=row.summary,
    )


COMMITMENTS = Ordering("commitments", "first_seen_at", "commitment_id")


def commitments(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    state: str | None = None,
    where: ColumnElement[bool] | None = None,
) -> Slice[models.Commitment]:
    """Commitments in the mirror of the inventory, those seen last first."""
    query = select(schema.commitments)
    if state is not None:
        query = query.where(schema.commitments.c.state == state)
    if where is not None:
        query = query.where(where)
    found = page_of(connection, query, schema.commitments, COMMITMENTS, limit=limit, cursor=cursor)
    return Slice(tuple(commitment_of(row) for row in found.items), found.cursor)


def commitment_of(row: Row[Any]) -> models.Commitment:
    """A row of the mirror as the API shows it."""
    return models.Commitment(
        id=row.commitment_id,
        provider=row.provider,
        account=row.account,
        offering=row.offering,
        kind=row.kind,
        region=row.region,
        zone=row.zone,
        family=row.family,
        term_months=row.term_months,
        payment=row.payment,
        quantity=row.quantity,
        commit_usd_per_hour=row.commit_usd_per_hour,
        upfront_usd=row.upfront_usd,
        start_at=row.start_at,
        end_at=row.end_at,
        state=row.state,
        origin=row.origin,
        intent=row.intent_id,
        returnable_until=row.returnable_until,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        vanished_at=row.vanished_at,
    )


AUDIT = "audit"


def audit(
    connection: Connection, *, limit: int, cursor: str | None = None, kind: str | None = None
) -> Slice[models.AuditEvent]:
    """The ledger of what happened, newest first."""
    events = schema.events
    query = select(events).order_by(events.c.sequence.desc()).limit(limit + 1)
    if kind is not None:
        query = query.where(events.c.kind == kind)
    if cursor is not None:
        query = query.where(events.c.sequence < int(decode(AUDIT, cursor, int)[0]))
    rows = connection.execute(query).all()
    after = encode(AUDIT, rows[limit - 1].sequence) if len(rows) > limit else None
    return Slice(tuple(_event(row) for row in rows[:limit]), after)


def _event(row: Row[Any]) -> models.AuditEvent:
    return models.AuditEvent(
        sequence=row.sequence,
        happened_at=row.happened_at,
        kind=row.kind,
        actor=row.actor,
        cycle=row.cycle_id,
        plan=row.plan_id,
        proposal=row.proposal_id,
        intent=row.intent_id,
        commitment=row.commitment_id,
        payload=row.payload,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
