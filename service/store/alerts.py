"""Keeps alerts and their deliveries: raised once, sent by whoever holds the executor's lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, func, insert, or_, select, update

from service.store.alert_tables import DeliveryState, alert_cursor, alerts, deliveries

CURSOR = "ledger"


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert as it is kept."""

    alert: str
    kind: str
    severity: str
    title: str
    body: str
    raised_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert on its way to one receiver."""

    raised: Raised
    target: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    error: str


def cursor(connection: Connection) -> int:
    """The number of the last event that was read for alerts."""
    query = select(alert_cursor.c.sequence).where(alert_cursor.c.name == CURSOR)
    found = connection.execute(query).scalar_one_or_none()
    return 0 if found is None else int(found)


def move_cursor(connection: Connection, sequence: int) -> None:
    """Remember that events up to ``sequence`` have been read."""
    changed = connection.execute(
        update(alert_cursor).where(alert_cursor.c.name == CURSOR).values(sequence=sequence)
    ).rowcount
    if changed == 0:
        connection.execute(insert(alert_cursor).values(name=CURSOR, sequence=sequence))


def known_keys(connection: Connection, keys: Sequence[str]) -> frozenset[str]:
    """Those of ``keys`` that were raised before."""
    query = select(alerts.c.key).where(alerts.c.key.in_(keys))
    return frozenset(connection.execute(query).scalars()) if keys else frozenset()


def raise_alert(  # one row has this many columns
    connection: Connection,
    *,
    key: str,
    kind: str,
    severity: str,
    title: str,
    body: str,
    at: datetime,
    data: Mapping[str, Any],
    targets: Mapping[str, datetime],
) -> str:
    """Keep an alert that is new, and queue it for each of ``targets`` from its instant on."""
    identity = str(uuid4())
    connection.execute(
        insert(alerts).values(
            alert_id=identity,
            key=key,
            kind=kind,
            severity=severity,
            title=title,
            body=body,
            raised_at=at,
            data=data,
        )
    )
    for target, due_at in targets.items():
        connection.execute(
            insert(deliveries).values(
                alert_id=identity,
                target=target,
                state=DeliveryState.WAITING.value,
                attempts=0,
                due_at=due_at,
                changed_at=at,
                error="",
            )
        )
    return identity


def claim_due(
    connection: Connection, *, now: datetime, stuck_after: timedelta, limit: int = 200
) -> tuple[Delivery, ...]:
    """Take what is due, oldest first, and mark it as being sent.

    What has been marked so for longer than ``stuck_after`` belonged to a process that died: its
    receiver may have it already, and is sent it again rather than not at all.
    """
    lost = (deliveries.c.state == DeliveryState.SENDING.value) & (
        deliveries.c.changed_at <= now - stuck_after
    )
    waiting = (deliveries.c.state == DeliveryState.WAITING.value) & (deliveries.c.due_at <= now)
    query = (
        _joined()
        .where(or_(waiting, lost))
        .order_by(alerts.c.raised_at, alerts.c.alert_id, deliveries.c.target)
        .limit(limit)
    )
    found = tuple(_delivery(row) for row in connection.execute(query).mappings())
    for one in found:
        _set(connection, one, DeliveryState.SENDING, now, attempts=one.attempts + 1)
    return found


def sent(connection: Connection, one: Delivery, *, now: datetime) -> None:
    """The receiver has it."""
    _set(connection, one, DeliveryState.SENT, now)


def failed(
    connection: Connection,
    one: Delivery,
    *,
    error: str,
    again_at: datetime | None,
    now: datetime,
) -> None:
    """The receiver did not take it: tried again at ``again_at``, or given up for ``None``."""
    state = DeliveryState.DEAD if again_at is None else DeliveryState.WAITING
    _set(connection, one, state, now, error=error[:500], due_at=again_at or now)


def revive(connection: Connection, *, target: str | None, now: datetime) -> int:
    """Try what was given up once more from now on; returns how many there are."""
    query = update(deliveries).where(deliveries.c.state == DeliveryState.DEAD.value)
    if target is not None:
        query = query.where(deliveries.c.target == target)
    changed = query.values(
        state=DeliveryState.WAITING.value, attempts=0, due_at=now, changed_at=now
    )
    return connection.execute(changed).rowcount


def list_deliveries(
    connection: Connection, *, states: Sequence[DeliveryState], limit: int = 100
) -> tuple[Delivery, ...]:
    """Deliveries in ``states``, newest first."""
    query = (
        _joined()
        .where(deliveries.c.state.in_([state.value for state in states]))
        .order_by(alerts.c.raised_at.desc(), deliveries.c.target)
        .limit(limit)
    )
    return tuple(_delivery(row) for row in connection.execute(query).mappings())


def list_alerts(connection: Connection, *, limit: int = 100) -> tuple[Raised, ...]:
    """The newest alerts, newest first."""
    query = select(alerts).order_by(alerts.c.raised_at.desc(), alerts.c.alert_id).limit(limit)
    return tuple(_raised(row) for row in connection.execute(query).mappings())


def counts(connection: Connection) -> Mapping[str, int]:
    """How many deliveries are in each state."""
    query = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
    return {str(state): int(count) for state, count in connection.execute(query)}


def _joined() -> Any:  # noqa: ANN401 - a select of joined columns has no nameable type
    return select(alerts, *(column for column in deliveries.c if column.name != "alert_id")).join(
        deliveries, deliveries.c.alert_id == alerts.c.alert_id
    )


def _set(
    connection: Connection, one: Delivery, state: DeliveryState, now: datetime, **more: object
) -> None:
    connection.execute(
        update(deliveries)
        .where(deliveries.c.alert_id == one.raised.alert, deliveries.c.target == one.target)
        .values(state=state.value, changed_at=now, **more)
    )


def _raised(row: RowMapping) -> Raised:
    return Raised(
        alert=row["alert_id"],
        kind=row["kind"],
        severity=row["severity"],
        title=row["title"],
        body=row["body"],
        raised_at=row["raised_at"],
        data=row["data"],
    )


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        raised=_raised(row),
        target=row["target"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        due_at=row["due_at"],
        error=row["error"],
    )
