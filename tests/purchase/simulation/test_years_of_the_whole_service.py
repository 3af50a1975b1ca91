"""Seeded years of the whole service, from billing exports to alerts, in trouble and at rest."""

from __future__ import annotations

import pytest

from tests.purchase.simulation.proving import WHOLE_WEEKS
from tests.purchase.simulation.run import Databases, live_whole, lived_whole


@pytest.mark.parametrize("year", WHOLE_WEEKS)
def test_after_a_year_of_the_whole_service_its_ledger_is_the_clouds(
    databases: Databases, year: int
) -> None:
    lived = lived_whole(year, databases, weeks=WHOLE_WEEKS[year])
    assert lived.problems == ()
    assert lived.purchases > 0, lived


def test_a_year_of_the_whole_service_replays_identically(databases: Databases) -> None:
    lives = [live_whole(4, databases, weeks=4) for _ in range(2)]
    assert lives[0].outlined == lives[1].outlined != []
