"""A negotiated price sheet: what this customer pays, over the public prices."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def with_sheet(cloud: AzureSandbox, path: Path) -> AzureReader:
    access: AzureAccess = replace(cloud.access(), price_sheet=path)
    return AzureReader(AzureClients(access), clock=cloud.world.clock)


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
    (sku,) = with_sheet(cloud, path).prices([D4], {})
    assert (sku.on_demand_usd, sku.list_usd) == (Decimal("0.1536"), Decimal("0.192"))
    plans = [one for one in with_sheet(cloud, path).offerings([D4]) if one.kind.is_spend]
    assert plans[0].rate_usd("eastus", D4.sku) == Decimal("0.11")


def test_a_price_sheet_that_is_none_is_an_error(cloud: AzureSandbox, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no price sheet"):
        with_sheet(cloud, tmp_path / "nowhere").prices([D4], {})
    path = tmp_path / "sheet.csv"
    path.write_text("MeterId,UnitPrice\nx,1\n", "utf-8")
    with pytest.raises(InputError, match="unitofmeasure"):
        with_sheet(cloud, path).prices([D4], {})
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
    there = AzureReader(AzureClients(access), clock=cloud.world.clock)
    (sku,) = there.prices([D4], {})
    assert sku.on_demand_usd == Decimal("0.1536")
    assert (own / "notes.txt").is_file()
