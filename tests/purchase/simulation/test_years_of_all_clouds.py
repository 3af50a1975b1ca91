"""Seeded years of three clouds under one policy: every kind of ceiling binds, and is held."""

from __future__ import annotations

import pytest

from tests.purchase.simulation.proving import WIDE_YEARS, prove_wide
from tests.purchase.simulation.run import Databases

PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
def test_what_clouds_share_is_never_spent_twice(databases: Databases, part: int) -> None:
    prove_wide(range(part, WIDE_YEARS, PARTS), databases)
