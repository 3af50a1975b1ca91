"""Decides how Tenor talks to its database, and when a transaction may write.

SQLite: write-ahead log, foreign keys, full fsync at commit (an intent that a power cut can lose
is no intent), and BEGIN IMMEDIATE, so that two writers queue instead of failing halfway.
PostgreSQL: psycopg 3, UTC sessions, bounded waits for locks, and a commit that is on disk before it
is answered, whatever the server's own setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from service.domain.errors import InputError

BUSY_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 15_000
_READS_ONLY = "tenor_reads_only"


def open_engine(url: str) -> Engine:
    """An engine on ``url``: ``sqlite:///path`` or ``postgresql://…``. Connects to nothing yet.

    Raises ``InputError`` for another database and for SQLite in memory, of which every
    connection would see its own.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=10,
        connect_args={
            "connect_timeout": 10,
            "tcp_user_timeout": 10_000,
            "options": (
                f"-c timezone=UTC -c lock_timeout={LOCK_TIMEOUT_MS} -c synchronous_commit=on"
            ),
        },
    )


def open_aside(engine: Engine, *, answers_within_s: int) -> Engine:
    """An engine on a served database that waits for no connection of ``engine``, and keeps none.

    For one short question to the server, which may be asked while the asker holds a connection.
    """
    return create_engine(
        engine.url,
        poolclass=NullPool,
        connect_args={
            "connect_timeout": answers_within_s,
            "tcp_user_timeout": answers_within_s * 1000,
            "options": f"-c timezone=UTC -c statement_timeout={answers_within_s * 1000}",
        },
    )


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; commits at the end, rolls back on any error.

    Never open one inside another: on SQLite the inner one waits for the outer one for ever.
    """
    with engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction for reading only; on SQLite it takes no write lock. Always rolled back."""
    with engine.connect() as connection:
        reader = connection.execution_options(**{_READS_ONLY: True})
        yield reader
        reader.rollback()


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """As ``reading``, and all of it sees one state: for what compares tables with each other."""
    with engine.connect() as connection:
        options: dict[str, Any] = {_READS_ONLY: True}
        if connection.dialect.name == "postgresql":
            # SQLite's readers see one state anyhow; PostgreSQL's see each statement's own.
            options["isolation_level"] = "REPEATABLE READ"
        reader = connection.execution_options(**options)
        yield reader
        reader.rollback()


def _parse(url: str) -> URL:
    remedy = "Use sqlite:///path/to/tenor.db or postgresql://user@host/database."
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError("not a database URL", file="database URL", remedy=remedy) from error
    backend = parsed.get_backend_name()
    if backend not in {"sqlite", "postgresql"}:
        raise InputError(f"{backend} is not supported", file="database URL", remedy=remedy)
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise InputError("SQLite in memory keeps nothing", file="database URL", remedy=remedy)
    return parsed


def _prepare_sqlite(dbapi_connection: Any, _record: object) -> None:  # noqa: ANN401
    # The driver's own transaction handling would begin lazily and commit around DDL.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reads_only = connection.get_execution_options().get(_READS_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
