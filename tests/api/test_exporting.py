"""Files for spreadsheets: what a name may do there, and what a number must stay."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from service.api.exporting import Format, written
from service.billing.bill import bill
from service.billing.focus_file import write_focus
from service.domain.commitments import Kind
from tests.billing.worlds import held, offer, sku, used, world

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


def test_names_on_a_bill_leave_behind_an_apostrophe_too_and_its_amounts_as_they_are(
    tmp_path: Path,
) -> None:
    dataset = world(
        [sku("@m5", "2")],
        [used("@m5", 3.0, account="=1+1"), used("@m5", 1.0, account="a=b")],
        [offer("+plan", Kind.AWS_COMPUTE_SP, {"@m5": "1"})],
        [held("-1", "+plan", "0.5")],
    )
    path = tmp_path / "bill.csv"
    write_focus(dataset, bill(dataset), path)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    assert {row["SubAccountId"] for row in rows} == {"'=1+1", "a=b"}
    assert {row["SkuId"] for row in rows} == {"'@m5"}
    assert {row["CommitmentDiscountId"] for row in rows} == {"'-1", ""}
    assert {row["CommitmentDiscountName"] for row in rows} == {"'+plan", ""}
    assert sum(Decimal(row["EffectiveCost"]) for row in rows) == Decimal("7.5")
    assert not [name for row in rows for name, cell in row.items() if cell[:1] in "=+-@" and cell]
    write_focus(dataset, bill(dataset), path.with_suffix(".parquet"))
    table = pq.read_table(path.with_suffix(".parquet"))
    assert set(table["SubAccountId"].to_pylist()) == {"=1+1", "a=b"}
