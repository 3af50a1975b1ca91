"""References of two-step purchases; alterations of what is owned; where autopilot gave up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ADDED = ("reference", "exchangeable", "renews", "alteration_id")


def upgrade() -> None:
    op.add_column("intents", sa.Column("reference", sa.Text(), nullable=True))
    op.add_column("commitments", sa.Column("reference", sa.Text(), nullable=True))
    op.add_column("commitments", sa.Column("alteration_id", sa.Text(), nullable=True))
    for name in ("exchangeable", "renews"):
        column: sa.Column[bool] = sa.Column(
            name, sa.Boolean(), nullable=False, server_default=sa.false()
        )
        op.add_column("commitments", column)
    _create_alterations()
    _create_locks()
    _create_demotions()


def downgrade() -> None:
    for table in ("demotions", "alteration_locks", "alterations"):
        op.drop_table(table)
    with op.batch_alter_table("commitments") as batch:
        for name in ADDED:
            batch.drop_column(name)
    with op.batch_alter_table("intents") as batch:
        batch.drop_column("reference")


def _create_alterations() -> None:
    op.create_table(
        "alterations",
        sa.Column("alteration_id", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("alteration", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("pay_usd", sa.BigInteger(), nullable=False),
        sa.Column("refund_usd", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("made", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        *_alteration_checks(),
        sa.PrimaryKeyConstraint("alteration_id", name=op.f("pk_alterations")),
        sa.UniqueConstraint("token", name=op.f("uq_alterations_token")),
    )
    op.create_index(op.f("ix_alterations_state"), "alterations", ["state"], unique=False)
    op.create_index(
        op.f("ix_alterations_asked_at_alteration_id"),
        "alterations",
        ["asked_at", "alteration_id"],
        unique=False,
    )


def _alteration_checks() -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(
            "alteration IN ('cancel_queued', 'return', 'exchange', 'modify', 'split', 'merge', "
            "'set_renewal', 'upgrade_term')",
            name=op.f("ck_alterations_alteration"),
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'approved', 'withdrawn', 'recorded', 'calling', 'altered', "
            "'refused', 'unknown')",
            name=op.f("ck_alterations_state"),
        ),
        sa.CheckConstraint(
            "state <> 'calling' OR called_at IS NOT NULL",
            name=op.f("ck_alterations_calling_is_dated"),
        ),
        sa.CheckConstraint("pay_usd >= 0 AND refund_usd >= 0", name=op.f("ck_alterations_amounts")),
        sa.CheckConstraint("expires_at > asked_at", name=op.f("ck_alterations_lifetime")),
    ]


def _create_locks() -> None:
    op.create_table(
        "alteration_locks",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("commitment_id", sa.Text(), nullable=False),
        sa.Column("alteration_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alteration_id"],
            ["alterations.alteration_id"],
            name=op.f("fk_alteration_locks_alteration_id_alterations"),
        ),
        sa.PrimaryKeyConstraint("provider", "commitment_id", name=op.f("pk_alteration_locks")),
    )
    op.create_index(
        op.f("ix_alteration_locks_alteration_id"),
        "alteration_locks",
        ["alteration_id"],
        unique=False,
    )


def _create_demotions() -> None:
    op.create_table(
        "demotions",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("demoted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_demotions")),
    )
