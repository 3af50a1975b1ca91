"""Every crash point × every fault × every kind of purchase and alteration × three clouds.

A real process is killed by SIGKILL at the step, over HTTP against the sandbox with the real SDK;
then the service runs to rest. Nothing is bought or altered twice, nothing is lost, nothing is left
unknown, and no cap is passed: an independent look at what the cloud sold says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.purchase.desk import Step
from tests.purchase.enumeration.cases import (
    FAULTS,
    cases,
    problems_of_change,
    problems_of_purchase,
)
from tests.purchase.enumeration.kinds import CLOUDS, site
from tests.purchase.enumeration.sites import Purchase, Site
from tests.purchase.enumeration.victims import PROCESSES, Breeder

PROCESSES.set_forkserver_preload(["tests.purchase.enumeration.preloaded"])


@contextmanager
def breeding(opened: Site, purchase: Purchase) -> Iterator[Breeder]:
    """A process with warm clients that victims are forked from."""
    breeder = Breeder(opened.provider, opened.endpoint, opened.line(purchase, 1))
    yield breeder
    breeder.close()


@pytest.mark.parametrize("provider", CLOUDS)
def test_whatever_is_killed_wherever_nothing_is_bought_twice_or_lost(
    provider: str, sqlite_template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[str] = []
    purchases = changes = 0
    with site(provider) as opened, breeding(opened, opened.purchases[0]) as breeder:
        for purchase in opened.purchases:
            for case in cases(purchase):
                purchases += 1
                found += problems_of_purchase(opened, breeder, case, sqlite_template, tmp_path)
    for change in opened.changes:
        with site(provider) as fresh, breeding(fresh, change.source) as breeder:
            for case in cases(change):
                changes += 1
                found += problems_of_change(fresh, breeder, case, sqlite_template, tmp_path)
    with capsys.disabled():
        print(  # noqa: T201 - the count is the proof's size
            f"\n{provider}: {purchases + changes} cases = {len(Step)} crash points × "
            f"{len(FAULTS)} faults × ({len(opened.purchases)} purchases + "
            f"{len(opened.changes)} alterations)"
        )
    assert found == []
    assert purchases == len(Step) * len(FAULTS) * len(opened.purchases) > 0
    assert changes == len(Step) * len(FAULTS) * len(opened.changes) > 0
