"""Files for spreadsheets: what a name may do there, and what a number must stay."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.api.exporting import Format, written

COLUMNS = ("Name", "Amount", "Since")


def record(name: str | None) -> dict[str, object]:
    return {"Name": name, "Amount": Decimal("-1.50"), "Since": datetime(2026, 3, 2, tzinfo=UTC)}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_text_that_a_spreadsheet_would_run_leaves_behind_an_apostrophe(name: str) -> None:
    content = written([record(name)], COLUMNS, Format.CSV).decode()
    (row,) = csv.DictReader(io.StringIO(content, newline=""))
    assert row == {"Name": f"'{name}", "Amount": "-1.5", "Since": "2026-03-02T00:00:00Z"}


@pytest.mark.parametrize("name", ["sp-1", "a=b", "'=quoted", None])
def test_other_text_leaves_as_it_is(name: str | None) -> None:
    (row,) = csv.DictReader(io.StringIO(written([record(name)], COLUMNS, Format.CSV).decode()))
    assert row["Name"] == (name or "")


def test_programs_are_given_the_text_itself() -> None:
    (row,) = json.loads(written([record("=1+1")], COLUMNS, Format.JSON))["items"]
    assert row["Name"] == "=1+1"
