"""Runs migrations on the connection that ``service.store.migrate`` hands over, and only there."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from service.store.migrate import type_as_stored
from service.store.schema import SCHEMA

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    msg = "run migrations with `tenor migrate`, which knows the database"
    raise TypeError(msg)

context.configure(
    connection=connection,
    target_metadata=SCHEMA,
    compare_type=True,
    render_item=type_as_stored,
    transactional_ddl=True,
)
context.run_migrations()
