"""From the settings to the usage store: exports on S3, and Cost Explorer with its price told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.operate.ingesting import ingest
from service.sandbox.cloud import SandboxCloud
from service.sandbox.wire.s3 import BUCKET
from service.settings import Settings
from service.wiring import opened
from tests.sandbox.clouds import database_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxCloud]:
    with database_cloud(exports=tmp_path_factory.mktemp("bucket"), page_size=100) as cloud:
        cloud.advance(24 * 4)
        yield cloud


def settings(cloud: SandboxCloud, folder: Path, **more: object) -> Settings:
    return Settings.model_validate(
        {
            "database_url": f"sqlite:///{folder / 'tenor.db'}",
            "data_dir": folder,
            "exports": folder / "exports",
            "aws_endpoint_url": cloud.endpoint_url,
            **more,
        }
    )


def test_usage_comes_from_the_bucket_in_the_settings(cloud: SandboxCloud, tmp_path: Path) -> None:
    chosen = settings(cloud, tmp_path, aws_exports_s3=f"s3://{BUCKET}")
    with opened(chosen, clock=cloud.world.clock) as parts:
        said = ingest(parts)
        days = {entry.day for entry in parts.usage.manifest()}
    assert len(days) > 10
    assert said == f"{len(days)} days changed"


def test_usage_comes_from_cost_explorer_and_its_price_is_told(
    cloud: SandboxCloud, tmp_path: Path
) -> None:
    cloud.server.calls.clear()
    chosen = settings(cloud, tmp_path, aws_cost_explorer_requests=50)
    with opened(chosen, clock=cloud.world.clock) as parts:
        said = ingest(parts)
        days = {entry.day for entry in parts.usage.manifest()}
    assert len(days) > 9
    cents = cloud.server.calls["ce.GetCostAndUsage"]
    assert said == f"{len(days)} days changed; asking for them costs {cents / 100:.2f} USD"
