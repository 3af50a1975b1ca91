"""The walk forward: a strategy decides at each instant on what could be seen, and is billed.

All amounts are on-demand dollars per hour (capacity) or dollars; hours are counted from the
start of the history. A strategy sees a copy that ends at the lag, so it cannot look ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.backtest.market import Walk
from service.domain.errors import InvariantError
from service.forecast.changes import PlannedChange
from service.forecast.holidays import Holiday
from service.forecast.phase_out import Kin
from service.plan.ladder_terms import Term

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class View:
    """All that may be known at one decision.

    ``seen`` are the hourly on-demand dollars from hour 0 to the lag. ``owned`` is the capacity
    owned in every hour from 0 to the end of the longest term that could be bought now (past
    and future, as bought so far). ``now`` is the decision's hour, ``begin`` the instant of
    hour 0, ``step_hours`` the time to the next decision. ``changes`` are the planned changes
    that touch the pool, ``holidays`` its calendar: people's knowledge, not the history's.
    ``kin``: where the pool is one machine type, this and the other types of all regions, as far
    as ``seen`` reaches; ``mine`` is its place among them.
    """

    seen: Series
    owned: Series
    now: int
    step_hours: int
    begin: datetime
    menu: tuple[Term, ...]
    changes: tuple[PlannedChange, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    kin: tuple[Kin, ...] = ()
    mine: int = 0

    @property
    def owned_now(self) -> float:
        """Capacity owned in the hour that begins now."""
        return float(self.owned[self.now])


class Buy(NamedTuple):
    """One purchase: ``quantity`` in on-demand dollars per hour of ``menu[place]``."""

    place: int
    quantity: float


class Strategy(Protocol):
    """Decides what to buy. Made afresh for every run, so it may remember what it did."""

    def __call__(self, view: View, /) -> Sequence[Buy]:
        """The purchases to make now."""
        ...


StrategyFactory = Callable[[], Strategy]


class Purchase(NamedTuple):
    """A purchase made at hour ``hour``: ``quantity`` on-demand $/h of ``menu[place]``."""

    hour: int
    place: int
    quantity: float


@dataclass(frozen=True, slots=True)
class Run:
    """One strategy on one pool.

    Its purchases, and per hour of the history the capacity owned ($/h on demand) and the
    commitments' cost in dollars.
    """

    purchases: tuple[Purchase, ...]
    owned: Series
    commitment_usd: Series


def walk_forward(
    demand: Series,
    strategy: Strategy,
    *,
    menu: tuple[Term, ...],
    walk: Walk,
    begin: datetime,
    changes: tuple[PlannedChange, ...] = (),
    holidays: tuple[Holiday, ...] = (),
    kin: Sequence[Kin] = (),
    mine: int = 0,
) -> Run:
    """Walk ``strategy`` over hourly ``demand``; purchases start at the deciding hour.

    ``kin``: the types that ``demand`` is ``mine``-th of, over the same hours; none if no type.
    """
    reach = demand.size + max(term.hours for term in menu) + walk.step_hours
    owned, cost = np.zeros(reach), np.zeros(reach)
    purchases: list[Purchase] = []
    longest = max(term.hours for term in menu)
    for now in walk.instants(demand.size):
        seen = max(now - walk.lag_hours, 0)
        view = View(
            seen=demand[:seen].copy(),
            owned=owned[: now + longest].copy(),
            now=now,
            step_hours=walk.step_hours,
            begin=begin,
            menu=menu,
            changes=changes,
            holidays=holidays,
            kin=tuple(replace(one, seen=one.seen[:seen].copy()) for one in kin),
            mine=mine,
        )
        for place, quantity in strategy(view):
            if not np.isfinite(quantity) or quantity < 0:
                msg = f"a strategy bought {quantity} at hour {now}"
                raise InvariantError(msg)
            if quantity > 0:
                term = menu[place]
                owned[now : now + term.hours] += quantity
                cost[now : now + term.hours] += quantity * term.rate_ratio
                purchases.append(Purchase(now, place, float(quantity)))
    return Run(tuple(purchases), owned[: demand.size], cost[: demand.size])
