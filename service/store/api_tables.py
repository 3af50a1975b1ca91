"""Tables of sign-off and of the API: approvals, rejections that hold, sessions, kept replies."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from service.store.metadata import METADATA, ExactDecimal, JsonDocument, UtcInstant, one_of
from service.store.states import Role

approvals = Table(
    "approvals",
    METADATA,
    Column("proposal_id", Text, ForeignKey("proposals.proposal_id"), primary_key=True),
    # Who it is, whatever they are called: the database itself lets nobody approve twice.
    Column("person", Text, primary_key=True),
    Column("approved_by", Text, nullable=False),
    Column("approved_at", UtcInstant, nullable=False),
    Column("comment", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
)
"""Each yes to a proposal. ``version`` and ``quantity`` are what was said yes to."""

holds = Table(
    "holds",
    METADATA,
    Column("proposal_id", Text, ForeignKey("proposals.proposal_id"), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("offering", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("region", Text),
    Column("family", Text),
    Column("rejected_by", Text, nullable=False),
    Column("rejected_at", UtcInstant, nullable=False),
    Column("held_until", UtcInstant, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "held_until"),
    CheckConstraint("held_until > rejected_at", name="lasts"),
)
"""What people rejected, and until when nothing like it is proposed or bought."""

sessions = Table(
    "sessions",
    METADATA,
    Column("session_id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("accounts", JsonDocument),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("revoked_at", UtcInstant),
    Index(None, "expires_at"),
    one_of("role", Role),
)
"""Who signed in through the identity provider. ``accounts`` is ``null`` for all of them."""

replies = Table(
    "replies",
    METADATA,
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_digest", Text, nullable=False),
    Column("status", Integer),
    Column("headers", JsonDocument),
    Column("body", Text),
    Column("began_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Index(None, "expires_at"),
)
"""Answers kept under their Idempotency-Key. ``status`` is ``NULL`` while one is being made."""
