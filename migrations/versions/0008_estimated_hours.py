"""Which days' hours were estimated, and from what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("usage_days", sa.Column("shape", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("usage_days") as table:
        table.drop_column("shape")
