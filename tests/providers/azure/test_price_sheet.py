"""A negotiated price sheet: what this customer pays, over the public prices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.domain.errors import InputError
from service.domain.usage import SkuKey
from service.providers.azure.access import AzureAccess
from service.providers.azure.clients import AzureClients
from service.providers.azure.price_sheet import load_price_sheet
from service.providers.azure.reader import AzureReader
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.wire.blobs import routes as container_routes
from tests.sandbox.azure.clouds import START, small_cloud

D4 = SkuKey("azure", "eastus", "Standard_D4s_v5")


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def sheet_row(cloud: AzureSandbox, **changes: str) -> dict[str, str]:
    machine = cloud.world.catalog.machines["eastus", "Standard_D4s_v5"]
    return {
        "MeterId": machine.meter_id(windows=False).upper(),
        "UnitPrice": "15.36",
        "UnitOfMeasure": "100 Hours",
        "PriceType": "Consumption",
        "Currency": "USD",
        "Term": "",
        "EffectiveStartDate": "03/01/2026",
        "EffectiveEndDate": "",
    } | changes


@contextmanager
def with_sheet(cloud: AzureSandbox, path: Path) -> Iterator[AzureReader]:
    access: AzureAccess = replace(cloud.access(), price_sheet=path)
    with closing(AzureClients(access)) as clients:
        yield AzureReader(clients, clock=cloud.world.clock)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_negotiated_price_is_what_we_pay_and_the_public_one_stays_the_list_price(
    cloud: AzureSandbox, tmp_path: Path, ending: str
) -> None:
    rows = [
        sheet_row(cloud),
        sheet_row(cloud, PriceType="SavingsPlan", Term="P1Y", UnitPrice="11"),
        sheet_row(cloud, EffectiveStartDate="04/01/2026", UnitPrice="1"),
        sheet_row(cloud, Currency="EUR", UnitPrice="2"),
    ]
    path = tmp_path / f"sheet.{ending}"
    if ending == "csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines), "utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    with with_sheet(cloud, path) as there:
        (sku,) = there.prices([D4], {})
        plans = [one for one in there.offerings([D4]) if one.kind.is_spend]
    assert (sku.on_demand_usd, sku.list_usd) == (Decimal("0.1536"), Decimal("0.192"))
    assert plans[0].rate_usd("eastus", D4.sku) == Decimal("0.11")


def test_a_price_sheet_that_is_none_is_an_error(cloud: AzureSandbox, tmp_path: Path) -> None:
    with (
        with_sheet(cloud, tmp_path / "nowhere") as there,
        pytest.raises(InputError, match="no price sheet"),
    ):
        there.prices([D4], {})
    path = tmp_path / "sheet.csv"
    path.write_text("MeterId,UnitPrice\nx,1\n", "utf-8")
    with (
        with_sheet(cloud, path) as there,
        pytest.raises(InputError, match="unitofmeasure"),
    ):
        there.prices([D4], {})
    rows = sheet_row(cloud, UnitOfMeasure="some Hours")
    path.write_text(",".join(rows) + "\n" + ",".join(rows.values()) + "\n", "utf-8")
    with pytest.raises(InputError, match="some Hours"):
        load_price_sheet(path, START.astimezone(UTC))


def test_a_price_sheet_export_is_brought_from_the_container(
    cloud: AzureSandbox, tmp_path: Path
) -> None:
    row = sheet_row(cloud)
    text = f"{','.join(row)}\n{','.join(row.values())}\n"
    run = tmp_path / "container" / "prices" / "20260301-20260331" / "run"
    run.mkdir(parents=True)
    (run / "part_0_0001.csv").write_text(text, "utf-8")
    blobs = [{"blobName": "prices/20260301-20260331/run/part_0_0001.csv", "byteCount": len(text)}]
    (run / "manifest.json").write_text(json.dumps({"blobs": blobs}), "utf-8")
    cloud.server.add_routes(container_routes(tmp_path / "container"))
    own = tmp_path / "sheet"
    own.mkdir()
    (own / "notes.txt").write_text("not Tenor's", "utf-8")
    access = replace(cloud.access(), price_sheet=own, price_sheet_prefix="prices")
    with closing(AzureClients(access)) as clients:
        (sku,) = AzureReader(clients, clock=cloud.world.clock).prices([D4], {})
    assert sku.on_demand_usd == Decimal("0.1536")
    assert (own / "notes.txt").is_file()


def write_sheet(path: Path, *rows: dict[str, str]) -> Path:
    names = list({name: None for row in rows for name in row})
    lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.mark.parametrize("word", ["ReservedInstance", "Reserved Instance", "Reservation"])
def test_a_negotiated_reservation_is_offered_at_its_whole_terms_price(
    word: str, cloud: AzureSandbox, tmp_path: Path
) -> None:
    rows = (
        sheet_row(cloud, PriceType=word, Term="P1Y", UnitPrice="876", UnitOfMeasure="1 Hour"),
        sheet_row(cloud, PriceType=word, Term="", UnitPrice="1", UnitOfMeasure="1 Hour"),
    )
    with with_sheet(cloud, write_sheet(tmp_path / "sheet.csv", *rows)) as there:
        offered = {
            (one.term_months, one.payment): next(iter(one.rates_usd.values()))
            for one in there.offerings([D4])
            if not one.kind.is_spend
        }
    public = {
        (one.term_months, one.payment): next(iter(one.rates_usd.values()))
        for one in AzureReader(cloud.clients(), clock=cloud.world.clock).offerings([D4])
        if not one.kind.is_spend
    }
    assert offered.keys() == public.keys()
    for (months, payment), rate in offered.items():
        negotiated = Decimal("0.1") if months == 12 else public[months, payment]
        assert rate == negotiated


def test_the_offer_for_development_is_nobody_elses_price(
    cloud: AzureSandbox, tmp_path: Path
) -> None:
    rows = (sheet_row(cloud), sheet_row(cloud, OfferId="MS-AZR-0148P", UnitPrice="9"))
    with with_sheet(cloud, write_sheet(tmp_path / "sheet.csv", *rows)) as there:
        (sku,) = there.prices([D4], {})
    assert sku.on_demand_usd == Decimal("0.1536")


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_prices_as_new_the_worse_one_for_commitments_counts(
    first: int, cloud: AzureSandbox, tmp_path: Path
) -> None:
    plan = {"PriceType": "SavingsPlan", "Term": "P1Y"}
    rows = [
        sheet_row(cloud),
        sheet_row(cloud, UnitPrice="15"),
        sheet_row(cloud, UnitPrice="11", **plan),
        sheet_row(cloud, UnitPrice="12", **plan),
    ]
    path = write_sheet(tmp_path / "sheet.csv", *rows[:: 1 if first else -1])
    sheet = load_price_sheet(path, START)
    meter = rows[0]["MeterId"]
    assert sheet.on_demand_usd(meter) == Decimal("0.15")
    assert sheet.plan_usd(meter, 12) == Decimal("0.12")


def test_a_newer_price_counts_whichever_is_worse(cloud: AzureSandbox, tmp_path: Path) -> None:
    rows = [sheet_row(cloud, EffectiveStartDate="02/01/2026", UnitPrice="1"), sheet_row(cloud)]
    for order in (rows, rows[::-1]):
        sheet = load_price_sheet(write_sheet(tmp_path / "sheet.csv", *order), START)
        assert sheet.on_demand_usd(rows[0]["MeterId"]) == Decimal("0.1536")


@pytest.mark.parametrize(
    ("end", "holds"),
    [
        ("03/02/2026", True),
        ("2026-03-02T23:59:59.9999999Z", True),
        ("03/01/2026", False),
        ("2026-03-01T23:59:59Z", False),
    ],
)
def test_a_sheet_that_prices_nothing_now_is_an_error_and_no_public_price_stands_in(
    end: str, cloud: AzureSandbox, tmp_path: Path, *, holds: bool
) -> None:
    path = write_sheet(tmp_path / "sheet.csv", sheet_row(cloud, EffectiveEndDate=end))
    if holds:
        assert load_price_sheet(path, START).prices
        return
    with (
        with_sheet(cloud, path) as there,
        pytest.raises(InputError, match="holds no price in USD for 2026-03-02"),
    ):
        there.prices([D4], {})


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity", "free"])
def test_a_price_that_is_none_is_an_error(price: str, cloud: AzureSandbox, tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "sheet.csv", sheet_row(cloud, UnitPrice=price))
    with pytest.raises(InputError, match="is no price"):
        load_price_sheet(path, START)
