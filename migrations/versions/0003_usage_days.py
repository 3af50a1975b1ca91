"""Which file holds a provider's day of usage, and what is known of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_usage_days()


def downgrade() -> None:
    for table in ("usage_days",):
        op.drop_table(table)


def _create_usage_days() -> None:
    op.create_table(
        "usage_days",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("hours_present", sa.Integer(), nullable=False),
        sa.Column("hours_mask", sa.BigInteger(), nullable=False),
        sa.Column("first_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("eligible_usd", sa.BigInteger(), nullable=False),
        sa.Column("total_usd", sa.BigInteger(), nullable=False),
        sa.Column("hour_weights", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "hours_mask BETWEEN 1 AND 16777215", name=op.f("ck_usage_days_hours_mask")
        ),
        sa.CheckConstraint(
            "hours_present BETWEEN 1 AND 24", name=op.f("ck_usage_days_hours_present")
        ),
        sa.CheckConstraint("rows > 0", name=op.f("ck_usage_days_rows")),
        sa.PrimaryKeyConstraint("provider", "day", name=op.f("pk_usage_days")),
        sa.UniqueConstraint("file", name=op.f("uq_usage_days_file")),
    )
