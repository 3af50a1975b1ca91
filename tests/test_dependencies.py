"""Every dependency that is shipped is used, and the decision on dependencies says what for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DECISION = ROOT / "docs" / "decisions" / "0001-dependencies.md"
NOT_IMPORTED = {"psycopg": "SQLAlchemy", "python-multipart": "FastAPI", "tzdata": "zoneinfo"}
"""What another library finds by itself, and which one."""


def shipped() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[\[<>=~! ]", one)[0] for one in project["dependencies"]]


def imported() -> set[str]:
    """The distributions that an import anywhere in the service may come from."""
    found = {
        tuple(name.split("."))
        for path in (ROOT / "service").rglob("*.py")
        for name in re.findall(
            r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    roots = packages_distributions()
    return {
        re.sub(r"[-_.]+", "-", name).lower() for parts in found for name in roots.get(parts[0], ())
    }


def unused(names: list[str]) -> list[str]:
    return sorted(set(names) - imported() - NOT_IMPORTED.keys())


def unexplained(names: list[str], text: str) -> list[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    told = {word for row in rows for word in re.findall(r"[\w-]+", row)}
    return sorted(set(names) - told)


def test_every_dependency_is_imported_by_the_service() -> None:
    assert unused(shipped()) == []


def test_every_dependency_has_its_reason() -> None:
    assert unexplained(shipped(), DECISION.read_text(encoding="utf-8")) == []


def test_a_dependency_without_use_or_reason_is_noticed() -> None:
    assert unused(["authlib", "oauthlib"]) == ["oauthlib"]
    assert unexplained(["authlib", "oauthlib"], "| authlib | sign-in |") == ["oauthlib"]
