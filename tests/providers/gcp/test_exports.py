"""Copying BigQuery's billing export: whole days, again when they are restated, gone when gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from service.domain.errors import InputError, ProviderError
from service.domain.purchases import Bought
from service.domain.usage import SkuKey
from service.providers.gcp.exports import NOTES, GcpExports, columns_of
from service.providers.port import ProviderExports
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.cloud import GcpSandbox
from service.usage.gcp_sku import gcp_sku
from tests.sandbox.gcp.clouds import SMALL, buyer_of, dollars, small_cloud, strike, vcpus

QUERY = "gcp.bigquery.jobs.query"


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


def exports_of(cloud: GcpSandbox) -> GcpExports:
    table = cloud.access().export_table
    assert table is not None
    return GcpExports(cloud.clients(), table, clock=cloud.clock)


def test_brings_every_day_once_and_restated_days_again(cloud: GcpSandbox, tmp_path: Path) -> None:
    exports: ProviderExports = exports_of(cloud)
    first = exports.fetch(tmp_path)
    # The newest of the six days before the start is not there yet.
    assert SMALL.history_days - 2 <= first.changed == len(first.files) < SMALL.history_days
    assert all(path.exists() and path.parent == tmp_path for path in first.files)
    assert first.newest_at is not None
    assert first.newest_at <= cloud.clock.now()
    assert exports.fetch(tmp_path).changed == 0
    untouched = {path: path.stat().st_mtime_ns for path in first.files}
    cloud.advance(24)
    second = exports.fetch(tmp_path)
    assert len(second.files) == len(first.files) + 1
    rewritten = {p for p, before in untouched.items() if p.stat().st_mtime_ns != before}
    assert 1 <= len(rewritten) < len(first.files)
    assert second.changed == 1 + len(rewritten)


def test_a_file_that_was_lost_is_brought_again(cloud: GcpSandbox, tmp_path: Path) -> None:
    exports = exports_of(cloud)
    found = exports.fetch(tmp_path)
    found.files[0].unlink()
    (tmp_path / NOTES).write_text("{ cut o")
    assert exports.fetch(tmp_path).changed == len(found.files)
    found.files[1].unlink()
    assert exports.fetch(tmp_path).changed == 1


def test_a_day_that_is_gone_from_the_table_is_deleted(cloud: GcpSandbox, tmp_path: Path) -> None:
    exports = exports_of(cloud)
    found = exports.fetch(tmp_path)
    whole = cloud.world.export_table
    assert whole is not None
    rows = whole()
    kept = rows.filter([str(at)[:10] != found.files[0].stem[4:] for at in rows["usage_start_time"]])
    cloud.world.export_table = lambda: kept
    assert exports.fetch(tmp_path).changed == 1
    assert not found.files[0].exists()


def test_what_comes_is_the_usage_of_the_world_and_its_prices(
    cloud: GcpSandbox, tmp_path: Path
) -> None:
    buyer = buyer_of(cloud)
    for order in (vcpus(), dollars()):
        assert isinstance(buyer.buy(order), Bought)
    cloud.advance(24 * 5)
    (path,) = [p for p in exports_of(cloud).fetch(tmp_path).files if "2026-03-03" in p.name]
    day = cloud.world.started_at.replace(day=3)
    usage = cloud.world.bills.day(day).dataset.usage
    used: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for row in pq.read_table(path).to_pylist():
        if not row["sku_description"].startswith("Commitment"):
            name = gcp_sku(row["service_description"], row["sku_description"])
            key = (row["project_id"], row["location_region"], name)
            used[key] += row["usage_amount_in_pricing_units"]
            price = cloud.world.catalog.skus[SkuKey("gcp", key[1], name)].on_demand_usd
            assert row["price_list_price"] == row["price_effective_price_default"] == price
    for index, line in enumerate(usage.lines):
        total = float(usage.quantity[:, index].sum())
        assert used.pop((line.account, line.region, line.sku)) == pytest.approx(total, abs=1e-3)
    assert not used


def test_what_is_charged_less_what_is_credited_is_the_bill(tmp_path: Path) -> None:
    with small_cloud(exports=tmp_path) as cloud:
        buyer = buyer_of(cloud)
        for order in (vcpus(), dollars()):
            assert isinstance(buyer.buy(order), Bought)
        cloud.advance(24 * 5)
        rows = pq.read_table(tmp_path / "gcp-2026-03-03.parquet").to_pylist()
        given = sum(credit["amount"] for row in rows for credit in row["credits"])
        charged = sum(row["cost"] for row in rows)
        day = cloud.world.bills.bill(cloud.world.started_at.replace(day=3))
    assert given < 0
    assert charged + given == pytest.approx(float(day.total_usd), rel=1e-6)


def test_a_table_without_the_newer_columns_is_read_as_far_as_it_goes() -> None:
    from google.cloud.bigquery import SchemaField  # noqa: PLC0415 - takes long

    text = SchemaField("description", "STRING")
    schema = [
        SchemaField("usage_start_time", "TIMESTAMP"),
        SchemaField("sku", "RECORD", fields=[text]),
    ]
    assert columns_of(schema) == "usage_start_time,\n  sku.description AS sku_description"


def test_pages_are_read_to_the_end(cloud: GcpSandbox, tmp_path: Path) -> None:
    from service.sandbox.gcp.wire import bigquery  # noqa: PLC0415 - its page size

    files = exports_of(cloud).fetch(tmp_path).files
    assert pq.read_metadata(files[0]).num_rows < bigquery.PAGE
    with cloud.clients().bigquery() as client:
        rows = client.query_and_wait(
            f"SELECT usage_start_time FROM `{cloud.access().export_table}`",  # noqa: S608
            page_size=100,
        ).to_arrow(create_bqstorage_client=False)
    assert rows.num_rows >= sum(pq.read_metadata(path).num_rows for path in files)
    assert cloud.server.calls["gcp.bigquery.jobs.getQueryResults"] >= rows.num_rows // 100 - 1


def test_a_query_that_fails_leaves_what_is_there(cloud: GcpSandbox, tmp_path: Path) -> None:
    exports = exports_of(cloud)
    found = exports.fetch(tmp_path)
    cloud.advance(24)
    strike(cloud, Fault(QUERY, FaultKind.REFUSE, code="accessDenied", status=403, after_calls=1))
    with pytest.raises(ProviderError, match="accessDenied"):
        exports.fetch(tmp_path)
    assert all(path.exists() for path in found.files)
    assert not list(tmp_path.glob("*.part"))
    assert exports.fetch(tmp_path).changed >= 1


@pytest.mark.parametrize("table", ["billing", "p.d", "p.d.t; DROP TABLE x", "p.d.`t`", ""])
def test_a_name_that_is_no_table_is_bad_input(cloud: GcpSandbox, table: str) -> None:
    with pytest.raises(InputError, match="TENOR_GCP_EXPORT_TABLE"):
        GcpExports(cloud.clients(), table, clock=cloud.clock)


def test_the_copy_in_a_folder_is_the_table_itself(tmp_path: Path) -> None:
    with small_cloud(exports=tmp_path / "copy") as cloud:
        fetched = exports_of(cloud).fetch(tmp_path / "queried").files
        copied = sorted((tmp_path / "copy").glob("*.parquet"))
        assert [path.name for path in copied] == [path.name for path in fetched]
        for one, other in zip(copied, fetched, strict=True):
            ours, theirs = pq.read_table(one), pq.read_table(other)
            assert sum(ours["cost"].to_pylist()) == pytest.approx(sum(theirs["cost"].to_pylist()))
            assert ours.num_rows >= theirs.num_rows > 0
        assert len(cloud.advance(24)) >= 1
        assert cloud.write_exports() == []
