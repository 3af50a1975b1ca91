"""Every crash point × every fault, on one kind of purchase of each of three clouds.

A real process is killed by SIGKILL at the step, over HTTP against the sandbox with the real SDK;
then the service runs to rest. Nothing is bought or altered twice, nothing is lost, nothing is left
unknown, and no cap is passed: an independent look at what the cloud sold says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.purchase.desk import Step
from tests.purchase.enumeration.cases import (
    FAULTS,
    Case,
    cases,
    problems_of_change,
    problems_of_purchase,
)
from tests.purchase.enumeration.kinds import CLOUDS, site
from tests.purchase.enumeration.sites import Purchase, Site
from tests.purchase.enumeration.victims import PROCESSES, Breeder

PROCESSES.set_forkserver_preload(["tests.purchase.enumeration.preloaded"])
WORKERS = 2


@dataclass(frozen=True)
class Job:
    """All cases of one kind in a cloud of its own. ``number`` is its place in the cloud's list."""

    provider: str
    is_purchase: bool
    number: int
    template: Path
    folder: Path


@dataclass(frozen=True)
class Done:
    """How many cases a job had, and every problem that was seen."""

    provider: str
    name: str
    cases: int
    problems: tuple[str, ...]


@contextmanager
def breeding(opened: Site, purchase: Purchase) -> Iterator[Breeder]:
    """A process with warm clients that victims are forked from."""
    breeder = Breeder(opened.provider, opened.endpoint, opened.line(purchase, 1))
    yield breeder
    breeder.close()


def enumerate_kind(job: Job) -> Done:
    """Every crash point × every fault of one kind."""
    folder = job.folder / f"{job.provider}-{job.is_purchase}-{job.number}"
    folder.mkdir()
    found: list[str] = []
    with site(job.provider) as opened:
        what = (opened.purchases if job.is_purchase else opened.changes)[job.number]
        source = what if isinstance(what, Purchase) else what.source
        todo = list(cases(what))
        with breeding(opened, source) as breeder:
            for case in todo:
                found += _problems(opened, breeder, case, job.template, folder)
    return Done(job.provider, what.name, len(todo), tuple(found))


def _problems(
    opened: Site, breeder: Breeder, case: Case, template: Path, folder: Path
) -> list[str]:
    of = problems_of_purchase if isinstance(case.what, Purchase) else problems_of_change
    return of(opened, breeder, case, template, folder)


@pytest.mark.parametrize("provider", sorted(CLOUDS))
def test_whatever_is_killed_wherever_nothing_is_bought_twice_or_lost(
    sqlite_template: Path, tmp_path: Path, provider: str
) -> None:
    """One kind of purchase of each cloud, at every crash point with every fault."""
    done = enumerate_kind(Job(provider, True, 0, sqlite_template, tmp_path))  # noqa: FBT003
    assert done.problems == ()
    assert done.cases == len(Step) * len(FAULTS)
