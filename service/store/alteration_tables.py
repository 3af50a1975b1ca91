"""The tables of alterations and of demotions. What may be written, stated in the database.

One commitment is the source of at most one alteration that may still happen: ``alteration_locks``
has one row per such source, and its primary key refuses a second. ``demotions`` has one row per
provider that autopilot gave up in, until a person restores it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from service.domain.alterations import AlterationKind, AlterationState
from service.store.metadata import METADATA, JsonDocument, NanoUsd, UtcInstant, one_of

alterations = Table(
    "alterations",
    METADATA,
    Column("alteration_id", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("alteration", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("calls", Integer, nullable=False),
    # The most that may be paid until the quote is known; then what was quoted, or paid.
    Column("pay_usd", NanoUsd, nullable=False),
    Column("refund_usd", NanoUsd, nullable=False),
    Column("asked_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("recorded_at", UtcInstant),
    Column("called_at", UtcInstant),
    Column("updated_at", UtcInstant, nullable=False),
    Column("decided_by", Text),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("made", JsonDocument, nullable=False),
    Column("document", JsonDocument, nullable=False),
    UniqueConstraint("token"),
    Index(None, "state"),
    Index(None, "asked_at", "alteration_id"),
    one_of("alteration", AlterationKind),
    one_of("state", AlterationState),
    CheckConstraint("state <> 'calling' OR called_at IS NOT NULL", name="calling_is_dated"),
    CheckConstraint("pay_usd >= 0 AND refund_usd >= 0", name="amounts"),
    CheckConstraint("expires_at > asked_at", name="lifetime"),
)

alteration_locks = Table(
    "alteration_locks",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("commitment_id", Text, primary_key=True),
    Column(
        "alteration_id", Text, ForeignKey("alterations.alteration_id"), nullable=False, index=True
    ),
)

demotions = Table(
    "demotions",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("demoted_at", UtcInstant, nullable=False),
)
