"""Demand files and menus are read strictly; every fault names file, row and column."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from service.backtest.demand import read_demand
from service.backtest.market import read_menu
from service.domain.errors import InputError

HEADER = "hour,region,sku,quantity\n"
GOOD = "2024-01-01T00:00:00Z,west,a,1.5\n"


def _read(tmp_path: Path, text: str) -> InputError:
    path = tmp_path / "demand.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_demand(path)
    assert str(path) in str(caught.value)
    return caught.value


def test_missing_hours_are_zero_and_all_pools_share_the_hours(tmp_path: Path) -> None:
    path = tmp_path / "demand.csv"
    path.write_text(
        HEADER
        + GOOD
        + "2024-01-01T03:00:00Z,west,a,2\n2024-01-01T03:00:00+00:00,west,b,1\n"
        + "2024-01-01T01:00:00Z,east,a,7\n"
    )
    east, west = read_demand(path)
    assert (east.region, west.region) == ("east", "west")
    assert west.skus == ("a", "b")
    assert west.hours.start == datetime(2024, 1, 1, tzinfo=UTC)
    assert west.usd_per_hour.tolist() == [1.5, 0, 0, 3]
    assert east.usd_per_hour.tolist() == [0, 7, 0, 0]


def test_reads_gzip_and_parquet_alike(tmp_path: Path) -> None:
    zipped = tmp_path / "demand.csv.gz"
    with gzip.open(zipped, "wt") as text:
        text.write(HEADER + GOOD)
    table = pa.table(
        {
            "hour": [datetime(2024, 1, 1, tzinfo=UTC)],
            "region": ["west"],
            "sku": ["a"],
            "quantity": [1.5],
            "more": [None],
        }
    )
    parquet.write_table(table, tmp_path / "demand.parquet")
    first, second = read_demand(zipped)[0], read_demand(tmp_path / "demand.parquet")[0]
    assert first.usd_per_hour.tolist() == second.usd_per_hour.tolist() == [1.5]


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ("2024-01-01T00:00:00,west,a,1\n", "hour", "names no time zone"),
        ("2024-01-01T00:30:00Z,west,a,1\n", "hour", "not on the hour"),
        ("yesterday,west,a,1\n", "hour", "is not an instant"),
        ("2024-01-01T01:00:00Z,west,a,-1\n", "quantity", "is not an amount"),
        ("2024-01-01T01:00:00Z,west,a,nan\n", "quantity", "is not an amount"),
        ("2024-01-01T01:00:00Z,west,a,\n", "quantity", "is not a number"),
        ("2024-01-01T01:00:00Z,,a,1\n", "region", "empty"),
        (GOOD, "hour", "stands twice"),
    ],
)
def test_refuses_a_bad_cell(tmp_path: Path, line: str, column: str, says: str) -> None:
    error = _read(tmp_path, HEADER + GOOD + line)
    assert (error.row, error.column) == (2, column)
    assert says in str(error)


def test_refuses_a_missing_column_a_short_row_no_rows_and_no_file(tmp_path: Path) -> None:
    assert _read(tmp_path, "hour,region,quantity\n").column == "sku"
    assert _read(tmp_path, HEADER + "2024-01-01T00:00:00Z,west\n").row == 1
    assert "no rows" in str(_read(tmp_path, HEADER))
    with pytest.raises(InputError, match="no such file"):
        read_demand(tmp_path / "none.csv")


def test_refuses_what_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "demand.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match="not readable"):
        read_demand(tmp_path / "demand.csv.gz")
    (tmp_path / "demand.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match="not readable"):
        read_demand(tmp_path / "demand.parquet")


def test_reads_a_menu_in_weeks_of_a_year(tmp_path: Path) -> None:
    path = tmp_path / "menu.csv"
    path.write_text("offer,term_months,rate,payment\none,12,0.73,no_upfront\nthree,36,0.53,\n")
    assert [(one.offer, one.hours, one.rate_ratio) for one in read_menu(path)] == [
        ("one", 8736, 0.73),
        ("three", 26208, 0.53),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("offer,rate\n", "term_months"),
        ("offer,term_months,rate\n", "no offers"),
        ("offer,term_months,rate\none,7,0.7\n", "not a term"),
        ("offer,term_months,rate\none,12,1.2\n", "not a rate"),
        ("offer,term_months,rate\none,12,x\n", "not a rate"),
        ("offer,term_months,rate\n,12,0.7\n", "empty"),
        ("offer,term_months,rate\none,12,0.7\none,36,0.5\n", "stands twice"),
    ],
)
def test_refuses_a_bad_menu(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "menu.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_menu(path)
