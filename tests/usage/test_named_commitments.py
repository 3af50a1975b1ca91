"""What exports name is kept: commitments by day, resource groups, services; Google's own export."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from service.domain.errors import InputError
from service.domain.hours import HourRange
from service.store import migrate
from service.store.usage_days import UsageDays
from service.usage.days import SeenCommitment
from service.usage.ingest import read_export
from service.usage.refresh import refresh
from tests.usage.exports import START, Charge, focus_row, hours_of, rows_of, write_rows

NOW = datetime(2026, 9, 10, tzinfo=UTC)
DAY = HourRange(START, 24)
PLAN = "arn:aws:savingsplans::999999999999:savingsplan/5c1f"
NODE = "arn:aws:ec2:us-west-2:888888888888:reserved-instances/77aa"


def stored(engine: Engine, folder: Path, source: Path) -> UsageDays:
    days = UsageDays(engine, folder / "usage")
    with read_export(source) as export:
        days.replace(export.days, now=NOW)
    return days


def covered(kind: str, commitment: str, category: str, *, at: datetime = START) -> dict[str, str]:
    row = focus_row(Charge(kind=kind, at=at), "1.2")
    return row | {"CommitmentDiscountId": commitment, "CommitmentDiscountCategory": category}


def test_focus_rows_name_their_commitments_by_day(engine: Engine, tmp_path: Path) -> None:
    second = START + timedelta(days=1)
    rows = rows_of(hours_of(48), "focus-1.2")
    rows += [
        covered("sp", PLAN, "Spend"),
        covered("unused", PLAN, "Spend", at=second),
        covered("ri", NODE, "Usage"),
        covered("correction", "arn:of:an:older:month", "Usage"),
    ]
    days = stored(engine, tmp_path, write_rows(tmp_path / "export.csv", rows))
    plan = SeenCommitment("aws", PLAN, "999999999999", "spend", START.date(), second.date())
    node = SeenCommitment("aws", NODE, "888888888888", "usage", START.date(), START.date())
    assert days.commitments_seen(HourRange(START, 48)) == (node, plan)
    only = SeenCommitment("aws", PLAN, "999999999999", "spend", second.date(), second.date())
    assert days.commitments_seen(HourRange(second + timedelta(hours=3), 1)) == (only,)


@pytest.mark.parametrize(
    ("category", "named"), [("Usage", False), ("Spend", True)], ids=["reservation", "plan"]
)
def test_a_reservation_that_covers_nothing_that_is_planned_is_not_named(
    engine: Engine, tmp_path: Path, category: str, *, named: bool
) -> None:
    other = "arn:aws:other:us-west-2:888888888888:reserved/11bb"
    beside = {"x_UsageType": "USW2-TimedStorage-ByteHrs", "x_Operation": "StandardStorage"}
    rows = rows_of(hours_of(24), "focus-1.2")
    rows += [
        covered("ri", NODE, "Usage"),
        covered("ri", other, category) | beside | {"x_ServiceCode": "AmazonS3"},
        covered("unused", other, category, at=START + timedelta(hours=1)),
    ]
    days = stored(engine, tmp_path, write_rows(tmp_path / "export.csv", rows))
    seen = {one.commitment for one in days.commitments_seen(DAY)}
    assert seen == {NODE} | ({other} if named else set())


def test_reports_of_aws_name_plans_and_reservations(engine: Engine, tmp_path: Path) -> None:
    rows = rows_of([*hours_of(24), Charge(kind="sp"), Charge(kind="ri")], "cur-2.0")
    named = {"savings_plan_savings_plan_a_r_n": "", "reservation_reservation_a_r_n": ""}
    rows = [row | named for row in rows]
    rows[-2]["savings_plan_savings_plan_a_r_n"] = PLAN
    rows[-1]["reservation_reservation_a_r_n"] = NODE
    days = stored(engine, tmp_path, write_rows(tmp_path / "export.csv", rows))
    seen = [(one.commitment, one.account, one.category) for one in days.commitments_seen(DAY)]
    assert seen == [(NODE, "888888888888", "usage"), (PLAN, "999999999999", "spend")]


def test_an_export_without_commitments_names_none(engine: Engine, tmp_path: Path) -> None:
    rows = rows_of(hours_of(24), "focus-1.2")
    days = stored(engine, tmp_path, write_rows(tmp_path / "export.csv", rows))
    assert days.commitments_seen(DAY) == ()


def test_a_day_that_comes_again_names_only_what_it_names_now(
    engine: Engine, tmp_path: Path
) -> None:
    usage = rows_of(hours_of(24), "focus-1.2")
    before = write_rows(tmp_path / "a.csv", [*usage, covered("unused", PLAN, "Spend")])
    after = write_rows(tmp_path / "b.csv", [*usage, covered("unused", NODE, "Usage")])
    stored(engine, tmp_path, before)
    days = stored(engine, tmp_path, after)
    # The usage itself is the same: not a new file, and yet what it names is.
    assert [one.commitment for one in days.commitments_seen(DAY)] == [NODE]


def azure_row(group: str, quantity: str, *, path: bool = False) -> dict[str, str]:
    resource = f"/subscriptions/s-1/resourceGroups/{group}/providers/Microsoft.Compute/x"
    return focus_row(Charge(quantity=quantity, account="/subscriptions/S-1", zone=""), "1.2") | {
        "ProviderName": "Microsoft",
        "RegionId": "eastus",
        "ResourceId": resource if path else "",
        "x_ResourceGroupName": "" if path else group,
        "x_SkuMeterCategory": "Virtual Machines",
        "x_SkuMeterSubcategory": "Dsv5 Series Windows",
        "x_SkuMeterName": "D4s v5",
        "x_SkuDetails": '{"UsageType":"ComputeHR","ServiceType":"Standard_D4s_v5"}',
        "x_UsageType": "",
    }


def test_azure_usage_keeps_its_resource_groups_and_is_a_machine_of_its_size(
    engine: Engine, tmp_path: Path
) -> None:
    rows = [azure_row("Web", "1"), azure_row("DATA", "2.5", path=True), azure_row("web", "0.25")]
    days = stored(engine, tmp_path, write_rows(tmp_path / "export.csv", rows))
    hour = HourRange(START, 1)
    apart = days.load(hour, resource_groups=True)
    assert [(line.account, line.sku, line.resource_group) for line in apart.lines] == [
        ("S-1", "Standard_D4s_v5 windows", "data"),
        ("S-1", "Standard_D4s_v5 windows", "web"),
    ]
    assert apart.quantity.tolist() == [[2.5, 1.25]]
    together = days.load(hour)
    assert [line.resource_group for line in together.lines] == [""]
    assert together.quantity.tolist() == [[3.75]]


DATASET = {
    "usage": "hour,provider,account,region,zone,sku,quantity\n"
    "2026-09-01T00:00:00Z,aws,1,us-east-1,,a-name-of-ours,2\n"
    "2026-09-01T00:00:00Z,aws,1,us-east-1,,disks,9\n",
    "skus": "provider,region,sku,service,family,size_units,platform,tenancy,unit,on_demand_usd,"
    "list_usd\naws,us-east-1,a-name-of-ours,ec2,m5,4,linux,shared,Hrs,0.09,0.1\n"
    "aws,us-east-1,disks,ebs,,,,,GB-Mo,0.1,0.1\n",
}


def test_a_datasets_skus_are_eligible_by_their_service(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    for name, text in DATASET.items():
        (folder / f"{name}.csv").write_text(text, "utf-8")
    days = UsageDays(engine, tmp_path / "usage")
    refresh(days, folder, now=NOW)
    usage = days.load(HourRange(START, 1))
    assert [line.sku for line in usage.lines] == ["a-name-of-ours"]
    assert days.manifest()[0].eligible_usd == Decimal("0.18")


def google_row(what: str, amount: float, **more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": "2E27-4F75-95CD", "description": what},
        "usage_start_time": "2026-09-01 00:00:00 UTC",
        "usage_end_time": "2026-09-01 01:00:00 UTC",
        "project": {"id": "shop", "number": "1"},
        "location": {"location": "us-central1", "region": "us-central1", "zone": "us-central1-a"},
        "usage": {"amount_in_pricing_units": amount, "pricing_unit": "hour"},
        "price": {
            "effective_price": "0.02",
            "effective_price_default": "0.03",
            "list_price": "0.031611",
            "pricing_unit_quantity": "1",
        },
        "subscription": {"instance_id": None},
        "currency": "USD",
        "cost_type": "regular",
    }
    return row | more


GOOGLE = [
    google_row("N2 Instance Core running in Americas", 3.5),
    google_row("N2 Instance Core running in Americas", 0.5, subscription={"instance_id": "sub-1"}),
    google_row("N2 Instance Ram running in Americas", 16.0),
    google_row("Spot Preemptible N2 Instance Core running in Americas", 8.0),
    google_row("Commitment v1: N2 Cpu in Americas for 1 Year", 4.0),
    google_row("Tax", 1.0, cost_type="tax"),
    google_row("N2 Instance Core running in Americas", 9.0, cost_type="adjustment"),
]


def as_parquet(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def as_lines(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    path.with_suffix(".jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path.with_suffix(".jsonl")


def as_zipped_lines(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    target = path.with_suffix(".jsonl.gz")
    target.write_bytes(gzip.compress(as_lines(path, rows).read_bytes()))
    return target


def as_csv(path: Path, rows: Sequence[dict[str, object]], glue: str = ".") -> Path:
    flat = []
    for row in rows:
        cells: dict[str, str] = {}
        for name, value in row.items():
            inner = value if isinstance(value, dict) else {"": value}
            for key, cell in inner.items():
                cells[f"{name}{glue}{key}" if key else name] = "" if cell is None else str(cell)
        flat.append(cells)
    return write_rows(path.with_suffix(".csv"), flat)


def as_underscored_csv(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    return as_csv(path, rows, "_")


@pytest.mark.parametrize(
    "write", [as_parquet, as_lines, as_zipped_lines, as_csv, as_underscored_csv]
)
def test_googles_own_export_reads_alike_however_it_was_copied(
    write: Callable[[Path, Sequence[dict[str, object]]], Path], engine: Engine, tmp_path: Path
) -> None:
    source = write(tmp_path / "rows", GOOGLE)
    with read_export(source) as export:
        assert export.formats == ("Google Cloud billing",)
        assert export.set_aside == {"not usage": 2, "correction": 1}
        (core,) = [price for price in export.prices if price.sku == "N2 vCPU"]
    assert (core.unit, core.list_usd, core.contracted_usd) == (
        "vCPU-Hours", Decimal("0.031611"), Decimal("0.03"),
    )  # fmt: skip
    days = stored(engine, tmp_path, source)
    usage = days.load(HourRange(START, 1))
    assert [(line.account, line.region, line.zone, line.sku) for line in usage.lines] == [
        ("shop", "us-central1", "us-central1-a", "N2 RAM"),
        ("shop", "us-central1", "us-central1-a", "N2 vCPU"),
    ]
    assert usage.quantity.tolist() == [[16.0, 4.0]]
    day = date(2026, 9, 1)
    assert days.commitments_seen(DAY) == (SeenCommitment("gcp", "sub-1", None, None, day, day),)


def test_googles_rows_of_another_currency_or_kind_are_refused(tmp_path: Path) -> None:
    for change in ({"currency": "EUR"}, {"cost_type": "guess"}):
        rows = [google_row("N2 Instance Core running in Americas", 1.0) | change]
        with (
            pytest.raises(InputError, match=r"rows\.jsonl, row 1"),
            read_export(as_lines(tmp_path / "rows", rows)),
        ):
            pass


def test_rows_of_contract_commitments_are_no_usage(tmp_path: Path) -> None:
    usage = rows_of(hours_of(2), "focus-1.3")
    write_rows(tmp_path / "export" / "usage.csv", usage)
    contract = [{"ContractCommitmentId": "c-1", "ContractCommitmentCost": "100"}]
    write_rows(tmp_path / "export" / "contracts.csv", contract)
    with read_export(tmp_path / "export") as export:
        assert export.set_aside == {"contract commitment, not usage": 1}
        assert export.formats == ("FOCUS 1.3",)


def test_a_store_from_before_learns_commitments_from_files_that_did_not_change(
    engine: Engine, tmp_path: Path
) -> None:
    rows = [*rows_of(hours_of(24), "focus-1.2"), covered("sp", PLAN, "Spend")]
    source = write_rows(tmp_path / "export.csv", rows)
    days = UsageDays(engine, tmp_path / "usage")
    refresh(days, source, now=NOW)
    migrate.downgrade(engine, "0006")
    migrate.upgrade(engine)
    # As it was: the days are there, and nothing is known of what they name.
    assert [day.rows for day in days.manifest()] == [24]
    assert days.commitments_seen(DAY) == ()
    memory = tmp_path / "usage" / "parts.json"
    memory.write_text(memory.read_text("utf-8").replace('"reader": "', '"reader": "old'), "utf-8")
    assert refresh(days, source, now=NOW).parts_read == 1
    assert [one.commitment for one in days.commitments_seen(DAY)] == [PLAN]
