from __future__ import annotations

import dataclasses
import itertools
import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InputError
from service.usage.ingest import Export, read_export
from tests.usage.exports import (
    FORMATS,
    LINUX_LARGE,
    START,
    Charge,
    hours_of,
    rows_of,
    write_export,
    write_rows,
)

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "focus_1_0_sample.csv"
ENDINGS = (".csv", ".csv.gz", ".parquet")
Row = tuple[object, ...]


def rows_in(export: Export, folder: Path) -> list[Row]:
    """Every usage row of the export: hour, account, region, zone, sku, quantity, prices."""
    rows: list[Row] = []
    for day in export.days:
        path = folder / f"{day.provider}-{day.day}.parquet"
        day.write(path)
        rows += [
            tuple(row[name] for name in ("hour", "account", "region", "zone", "sku", "quantity"))
            for row in pq.read_table(path).to_pylist()
        ]
    return rows


def read(source: Path, tmp_path: Path) -> list[Row]:
    with read_export(source) as export:
        return rows_in(export, tmp_path)


def bytes_of_days(source: Path, folder: Path) -> dict[date, bytes]:
    folder.mkdir(exist_ok=True)
    with read_export(source) as export:
        written = {}
        for day in export.days:
            day.write(folder / "day.parquet")
            written[day.day] = (folder / "day.parquet").read_bytes()
    return written


