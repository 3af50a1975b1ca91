"""Usage from S3 exports and from Cost Explorer: whole files, counted cents, read by the ingest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from service.domain.errors import InputError, ProviderError
from service.providers.aws.clients import AwsClients
from service.providers.aws.cost_explorer import REQUEST_USD, CostExplorerUsage
from service.providers.aws.exports import MANIFEST, AwsExports, S3Location
from service.providers.aws.usage_source import aws_exports, needed_by
from service.providers.port import ProviderExports
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.wire.s3 import BUCKET
from service.usage.ingest import read_export
from tests.providers.aws.orders import bought, reservation_order, terms
from tests.sandbox.clouds import Sdk, sdk, small_cloud, strike

GET, LIST = "s3.GetObject", "s3.ListObjectsV2"
COST = "ce.GetCostAndUsage"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SandboxCloud]:
    with small_cloud(exports=tmp_path / "bucket") as cloud:
        cloud.advance(24 * 4)
        yield cloud


@pytest.fixture
def exports(cloud: SandboxCloud) -> ProviderExports:
    return AwsExports(cloud.clients(), S3Location(BUCKET, ""))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_everything_in_the_bucket_is_brought_over_all_pages(
    cloud: SandboxCloud, exports: ProviderExports, tmp_path: Path
) -> None:
    fetched = exports.fetch(tmp_path / "here")
    assert contents(tmp_path / "here") == contents(tmp_path / "bucket")
    assert fetched.changed == len(fetched.files) == len(contents(tmp_path / "bucket"))
    assert fetched.newest_at is not None
    cloud.advance(24 * 8)
    assert len(contents(tmp_path / "bucket")) > cloud.world.options.page_size
    cloud.server.calls.clear()
    exports.fetch(tmp_path / "here")
    assert cloud.server.calls[LIST] >= 2
    assert contents(tmp_path / "here") == contents(tmp_path / "bucket")


def test_only_what_changed_is_downloaded_again(
    cloud: SandboxCloud, exports: ProviderExports, tmp_path: Path
) -> None:
    exports.fetch(tmp_path / "here")
    cloud.server.calls.clear()
    assert exports.fetch(tmp_path / "here").changed == 0
    assert cloud.server.calls[GET] == 0
    new = cloud.advance(24)
    assert exports.fetch(tmp_path / "here").changed == len(new) == cloud.server.calls[GET]


def test_a_file_that_was_cut_or_lost_here_is_brought_again(
    exports: ProviderExports, tmp_path: Path
) -> None:
    first, second, *_ = exports.fetch(tmp_path / "here").files
    first.write_bytes(first.read_bytes()[:10])
    second.unlink()
    assert exports.fetch(tmp_path / "here").changed == 2
    assert contents(tmp_path / "here") == contents(tmp_path / "bucket")


def test_what_is_gone_is_deleted_and_what_others_put_there_stays(
    exports: ProviderExports, tmp_path: Path
) -> None:
    exports.fetch(tmp_path / "here")
    mine = tmp_path / "here" / "mine.csv"
    mine.write_text("a,b\n")
    gone = next(path for path in (tmp_path / "bucket").rglob("*.parquet"))
    gone.unlink()
    assert exports.fetch(tmp_path / "here").changed == 1
    assert not (tmp_path / "here" / gone.relative_to(tmp_path / "bucket")).exists()
    assert mine.read_text() == "a,b\n"


def test_the_ingest_reads_what_was_brought(exports: ProviderExports, tmp_path: Path) -> None:
    exports.fetch(tmp_path / "here")
    with read_export(tmp_path / "here") as here, read_export(tmp_path / "bucket") as there:
        assert here.source_rows == there.source_rows > 0
        assert [day.day for day in here.days] == [day.day for day in there.days]


def test_other_files_under_the_prefix_are_left_where_they_are(
    cloud: SandboxCloud, tmp_path: Path
) -> None:
    (tmp_path / "bucket" / "metadata").mkdir()
    (tmp_path / "bucket" / "metadata" / "Manifest.json").write_text("{}")
    month = "BILLING_PERIOD=2026-03"
    narrow = AwsExports(cloud.clients(), S3Location.of(f"s3://{BUCKET}/{month}/"))
    narrow.fetch(tmp_path / "here")
    assert set(contents(tmp_path / "here")) == {
        path.name for path in (tmp_path / "bucket" / month).iterdir()
    }


@pytest.mark.parametrize("fault", [FaultKind.BROKEN_AFTER, FaultKind.REFUSE])
def test_a_download_that_fails_leaves_whole_files_only(
    cloud: SandboxCloud, exports: ProviderExports, tmp_path: Path, fault: FaultKind
) -> None:
    strike(cloud, Fault(GET, fault, after_calls=1, times=9, code="AccessDenied", status=403))
    with pytest.raises(ProviderError):
        exports.fetch(tmp_path / "here")
    bucket = contents(tmp_path / "bucket")
    brought = contents(tmp_path / "here")
    assert 0 < len(brought) < len(bucket)
    assert all(bucket[name] == body for name, body in brought.items())
    cloud.world.faults.clear()
    exports.fetch(tmp_path / "here")
    assert contents(tmp_path / "here") == bucket


def test_a_listing_that_cannot_be_read_deletes_nothing(
    cloud: SandboxCloud, exports: ProviderExports, tmp_path: Path
) -> None:
    exports.fetch(tmp_path / "here")
    strike(cloud, Fault(LIST, FaultKind.BROKEN_AFTER, times=9))
    with pytest.raises(ProviderError):
        exports.fetch(tmp_path / "here")
    assert contents(tmp_path / "here") == contents(tmp_path / "bucket")


def test_an_export_that_keeps_every_version_is_refused(
    exports: ProviderExports, tmp_path: Path
) -> None:
    month = tmp_path / "bucket" / "BILLING_PERIOD=2026-03"
    for version in ("20260304T000000Z-a", "20260305T000000Z-b"):
        (month / version).mkdir()
        (month / version / "part-1.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match="versions"):
        exports.fetch(tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_two_exports_under_one_prefix_are_refused(
    cloud: SandboxCloud, exports: ProviderExports, tmp_path: Path
) -> None:
    bucket = tmp_path / "bucket"
    (period,) = {path.name for path in bucket.iterdir()} & {"BILLING_PERIOD=2026-03"}
    shutil.copytree(bucket / period, bucket / "second" / "data" / period)
    with pytest.raises(InputError, match="prefix of one export") as caught:
        exports.fetch(tmp_path / "here")
    assert "second/data" in caught.value.problem
    assert not (tmp_path / "here").exists()
    own = AwsExports(cloud.clients(), S3Location.of(f"s3://{BUCKET}/second"))
    assert own.fetch(tmp_path / "here").files


class DeliveredMeanwhile:
    """An S3 client; ``deliver`` runs once, right after the first object was asked for."""

    def __init__(self, real: Sdk, deliver: Callable[[], None]) -> None:
        self._real = real
        self._deliver = [deliver]

    def reading(self, _: str) -> DeliveredMeanwhile:
        return self

    def __getattr__(self, operation: str) -> object:
        return getattr(self._real, operation)

    def get_object(self, **arguments: object) -> object:
        answer = self._real.get_object(**arguments)
        if self._deliver:
            self._deliver.pop()()
        return answer


@pytest.mark.parametrize("change", ["rewritten", "added", "removed"])
def test_a_delivery_while_files_are_read_is_told_and_not_mixed(
    cloud: SandboxCloud, exports: ProviderExports, tmp_path: Path, change: str
) -> None:
    first = min(path for path in (tmp_path / "bucket").rglob("*.parquet"))

    def deliver() -> None:
        target = first if change == "rewritten" else first.with_name("zz-new.parquet")
        target.write_bytes(first.read_bytes() + b"new")
        if change == "removed":
            first.unlink()

    clients = DeliveredMeanwhile(sdk(cloud, "s3"), deliver)
    meanwhile = AwsExports(cast("AwsClients", clients), S3Location(BUCKET, ""))
    with pytest.raises(ProviderError, match="try again later"):
        meanwhile.fetch(tmp_path / "here")
    exports.fetch(tmp_path / "here")
    assert contents(tmp_path / "here") == contents(tmp_path / "bucket")


def test_a_list_of_files_that_is_damaged_says_what_to_do(
    exports: ProviderExports, tmp_path: Path
) -> None:
    exports.fetch(tmp_path / "here")
    (tmp_path / "here" / MANIFEST).write_text('{"a": 1}')
    with pytest.raises(InputError, match="Delete the folder"):
        exports.fetch(tmp_path / "here")


def test_a_bucket_that_is_not_there_is_a_providers_error(
    cloud: SandboxCloud, tmp_path: Path
) -> None:
    with pytest.raises(ProviderError, match="NoSuchBucket"):
        AwsExports(cloud.clients(), S3Location.of("s3://elsewhere/x")).fetch(tmp_path / "here")


@pytest.mark.parametrize("url", ["exports", "https://bucket/x", "s3:///x", "s3://b/x?versions"])
def test_a_place_that_is_no_s3_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="TENOR_AWS_EXPORTS_S3"):
        S3Location.of(url)


def cost_explorer(cloud: SandboxCloud, requests: int = 1_000) -> CostExplorerUsage:
    return CostExplorerUsage(cloud.clients(), clock=cloud.world.clock, requests_max=requests)


def test_cost_explorer_gives_the_hours_that_were_used(cloud: SandboxCloud, tmp_path: Path) -> None:
    source = cost_explorer(cloud)
    fetched = source.fetch(tmp_path / "here")
    assert len(fetched.files) == fetched.changed > 10
    world = cloud.world
    with read_export(tmp_path / "here") as export:
        assert export.formats == ("FOCUS 1.0",)
        days = [day.day for day in export.days]
        assert max(days) == (world.now() - timedelta(days=2)).date()
        assert all(day.hours_mask == (1 << 24) - 1 for day in export.days)
    first = world.usage.hours.index(world.now() - timedelta(days=5))
    line = world.usage.lines[0]
    wanted = world.usage.quantity[first, 0]
    hour = world.usage.hours.hour(first)
    text = (tmp_path / "here" / f"cost-explorer-{hour.date()}.csv").read_text()
    same = [row.split(",") for row in text.splitlines() if line.sku in row]
    mine = [
        row for row in same if row[1] == line.account and row[6] == f"{hour:%Y-%m-%dT%H:%M:%SZ}"
    ]
    zones = [
        world.usage.quantity[first, index]
        for index, other in enumerate(world.usage.lines)
        if (other.account, other.sku) == (line.account, line.sku)
    ]
    assert len(mine) == 1
    assert float(mine[0][10]) == pytest.approx(sum(zones))
    assert wanted <= sum(zones)


def test_cost_explorer_is_refused_while_reservations_of_anybody_cover_usage(
    cloud: SandboxCloud, tmp_path: Path
) -> None:
    bought(cloud, reservation_order(cloud, terms(), 2))
    cloud.advance(24 * 3)
    with pytest.raises(ProviderError, match="TENOR_AWS_EXPORTS_S3"):
        cost_explorer(cloud).fetch(tmp_path / "here")
    assert contents(tmp_path / "here") == {}
    assert cloud.server.calls[COST] == 1


def test_every_page_is_counted_at_its_price(cloud: SandboxCloud, tmp_path: Path) -> None:
    source = cost_explorer(cloud)
    source.fetch(tmp_path / "here")
    made = cloud.server.calls[COST]
    assert source.spent.requests == made > len(cloud.world.accounts)
    assert source.spent.usd == made * REQUEST_USD == made * Decimal("0.01")


def test_settled_days_are_not_paid_for_twice(cloud: SandboxCloud, tmp_path: Path) -> None:
    source = cost_explorer(cloud)
    first = source.fetch(tmp_path / "here")
    paid = source.spent.requests
    again = source.fetch(tmp_path / "here")
    assert again.files == first.files
    assert 0 < again.changed <= 3
    assert source.spent.requests < paid


def test_no_more_is_asked_than_is_allowed(cloud: SandboxCloud, tmp_path: Path) -> None:
    source = cost_explorer(cloud, requests=3)
    with pytest.raises(ProviderError, match="request_budget"):
        source.fetch(tmp_path / "here")
    assert cloud.server.calls[COST] == 3
    assert contents(tmp_path / "here") == {}


def test_a_throttled_question_is_not_asked_again_behind_the_count(
    cloud: SandboxCloud, tmp_path: Path
) -> None:
    strike(cloud, Fault(COST, FaultKind.THROTTLE))
    with pytest.raises(ProviderError, match="LimitExceeded"):
        cost_explorer(cloud).fetch(tmp_path / "here")
    assert cloud.server.calls[COST] == 1


def test_only_days_within_the_fourteen_are_asked_for(cloud: SandboxCloud, tmp_path: Path) -> None:
    cloud.advance(24 * 30)
    files = cost_explorer(cloud).fetch(tmp_path / "here").files
    days = sorted(date.fromisoformat(path.stem.removeprefix("cost-explorer-")) for path in files)
    assert days[0] >= (cloud.world.now() - timedelta(days=14)).date()
    assert len(days) >= 11


def test_the_settings_choose_the_source(cloud: SandboxCloud) -> None:
    clock, clients = cloud.world.clock, cloud.clients()
    nothing = aws_exports(clients, clock=clock, s3=None)
    assert nothing is None
    assert needed_by(nothing) == ()
    bucket = aws_exports(clients, clock=clock, s3="s3://b/p", cost_explorer_requests=9)
    assert isinstance(bucket, AwsExports)
    assert needed_by(bucket) == ("s3:ListBucket", "s3:GetObject")
    paid = aws_exports(clients, clock=clock, s3=None, cost_explorer_requests=9)
    assert isinstance(paid, CostExplorerUsage)
    assert needed_by(paid) == ("ce:GetCostAndUsage",)


def test_the_list_of_what_was_brought_names_tags_and_sizes(
    exports: ProviderExports, tmp_path: Path
) -> None:
    files = exports.fetch(tmp_path / "here").files
    listed = json.loads((tmp_path / "here" / MANIFEST).read_text())
    assert len(listed) == len(files)
    assert all(set(one) == {"etag", "size", "modified_at"} for one in listed.values())
