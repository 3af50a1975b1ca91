"""A yard for each file, and in it a fresh cloud for each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.purchase.enumeration.cases import Ground, Yard, yard_of
from tests.purchase.enumeration.kinds import site


@pytest.fixture(scope="module")
def yard(sqlite_template: Path, request: pytest.FixtureRequest) -> Iterator[Yard]:
    """For the cloud that the file is about."""
    with yard_of(request.module.PROVIDER, sqlite_template) as opened:
        yield opened


@pytest.fixture(scope="module")
def ground(yard: Yard, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """A cloud for all cases of the kind whose name is the parameter."""
    with site(request.module.PROVIDER) as opened:
        yard.enter(opened, request.param)
        yield Ground(opened, yard, request.param)
