"""The daemon's jobs: which there are, and in which order they run when several are due."""

from __future__ import annotations

from pathlib import Path

from service.operate.daemon import jobs_of
from service.settings import Settings
from service.wiring import build

NOWHERE = "http://127.0.0.1:9"


def test_inventories_are_read_before_anything_is_decided_and_no_cloud_waits_for_anothers_data(
    sqlite_database_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=sqlite_database_url,
        data_dir=tmp_path,
        aws_endpoint_url=NOWHERE,
        azure_endpoint_url=NOWHERE,
        gcp_endpoint_url=NOWHERE,
    )
    parts = build(settings)
    try:
        names = [job.name for job in jobs_of(parts)]
    finally:
        parts.close()
    assert names == [
        "expiries",
        *(f"reconcile-{cloud}" for cloud in ("aws", "azure", "gcp")),
        *(f"{job}-aws" for job in ("ingest", "undo", "cycle")),
        *(f"{job}-azure" for job in ("ingest", "undo", "cycle")),
        *(f"{job}-gcp" for job in ("ingest", "undo", "cycle")),
        "alerts",
    ]
