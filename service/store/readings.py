"""Reads when each cloud's inventory was last read whole: caps over several clouds hang on it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from service.observe.events import ReconcileMatched
from service.store import ledger
from service.store.ledger import Recorded
from service.store.schema import events

FORGOTTEN_AFTER = timedelta(days=31)
"""What was read longer ago counts as never read."""


def read_at(
    connection: Connection, providers: Collection[str], *, now: datetime
) -> dict[str, datetime | None]:
    """When each of ``providers`` was read whole for the last time; ``None``: never, or forgotten.

    Dated by the transaction that wrote down what the reading proved.
    """
    found: dict[str, datetime | None] = dict.fromkeys(providers)
    rows = connection.execute(
        select(events.c.payload, events.c.happened_at)
        .where(events.c.kind == ReconcileMatched.name, events.c.happened_at > now - FORGOTTEN_AFTER)
        .order_by(events.c.sequence.desc())
    )
    for payload, happened_at in rows:
        provider = payload["provider"]
        if provider in found and found[provider] is None:
            found[provider] = happened_at
            if None not in found.values():
                break
    rows.close()
    return found


def newest(connection: Connection, provider: str) -> Recorded | None:
    """The newest complete reading of ``provider``, of whatever account, as the ledger tells it."""
    query = select(events.c.sequence, events.c.payload).where(
        events.c.kind == ReconcileMatched.name
    )
    rows = connection.execute(query.order_by(events.c.sequence.desc()))
    found = next((number for number, payload in rows if payload["provider"] == provider), None)
    rows.close()
    return None if found is None else ledger.read(connection, after=found - 1, limit=1)[0]
