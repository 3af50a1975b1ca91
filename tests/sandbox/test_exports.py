"""Billing data that arrives late, is restated, and adds up to the world's own bill."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from service.domain.commitments import Payment
from service.sandbox.cloud import SandboxCloud
from service.usage.ingest import read_export
from tests.sandbox.clouds import START, create_plan, offer, sdk, small_cloud


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
def cloud(folder: Path) -> Iterator[SandboxCloud]:
    with small_cloud(folder) as cloud:
        yield cloud


def days_in(folder: Path) -> dict[date, Decimal]:
    with read_export(folder) as export:
        assert export.formats == ("FOCUS 1.2",)
        return {day.day: day.total_usd for day in export.days}


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    """``query`` over all files, which it knows as ``export``."""
    with duckdb.connect() as connection:
        files = connection.read_parquet(f"{folder}/*/*.parquet", hive_partitioning=False)
        return list(files.query("export", query).fetchall())


def usage_of(folder: Path, day: date) -> Decimal:
    """On-demand dollars of the day's usage in its own file."""
    query = f"SELECT sum(ContractedCost) FROM export WHERE ChargePeriodStart::DATE = '{day}'"  # noqa: S608
    ((total,),) = rows(folder, query)
    return Decimal(str(total))


def test_a_day_first_appears_one_to_two_days_after_its_end(
    cloud: SandboxCloud, folder: Path
) -> None:
    latest = max(days_in(folder))
    end_of_latest = START - timedelta(days=1)
    assert timedelta(0) <= end_of_latest.date() - latest <= timedelta(days=2)
    appeared: dict[date, int] = {}
    for hour in range(24 * 6):
        for path in cloud.advance(1):
            appeared.setdefault(date.fromisoformat(path.stem.removeprefix("focus-")), hour)
    first_day = START.date()
    lags = [appeared[first_day + timedelta(days=n)] - 24 * (n + 1) for n in range(3)]
    assert all(23 <= lag <= 49 for lag in lags)


def test_a_day_is_restated_once_and_then_stays(cloud: SandboxCloud, folder: Path) -> None:
    day = START.date()
    seen = [
        usage_of(folder, day)
        for _ in range(24 * 6)
        if any(day.isoformat() in path.name for path in cloud.advance(1))
    ]
    assert len(seen) == 2
    preliminary, final = seen
    assert Decimal("0.97") * final <= preliminary < final


def test_settled_days_add_up_to_the_worlds_bill(cloud: SandboxCloud, folder: Path) -> None:
    plans = sdk(cloud, "savingsplans")
    create_plan(plans, offer(cloud.world), commitment="60")
    create_plan(
        plans,
        offer(cloud.world, payment=Payment.PARTIAL_UPFRONT),
        commitment="55",
        clientToken="token-2",
    )
    cloud.advance(24 * 6)
    bill = cloud.world.accrual.bill(START)
    read = days_in(folder)[START.date()]
    assert abs(read - bill.on_demand_equivalent_usd) < Decimal("0.0001")
    found = {
        str(category): (Decimal(str(effective)), Decimal(str(billed)))
        for category, effective, billed in rows(
            folder,
            "SELECT ChargeCategory, sum(EffectiveCost), sum(BilledCost) FROM export "
            "WHERE ChargePeriodStart::DATE = '2026-03-02' GROUP BY ALL",
        )
    }
    assert abs(found["Usage"][0] - bill.total_usd) < Decimal("0.0001")
    assert abs(found["Usage"][1] - bill.on_demand_usd) < Decimal("0.0001")
    # What the first day bills for owning: one plan by the hour, the other half now, half hourly.
    upfront = Decimal(55) * 8_760 / 2
    hourly = 24 * (Decimal(60) + Decimal("27.5"))
    assert found["Purchase"] == (Decimal(0), upfront + hourly)


def test_unused_commitment_and_its_owner_are_in_the_rows(cloud: SandboxCloud, folder: Path) -> None:
    plan = create_plan(sdk(cloud, "savingsplans"), offer(cloud.world), commitment="5000")
    cloud.advance(24 * 5)
    found = rows(
        folder,
        "SELECT DISTINCT CommitmentDiscountStatus, CommitmentDiscountId, SubAccountId "
        "FROM export WHERE CommitmentDiscountStatus = 'Unused'",
    )
    assert found == [("Unused", plan, cloud.world.payer)]


def test_files_lie_by_billing_month_and_no_half_file_is_left(
    cloud: SandboxCloud, folder: Path
) -> None:
    cloud.advance(24 * 40)
    names = {path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file()}
    assert names == {"BILLING_PERIOD=2026-02", "BILLING_PERIOD=2026-03", "BILLING_PERIOD=2026-04"}
    assert not list(folder.rglob("*.part"))


def test_nothing_is_written_again_while_time_stands_still(cloud: SandboxCloud) -> None:
    cloud.advance(24 * 3)
    assert list(cloud.write_exports()) == []


def test_the_same_seed_writes_the_same_usage(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        with small_cloud(tmp_path / name) as cloud:
            cloud.advance(24 * 4)
        files = sorted((tmp_path / name).rglob("*.parquet"))
        found.append([(path.name, path.read_bytes()) for path in files])
    assert found[0] == found[1]
    assert len(found[0]) > 3
