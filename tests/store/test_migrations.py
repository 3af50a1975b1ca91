"""Migrations run up, down and up again, and the schema they make is the one the code wants."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from service.store import migrate
from service.store.engine import open_engine, writing
from service.store.schema import SCHEMA


def test_the_migrated_schema_is_the_one_in_the_code(engine: Engine) -> None:
    state = migrate.check(engine)
    assert state.drift == ()
    assert state.is_current
    assert set(inspect(engine).get_table_names()) == {*SCHEMA.tables, "alembic_version"}


def test_downgrading_leaves_no_table_and_upgrading_again_restores_all(engine: Engine) -> None:
    assert migrate.downgrade(engine) is None
    assert inspect(engine).get_table_names() == ["alembic_version"]
    assert not migrate.check(engine).is_current
    assert migrate.upgrade(engine) == migrate.head_revision()
    assert migrate.check(engine).is_current


def test_each_revision_can_be_taken_back_alone(engine: Engine) -> None:
    head = migrate.head_revision()
    migrate.downgrade(engine, "-1")
    assert migrate.check(engine).current != head
    assert migrate.upgrade(engine) == head
    assert migrate.check(engine).drift == ()


def test_drift_notices_a_column_that_appeared(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE halts ADD COLUMN stray TEXT"))
    drift = migrate.check(engine).drift
    assert len(drift) == 1
    assert "stray" in drift[0]


@pytest.mark.postgres
def test_drift_notices_a_state_that_the_database_does_not_admit(
    postgres_database_url: str,
) -> None:
    engine = open_engine(postgres_database_url)
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE cycles DROP CONSTRAINT ck_cycles_state"))
        connection.execute(
            text("ALTER TABLE cycles ADD CONSTRAINT ck_cycles_state CHECK (state IN ('started'))")
        )
    assert "ck_cycles_state" in migrate.check(engine).drift[0]
    engine.dispose()


def test_a_second_upgrade_finds_nothing_to_do(engine: Engine) -> None:
    assert migrate.upgrade(engine) == migrate.upgrade(engine)


def test_importing_the_store_opens_nothing(tmp_path: Path) -> None:
    command = "import service.store.engine, service.store.migrate, service.store.schema"
    subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []
