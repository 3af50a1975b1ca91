"""Our own strategy in a backtest: the very function that decides a live cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.backtest.walk import Buy, Strategy, StrategyFactory, View
from service.plan.ladder import DEFAULT_CAUTION, tranche
from service.plan.ladder_bounds import ALIKE, DRIFT, NEWEST, STEADY, YEAR, YOUNG, Caution
from service.plan.ladder_terms import PoolState

NAME = "tenor"


class Tenor:
    """Buys what ``plan.ladder.tranche`` says, with nothing remembered between decisions."""

    def __init__(self, caution: Caution = DEFAULT_CAUTION, *, gap_share: float = 1.0) -> None:
        self._caution, self._gap_share = caution, gap_share

    def __call__(self, view: View) -> Sequence[Buy]:
        """The tranche for the pool as it stands."""
        pool = PoolState(
            seen=view.seen,
            begin=view.begin,
            now=view.now,
            owned=view.owned[view.now :],
            step_hours=view.step_hours,
            changes=view.changes,
            holidays=view.holidays,
        )
        decided = tranche(pool, view.menu, reasons=False, caution=self._caution)
        places = {term.offer: place for place, term in enumerate(view.menu)}
        return [
            Buy(places[buy.offer], buy.quantity_usd_per_hour * self._gap_share)
            for buy in decided.buys
        ]


def _ablated(caution: Caution, gap_share: float = 1.0) -> StrategyFactory:
    def make() -> Strategy:
        return Tenor(caution, gap_share=gap_share)

    return make


ABLATIONS: Mapping[str, StrategyFactory] = {
    "tenor-without-drift": _ablated(Caution(without=frozenset({DRIFT}))),
    "tenor-without-burst": _ablated(Caution(without=frozenset({STEADY}))),
    "tenor-without-year": _ablated(Caution(without=frozenset({YEAR}))),
    "tenor-without-alike": _ablated(Caution(without=frozenset({ALIKE}))),
    "tenor-without-young": _ablated(Caution(without=frozenset({YOUNG}))),
    "tenor-without-newest": _ablated(Caution(without=frozenset({NEWEST}))),
    "tenor-without-doubt": _ablated(Caution(deviations=0.0)),
    "tenor-without-floor": _ablated(Caution(least_share=0.0)),
    "tenor-without-long-drift": _ablated(Caution(long_weeks=10_000)),
    "tenor-with-pacing-half": _ablated(DEFAULT_CAUTION, 0.5),
    "tenor-with-pacing-quarter": _ablated(DEFAULT_CAUTION, 0.25),
}
"""Ours with one part taken out or put in, to show what each part is worth."""
