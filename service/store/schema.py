"""The tables of Tenor's database. What may be written, stated where nothing can get round it.

States carry CHECKs, one plan line can become at most one intent, one token at most one purchase,
and a commitment can settle at most one intent. Amounts are dollars (``NanoUsd``), hourly ones
named ``…_usd_per_hour``; documents are the domain's values as ``store.codec`` writes them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from service.domain.commitments import CommitmentState
from service.domain.plans import Decision, PlanStatus
from service.domain.purchases import IntentState, ProposalState
from service.store.alert_tables import alert_cursor, alerts, deliveries
from service.store.alteration_tables import alteration_locks, alterations, demotions
from service.store.api_tables import approvals, holds, replies, sessions
from service.store.metadata import (
    METADATA,
    ExactDecimal,
    JsonDocument,
    NanoUsd,
    UtcInstant,
    one_of,
)
from service.store.states import Origin, Role, RunState, VerdictStage
from service.store.usage_tables import usage_days

SCHEMA = METADATA
"""All tables, complete as soon as this module is imported."""

USAGE_DAYS = usage_days
"""The manifest of usage; its columns stand beside the code that fills it."""

SIGN_OFF = (approvals, holds, sessions, replies)
"""What sign-off and the API keep; see ``store.api_tables``."""

CHANGES = (alterations, alteration_locks, demotions)
"""What changes commitments that are owned, and where autopilot is not trusted any more."""

TOLD = (alerts, deliveries, alert_cursor)
"""What people are told, and how far the ledger was read for it."""

job_runs = Table(
    "job_runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("due_at", UtcInstant, nullable=False),
    Column("state", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("started_at", UtcInstant, nullable=False),
    Column("finished_at", UtcInstant),
    Column("detail", Text, nullable=False),
    UniqueConstraint("schedule", "due_at"),
    one_of("state", RunState),
)

cycles = Table(
    "cycles",
    METADATA,
    Column("cycle_id", Text, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("due_at", UtcInstant, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", UtcInstant, nullable=False),
    Column("finished_at", UtcInstant),
    Column("summary", JsonDocument, nullable=False),
    UniqueConstraint("schedule", "due_at"),
    Index(None, "due_at", "cycle_id"),
    one_of("state", RunState),
)

policies = Table(
    "policies",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("first_seen_at", UtcInstant, nullable=False),
    Column("last_seen_at", UtcInstant, nullable=False),
)

prices = Table(
    "prices",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("taken_at", UtcInstant, nullable=False),
    Column("document", JsonDocument, nullable=False),
    Index(None, "provider", "taken_at"),
)

plans = Table(
    "plans",
    METADATA,
    Column("plan_id", Text, primary_key=True),
    Column("cycle_id", Text, ForeignKey("cycles.cycle_id"), nullable=False),
    Column("decided_at", UtcInstant, nullable=False),
    Column("status", Text, nullable=False),
    Column("before_usd", NanoUsd, nullable=False),
    Column("after_usd", NanoUsd, nullable=False),
    Column("lower_bound_usd", NanoUsd, nullable=False),
    Column("usage_digest", Text, nullable=False),
    Column("prices_digest", Text, nullable=False),
    Column("commitments_digest", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("document", JsonDocument, nullable=False),
    Index(None, "decided_at", "plan_id"),
    Index(None, "cycle_id"),
    one_of("status", PlanStatus),
)

plan_lines = Table(
    "plan_lines",
    METADATA,
    Column("plan_id", Text, ForeignKey("plans.plan_id"), primary_key=True),
    Column("line_id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("offering", Text, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("commit_usd_per_hour", NanoUsd, nullable=False),
    Column("upfront_usd", NanoUsd, nullable=False),
    Column("total_usd", NanoUsd, nullable=False),
    Column("document", JsonDocument, nullable=False),
)

verdicts = Table(
    "verdicts",
    METADATA,
    Column("verdict_id", Integer, primary_key=True, autoincrement=True),
    Column("plan_id", Text, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("judged_at", UtcInstant, nullable=False),
    Column("document", JsonDocument, nullable=False),
    ForeignKeyConstraint(["plan_id", "line_id"], ["plan_lines.plan_id", "plan_lines.line_id"]),
    Index(None, "plan_id", "line_id"),
    one_of("stage", VerdictStage),
    one_of("decision", Decision),
)

proposals = Table(
    "proposals",
    METADATA,
    Column("proposal_id", Text, primary_key=True),
    Column("plan_id", Text, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", UtcInstant),
    Column("comment", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("verdict", JsonDocument, nullable=False),
    # The plan's line as far as it was approved; NULL while that is all of it.
    Column("approved_line", JsonDocument),
    UniqueConstraint("plan_id", "line_id"),
    ForeignKeyConstraint(["plan_id", "line_id"], ["plan_lines.plan_id", "plan_lines.line_id"]),
    Index(None, "created_at", "proposal_id"),
    Index(None, "state", "expires_at"),
    one_of("state", ProposalState),
    CheckConstraint("expires_at > created_at", name="lifetime"),
)

intents = Table(
    "intents",
    METADATA,
    Column("intent_id", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("line_id", Text, nullable=False),
    Column("cycle_id", Text, ForeignKey("cycles.cycle_id"), nullable=False),
    Column("proposal_id", Text, ForeignKey("proposals.proposal_id")),
    Column("provider", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("region", Text),
    Column("kind", Text, nullable=False),
    Column("offering", Text, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("commit_usd_per_hour", NanoUsd, nullable=False),
    Column("upfront_usd", NanoUsd, nullable=False),
    Column("total_usd", NanoUsd, nullable=False),
    Column("state", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("recorded_at", UtcInstant, nullable=False),
    Column("called_at", UtcInstant),
    Column("updated_at", UtcInstant, nullable=False),
    Column("commitment_id", Text),
    # The id that the provider's last quote minted for the purchase, stored before the call.
    Column("reference", Text),
    Column("detail", Text, nullable=False),
    # The plan's line at the price of the quote it was bought on.
    Column("line", JsonDocument, nullable=False),
    Column("term_months", Integer),
    UniqueConstraint("token"),
    UniqueConstraint("plan_id", "line_id"),
    UniqueConstraint("proposal_id"),
    UniqueConstraint("provider", "commitment_id"),
    ForeignKeyConstraint(["plan_id", "line_id"], ["plan_lines.plan_id", "plan_lines.line_id"]),
    Index(None, "state"),
    Index(None, "recorded_at", "intent_id"),
    one_of("state", IntentState),
    CheckConstraint("state <> 'bought' OR commitment_id IS NOT NULL", name="bought_is_named"),
    CheckConstraint("state <> 'calling' OR called_at IS NOT NULL", name="calling_is_dated"),
    CheckConstraint("upfront_usd >= 0 AND commit_usd_per_hour >= 0", name="amounts"),
)

commitments = Table(
    "commitments",
    METADATA,
    Column("provider", Text, primary_key=True),
    Column("commitment_id", Text, primary_key=True),
    Column("offering", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("scope", JsonDocument, nullable=False),
    Column("region", Text),
    Column("zone", Text),
    Column("family", Text),
    Column("kind", Text, nullable=False),
    Column("term_months", Integer, nullable=False),
    Column("payment", Text, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("commit_usd_per_hour", NanoUsd, nullable=False),
    Column("upfront_usd", NanoUsd, nullable=False),
    Column("start_at", UtcInstant, nullable=False),
    Column("end_at", UtcInstant, nullable=False),
    Column("state", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("intent_id", Text, ForeignKey("intents.intent_id")),
    Column("returnable_until", UtcInstant),
    Column("reference", Text),
    Column(
        "exchangeable", Boolean(create_constraint=False), nullable=False, server_default=false()
    ),
    Column("renews", Boolean(create_constraint=False), nullable=False, server_default=false()),
    Column("alteration_id", Text),
    Column("first_seen_at", UtcInstant, nullable=False),
    Column("last_seen_at", UtcInstant, nullable=False),
    Column("vanished_at", UtcInstant),
    Index(None, "first_seen_at", "commitment_id"),
    Index(None, "intent_id"),
    one_of("state", CommitmentState),
    one_of("origin", Origin),
)

events = Table(
    "events",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("happened_at", UtcInstant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("cycle_id", Text),
    Column("plan_id", Text),
    Column("proposal_id", Text),
    Column("intent_id", Text),
    Column("commitment_id", Text),
    Column("payload", JsonDocument, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    UniqueConstraint("hash"),
    Index(None, "kind", "sequence"),
    Index(None, "actor", "sequence"),
    Index(None, "proposal_id"),
    Index(None, "intent_id"),
)

ledger_head = Table(
    "ledger_head",
    METADATA,
    Column("head_id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("head_id = 1", name="single"),
)

leases = Table(
    "leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("acquired_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant, nullable=False),
)

halts = Table(
    "halts",
    METADATA,
    Column("scope", Text, primary_key=True),
    Column("halted", Boolean(create_constraint=False), nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
)

tokens = Table(
    "tokens",
    METADATA,
    Column("token_id", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant),
    Column("revoked_at", UtcInstant),
    Column("accounts", JsonDocument),
    UniqueConstraint("secret_hash"),
    one_of("role", Role),
)

reports = Table(
    "reports",
    METADATA,
    Column("report_id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("period_start", UtcInstant, nullable=False),
    Column("period_end", UtcInstant, nullable=False),
    Column("promised_usd", NanoUsd, nullable=False),
    Column("promised_low_usd", NanoUsd, nullable=False),
    Column("promised_high_usd", NanoUsd, nullable=False),
    Column("realised_usd", NanoUsd, nullable=False),
    Column("made_at", UtcInstant, nullable=False),
    Column("document", JsonDocument, nullable=False),
    UniqueConstraint("subject", "period_start", "period_end"),
    Index(None, "made_at", "report_id"),
    CheckConstraint("period_end > period_start", name="period"),
)
