"""The manifest of usage: which file holds a provider's day, and what is known of it.

A day counts only through its row here; files that no row names are leftovers.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
)

from service.store.metadata import METADATA, JsonDocument, NanoUsd, UtcInstant

usage_days = Table(
    "usage_days",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    # Relative to the usage folder, so that the folder can move.
    Column("file", Text, nullable=False, unique=True),
    # SHA-256 of the file, in hexadecimal.
    Column("digest", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("hours_present", Integer, nullable=False),
    # Bit h is set when the day has at least one row in its hour h.
    Column("hours_mask", BigInteger, nullable=False),
    Column("first_hour", UtcInstant, nullable=False),
    Column("last_hour", UtcInstant, nullable=False),
    Column("seen_at", UtcInstant, nullable=False),
    # On-demand equivalents, at the prices that the export shows.
    Column("eligible_usd", NanoUsd, nullable=False),
    Column("total_usd", NanoUsd, nullable=False),
    # {"weights": [24 decimal texts or null]}: how much eligible usage each hour holds.
    Column("hour_weights", JsonDocument, nullable=False),
    # A digest of what the hours were estimated from; empty where the export told them itself.
    Column("shape", Text, nullable=False, server_default=""),
    CheckConstraint("rows > 0", name="rows"),
    CheckConstraint("hours_present BETWEEN 1 AND 24", name="hours_present"),
    CheckConstraint("hours_mask BETWEEN 1 AND 16777215", name="hours_mask"),
)

commitments_seen = Table(
    "commitments_seen",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("commitment", Text, primary_key=True),
    # The owner, where the export tells.
    Column("account", Text),
    # What is committed to: dollars (spend) or quantities (usage), where the export tells.
    Column("category", Text),
    CheckConstraint("category IN ('spend', 'usage')", name="category"),
    # A day that is replaced takes what it named with it.
    ForeignKeyConstraint(
        ["provider", "day"], ["usage_days.provider", "usage_days.day"], ondelete="CASCADE"
    ),
)