CHARGES = [
    *hours_of(3),
    Charge(kind="sp", quantity="0.5"),
    Charge(kind="ri", quantity="0.25", zone="us-west-2b"),
    Charge(kind="unused", quantity="7"),
    Charge(kind="fee", quantity="1"),
    Charge(kind="tax", quantity="1"),
    Charge(kind="correction", quantity="2"),
    Charge(usage_type="USW2-Lambda-GB-Second", operation="Invoke", quantity="1500.5", zone=""),
]
SEEN = [
    (START, "111111111111", "us-west-2", "us-west-2a", LINUX_LARGE, 1.5),
    (START + timedelta(hours=1), "111111111111", "us-west-2", "us-west-2a", LINUX_LARGE, 1.0),
    (START + timedelta(hours=2), "111111111111", "us-west-2", "us-west-2a", LINUX_LARGE, 1.0),
    (START, "111111111111", "us-west-2", "us-west-2b", LINUX_LARGE, 0.25),
    (START, "111111111111", "us-west-2", "", "USW2-Lambda-GB-Second/Invoke", 1500.5),
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_and_file_kind_reads_as_the_same_usage(
    form: str, ending: str, tmp_path: Path
) -> None:
    path = write_export(tmp_path / f"export{ending}", CHARGES, form)
    naive = [(row[0].replace(tzinfo=None), *row[1:]) for row in SEEN]
    assert read(path, tmp_path) == naive


@pytest.mark.parametrize("form", FORMATS)
def test_the_format_and_version_are_told_by_the_columns(form: str, tmp_path: Path) -> None:
    path = write_export(tmp_path / "export.csv", CHARGES, form)
    with read_export(path) as export:
        assert export.formats == (form.replace("-", " ").upper(),)


def test_what_is_set_aside_is_counted_by_reason(tmp_path: Path) -> None:
    path = write_export(tmp_path / "export.csv", CHARGES)
    with read_export(path) as export:
        assert export.set_aside == {"not usage": 2, "correction": 1, "unused commitment": 1}
        assert export.source_rows == len(CHARGES)


def test_savings_plan_negations_and_fees_add_no_usage(tmp_path: Path) -> None:
    charges = [
        Charge(kind="sp"),
        Charge(kind="SavingsPlanNegation"),
        Charge(kind="SavingsPlanRecurringFee"),
        Charge(kind="EdpDiscount", quantity="-3"),
    ]
    path = write_export(tmp_path / "export.csv", charges, "cur-2.0")
    assert [row[-1] for row in read(path, tmp_path)] == [1.0]


def test_us_east_1_without_a_code_and_with_one_are_one_sku(tmp_path: Path) -> None:
    charges = [
        Charge(usage_type="BoxUsage:m5.large", region="us-east-1"),
        Charge(usage_type="USE1-BoxUsage:m5.large", region="us-east-1"),
    ]
    rows = read(write_export(tmp_path / "export.csv", charges), tmp_path)
    assert [row[-2:] for row in rows] == [("USE1-BoxUsage:m5.large/RunInstances", 2.0)]


def test_a_row_without_region_takes_it_from_the_usage_type(tmp_path: Path) -> None:
    charges = [Charge(usage_type="EUC1-BoxUsage:c5.large", region="")]
    rows = read(write_export(tmp_path / "export.csv", charges, "cur-2.0"), tmp_path)
    assert rows[0][2] == "eu-central-1"


def test_without_usage_types_the_sku_price_id_names_the_sku(tmp_path: Path) -> None:
    rows = rows_of(CHARGES[:1], "focus-1.0")
    columns = [name for name in rows[0] if not name.startswith("x_")]
    path = write_rows(tmp_path / "export.csv", rows, columns)
    assert [row[4] for row in read(path, tmp_path)] == ["SKU.PRICE"]


def test_a_subscription_written_as_a_path_is_its_id(tmp_path: Path) -> None:
    (charge,) = hours_of(1, Charge(account="/subscriptions/9ec51cfd-5ca7"))
    write_export(tmp_path / "export.csv", [charge], "focus-1.2")
    ((_, account, *_),) = read(tmp_path / "export.csv", tmp_path)
    assert account == "9ec51cfd-5ca7"


def test_words_null_and_instants_without_zone_or_seconds_are_understood(tmp_path: Path) -> None:
    rows = rows_of(hours_of(3), "focus-1.0")
    for row in rows:
        row["AvailabilityZone"] = "NULL"
        row["ChargeClass"] = "NULL"
    rows[0]["ChargePeriodStart"] = "2026-09-01 00:00:00"
    rows[1]["ChargePeriodStart"] = "2026-09-01T01:00Z"
    rows[2]["ChargePeriodStart"] = "2026-09-01T04:00:00+02:00"
    found = read(write_rows(tmp_path / "export.csv", rows), tmp_path)
    assert [(row[0], row[3]) for row in found] == [
        ((START + timedelta(hours=hour)).replace(tzinfo=None), "") for hour in range(3)
    ]


def test_a_folder_of_mixed_parts_reads_as_one_export(tmp_path: Path) -> None:
    charges = hours_of(54)
    source = tmp_path / "export"
    write_export(source / "a" / "one.csv", charges[:7], "focus-1.0")
    write_export(source / "a" / "rest.parquet", charges[7:24], "focus-1.0")
    write_export(source / "b" / "two.csv.gz", charges[24:48], "cur-2.0")
    write_export(source / "b" / "c" / "three.parquet", charges[48:], "focus-1.2")
    (source / "manifest.json").write_text("{}")
    (source / ".hidden.csv").write_text("not,an\nexport,\n")
    with read_export(source) as export:
        assert [(day.day, day.rows, day.hours_mask) for day in export.days] == [
            (date(2026, 9, 1), 24, 0xFFFFFF),
            (date(2026, 9, 2), 24, 0xFFFFFF),
            (date(2026, 9, 3), 6, 0b111111),
        ]
        assert export.formats == ("CUR 2.0", "FOCUS 1.0", "FOCUS 1.2")


def refused(source: Path) -> InputError:
    with pytest.raises(InputError) as caught, read_export(source):
        pytest.fail("read")
    assert "Keep one export" in caught.value.remedy
    return caught.value


def test_two_exports_of_a_day_are_refused_and_not_added_up(tmp_path: Path) -> None:
    charges, period = hours_of(30), "data/BILLING_PERIOD=2026-09"
    write_export(tmp_path / "one" / period / "part.csv", charges)
    with read_export(tmp_path) as export:
        assert len(export.days) == 2
    write_export(tmp_path / "two" / period / "part.csv", charges[24:])
    problem = refused(tmp_path).problem
    assert "2026-09-02" in problem
    assert f"one/{period}/part.csv" in problem
    assert f"two/{period}/part.csv" in problem


def test_an_export_that_follows_another_is_read_with_it(tmp_path: Path) -> None:
    charges, period = hours_of(48), "data/BILLING_PERIOD=2026-09"
    write_export(tmp_path / "one" / period / "part.csv", charges[:24])
    write_export(tmp_path / "two" / period / "part.csv", charges[24:])
    with read_export(tmp_path) as export:
        assert [day.rows for day in export.days] == [24, 24]


def test_one_export_in_several_billing_periods_may_tell_of_one_day(tmp_path: Path) -> None:
    charges = hours_of(24)
    write_export(tmp_path / "one" / "BILLING_PERIOD=2026-09" / "part.csv", charges[:20])
    write_export(tmp_path / "one" / "BILLING_PERIOD=2026-10" / "part.csv", charges[20:])
    with read_export(tmp_path) as export:
        assert [day.rows for day in export.days] == [24]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("focus/a.csv", "focus-1.2"), ("cur/b.csv", "cur-2.0")),
        (
            ("20260901-20260930/run/a.csv", "focus-1.2"),
            ("x/20260901-20260930/r/a.csv", "focus-1.2"),
        ),
        (("a.csv", "focus-1.2"), ("one/BILLING_PERIOD=2026-09/b.csv", "focus-1.2")),
    ],
)
def test_a_day_told_in_two_ways_is_refused(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str]
) -> None:
    for place, form in (first, second):
        write_export(tmp_path / place, hours_of(3), form)
    problem = refused(tmp_path).problem
    assert first[0] in problem
    assert second[0] in problem


