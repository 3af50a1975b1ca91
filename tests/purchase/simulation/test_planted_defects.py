"""Negative controls: each checker of a year is shown a planted defect, and sees it.

And a year replays identically, so that one in which something was found can be lived again.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from service.domain.alterations import AlterationOrder, AlterationQuote, AlterationState
from service.domain.plans import PlanLine, Verdict
from service.domain.purchases import IntentState
from service.guard.alterations import AlterationFacts
from service.purchase.desk import Facts
from service.purchase.resume import resume
from service.store import schema
from service.store.alteration_tables import alterations
from service.store.engine import writing
from tests.purchase.altering import yes
from tests.purchase.simulation.guarding import Guard
from tests.purchase.simulation.life import CAP, Life
from tests.purchase.simulation.proving import seen_by_checkers
from tests.purchase.simulation.run import Databases, live
from tests.purchase.world import allow


@pytest.mark.parametrize("year", [0, 1, 2])
def test_a_year_replays_identically(databases: Databases, year: int) -> None:
    outlines = [live(year, databases.fresh()).outline() for _ in range(2)]
    assert outlines[0] == outlines[1] != []


class CountsNothing(Life):
    """A guard that forgets what is owned and asked for."""

    def make_guard(self) -> Guard:
        return Heedless(super().make_guard().policy, self.cloud)


class Heedless(Guard):
    """Says yes to everything."""

    def on_purchase(self, line: PlanLine, facts: Facts) -> Verdict:
        return allow(line, facts)

    def on_alteration(
        self, order: AlterationOrder, quote: AlterationQuote, facts: AlterationFacts
    ) -> Verdict:
        return yes(order, quote, facts)


class TriesAgain(Life):
    """What got no answer is simply tried again, as many a queue would."""

    def tidy_up(self) -> None:
        open_states = [IntentState.CALLING.value, IntentState.UNKNOWN.value]
        now = self.cloud.now()
        with writing(self.engine) as connection:
            connection.execute(
                update(schema.intents)
                .where(schema.intents.c.state.in_(open_states))
                .values(state=IntentState.RECORDED.value, recorded_at=now)
            )
        resume(self.desk, abandoned_after=timedelta(0))
        super().tidy_up()


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
        (CountsNothing, f"above the cap of {CAP}"),
        (SettlesNothing, "stuck in"),
        (TakesSilenceForNo, "not bought in the ledger"),
        (TakesSilenceForNo, "the ledger explains"),
        (TakesSilenceForNo, "not the cloud's inventory"),
        (ForgetsAlterations, "an alteration is stuck"),
    ],
)
def test_each_checker_sees_its_planted_defect(
    databases: Databases, kind: type[Life], word: str
) -> None:
    """Negative control."""
    assert seen_by_checkers(kind, range(30), databases, word) is not None
