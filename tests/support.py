"""The tables of ``docs/support.md``, and whether the tests that they name are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SUPPORT = TESTS.parent / "docs" / "support.md"
_NAMED = re.compile(r"`((?:providers|usage)/[\w/]+\.py)(?:::(test_\w+))?`")


def section(cloud: str) -> str:
    """The part of the document about one cloud."""
    body = SUPPORT.read_text("utf-8").partition(f"## {cloud}\n")[2].partition("\n## ")[0]
    assert body
    return body


def products(cloud: str) -> Mapping[str, tuple[str, ...]]:
    """The first table: what is claimed of each product, without the tests that show it."""
    rows = _rows(section(cloud), "product")
    found = {row[0]: tuple(row[1:5]) for row in rows}
    assert len(found) == len(rows)
    return found


def require_named_tests(cloud: str) -> None:
    """Every test that the tables name is there; what is claimed besides products has one."""
    body = section(cloud)
    named = _NAMED.findall(body)
    assert named
    for file, test in named:
        text = (TESTS / file).read_text("utf-8")
        assert not test or f"def {test}(" in text, f"{file} has no {test}"
    for row in _rows(body, "besides"):
        assert re.search(r"::test_\w+`", row[-1]), row


def _rows(body: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column is called so."""
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n?)+)", body, re.MULTILINE)
    assert table is not None, first
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]