def test_an_export_that_comes_beside_what_was_read_before_is_refused(tmp_path: Path) -> None:
    charges, period = hours_of(24), "BILLING_PERIOD=2026-09"
    old = write_export(tmp_path / "in" / "one" / period / "part.csv", charges)
    write_export(tmp_path / "in" / "two" / period / "part.csv", charges)
    known = {old: [("aws", date(2026, 9, 1))]}
    with (
        pytest.raises(InputError, match="told twice"),
        read_export(tmp_path / "in", unchanged=known),
    ):
        pytest.fail("read")


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    ending=st.sampled_from(ENDINGS),
)
def test_order_and_splits_of_the_rows_change_no_byte(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int], ending: str
) -> None:
    shuffle = random.Random(seed)  # noqa: S311 - not for secrets
    charges = [
        dataclasses.replace(charge, quantity=f"{shuffle.random():.9f}", account=account)
        for charge in hours_of(30)
        for account in ("111111111111", "222222222222")
    ]
    folder = tmp_path_factory.mktemp("split")
    whole = write_export(folder / "whole.csv", charges)
    shuffle.shuffle(charges)
    bounds = [0, *sorted(cuts), len(charges)]
    for number, (first, last) in enumerate(itertools.pairwise(bounds)):
        if first < last:
            write_export(folder / "parts" / f"{number}{ending}", charges[first:last])
    assert bytes_of_days(folder / "parts", folder / "out") == bytes_of_days(whole, folder / "out")


def test_prices_show_what_this_customer_pays_on_demand(tmp_path: Path) -> None:
    charges = [
        *hours_of(2, Charge(list_usd="0.096", contracted_usd="0.09")),
        Charge(at=START + timedelta(hours=2), list_usd="0.1", contracted_usd="0.094"),
        Charge(at=START + timedelta(hours=3), kind="sp", list_usd="0.1", contracted_usd="0.06"),
    ]
    for form in FORMATS:
        with read_export(write_export(tmp_path / f"{form}.csv", charges, form)) as export:
            (price,) = export.prices
            assert (price.provider, price.region, price.sku) == ("aws", "us-west-2", LINUX_LARGE)
            assert (price.unit, price.list_usd) == ("Hours", Decimal("0.1"))
            assert price.contracted_usd == Decimal("0.094")


