"""Approvals by several people and in part, rejections that hold, sessions, kept replies, admins."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PROPOSAL_STATES = "'waiting', 'approved', 'rejected', 'expired', 'executed', 'refused'"
_ROLES = "'viewer', 'approver', 'operator'"


def upgrade() -> None:
    op.add_column("proposals", sa.Column("approved_line", sa.Text(), nullable=True))
    op.add_column("tokens", sa.Column("accounts", sa.Text(), nullable=True))
    _admit("proposals", "state", _PROPOSAL_STATES, f"{_PROPOSAL_STATES}, 'withdrawn'")
    _admit("tokens", "role", _ROLES, f"{_ROLES}, 'admin'")
    op.add_column("intents", sa.Column("term_months", sa.Integer(), nullable=True))
    _fill_terms()
    _create_approvals()
    _create_holds()
    _create_sessions()
    _create_replies()
    op.create_index(op.f("ix_events_actor_sequence"), "events", ["actor", "sequence"])
    op.create_index(op.f("ix_events_proposal_id"), "events", ["proposal_id"])
    op.create_index(op.f("ix_plans_cycle_id"), "plans", ["cycle_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_plans_cycle_id"), table_name="plans")
    op.drop_index(op.f("ix_events_proposal_id"), table_name="events")
    op.drop_index(op.f("ix_events_actor_sequence"), table_name="events")
    for table in ("replies", "sessions", "holds", "approvals"):
        op.drop_table(table)
    op.drop_column("intents", "term_months")
    op.execute("UPDATE proposals SET state = 'expired' WHERE state = 'withdrawn'")
    op.execute("UPDATE tokens SET role = 'operator' WHERE role = 'admin'")
    _admit("tokens", "role", f"{_ROLES}, 'admin'", _ROLES)
    _admit("proposals", "state", f"{_PROPOSAL_STATES}, 'withdrawn'", _PROPOSAL_STATES)
    op.drop_column("tokens", "accounts")
    op.drop_column("proposals", "approved_line")


def _admit(table: str, column: str, old: str, new: str) -> None:
    """Change the words that ``table.column`` may hold.

    SQLite has no statement for it. Making the table anew would drop what others refer to, so the
    stored definition is changed as its manual describes for CHECK constraints.
    """
    connection = op.get_bind()
    name = f"ck_{table}_{column}"
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f(name), table, type_="check")
        op.create_check_constraint(op.f(name), table, f"{column} IN ({new})")
        return
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :old, :new) "
            "WHERE type = 'table' AND name = :table AND instr(sql, :old) > 0"
        ),
        {"old": f"{column} IN ({old})", "new": f"{column} IN ({new})", "table": table},
    ).rowcount
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    if changed != 1:
        msg = f"{table} has no check {column} IN ({old})"
        raise RuntimeError(msg)


def _fill_terms() -> None:
    """Write each purchase's term, which its line holds, where sums can be made of it."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT intent_id, line FROM intents")).all()
    for identity, line in rows:
        connection.execute(
            sa.text("UPDATE intents SET term_months = :term WHERE intent_id = :intent"),
            {"term": json.loads(line)["term_months"], "intent": identity},
        )


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.proposal_id"],
            name=op.f("fk_approvals_proposal_id_proposals"),
        ),
        sa.PrimaryKeyConstraint("proposal_id", "person", name=op.f("pk_approvals")),
    )


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("offering", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("family", sa.Text(), nullable=True),
        sa.Column("rejected_by", sa.Text(), nullable=False),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("held_until > rejected_at", name=op.f("ck_holds_lasts")),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["proposals.proposal_id"], name=op.f("fk_holds_proposal_id_proposals")
        ),
        sa.PrimaryKeyConstraint("proposal_id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_held_until"), "holds", ["held_until"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("accounts", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"role IN ({_ROLES}, 'admin')", name=op.f("ck_sessions_role")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"])


def _create_replies() -> None:
    op.create_table(
        "replies",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_replies")),
    )
    op.create_index(op.f("ix_replies_expires_at"), "replies", ["expires_at"])
