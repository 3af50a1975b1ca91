"""Which commitments the exports of a provider's day name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commitments_seen",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("commitment", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "category IN ('spend', 'usage')", name=op.f("ck_commitments_seen_category")
        ),
        sa.ForeignKeyConstraint(
            ["provider", "day"],
            ["usage_days.provider", "usage_days.day"],
            name=op.f("fk_commitments_seen_provider_day_usage_days"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("provider", "day", "commitment", name=op.f("pk_commitments_seen")),
    )


def downgrade() -> None:
    op.drop_table("commitments_seen")
