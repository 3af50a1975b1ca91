"""``tenor bill`` from the outside: its JSON, its files, its words, its refusals."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from service.cli import main
from tests.billing.dataset_files import TABLES, with_cell, with_row, write

HOUR0 = "2026-03-01T00:00:00Z"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What ``tenor bill --json`` writes to standard output, which must be one line of JSON."""
    assert main(["bill", *arguments, "--json"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_json_is_the_contract_with_amounts_as_decimal_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Worked by hand: two hours, a Compute plan of $0.1 and one m5.large of size-flexible RI.

    Hour 0: account 222 owns the RI of 4 units and uses one m5.xlarge of 8: half is covered. The
    plan of account 111 has 0.1 / 0.07 = 1.428571… of its 2.1 m5.large (saving 27%), then nothing.
    Hour 1: the RI moves to account 111 and covers all 0.3 m5.large; the plan has nothing to do.
    """
    found = answer(capsys, "--data", str(write(tmp_path)))
    assert found["hours"] == 2
    assert found["on_demand_equivalent_usd"] == "0.4224"
    assert found["commitment_usd"] == "0.3"
    on_demand = Decimal("0.096") + (Decimal("2.1") - Decimal("0.1") / Decimal("0.07")) * Decimal(
        "0.096"
    )
    assert found["on_demand_usd"] == str(round(on_demand, 9))
    assert found["total_usd"] == str(round(on_demand + Decimal("0.3"), 9))
    assert found["commitments"] == {
        "sp-1": {
            "committed_usd": "0.2",
            "used_usd": "0.1",
            "unused_usd": "0.1",
            "utilization_ratio": "0.5",
        },
        "ri-1": {
            "committed_usd": "0.1",
            "used_usd": "0.065",
            "unused_usd": "0.035",
            "utilization_ratio": "0.65",
        },
    }
    assert found["by_sku"][1] == {
        "provider": "aws",
        "region": "us-east-1",
        "sku": "m5.xlarge",
        "quantity": "1",
        "covered_quantity": "0.5",
        "on_demand_quantity": "0.5",
        "on_demand_usd": "0.096",
    }
    assert Decimal(found["utilization_ratio"]) == Decimal("0.55")
    equivalent, total = Decimal("0.4224"), Decimal(found["total_usd"])
    assert Decimal(found["effective_savings_rate"]) == round(1 - total / equivalent, 15)
    assert found["warnings"] == []


def focus(path: Path) -> list[Mapping[str, Any]]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    rows: list[Mapping[str, Any]] = pq.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_the_focus_rows_add_up_to_the_total_to_the_nano_dollar(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / name
    found = answer(capsys, "--data", str(write(tmp_path / "data")), "--out", str(out))
    rows = focus(out)
    assert sum(Decimal(row["EffectiveCost"]) for row in rows) == Decimal(found["total_usd"])
    by_status: dict[str | None, Decimal] = {}
    for row in rows:
        status = row["CommitmentDiscountStatus"] or None
        by_status[status] = by_status.get(status, Decimal(0)) + Decimal(row["EffectiveCost"])
    assert by_status[None] == Decimal(found["on_demand_usd"])
    assert by_status["Used"] == Decimal("0.165")
    assert by_status["Unused"] == Decimal("0.135")
    assert {row["ChargeCategory"] for row in rows} == {"Usage"}
    assert [path.name for path in tmp_path.iterdir()].count(f".{name}.part") == 0


def test_focus_rows_hold_what_the_columns_ask_for(tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    assert main(["bill", "--data", str(write(tmp_path / "data")), "--out", str(out)]) == 0
    rows = {
        (row["ChargePeriodStart"], row["SkuId"], row["CommitmentDiscountId"]): row
        for row in focus(out)
    }
    covered = rows[(HOUR0, "m5.xlarge", "ri-1")]
    assert covered["CommitmentDiscountStatus"] == "Used"
    assert covered["CommitmentDiscountCategory"] == "Usage"
    assert Decimal(covered["CommitmentDiscountQuantity"]) == 1
    assert Decimal(covered["ConsumedQuantity"]) == Decimal("0.5")
    assert covered["PricingCategory"] == "Committed"
    assert (covered["BilledCost"], covered["EffectiveCost"]) == ("0.000000000", "0.050000000")
    assert (covered["ListCost"], covered["ContractedCost"]) == ("0.100000000", "0.096000000")
    bare = rows[(HOUR0, "m5.xlarge", "")]
    assert bare["PricingCategory"] == "Standard"
    assert bare["BilledCost"] == bare["EffectiveCost"] == "0.096000000"
    unused = rows[("2026-03-01T01:00:00Z", "plan", "sp-1")]
    assert unused["CommitmentDiscountStatus"] == "Unused"
    assert (unused["ConsumedQuantity"], unused["ConsumedUnit"]) == ("", "")
    assert (unused["SkuPriceId"], unused["PricingUnit"]) == ("plan", "USD")
    assert Decimal(unused["PricingQuantity"]) == Decimal("0.1")
    assert Decimal(unused["ListUnitPrice"]) == Decimal(unused["ContractedUnitPrice"]) == 0
    assert unused["EffectiveCost"] == "0.100000000"
    assert unused["ListCost"] == "0.000000000"
    assert (unused["BillingPeriodStart"], unused["BillingPeriodEnd"]) == (
        HOUR0,
        "2026-04-01T00:00:00Z",
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_focus_asks_of_every_row_of_usage_is_there(ending: str, tmp_path: Path) -> None:
    """FOCUS 1.2: SKU, price and quantity are never null, and multiply to the cost."""
    out = tmp_path / f"rows.{ending}"
    assert main(["bill", "--data", str(write(tmp_path / "data")), "--out", str(out)]) == 0
    for row in focus(out):
        for name in ("SkuId", "SkuPriceId", "PricingUnit", "ServiceName", "ServiceCategory"):
            assert row[name]
        for kind in ("List", "Contracted"):
            cost = Decimal(row["PricingQuantity"]) * Decimal(row[f"{kind}UnitPrice"])
            assert abs(cost - Decimal(row[f"{kind}Cost"])) <= Decimal("1e-9")


def test_explain_tells_what_covered_what_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(write(tmp_path))
    assert main(["bill", "--data", data, "--explain", HOUR0]) == 0
    told = capsys.readouterr().out.split(f"In the hour from {HOUR0}:")[1].strip().splitlines()
    assert told[0] == (
        "1. ri-1 (regional reservation, the owner's account) covered 0.5 of m5.xlarge in"
        " us-east-1b, account 222, each taking 8 of its room: $0.05 of commitment in place of"
        " $0.096 on demand, a saving of 47.9167%; that used it up."
    )
    assert told[1].startswith("2. sp-1 (savings plan, the owner's account) covered 1.428571428571")
    assert told[2].startswith("On demand: 0.671428571429 of m5.large in us-east-1a, account 111")
    assert told[3].startswith("On demand: 0.5 of m5.xlarge in us-east-1b, account 222 cost $0.096")


def test_explain_in_json_names_the_dollars_that_the_hour_loses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(write(tmp_path))
    found = answer(capsys, "--data", data, "--explain", "2026-03-01T01:00:00Z")["explanation"]
    assert [cover["commitment"] for cover in found["covers"]] == ["ri-1"]
    assert found["covers"][0]["room_left"] == "2.8"
    assert {idle["commitment"]: idle["unused_usd"] for idle in found["idle"]} == {
        "ri-1": "0.035",
        "sp-1": "0.1",
    }


@pytest.mark.parametrize(("name", "magic"), [("p.png", b"\x89PNG"), ("p.svg", b"<?xml")])
def test_the_picture_is_drawn_in_the_form_of_its_ending(
    name: str, magic: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    assert main(["bill", "--data", str(write(tmp_path / "data")), "--picture", str(path)]) == 0
    assert path.read_bytes().startswith(magic)


def test_offers_without_a_price_are_counted_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = with_row(
        "offers",
        *["ghost", "aws", "aws_ri_regional", "12", "no_upfront", "eu-west-1", "", "", "", "",
          "false", "m5.large", "0.05", "0", "1", "1"],
    )  # fmt: skip
    assert main(["bill", "--data", str(write(tmp_path, tables)), "--json"]) == 0
    shown = capsys.readouterr()
    (warning,) = json.loads(shown.out)["warnings"]
    assert (warning["rule"], warning["count"]) == ("offer_without_price", 1)
    assert "ghost" in warning["detail"]
    assert shown.err == f"tenor: warning: {warning['detail']}\n"


@pytest.mark.parametrize(
    ("kind", "zone", "rule"),
    [
        ("aws_ri_zonal", "", "zonal_without_zone"),
        ("aws_ri_zonal", "us-east-1a", None),
        ("aws_ri_regional", "us-east-1a", "zone_of_no_effect"),
    ],
)
def test_a_zone_that_is_missing_or_says_nothing_is_counted_and_shown(
    kind: str, zone: str, rule: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = with_cell("holdings", 2, "zone", zone)
    tables["offers"] = tables["offers"].replace("aws_ri_regional", kind).replace("true", "false")
    warnings = answer(capsys, "--data", str(write(tmp_path, tables)))["warnings"]
    assert [one["rule"] for one in warnings] == ([rule] if rule else [])
    assert all(one["count"] == 1 and "ri-1" in one["detail"] for one in warnings)


def test_sharing_can_be_switched_off_or_kept_in_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", str(write(tmp_path)))

    def reserved_used(*arguments: str) -> str:
        found: str = answer(capsys, *data, *arguments)["commitments"]["ri-1"]["used_usd"]
        return found

    assert reserved_used() == "0.065"
    assert reserved_used("--sharing", "off") == "0.05"
    assert reserved_used("--sharing", "restricted") == "0.05"
    assert reserved_used("--sharing", "restricted", "--group", "111,222") == "0.065"
    assert reserved_used("--sharing", "prioritised", "--group", "222,333") == "0.065"


@pytest.mark.parametrize(
    ("tables", "arguments", "said"),
    [
        (with_cell("usage", 1, "quantity", "-2"), (), "usage.csv, row 1, column quantity: -2"),
        (TABLES, ("--explain", "2026-03-09T00:00:00Z"), "--explain: 2026-03-09T00:00:00Z is not"),
        (TABLES, ("--explain", "2026-03-01"), "--explain: 2026-03-01 is naive"),
        (TABLES, ("--out", "rows.xlsx"), "--out: rows.xlsx ends in neither of .csv, .parquet"),
        (TABLES, ("--out", "nowhere/rows.csv"), "--out: there is no folder nowhere"),
        (TABLES, ("--picture", "p.jpg"), "--picture: p.jpg ends in neither of .png, .svg"),
        (
            with_cell("skus", 1, "list_usd", "9e10"),
            (),
            "--out: one hour of one line costs more than $9000000000",
        ),
        (TABLES, ("--group", "111"), "--group: groups mean nothing"),
        (
            TABLES,
            ("--sharing", "restricted", "--group", "1,2", "--group", "2"),
            "--group: an account is in two groups",
        ),
    ],
)
def test_bad_input_ends_with_status_2_one_line_and_nothing_written(
    tables: Mapping[str, str],
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write(tmp_path / "data", tables)
    wanted = tmp_path / "rows.csv"
    extra = () if "--out" in arguments else ("--out", str(wanted))
    assert main(["bill", "--data", str(data), *extra, *arguments, "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"tenor: {said}")
    assert shown.err.count("\n") == 1
    assert not wanted.exists()


def test_people_get_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bill", "--data", str(write(tmp_path))]) == 0
    shown = capsys.readouterr().out
    for words in ("Bill over 2 hours", "total_usd", "sp-1", "m5.xlarge"):
        assert words in shown


def test_a_reservation_that_cannot_float_though_its_offer_says_so_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    windows = {
        **TABLES,
        **{name: TABLES[name].replace("linux", "windows") for name in ("skus", "offers")},
    }
    found = answer(capsys, "--data", str(write(tmp_path, windows)))
    (warning,) = found["warnings"]
    assert (warning["rule"], warning["count"]) == ("size_flexibility", 1)
    assert "ri-1" in warning["detail"]
    # One whole m5.large, so that the plan has 0.1 - 1.1 x 0.07 dollars for the m5.xlarge at 0.15.
    assert found["by_sku"][1]["covered_quantity"] == "0.153333333333"


def test_a_dataset_without_offers_and_holdings_is_all_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = {
        name: text.splitlines()[0] + "\n" if name in {"offers", "holdings"} else text
        for name, text in TABLES.items()
    }
    out = tmp_path / "rows.parquet"
    found = answer(capsys, "--data", str(write(tmp_path / "data", bare)), "--out", str(out))
    assert found["commitments"] == {}
    assert found["total_usd"] == found["on_demand_equivalent_usd"] == "0.4224"
    assert (found["coverage_ratio"], found["utilization_ratio"]) == ("0", "0")
    assert sum(Decimal(row["EffectiveCost"]) for row in focus(out)) == Decimal("0.4224")


@pytest.mark.parametrize(("option", "name"), [("--out", "rows.csv"), ("--picture", "hours.svg")])
def test_a_place_that_cannot_be_written_to_is_named(
    option: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    data = str(write(tmp_path / "data"))
    assert main(["bill", "--data", data, option, str(tmp_path / name), "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"tenor: {tmp_path / name}: it cannot be written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", name]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_of_more_dollars_than_64_bits_of_nano_dollars_still_add_up(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """$8.4 billion, 4 and 1.2 in one row each, and a list price of twenty decimals."""
    tables = {name: table.replace("0.096", "4e9") for name, table in TABLES.items()}
    tables["skus"] = tables["skus"].replace(",0.1\n", ",0.10000000000000000001\n")
    tables["skus"] = tables["skus"].replace("0.192", "4e9")
    tables["holdings"] = tables["holdings"].splitlines()[0] + "\n"
    out = tmp_path / f"rows.{ending}"
    found = answer(capsys, "--data", str(write(tmp_path, tables)), "--out", str(out))
    assert found["total_usd"] == "13600000000"
    assert sum(Decimal(row["EffectiveCost"]) for row in focus(out)) == 13_600_000_000
    prices = {Decimal(row["ListUnitPrice"]) for row in focus(out) if row["SkuId"] == "m5.large"}
    assert prices == {Decimal("0.10000000000000000001")}


def test_a_google_commitment_stated_on_demand_is_billed_at_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """$100 an hour at on-demand prices and 46 % off is a fee of $54, and covers $100 of usage."""
    head = {name: text.splitlines()[0] for name, text in TABLES.items()}
    tables = {
        "usage": f"{head['usage']}\n{HOUR0},gcp,p,us-central1,,core,120,,\n",
        "skus": f"{head['skus']}\ngcp,us-central1,core,compute,n2,1,,,vCPU-Hours,1,1\n",
        "offers": f"{head['offers']}\n"
        "flex,gcp,gcp_flexible_cud,36,no_upfront,,,,,,,core,0.54,0,0.01,0.01\n",
        "holdings": f"{head['holdings']},stated\n"
        "old,flex,p,shared,,100,2025-06-01T07:00:00Z,2028-06-01T07:00:00Z,active,"
        "on_demand_equivalent\n",
    }
    found = answer(capsys, "--data", str(write(tmp_path, tables)))
    assert (found["commitment_usd"], found["on_demand_usd"]) == ("54", "20")
    assert found["by_sku"][0]["covered_quantity"] == "100"


def test_without_commitments_nothing_is_saved_to_the_last_digit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bill has more digits than nano-dollars; its rounding is no saving and no loss."""
    head = {name: text.splitlines()[0] + "\n" for name, text in TABLES.items()}
    price = TABLES["skus"].splitlines()[1].replace("0.096", "0.0333333333333")
    for index in range(1, 8):
        row = f"{HOUR0},aws,111,us-east-1,us-east-1a,m5.large,0.{index}1234567891,i-1,\n"
        tables = {**head, "usage": head["usage"] + row, "skus": f"{head['skus']}{price}\n"}
        found = answer(capsys, "--data", str(write(tmp_path / str(index), tables)))
        assert found["effective_savings_rate"] == "0"
        assert found["total_usd"] == found["on_demand_equivalent_usd"]


def test_a_bill_never_replaces_a_table_of_the_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path)
    before = (folder / "usage.csv").read_bytes()
    for name in ("usage.csv", "holdings.parquet"):
        assert main(["bill", "--data", str(folder), "--out", str(folder / name)]) == 2
        assert "the dataset's own table" in capsys.readouterr().err
    assert (folder / "usage.csv").read_bytes() == before
