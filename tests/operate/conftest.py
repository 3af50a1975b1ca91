"""A sandbox cloud and a Tenor on it, small enough to be made anew for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.operate.demo import Demo, prepared
from service.operate.ingesting import ingest
from service.store import lease as leases
from service.store.engine import writing
from service.store.lease import Lease


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A fresh sandbox without faults, and Tenor with the demo's policy, usage ingested."""
    with prepared(seed=7, port=0, folder=tmp_path / "demo", history_days=45) as made:
        made.cloud.world.faults.clear()
        ingest(made.parts)
        yield made


@pytest.fixture
def lease(demo: Demo) -> Lease:
    """The executor's lease, held by this test."""
    with writing(demo.parts.engine) as connection:
        granted = leases.acquire(
            connection, holder=demo.parts.holder, lifetime=demo.parts.lease_lifetime
        )
    assert granted is not None
    return granted
