"""Decides which schema a database has: upgrades it, downgrades it, and says where it drifted.

The revisions are Alembic's, in ``migrations/`` beside the package, or inside it when installed
from a wheel. One call is one transaction: a migration that fails leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.autogenerate.api import AutogenContext
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, Engine, Index, inspect, text
from sqlalchemy.types import TypeDecorator

from service.domain.errors import InputError, InvariantError
from service.store.engine import reading, writing
from service.store.schema import SCHEMA

_MIGRATION_LOCK = 5_318_008_401
_LITERAL = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a database's schema stands. ``drift`` lists differences from the code, in words.

    ``lacking`` are those among them by which the code misses something: not an index or a column
    that somebody added.
    """

    current: str | None
    head: str
    drift: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """True when nothing is left to migrate and nothing differs."""
        return self.current == self.head and not self.drift

    @property
    def is_newer(self) -> bool:
        """True when a newer version of Tenor migrated already."""
        return self.current != self.head and not is_behind(self.current, self.head)

    @property
    def serves(self) -> bool:
        """True when this code can work with it: as wanted, newer, or with something added."""
        return not is_behind(self.current, self.head) and not self.lacking


def migrations_folder() -> Path:
    """The folder with the revisions, in an installed wheel or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_shipped" / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    msg = f"no migrations beside {package}"
    raise InvariantError(msg)


def head_revision() -> str:
    """The newest revision that this code knows."""
    head = ScriptDirectory(str(migrations_folder())).get_current_head()
    if head is None:
        msg = "there is no migration at all"
        raise InvariantError(msg)
    return head


def upgrade(engine: Engine, revision: str = "head") -> str:
    """Bring the schema to ``revision``; returns the revision it then has.

    Safe to call from several replicas at once: the second waits and finds nothing to do. A schema
    of a newer version of Tenor stays as it is. Makes the folder of an SQLite file.
    """
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    with _migrating(engine) as (connection, config):
        current, head = _current_revision(connection), head_revision()
        if current is not None and current != head and not is_behind(current, head):
            return current
        command.upgrade(config, revision)
        return _require_revision(connection)


def downgrade(engine: Engine, revision: str = "base") -> str | None:
    """Take the schema back to ``revision``. Data in tables that go is lost."""
    with _migrating(engine) as (connection, config):
        command.downgrade(config, revision)
        return _current_revision(connection)


def check(engine: Engine) -> SchemaState:
    """What the database has, what this code wants, and every difference. Changes nothing."""
    with reading(engine) as connection:
        current = _current_revision(connection)
        found = _drift(connection) if current == head_revision() else ()
    return SchemaState(
        current=current,
        head=head_revision(),
        drift=tuple(difference for difference, _ in found),
        lacking=tuple(difference for difference, is_more in found if not is_more),
    )


def is_behind(current: str | None, head: str) -> bool:
    """Whether a schema at ``current`` lacks something that the code at ``head`` needs.

    Revisions are counted up, and each leaves all that the one before it needs. A newer version of
    Tenor may therefore have migrated already: this one goes on until it is replaced.
    """
    return current is None or not current.isdecimal() or int(current) < int(head)


def require_current(engine: Engine) -> None:
    """``InputError`` that says ``tenor migrate`` when the database's schema is behind."""
    with reading(engine) as connection:
        current = _current_revision(connection)
    if is_behind(current, head_revision()):
        raise InputError(
            f"the database is at revision {current}, this version wants {head_revision()}",
            file=engine.url.render_as_string(hide_password=True),
            remedy="Run tenor migrate.",
        )


def make_revision(engine: Engine, message: str, revision: str) -> Path:
    """Write a new revision file from the difference between the database and the code."""
    with _migrating(engine) as (_, config):
        script = command.revision(config, message, rev_id=revision, autogenerate=True)
    if script is None or isinstance(script, list):
        msg = "no single revision was written"
        raise InvariantError(msg)
    return Path(script.path)


def type_as_stored(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Write our column types into revisions as what the database sees, which never changes."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    _ = context
    return False


@contextmanager
def _migrating(engine: Engine) -> Iterator[tuple[Connection, Config]]:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK}
            )
        config.attributes["connection"] = connection
        yield connection, config


def _current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _require_revision(connection: Connection) -> str:
    revision = _current_revision(connection)
    if revision is None:
        msg = "the migration ran and left no revision behind"
        raise InvariantError(msg)
    return revision


def _drift(connection: Connection) -> tuple[tuple[str, bool], ...]:
    """Each difference in words, and whether the database only holds more than is wanted."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = [
        (repr(difference), _is_more(difference)) for difference in compare_metadata(context, SCHEMA)
    ]
    return (*found, *((difference, False) for difference in _check_drift(connection)))


def _is_more(difference: tuple[object, ...] | list[tuple[object, ...]]) -> bool:
    # Alembic names what it would do to the database; changes of a column come as a list.
    kind = difference[0]
    if kind == "add_index":
        index = difference[1]
        return isinstance(index, Index) and not index.unique  # slower without it, and no less safe
    return isinstance(kind, str) and kind.startswith("remove_")


def _check_drift(connection: Connection) -> Iterator[str]:
    """CHECKs that differ: by name, and by the words they admit. Alembic does not compare them."""
    inspector = inspect(connection)
    for table in SCHEMA.sorted_tables:
        if not inspector.has_table(table.name):
            continue
        stored = {
            str(check["name"]): frozenset(_LITERAL.findall(check["sqltext"]))
            for check in inspector.get_check_constraints(table.name)
        }
        wanted = {
            str(check.name): frozenset(_LITERAL.findall(str(check.sqltext)))
            for check in table.constraints
            if isinstance(check, CheckConstraint)
        }
        for name in sorted(stored.keys() | wanted.keys()):
            if stored.get(name) != wanted.get(name):
                was, wants = stored.get(name), wanted.get(name)
                yield f"{name}: the database admits {_words(was)}, the code {_words(wants)}"


def _words(admitted: frozenset[str] | None) -> str:
    return "(no such check)" if admitted is None else str(sorted(admitted))
