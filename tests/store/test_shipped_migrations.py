"""An installed wheel finds its migrations inside the package; the command says how things stand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from service.cli import main
from service.domain.errors import InputError
from service.store import migrate
from service.store.engine import open_engine, writing

ROOT = Path(__file__).resolve().parents[2]


def tenor(
    *arguments: str, root: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``tenor migrate`` from the package under ``root``."""
    inherited = {name: value for name, value in os.environ.items() if "TENOR_" not in name}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "migrate", *arguments],
        cwd=root,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_package_without_a_checkout_migrates_with_what_it_ships(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "service", tmp_path / "service", ignore=ignore)
    shutil.copytree(
        ROOT / "migrations", tmp_path / "service" / "_shipped" / "migrations", ignore=ignore
    )
    url = f"sqlite:///{tmp_path}/made/on/demand/tenor.db"
    done = tenor("--database-url", url, "--json", root=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["is_current"]
    assert answer["revision"] == migrate.head_revision()


def test_checking_changes_nothing_and_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "tenor.db"
    done = tenor("--check", "--json", TENOR_DATABASE_URL=f"sqlite:///{path}")
    assert done.returncode == 1
    assert json.loads(done.stdout)["revision"] is None
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(InputError, match="tenor migrate"):
        migrate.require_current(engine)
    migrate.upgrade(engine)
    migrate.require_current(engine)
    engine.dispose()
    assert tenor("--check", TENOR_DATABASE_URL=f"sqlite:///{path}").returncode == 0


@pytest.mark.parametrize("url", ["oracle://h/d", "postgresql://127.0.0.1:1/none"])
def test_a_database_that_cannot_be_used_is_one_line_and_exit_2(url: str) -> None:
    done = tenor("--database-url", url)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("tenor: ")
    assert done.stderr.count("\n") == 1


def changed(url: str, *statements: str) -> None:
    engine = open_engine(url)
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


TO_A_NEWER_VERSION = "UPDATE alembic_version SET version_num = '9999'"
ANOTHER_INDEX = "CREATE INDEX ix_of_the_owner ON halts (scope)"
NO_TABLE = "DROP TABLE halts"


@pytest.mark.parametrize(
    ("change", "status"), [(TO_A_NEWER_VERSION, 0), (ANOTHER_INDEX, 0), (NO_TABLE, 1)]
)
def test_migrating_lets_a_version_start_that_can_work_with_what_is_there(
    sqlite_database_url: str, change: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(sqlite_database_url, change)
    assert main(["migrate", "--database-url", sqlite_database_url]) == status
    shown = capsys.readouterr().out
    assert ("newer version" in shown) == (change == TO_A_NEWER_VERSION)
    assert ("differs" in shown) == (change != TO_A_NEWER_VERSION)
    assert main(["migrate", "--check", "--json", "--database-url", sqlite_database_url]) == 1
    assert json.loads(capsys.readouterr().out)["serves"] == (status == 0)


@pytest.mark.parametrize("change", [TO_A_NEWER_VERSION, ANOTHER_INDEX])
@pytest.mark.parametrize(
    "command",
    [["token", "list"], ["session", "list"], ["audit", "verify"]],
    ids=["token", "session", "audit"],
)
def test_tokens_are_seen_to_on_a_newer_or_decorated_schema(
    sqlite_database_url: str, change: str, command: list[str]
) -> None:
    changed(sqlite_database_url, change)
    assert main([*command, "--database-url", sqlite_database_url]) == 0


def test_a_served_database_that_is_down_is_one_line_for_who_asks_for_tokens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["token", "list", "--database-url", "postgresql://127.0.0.1:1/none"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
