"""Our own strategy in a backtest: the very function that decides a live cycle."""

from __future__ import annotations

from collections.abc import Sequence

from service.backtest.walk import Buy, View
from service.plan.ladder import tranche
from service.plan.ladder_terms import PoolState

NAME = "tenor"


class Tenor:
    """Buys what ``plan.ladder.tranche`` says, with nothing remembered between decisions."""

    def __call__(self, view: View) -> Sequence[Buy]:
        """The tranche for the pool as it stands."""
        pool = PoolState(
            seen=view.seen,
            begin=view.begin,
            now=view.now,
            owned=view.owned[view.now :],
            step_hours=view.step_hours,
        )
        decided = tranche(pool, view.menu, reasons=False)
        places = {term.offer: place for place, term in enumerate(view.menu)}
        return [Buy(places[buy.offer], buy.quantity_usd_per_hour) for buy in decided.buys]
