"""An installed wheel finds its migrations inside the package; the command says how things stand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.domain.errors import InputError
from service.store import migrate
from service.store.engine import open_engine

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
