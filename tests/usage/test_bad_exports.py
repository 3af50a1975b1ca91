"""Every way an export can be unusable, what is printed, and that nothing is stored.

``docs/bad_input.md`` shows the same cases; a test holds the two together.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from service.cli import main
from service.store.engine import open_engine
from service.store.usage_days import UsageDays
from tests.usage.exports import START, Charge, hours_of, rows_of, write_export, write_rows

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bad_input.md"
Build = Callable[[Path], Path]
GOOD = hours_of(3)


def cell(column: str, value: str, form: str = "focus-1.2", name: str = "export.csv") -> Build:
    """An export whose second row has ``value`` in ``column``."""

    def build(folder: Path) -> Path:
        rows = rows_of(GOOD, form)
        rows[1][column] = value
        return write_rows(folder / name, rows)

    return build


def charge(bad: Charge, form: str = "focus-1.2") -> Build:
    """An export whose second row is ``bad``."""
    return lambda folder: write_export(folder / "export.csv", [GOOD[0], bad, GOOD[2]], form)


def columns(form: str, *, drop: str = "", add: str = "") -> Build:
    """An export without one column, or with one more."""

    def build(folder: Path) -> Path:
        rows = [{**row, add: ""} if add else row for row in rows_of(GOOD, form)]
        return write_rows(folder / "export.csv", rows, [name for name in rows[0] if name != drop])

    return build


def content(name: str, data: bytes) -> Build:
    """A file of these very bytes."""

    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


def ending_with(line: bytes) -> Build:
    """A good export with one more line."""

    def build(folder: Path) -> Path:
        path = write_export(folder / "export.csv", GOOD)
        path.write_bytes(path.read_bytes() + line)
        return path

    return build


def damaged(name: str, keep: float) -> Build:
    """An export cut off after a share of its bytes."""

    def build(folder: Path) -> Path:
        path = write_export(folder / name, hours_of(500))
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])
        return path

    return build


def cut_between_lines(folder: Path) -> Path:
    """A gzip stream that stops after a complete line."""
    path = write_export(folder / "export.csv", hours_of(3))
    lines = path.read_bytes().splitlines(keepends=True)
    packer = gzip.compress(b"".join(lines[:2]))
    (folder / "export.csv.gz").write_bytes(packer[:-8])
    return folder / "export.csv.gz"


def two_versions(folder: Path) -> Path:
    """Two refreshes of one month in one folder."""
    for version in ("20260903T000000Z", "20260904T000000Z"):
        write_export(folder / "export" / "BILLING_PERIOD=2026-09" / version / "part.csv", GOOD)
    return folder / "export"


def empty_folder(folder: Path) -> Path:
    (folder / "export").mkdir()
    return folder / "export"


def naive_dataset(folder: Path) -> Path:
    """A dataset folder whose second hour has no zone."""
    data = folder / "data"
    data.mkdir()
    (data / "skus.csv").write_text(
        "provider,region,sku,service,family,size_units,platform,tenancy,unit,on_demand_usd,"
        "list_usd\naws,us-west-2,USW2-BoxUsage:m5.large/RunInstances,ec2,m5,4,linux,shared,Hrs,"
        "0.09,0.096\n"
    )
    (data / "usage.csv").write_text(
        "hour,provider,account,region,zone,sku,quantity\n"
        "2026-09-01T00:00:00Z,aws,1,us-west-2,,USW2-BoxUsage:m5.large/RunInstances,1\n"
        "2026-09-01T01:00:00,aws,1,us-west-2,,USW2-BoxUsage:m5.large/RunInstances,1\n"
    )
    return data


AT_HALF = replace(GOOD[1], at=START + timedelta(minutes=90))
CASES: dict[str, Build] = {
    "FOCUS: a column is missing": columns("focus-1.0", drop="PricingQuantity"),
    "CUR: a column is missing": columns("cur-2.0", drop="line_item_usage_amount"),
    "a column is there twice": content("export.csv", b"ChargeCategory,ChargeCategory\n"),
    "the columns of no known export": content("export.csv", b"date,cost\n2026-09-01,1\n"),
    "FOCUS 1.3 without its provider": columns("focus-1.4", drop="ServiceProviderName"),
    "FOCUS before 1.0": columns("focus-1.0", add="UsageQuantity"),
    "an instant that is none": cell("ChargePeriodStart", "yesterday"),
    "an empty instant": cell("line_item_usage_end_date", "", "cur-2.0"),
    "FOCUS: daily charges": charge(replace(GOOD[1], hours=24)),
    "CUR: daily charges": charge(replace(GOOD[1], hours=24), "cur-2.0"),
    "a charge over several hours": charge(replace(GOOD[1], hours=3)),
    "an hour that starts at half past": charge(AT_HALF),
    "a quantity that is no number": cell("PricingQuantity", "1,5"),
    "an empty quantity": cell("line_item_usage_amount", "", "cur-2.0"),
    "a quantity that is NaN": cell("PricingQuantity", "NaN"),
    "NaN in Parquet": cell("PricingQuantity", "nan", name="export.parquet"),
    "an infinite quantity": cell("PricingQuantity", "inf"),
    "a negative quantity": cell("line_item_usage_amount", "-2", "cur-2.0"),
    "another currency": cell("BillingCurrency", "EUR"),
    "CUR: another currency": cell("line_item_currency_code", "CNY", "cur-2.0"),
    "a provider that is not read": cell("ProviderName", "Oracle"),
    "an unknown charge category": cell("ChargeCategory", "Usages"),
    "an unknown line item type": cell("line_item_line_item_type", "UsageX", "cur-2.0"),
    "no account": cell("line_item_usage_account_id", "", "cur-2.0"),
    "nothing that names the SKU": cell("line_item_usage_type", "", "cur-2.0"),
    "a row with too few cells": ending_with(b"AWS,1,2\r\n"),
    "text that is not UTF-8": ending_with(b"\xff,1,2\r\n"),
    "a quote that is never closed": ending_with(b'"AWS,1,2\r\n'),
    "a gzip file cut off": damaged("export.csv.gz", 0.6),
    "a gzip file cut off between two lines": cut_between_lines,
    "a Parquet file cut off": damaged("export.parquet", 0.6),
    "an empty file": content("export.csv", b""),
    "a file of another kind": content("export.xlsx", b"PK"),
    "no such file": lambda folder: folder / "export.csv",
    "a folder without an export": empty_folder,
    "two versions of one billing period": two_versions,
    "no usage at all": lambda folder: write_export(
        folder / "export.csv", [Charge(kind="tax"), Charge(kind="fee")]
    ),
    "a dataset with an instant without zone": naive_dataset,
}


def printed(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What ``tenor ingest`` prints for the case, its paths shortened; nothing may be stored."""
    folder.mkdir()
    source = CASES[name](folder)
    store, usage = folder / "tenor.db", folder / "usage"
    status = main(
        ["ingest", str(source), "--store-url", f"sqlite:///{store}", "--usage-dir", str(usage)]
    )
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert [path.name for path in usage.rglob("*") if path.is_file()] in ([], [".lock"])
    if store.exists():
        engine = open_engine(f"sqlite:///{store}")
        assert UsageDays(engine, usage).manifest() == ()
        engine.dispose()
    return shown.err.strip().replace(f"{folder}/", "")


def table(shown: dict[str, str]) -> str:
    """The section of ``docs/bad_input.md``."""
    rows = [f"| {name} | `{text.replace('|', '¦')}` |" for name, text in shown.items()]
    return "\n".join(["| Case | Printed |", "|---|---|", *rows])


def test_the_documented_table_shows_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = {
        name: printed(name, tmp_path / str(number), capsys) for number, name in enumerate(CASES)
    }
    section = DOCUMENT.read_text("utf-8").partition("## Exports\n")[2].partition("\n## ")[0]
    assert table(shown) in section


@pytest.mark.parametrize("name", CASES)
def test_every_refusal_is_one_line_that_names_the_file_and_a_remedy(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = printed(name, tmp_path / "case", capsys)
    assert line.startswith("tenor: ")
    assert "\n" not in line
    assert "export" in line or "usage.csv" in line


def test_a_good_export_goes_through_the_same_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_export(tmp_path / "export.csv", GOOD)
    store, usage = f"sqlite:///{tmp_path / 'tenor.db'}", str(tmp_path / "usage")
    arguments = ["ingest", str(source), "--store-url", store, "--usage-dir", usage]
    assert main(arguments) == 0
    assert "days added" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert '"days_unchanged": 1' in capsys.readouterr().out
