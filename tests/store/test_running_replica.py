"""A replica of the version before goes on while, and after, the schema becomes the next one.

What that version writes is told by its schema: rows with every column that it knew, and none that
it did not know. They are written and read by plain statements on tables as they were.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Connection,
    Date,
    DateTime,
    Engine,
    Integer,
    MetaData,
    Numeric,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError

from service.domain.errors import InputError
from service.store import lease as leases
from service.store import migrate
from service.store.engine import reading, writing
from tests.api.world import make_world

HEAD = migrate.head_revision()
PREVIOUS = f"{int(HEAD) - 1:04d}"
NEXT = f"{int(HEAD) + 1:04d}"
AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
WORDS = {
    ("cycles", "state"): "done",
    ("plans", "status"): "optimal",
    ("intents", "state"): "recorded",
    ("proposals", "state"): "waiting",
}
"""What the constrained columns of these tables may say."""


def as_it_was(engine: Engine) -> MetaData:
    """The tables as the previous version knows them; leaves the database at that version."""
    migrate.downgrade(engine, PREVIOUS)
    known = MetaData()
    known.reflect(engine)
    return known


def some_value(table: Table, name: str, tag: str) -> Any:  # noqa: ANN401 - of any column
    if name == "sequence":
        return uuid.uuid4().int % 2**40
    if name == "expires_at":
        return AT + timedelta(days=7)
    by_type = (
        (DateTime, AT),
        (Date, AT.date()),
        (Boolean, False),
        (Integer, 1),
        (Numeric, 1),
    )
    kind = table.c[name].type
    fits = (value for type_, value in by_type if isinstance(kind, type_))
    return WORDS.get((table.name, name), next(fits, tag))


def write_as_before(connection: Connection, known: MetaData, table: str, tag: str) -> None:
    """A row of ``table`` with every column that the previous version requires."""
    there = known.tables[table]
    row = {
        column.name: some_value(there, column.name, tag)
        for column in there.columns
        if not column.nullable
    }
    connection.execute(insert(there).values(**row))


def write_a_purchase(engine: Engine, known: MetaData, tag: str) -> None:
    """What a cycle of the previous version leaves behind, in the order of its references."""
    with writing(engine) as connection:
        for table in ("cycles", "plans", "plan_lines", "proposals", "intents", "events"):
            write_as_before(connection, known, table, tag)


def counts(engine: Engine, known: MetaData) -> dict[str, int]:
    """Rows of each table, every known column of each read."""
    with reading(engine) as connection:
        return {
            name: len(connection.execute(select(table)).all())
            for name, table in known.tables.items()
            if name != "alembic_version"
        }


def test_the_previous_version_writes_and_reads_before_and_after_the_upgrade(
    engine: Engine,
) -> None:
    known = as_it_was(engine)
    write_a_purchase(engine, known, "before")
    before = counts(engine, known)
    migrate.upgrade(engine)
    assert counts(engine, known) == before
    write_a_purchase(engine, known, "after")
    after = counts(engine, known)
    assert {name for name in after if after[name] > before[name]} == {
        "cycles", "plans", "plan_lines", "proposals", "intents", "events",
    }  # fmt: skip


def test_a_column_that_the_previous_version_does_not_fill_would_be_noticed(
    engine: Engine,
) -> None:
    known = as_it_was(engine)
    migrate.upgrade(engine)
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE events RENAME COLUMN kind TO kind_before"))
        connection.execute(text("ALTER TABLE events ADD COLUMN kind TEXT"))
    with pytest.raises(IntegrityError, match="kind_before"):
        write_a_purchase(engine, known, "after")


@contextmanager
def replica(engine: Engine, known: MetaData) -> Iterator[list[Exception]]:
    """A process of the previous version that writes all the time; yields what went wrong."""
    problems: list[Exception] = []
    began, stop = threading.Event(), threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                write_a_purchase(engine, known, f"busy-{number}")
            except Exception as problem:  # noqa: BLE001 - any is what this is about
                problems.append(problem)
                return
            finally:
                began.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(30)
    try:
        yield problems
    finally:
        stop.set()
        thread.join()


def test_the_upgrade_runs_beside_a_busy_replica_and_neither_fails(engine: Engine) -> None:
    known = as_it_was(engine)
    with replica(engine, known) as problems:
        migrate.upgrade(engine)
        there = counts(engine, known)["events"]
        while not problems and counts(engine, known)["events"] <= there:
            pass  # it goes on afterwards
    assert problems == []
    assert migrate.check(engine).is_current


def shape(engine: Engine) -> dict[str, dict[str, bool]]:
    """Tables, their columns, and whether a row must give the column a value."""
    looked = inspect(engine)
    return {
        table: {
            str(column["name"]): not column["nullable"] and column["default"] is None
            for column in looked.get_columns(table)
        }
        for table in looked.get_table_names()
        if table != "alembic_version"
    }


def narrowed(before: dict[str, dict[str, bool]], after: dict[str, dict[str, bool]]) -> list[str]:
    """What a version at ``before`` could not do at ``after``: gone, or newly asked for."""
    problems = [f"{name} is gone" for name in before.keys() - after.keys()]
    for name in sorted(before.keys() & after.keys()):
        was, now = before[name], after[name]
        problems += [f"{name}.{column} is gone" for column in was.keys() - now.keys()]
        problems += [
            f"{name}.{column} is asked for"
            for column, asked in now.items()
            if asked and not was.get(column, False)
        ]
    return problems


def test_the_newest_migration_takes_nothing_away_and_asks_for_nothing_more(
    sqlite_engine: Engine,
) -> None:
    after = shape(sqlite_engine)
    migrate.downgrade(sqlite_engine, PREVIOUS)
    assert narrowed(shape(sqlite_engine), after) == []


def test_what_a_migration_takes_away_would_be_noticed() -> None:
    before = {"a": {"x": True, "y": False}, "b": {"x": False}}
    assert sorted(narrowed(before, {"a": {"y": True, "z": True}})) == [
        "a.x is gone", "a.y is asked for", "a.z is asked for", "b is gone",
    ]  # fmt: skip


def hold_lease(engine: Engine) -> None:
    with writing(engine) as connection:
        assert leases.acquire(connection, holder="another", lifetime=timedelta(minutes=5))


def at_revision(engine: Engine, revision: str) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})


def test_a_replica_is_not_ready_while_the_schema_is_behind_it(engine: Engine) -> None:
    hold_lease(engine)
    client = make_world(engine).client()
    migrate.downgrade(engine, PREVIOUS)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert PREVIOUS in answer.json()["reasons"]["migrations"]
    with pytest.raises(InputError, match="tenor migrate"):
        migrate.require_current(engine)
    migrate.upgrade(engine)
    assert client.get("/readyz").status_code == 200


def test_a_replica_stays_ready_when_a_newer_version_has_migrated(engine: Engine) -> None:
    hold_lease(engine)
    client = make_world(engine).client()
    at_revision(engine, NEXT)
    assert client.get("/readyz").status_code == 200
    migrate.require_current(engine)
    assert migrate.upgrade(engine) == NEXT


@pytest.mark.parametrize("revision", ["", "main", "0000"])
def test_a_revision_that_is_not_ours_is_behind(revision: str) -> None:
    assert migrate.is_behind(revision, HEAD)
    assert migrate.is_behind(None, HEAD)
