"""Seeded years over the sandbox's three worlds: ledger equals cloud, caps held, nothing stuck.

And negative controls: checkers are shown planted defects, and see them. That of the cap has none:
in these lives the cap does not bind.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from service.domain.alterations import AlterationState
from service.domain.purchases import IntentState
from service.purchase.desk import Desk
from service.store import schema
from service.store.alteration_tables import alterations
from service.store.engine import writing
from tests.purchase.simulation.life import Life
from tests.purchase.simulation.run import (
    CLOUDS,
    Lived,
    database,
    live,
    lived,
)

YEARS = int(os.environ.get("SIMULATED_YEARS", "24"))


def _one(job: tuple[int, Path, Path]) -> Lived:
    return lived(*job)


def test_after_years_of_trouble_ledger_and_cloud_agree(
    sqlite_template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [(year, sqlite_template, tmp_path) for year in range(YEARS)]
    done = [_one(job) for job in jobs]
    with capsys.disabled():
        told = (
            f"\n{len(done)} simulated years, {sum(one.purchases for one in done)} purchases, "
            f"{sum(one.calls for one in done)} calls"
        )
        print(told)  # noqa: T201 - the count is the proof's size
    assert [(one.cloud, one.year, one.problems) for one in done if one.problems] == []
    assert {one.cloud for one in done} == {"aws", "azure", "gcp"}
    assert all(
        sum(one.purchases for one in done if one.cloud == cloud) > YEARS / len(CLOUDS)
        for cloud in ("aws", "azure", "gcp")
    )


@pytest.mark.parametrize("year", [0, 1, 2])
def test_a_year_replays_identically(sqlite_template: Path, tmp_path: Path, year: int) -> None:
    outlines = []
    for name in ("first", "second"):
        with database(sqlite_template, tmp_path, name) as engine:
            outlines.append(live(year, engine).outline())
    assert outlines[0] == outlines[1] != []


def seen_by_checkers(
    kind: type[Life], years: Iterable[int], template: Path, folder: Path, word: str
) -> bool:
    """True when some year shows a problem that says ``word``."""
    return any(
        word in problem
        for year in years
        for problem in lived(year, template, folder, kind).problems
    )


class TriesAgain(Life):
    """What was interrupted is simply tried again, as many a queue would."""

    def start_process(self) -> Desk:
        open_states = [IntentState.CALLING.value, IntentState.UNKNOWN.value]
        with writing(self.engine) as connection:
            connection.execute(
                update(schema.intents)
                .where(schema.intents.c.state.in_(open_states))
                .values(state=IntentState.RECORDED.value)
            )
        return super().start_process()


class SettlesNothing(Life):
    """Nobody reads the inventory."""

    def read(self) -> None:
        return


class TakesSilenceForNo(Life):
    """A timeout is booked as a refusal, and nothing is read before the end."""

    def rest(self) -> None:
        super().rest()
        with writing(self.engine) as connection:
            connection.execute(delete(schema.commitments))
            connection.execute(
                update(schema.intents).values(state=IntentState.REFUSED.value, commitment_id=None)
            )


class ForgetsAlterations(Life):
    """An alteration that was called is left as it was."""

    def rest(self) -> None:
        super().rest()
        with writing(self.engine) as connection:
            connection.execute(
                update(alterations).values(
                    state=AlterationState.UNKNOWN.value, called_at=self.cloud.now()
                )
            )


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (TriesAgain, "was called"),
        (SettlesNothing, "stuck in"),
        (TakesSilenceForNo, "not bought in the ledger"),
        (TakesSilenceForNo, "the ledger explains"),
        (TakesSilenceForNo, "not the cloud's inventory"),
        (ForgetsAlterations, "an alteration is stuck"),
    ],
)
def test_each_checker_sees_its_planted_defect(
    sqlite_template: Path, tmp_path: Path, kind: type[Life], word: str
) -> None:
    """Negative control."""
    assert seen_by_checkers(kind, range(30), sqlite_template, tmp_path, word)
