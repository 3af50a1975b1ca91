"""The support table claims nothing for Azure without naming a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^## Azure\n(?P<body>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def test_every_claim_names_the_tests_that_show_it() -> None:
    text = (TESTS.parent / "docs" / "support.md").read_text("utf-8")
    section = SECTION.search(text)
    assert section is not None
    named = set(re.findall(r"`(providers/[\w/]+\.py)`", section["body"]))
    assert named
    assert all((TESTS / name).is_file() for name in named)
    rows = [line.split("|")[1:-1] for line in section["body"].splitlines() if line[:2] == "| "]
    for product, *claims, shown_by in rows[1:]:
        assert "`" in shown_by or {claim.strip() for claim in claims} == {"no"}, product
