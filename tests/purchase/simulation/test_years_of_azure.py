"""Seeded years of trouble on Azure: ledger equals cloud, the cap is held, nothing is stuck."""

from __future__ import annotations

import pytest

from tests.purchase.simulation.proving import PARTS, prove, years_of
from tests.purchase.simulation.run import Databases


@pytest.mark.parametrize("part", range(PARTS))
def test_after_years_of_trouble_ledger_and_cloud_agree(databases: Databases, part: int) -> None:
    prove(years_of("azure", part), databases)
