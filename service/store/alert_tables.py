"""Tables of alerts: what is worth telling, to whom it goes, and how far the ledger was read."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text

from service.store.metadata import METADATA, JsonDocument, UtcInstant, one_of


class DeliveryState(StrEnum):
    """``waiting`` → ``sending`` → ``sent``, or back to ``waiting``, or ``dead`` in the end."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"


alerts = Table(
    "alerts",
    METADATA,
    Column("alert_id", Text, primary_key=True),
    # What it tells of. The database itself sees to it that nothing is told twice.
    Column("key", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("raised_at", UtcInstant, nullable=False),
    Column("data", JsonDocument, nullable=False),
    Index(None, "raised_at"),
)
"""Everything that was worth an alert, sent or not."""

deliveries = Table(
    "alert_deliveries",
    METADATA,
    Column("alert_id", Text, ForeignKey("alerts.alert_id"), primary_key=True),
    Column("target", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcInstant, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("error", Text, nullable=False),
    Index(None, "state", "due_at"),
    one_of("state", DeliveryState),
)
"""One alert on its way to one receiver. ``dead`` are the ones that were given up."""

alert_cursor = Table(
    "alert_cursor",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)
"""Up to which event the ledger has been read for alerts; one row."""
