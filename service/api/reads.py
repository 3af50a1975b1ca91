"""The API's own reads of the store: one page of a collection, in order, in one statement.

Writing is never done here; approvals, rejections and halts go through the functions that own
those moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, select

from service.api import models
from service.api.cursor import (
    Position,
    Value,
    beyond,
    decode,
    decode_position,
    encode,
    encode_position,
)
from service.store import schema
from service.store.metadata import NanoUsd

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Some rows of a collection, and the cursor of those after them, if there are any."""

    items: tuple[T, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Ordering:
    """How a collection is ordered: by a column (an instant or an amount), ties by its key.

    ``sort`` is the column's name in the collection, a minus before it: largest first.
    """

    collection: str
    by: Column[Any]
    key: Column[Any]
    descending: bool = True

    @property
    def name(self) -> str:
        """What cursors of this order are bound to."""
        return f"{self.collection}:{'-' if self.descending else ''}{self.by.name}"

    @property
    def kind(self) -> type[Value]:
        """What the column holds."""
        return Decimal if isinstance(self.by.type, NanoUsd) else datetime


def ordering(collection: str, sort: str, columns: Sequence[Column[Any]], key: str) -> Ordering:
    """The order that ``sort`` names: one of ``columns``, a minus before it for largest first.

    Ties go by ``key``, a column of the first one's table.
    """
    name = sort.removeprefix("-")
    by = next(column for column in columns if column.name == name)
    return Ordering(collection, by, columns[0].table.c[key], descending=sort.startswith("-"))


def page_of(
    connection: Connection,
    query: Select[Any],
    order: Ordering,
    *,
    limit: int,
    cursor: str | None,
) -> Slice[Row[Any]]:
    """The rows of ``query`` after ``cursor``, at most ``limit`` of them, in ``order``."""
    value, key = order.by, order.key
    if cursor is not None:
        position = decode_position(order.name, cursor, order.kind)
        query = query.where(beyond(value, key, position, descending=order.descending))
    ends = (value.desc(), key.desc()) if order.descending else (value.asc(), key.asc())
    rows = connection.execute(query.order_by(*ends).limit(limit + 1)).all()
    if len(rows) <= limit:
        return Slice(tuple(rows), None)
    last = rows[limit - 1]._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return Slice(tuple(rows[:limit]), encode_position(order.name, Position(last[value], last[key])))


NEWEST_FIRST = "-due_at"


def cycles(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    state: str | None = None,
    sort: str = NEWEST_FIRST,
) -> Slice[models.Cycle]:
    """Decision cycles by the instant that they were due."""
    query = select(schema.cycles)
    if state is not None:
        query = query.where(schema.cycles.c.state == state)
    order = ordering("cycles", sort, [schema.cycles.c.due_at], "cycle_id")
    found = page_of(connection, query, order, limit=limit, cursor=cursor)
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


@dataclass(frozen=True, slots=True)
class CommitmentFilter:
    """Which commitments are wanted; ``None`` for any. ``accounts`` is what the caller may see."""

    state: str | None = None
    provider: str | None = None
    account: str | None = None
    kind: str | None = None
    region: str | None = None
    family: str | None = None
    origin: str | None = None
    ends_before: datetime | None = None
    accounts: frozenset[str] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as conditions on the mirror."""
        table = schema.commitments.c
        named = ("state", "provider", "account", "kind", "region", "family", "origin")
        found = [
            table[name] == getattr(self, name) for name in named if getattr(self, name) is not None
        ]
        if self.ends_before is not None:
            found.append(table.end_at < self.ends_before)
        return [*found, *within_accounts(table.account, self.accounts)]


def within_accounts(
    column: ColumnElement[Any], accounts: frozenset[str] | None
) -> list[ColumnElement[bool]]:
    """The condition that ``column`` is one of ``accounts``; none for all of them."""
    return [] if accounts is None else [column.in_(sorted(accounts))]


def commitments(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    wanted: CommitmentFilter | None = None,
    where: ColumnElement[bool] | None = None,
    sort: str = "-first_seen_at",
) -> Slice[models.Commitment]:
    """Commitments in the mirror of the inventory, those seen last first."""
    query = select(schema.commitments).where(*(wanted or CommitmentFilter()).conditions())
    if where is not None:
        query = query.where(where)
    table = schema.commitments.c
    columns = [table.first_seen_at, table.start_at, table.end_at, table.commit_usd_per_hour]
    order = ordering("commitments", sort, columns, "commitment_id")
    found = page_of(connection, query, order, limit=limit, cursor=cursor)
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


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events are wanted; ``None`` for any. ``since`` is included, ``until`` is not."""

    kind: str | None = None
    actor: str | None = None
    proposal: str | None = None
    intent: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as conditions on the ledger."""
        events = schema.events.c
        named = (
            (events.kind, self.kind),
            (events.actor, self.actor),
            (events.proposal_id, self.proposal),
            (events.intent_id, self.intent),
        )
        found = [column == value for column, value in named if value is not None]
        if self.since is not None:
            found.append(events.happened_at >= self.since)
        if self.until is not None:
            found.append(events.happened_at < self.until)
        return found


def audit(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    wanted: AuditFilter | None = None,
    sort: str = "-sequence",
) -> Slice[models.AuditEvent]:
    """The ledger of what happened, newest first."""
    sequence = schema.events.c.sequence
    newest_first = sort.startswith("-")
    collection = f"audit:{sort}"
    query = select(schema.events).where(*(wanted or AuditFilter()).conditions()).limit(limit + 1)
    query = query.order_by(sequence.desc() if newest_first else sequence.asc())
    if cursor is not None:
        after = int(decode(collection, cursor, int)[0])
        query = query.where(sequence < after if newest_first else sequence > after)
    rows = connection.execute(query).all()
    next_after = encode(collection, rows[limit - 1].sequence) if len(rows) > limit else None
    return Slice(tuple(event_of(row) for row in rows[:limit]), next_after)


def event_of(row: Row[Any]) -> models.AuditEvent:
    """A row of the ledger as the API shows it."""
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
