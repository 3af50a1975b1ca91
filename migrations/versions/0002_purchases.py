"""What is planned, proposed, intended, owned and reported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_reports()
    _create_plans()
    _create_plan_lines()
    _create_proposals()
    _create_verdicts()
    _create_intents()
    _create_commitments()


def downgrade() -> None:
    for table in (
        "commitments",
        "intents",
        "verdicts",
        "proposals",
        "plan_lines",
        "plans",
        "reports",
    ):
        op.drop_table(table)


def _create_reports() -> None:
    op.create_table(
        "reports",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("promised_usd", sa.BigInteger(), nullable=False),
        sa.Column("promised_low_usd", sa.BigInteger(), nullable=False),
        sa.Column("promised_high_usd", sa.BigInteger(), nullable=False),
        sa.Column("realised_usd", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.CheckConstraint("period_end > period_start", name=op.f("ck_reports_period")),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_reports")),
        sa.UniqueConstraint(
            "subject",
            "period_start",
            "period_end",
            name=op.f("uq_reports_subject_period_start_period_end"),
        ),
    )
    op.create_index(
        op.f("ix_reports_made_at_report_id"), "reports", ["made_at", "report_id"], unique=False
    )


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("before_usd", sa.BigInteger(), nullable=False),
        sa.Column("after_usd", sa.BigInteger(), nullable=False),
        sa.Column("lower_bound_usd", sa.BigInteger(), nullable=False),
        sa.Column("usage_digest", sa.Text(), nullable=False),
        sa.Column("prices_digest", sa.Text(), nullable=False),
        sa.Column("commitments_digest", sa.Text(), nullable=False),
        sa.Column("policy_digest", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "status IN ('optimal', 'feasible', 'refused')", name=op.f("ck_plans_status")
        ),
        sa.ForeignKeyConstraint(
            ["cycle_id"], ["cycles.cycle_id"], name=op.f("fk_plans_cycle_id_cycles")
        ),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plans")),
    )
    op.create_index(
        op.f("ix_plans_decided_at_plan_id"), "plans", ["decided_at", "plan_id"], unique=False
    )


def _create_plan_lines() -> None:
    op.create_table(
        "plan_lines",
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("offering", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("commit_usd_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("upfront_usd", sa.BigInteger(), nullable=False),
        sa.Column("total_usd", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plans.plan_id"], name=op.f("fk_plan_lines_plan_id_plans")
        ),
        sa.PrimaryKeyConstraint("plan_id", "line_id", name=op.f("pk_plan_lines")),
    )


def _create_proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'approved', 'rejected', 'expired', 'executed', 'refused')",
            name=op.f("ck_proposals_state"),
        ),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_proposals_lifetime")),
        sa.ForeignKeyConstraint(
            ["plan_id", "line_id"],
            ["plan_lines.plan_id", "plan_lines.line_id"],
            name=op.f("fk_proposals_plan_id_line_id_plan_lines"),
        ),
        sa.PrimaryKeyConstraint("proposal_id", name=op.f("pk_proposals")),
        sa.UniqueConstraint("plan_id", "line_id", name=op.f("uq_proposals_plan_id_line_id")),
    )
    op.create_index(
        op.f("ix_proposals_created_at_proposal_id"),
        "proposals",
        ["created_at", "proposal_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_proposals_state_expires_at"), "proposals", ["state", "expires_at"], unique=False
    )


def _create_verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "decision IN ('allow', 'needs_sign_off', 'refuse')", name=op.f("ck_verdicts_decision")
        ),
        sa.CheckConstraint("stage IN ('proposal', 'execution')", name=op.f("ck_verdicts_stage")),
        sa.ForeignKeyConstraint(
            ["plan_id", "line_id"],
            ["plan_lines.plan_id", "plan_lines.line_id"],
            name=op.f("fk_verdicts_plan_id_line_id_plan_lines"),
        ),
        sa.PrimaryKeyConstraint("verdict_id", name=op.f("pk_verdicts")),
    )
    op.create_index(
        op.f("ix_verdicts_plan_id_line_id"), "verdicts", ["plan_id", "line_id"], unique=False
    )


def _create_intents() -> None:
    op.create_table(
        "intents",
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("line_id", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("offering", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("commit_usd_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("upfront_usd", sa.BigInteger(), nullable=False),
        sa.Column("total_usd", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("commitment_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        *_intent_checks(),
        sa.ForeignKeyConstraint(
            ["cycle_id"], ["cycles.cycle_id"], name=op.f("fk_intents_cycle_id_cycles")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id", "line_id"],
            ["plan_lines.plan_id", "plan_lines.line_id"],
            name=op.f("fk_intents_plan_id_line_id_plan_lines"),
        ),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.proposal_id"],
            name=op.f("fk_intents_proposal_id_proposals"),
        ),
        sa.PrimaryKeyConstraint("intent_id", name=op.f("pk_intents")),
        sa.UniqueConstraint("plan_id", "line_id", name=op.f("uq_intents_plan_id_line_id")),
        sa.UniqueConstraint("proposal_id", name=op.f("uq_intents_proposal_id")),
        sa.UniqueConstraint(
            "provider", "commitment_id", name=op.f("uq_intents_provider_commitment_id")
        ),
        sa.UniqueConstraint("token", name=op.f("uq_intents_token")),
    )
    _index_intents()


def _intent_checks() -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(
            "state <> 'bought' OR commitment_id IS NOT NULL",
            name=op.f("ck_intents_bought_is_named"),
        ),
        sa.CheckConstraint(
            "state <> 'calling' OR called_at IS NOT NULL", name=op.f("ck_intents_calling_is_dated")
        ),
        sa.CheckConstraint(
            "state IN ('recorded', 'calling', 'bought', 'refused', 'unknown')",
            name=op.f("ck_intents_state"),
        ),
        sa.CheckConstraint(
            "upfront_usd >= 0 AND commit_usd_per_hour >= 0", name=op.f("ck_intents_amounts")
        ),
    ]


def _index_intents() -> None:
    op.create_index(
        op.f("ix_intents_recorded_at_intent_id"),
        "intents",
        ["recorded_at", "intent_id"],
        unique=False,
    )
    op.create_index(op.f("ix_intents_state"), "intents", ["state"], unique=False)


def _create_commitments() -> None:
    op.create_table(
        "commitments",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("commitment_id", sa.Text(), nullable=False),
        sa.Column("offering", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("family", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("term_months", sa.Integer(), nullable=False),
        sa.Column("payment", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.Column("commit_usd_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("upfront_usd", sa.BigInteger(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=True),
        sa.Column("returnable_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("vanished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("origin IN ('tenor', 'external')", name=op.f("ck_commitments_origin")),
        sa.CheckConstraint(
            "state IN ('queued', 'payment-pending', 'active', 'returned', 'retired', 'failed')",
            name=op.f("ck_commitments_state"),
        ),
        sa.ForeignKeyConstraint(
            ["intent_id"], ["intents.intent_id"], name=op.f("fk_commitments_intent_id_intents")
        ),
        sa.PrimaryKeyConstraint("provider", "commitment_id", name=op.f("pk_commitments")),
    )
    op.create_index(
        op.f("ix_commitments_first_seen_at_commitment_id"),
        "commitments",
        ["first_seen_at", "commitment_id"],
        unique=False,
    )
    op.create_index(op.f("ix_commitments_intent_id"), "commitments", ["intent_id"], unique=False)
