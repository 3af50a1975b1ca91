"""Databases for years, compiled once for all that a file lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.purchase.simulation.run import Databases, opened


@pytest.fixture(scope="module")
def databases(sqlite_template: Path) -> Iterator[Databases]:
    """One fresh database after the other, in memory where there is some."""
    with opened(sqlite_template) as made:
        yield made