def test_a_zero_contracted_price_is_no_price(tmp_path: Path) -> None:
    path = write_export(tmp_path / "export.csv", [Charge(contracted_usd="0")])
    with read_export(path) as export:
        assert export.prices[0].contracted_usd is None


def test_the_eligible_share_counts_what_commitments_can_cover(tmp_path: Path) -> None:
    charges = [
        Charge(quantity="2", contracted_usd="0.1"),
        Charge(
            usage_type="USW2-EBS:VolumeUsage.gp3", operation="CreateVolume-Gp3",
            quantity="10", contracted_usd="0.08",
        ),
    ]  # fmt: skip
    with read_export(write_export(tmp_path / "export.csv", charges)) as export:
        (day,) = export.days
        assert (day.eligible_usd, day.total_usd) == (Decimal("0.2"), Decimal(1))
        assert day.hour_weights[:2] == (Decimal("0.2"), None)


def test_long_charges_that_no_commitment_covers_are_set_aside(tmp_path: Path) -> None:
    charges = [
        Charge(),
        Charge(usage_type="Global-HostedZone", operation="HostedZone", hours=720, region=""),
    ]
    with read_export(write_export(tmp_path / "export.csv", charges)) as export:
        assert export.set_aside == {"not hourly, and no commitment covers it": 1}
        assert export.days[0].rows == 1


def test_an_export_with_nothing_hourly_in_it_is_refused(tmp_path: Path) -> None:
    charges = [Charge(kind="tax"), Charge(kind="fee")]
    with (
        pytest.raises(InputError, match=r"no hourly usage \(2 not usage\)"),
        read_export(write_export(tmp_path / "export.csv", charges)),
    ):
        pass


def test_nothing_is_left_in_the_working_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    path = write_export(tmp_path / "export.csv", CHARGES)
    with read_export(path, work_dir=work):
        assert list(work.iterdir()) != []
    assert list(work.iterdir()) == []


def test_working_space_of_a_killed_ingest_is_cleared_by_the_next(tmp_path: Path) -> None:
    work = tmp_path / "work"
    abandoned = work / "tenor-ingest-dead"
    abandoned.mkdir(parents=True)
    (abandoned / "owner.lock").touch()
    (abandoned / "ingest.duckdb").write_bytes(b"half")
    path = write_export(tmp_path / "export.csv", CHARGES)
    with read_export(path, work_dir=work), read_export(path, work_dir=work):
        assert not abandoned.exists()
        assert len(list(work.iterdir())) == 2


@pytest.mark.shared
@pytest.mark.skipif(not SAMPLE.exists(), reason="no public FOCUS sample beside the checkout")
def test_the_public_focus_sample_reads_for_aws() -> None:
    with read_export(SAMPLE, providers={"aws"}) as export:
        assert export.formats == ("FOCUS 1.0",)
        assert export.source_rows == 1000
        assert export.set_aside == {"not usage": 1, "other provider": 58}
        assert sum(day.rows for day in export.days) == 916
        assert [day.day for day in export.days] == [date(2024, 9, day) for day in range(1, 31)]
        listed = {price.sku: price.list_usd for price in export.prices}
        assert listed["H9ZN7EUEHC2S7YH5.JRTCKXETXF.6YS6EN2CT7"] == Decimal("0.34")


@pytest.mark.shared
@pytest.mark.skipif(not SAMPLE.exists(), reason="no public FOCUS sample beside the checkout")
def test_the_public_focus_sample_is_refused_whole_for_its_foreign_and_daily_rows() -> None:
    with pytest.raises(InputError, match="'Oracle' is not a provider"), read_export(SAMPLE):
        pass
    with (
        pytest.raises(InputError, match=r"spans 24 hours .*hourly granularity"),
        read_export(SAMPLE, providers={"aws", "azure"}),
    ):
        pass
