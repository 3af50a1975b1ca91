"""Fetching cost exports: the newest run of each month, whole, and nothing else."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from service.domain.errors import InputError, ProviderError
from service.providers.azure.clients import AzureClients
from service.providers.azure.exports import AzureExports
from service.providers.port import ProviderExports
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.faults import Fault, FaultKind
from service.usage.ingest import read_export
from tests.sandbox.azure.clouds import buyer, order, quoted, small_cloud, strike

GET = "azure.Blob.Get"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[AzureSandbox]:
    with small_cloud(tmp_path / "container") as cloud:
        yield cloud


@pytest.fixture
def exports(cloud: AzureSandbox) -> ProviderExports:
    return AzureExports(cloud.clients())


def visible(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def write_run(
    container: Path,
    period: str,
    run: str,
    text: str,
    written_at: datetime,
    *,
    export: str = "focus",
) -> Path:
    """A run of an export as compressed CSV."""
    folder = container / export / period / run
    folder.mkdir(parents=True)
    part = folder / "part_0_0001.csv.gz"
    part.write_bytes(gzip.compress(text.encode(), mtime=0))
    name = part.relative_to(container).as_posix()
    manifest = folder / "manifest.json"
    blobs = [{"blobName": name, "byteCount": part.stat().st_size}]
    manifest.write_text(json.dumps({"blobs": blobs}), "utf-8")
    os.utime(manifest, (written_at.timestamp(), written_at.timestamp()))
    return folder


def test_brings_every_month_and_says_when_the_newest_was_written(
    cloud: AzureSandbox, exports: ProviderExports, tmp_path: Path
) -> None:
    cloud.advance(24 * 6)
    got = exports.fetch(tmp_path / "in")
    assert visible(tmp_path / "in") == [
        "20260201-20260228/0000.parquet",
        "20260201-20260228/0001.parquet",
        "20260301-20260331/0000.parquet",
    ]
    assert (got.changed, got.newest_at) == (3, cloud.world.now())
    assert all(path.is_file() for path in got.files)


def test_what_has_not_changed_is_not_fetched_again(
    cloud: AzureSandbox, exports: ProviderExports, tmp_path: Path
) -> None:
    cloud.advance(24 * 3)
    exports.fetch(tmp_path / "in")
    asked = cloud.server.calls[GET]
    assert exports.fetch(tmp_path / "in").changed == 0
    assert cloud.server.calls[GET] == asked + 2  # the manifests
    cloud.advance(24 * 2)
    assert exports.fetch(tmp_path / "in").changed == 1


def test_restated_days_replace_what_was_fetched_before(
    cloud: AzureSandbox, exports: ProviderExports, tmp_path: Path
) -> None:
    part = tmp_path / "in" / "20260301-20260331" / "0000.parquet"
    cloud.advance(72)
    exports.fetch(tmp_path / "in")
    first = pq.read_table(part)
    cloud.advance(72)
    exports.fetch(tmp_path / "in")
    second = pq.read_table(part)
    assert second.num_rows > first.num_rows
    assert visible(tmp_path / "in")[-1] == "20260301-20260331/0000.parquet"


def test_of_several_runs_of_a_month_only_the_newest_is_brought(
    cloud: AzureSandbox, exports: ProviderExports, tmp_path: Path
) -> None:
    container, now = tmp_path / "container", datetime(2026, 3, 9, tzinfo=UTC)
    old = write_run(container, "20250101-20250131", "b", "old", now - timedelta(days=1))
    write_run(container, "20250101-20250131", "a", "new", now)
    exports.fetch(tmp_path / "in")
    part = tmp_path / "in" / "20250101-20250131" / "0000.csv.gz"
    assert gzip.decompress(part.read_bytes()) == b"new"
    (old / "manifest.json").unlink()
    assert exports.fetch(tmp_path / "in").changed == 0
    assert cloud.server.calls["azure.Blob.List"] > 2  # the listing has pages


def test_two_exports_of_a_month_are_refused_and_neither_is_dropped_in_silence(
    exports: ProviderExports, tmp_path: Path
) -> None:
    container, now = tmp_path / "container", datetime(2026, 3, 9, tzinfo=UTC)
    write_run(container, "20250101-20250131", "a", "one", now)
    write_run(container, "20250101-20250131", "a", "two", now, export="focus/second")
    with pytest.raises(InputError, match="EXPORTS_PREFIX") as caught:
        exports.fetch(tmp_path / "in")
    assert "20250101-20250131" in caught.value.problem
    assert not (tmp_path / "in").exists()


def test_a_run_without_a_manifest_is_not_finished_and_not_brought(
    exports: ProviderExports, tmp_path: Path
) -> None:
    folder = tmp_path / "container" / "focus" / "20250101-20250131" / "run"
    folder.mkdir(parents=True)
    (folder / "part_0_0001.csv").write_text("half", "utf-8")
    got = exports.fetch(tmp_path / "in")
    assert not any("20250101" in str(path) for path in got.files)


def test_what_no_manifest_names_any_more_is_deleted(
    exports: ProviderExports, tmp_path: Path
) -> None:
    stray = tmp_path / "in" / "20240101-20240131" / "0000.parquet"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"gone at the source")
    others = tmp_path / "in" / "by-hand" / "focus.parquet"
    others.parent.mkdir()
    others.write_bytes(b"not ours")
    exports.fetch(tmp_path / "in")
    assert not stray.parent.exists()
    assert others.is_file()


@pytest.mark.parametrize(
    "kind", [FaultKind.ERROR_BEFORE, FaultKind.TIMEOUT_BEFORE, FaultKind.BROKEN_AFTER]
)
def test_a_part_that_does_not_come_whole_leaves_the_old_one(
    cloud: AzureSandbox, exports: ProviderExports, tmp_path: Path, kind: FaultKind
) -> None:
    cloud.advance(72)
    exports.fetch(tmp_path / "in")
    before = {name: (tmp_path / "in" / name).read_bytes() for name in visible(tmp_path / "in")}
    cloud.advance(48)
    strike(cloud, Fault(GET, kind, after_calls=2, times=99))
    with (
        closing(AzureClients(cloud.access(), blob_retries=0)) as impatient,
        pytest.raises(ProviderError),
    ):
        AzureExports(impatient).fetch(tmp_path / "in")
    after = {name: (tmp_path / "in" / name).read_bytes() for name in visible(tmp_path / "in")}
    assert after == before
    cloud.world.faults.clear()
    assert exports.fetch(tmp_path / "in").changed == 1


def test_a_manifest_that_is_none_is_an_error(exports: ProviderExports, tmp_path: Path) -> None:
    folder = tmp_path / "container" / "focus" / "20250101-20250131" / "run"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", "utf-8")
    with pytest.raises(ProviderError, match="no manifest"):
        exports.fetch(tmp_path / "in")
    assert not visible(tmp_path / "in")


def test_what_is_brought_is_read_as_hourly_usage(
    cloud: AzureSandbox, exports: ProviderExports, tmp_path: Path
) -> None:
    buyer(cloud).buy(quoted(cloud, order(cloud)))
    cloud.advance(24 * 5)
    exports.fetch(tmp_path / "in")
    world = cloud.world
    with read_export(tmp_path / "in") as export:
        assert export.formats == ("FOCUS 1.2",)
        assert {day.provider for day in export.days} == {"azure"}
        day = next(one for one in export.days if one.day.isoformat() == "2026-03-02")
        day.write(tmp_path / "day.parquet")
    rows = pq.read_table(tmp_path / "day.parquet").to_pylist()
    assert {row["account"] for row in rows} == {line.account for line in world.usage.lines}
    first, last = world.usage.hours.clip(world.options.start, world.options.start + timedelta(1))
    quantity = world.usage.quantity[first:last].sum(axis=0)
    lines = [line for line, used in zip(world.usage.lines, quantity, strict=True) if used > 0]
    assert {(row["region"], row["sku"]) for row in rows} == {(one.region, one.sku) for one in lines}
    assert {row["resource_group"] for row in rows} == {one.resource_group for one in lines}
    used = float(quantity.sum())
    assert sum(float(row["quantity"]) for row in rows) == pytest.approx(used, rel=1e-6)


def test_columns_are_those_of_azures_own_schema(
    cloud: AzureSandbox, exports: ProviderExports, tmp_path: Path
) -> None:
    schema = (
        Path(__file__).resolve().parents[4]
        / "shared"
        / "data"
        / "azure_focus_1_2_preview_schema.json"
    )
    if not schema.is_file():
        pytest.skip("the schema lies beside the checkout only")
    known = {one["ColumnName"] for one in json.loads(schema.read_text("utf-8"))["Columns"]}
    cloud.advance(72)
    (*_, part) = exports.fetch(tmp_path / "in").files
    assert set(pq.read_schema(part).names) <= known
