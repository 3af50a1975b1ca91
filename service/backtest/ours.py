"""Our own strategy in a backtest: the very function that decides a live cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.backtest.walk import Buy, Strategy, StrategyFactory, View
from service.forecast.phase_out import Kindred
from service.plan.ladder import DEFAULT_CAUTION, tranche
from service.plan.ladder_bounds import (
    ALIKE,
    DRIFT,
    FIRST_YEAR,
    LEARNT,
    NEWEST,
    RECORD,
    STEADY,
    YEAR,
    YOUNG,
    Caution,
)
from service.plan.ladder_terms import PoolState, with_kin

NAME = "tenor"


class Tenor:
    """Buys what ``plan.ladder.tranche`` says, with nothing remembered between decisions."""

    def __init__(
        self, caution: Caution = DEFAULT_CAUTION, *, gap_share: float = 1.0, kin: bool = True
    ) -> None:
        self._caution, self._gap_share, self._kin = caution, gap_share, kin

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
        if view.kin and self._kin:
            pool = with_kin(pool, view.kin[view.mine], Kindred(view.kin))
        decided = tranche(pool, view.menu, reasons=False, caution=self._caution)
        places = {term.offer: place for place, term in enumerate(view.menu)}
        return [
            Buy(places[buy.offer], buy.quantity_usd_per_hour * self._gap_share)
            for buy in decided.buys
        ]


def _ablated(caution: Caution, gap_share: float = 1.0, *, kin: bool = True) -> StrategyFactory:
    def make() -> Strategy:
        return Tenor(caution, gap_share=gap_share, kin=kin)

    return make


def _by_bounds(*left_out: str) -> StrategyFactory:
    return _ablated(Caution(without=frozenset({LEARNT, *left_out})))


ABLATIONS: Mapping[str, StrategyFactory] = {
    "tenor-blind-to-last-year": _ablated(
        Caution(blind=("alike", "grown_", "went_", "would_", "block_65", "block_78", "block_104"))
    ),
    "tenor-blind-to-drift": _ablated(Caution(blind=("drift_", "doubt_", "fear", "slope_"))),
    "tenor-blind-to-bursts": _ablated(Caution(blind=("steady", "low_", "least_", "block_"))),
    "tenor-blind-to-noise": _ablated(Caution(blind=("rough_", "jumpy_", "jump_"))),
    "tenor-blind-to-age": _ablated(Caution(blind=("weeks_",))),
    "tenor-without-kin": _ablated(DEFAULT_CAUTION, kin=False),
    "tenor-without-record": _ablated(Caution(without=frozenset({RECORD}))),
    "tenor-learnt-alone": _ablated(Caution(without=frozenset({FIRST_YEAR, RECORD}))),
    "tenor-by-bounds": _by_bounds(),
    "tenor-by-bounds-without-drift": _by_bounds(DRIFT),
    "tenor-by-bounds-without-burst": _by_bounds(STEADY),
    "tenor-by-bounds-without-year": _by_bounds(YEAR),
    "tenor-by-bounds-without-alike": _by_bounds(ALIKE),
    "tenor-by-bounds-without-young": _by_bounds(YOUNG),
    "tenor-by-bounds-without-newest": _by_bounds(NEWEST),
    "tenor-with-pacing-half": _ablated(DEFAULT_CAUTION, 0.5),
    "tenor-with-pacing-quarter": _ablated(DEFAULT_CAUTION, 0.25),
}
"""Ours with one part taken out or put in, to show what each part is worth: signs that the learnt
share is not shown, what the pool's own past says of it, the share alone in the first year too, the
single bounds in its place, and those less one."""
