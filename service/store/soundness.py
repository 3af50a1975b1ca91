"""Decides whether an SQLite file is whole: a copy under another file's write-ahead log is not."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, OperationalError

from service.domain.errors import InputError
from service.store.engine import reading

RUNBOOK = "docs/runbooks/backup-and-restore.md"


def damage(engine: Engine) -> str | None:
    """What is wrong with the database's file; ``None`` when it is whole, or not there yet.

    Reads all of it. A served database looks after its own files: nothing is asked of it.
    """
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    file = Path(engine.url.database)
    if not file.exists() or file.stat().st_size == 0:
        return None
    try:
        with reading(engine) as connection:
            said = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(3)")]
    except OperationalError:
        raise
    except DatabaseError as error:
        return str(error.orig)
    return None if said == ["ok"] else "; ".join(one.replace("\n", " ") for one in said)


def require_whole(engine: Engine) -> None:
    """``InputError`` that names the runbook when the file is damaged."""
    found = damage(engine)
    if found is not None:
        raise InputError(
            f"is damaged: {found}",
            file=engine.url.render_as_string(hide_password=True),
            remedy=f"Restore a backup as {RUNBOOK} says, the -wal and -shm files removed first.",
        )
