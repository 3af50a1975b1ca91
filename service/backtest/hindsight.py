"""The exact optimum for someone who knows the demand and may buy at the same instants.

Between two instants at which capacity can change (a decision or an expiry) the bill is convex
and piecewise linear in the capacity owned, with a corner at each hour's demand. The whole is
therefore one linear programme: purchases per instant and term, and per interval the capacity
cut into segments whose value falls. Buying less is always possible, so it is always feasible.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from service.backtest.market import Walk
from service.backtest.walk import Purchase, Series
from service.domain.errors import InvariantError
from service.plan.ladder_terms import Term

_NEGLIGIBLE = 1e-9


@dataclass(frozen=True, slots=True)
class Hindsight:
    """The least cost in dollars over the window, what was bought, the capacity per hour."""

    cost_usd: float
    purchases: tuple[Purchase, ...]
    owned: Series


def hindsight(demand: Series, *, menu: tuple[Term, ...], walk: Walk) -> Hindsight:
    """The exact optimum over ``demand[walk.warmup_hours:]``, charged inside the window only."""
    instants = walk.instants(demand.size)
    if not instants:
        return Hindsight(0.0, (), np.zeros(demand.size))
    cuts = _cuts(instants, menu, demand.size)
    lengths = np.diff(cuts)
    buys = [(now, place) for now in instants for place in range(len(menu))]
    cost = np.array(
        [menu[p].rate_ratio * (min(now + menu[p].hours, demand.size) - now) for now, p in buys]
    )
    widths, values, rows = _segments(demand, cuts)
    places = np.searchsorted(cuts, [now for now, _ in buys])
    ends = np.searchsorted(cuts, [min(now + menu[p].hours, demand.size) for now, p in buys])
    # used capacity of an interval ≤ capacity owned in it
    owned_rows = np.concatenate([np.arange(a, b) for a, b in zip(places, ends, strict=True)])
    owned_columns = np.repeat(np.arange(len(buys)), ends - places)
    count = len(buys)
    matrix = sparse.csr_matrix(
        (
            np.concatenate([-np.ones(owned_rows.size), np.ones(rows.size)]),
            (
                np.concatenate([owned_rows, rows]),
                np.concatenate([owned_columns, count + np.arange(rows.size)]),
            ),
        ),
        shape=(lengths.size, count + rows.size),
    )
    answer = linprog(  # type: ignore[call-overload] # its stubs know no sparse matrices
        np.concatenate([cost, -values]),
        A_ub=matrix,
        b_ub=np.zeros(lengths.size),
        bounds=np.column_stack(
            [np.zeros(count + rows.size), np.concatenate([np.full(count, np.inf), widths])]
        ),
        method="highs-ds",
        # a slice per hour and a row per week leave presolving nothing to find but its own time
        options={"presolve": False},
    )
    if answer.status != 0:
        msg = f"hindsight was not solved: {answer.message}"
        raise InvariantError(msg)
    amounts = answer.x[:count]
    purchases = tuple(
        Purchase(now, place, float(amount))
        for (now, place), amount in zip(buys, amounts, strict=True)
        if amount > _NEGLIGIBLE
    )
    return _replayed(demand, purchases, menu, instants[0])


def _cuts(instants: tuple[int, ...], menu: tuple[Term, ...], end: int) -> NDArray[np.int64]:
    changes = {*instants, end}
    changes.update(now + term.hours for now in instants for term in menu if now + term.hours < end)
    return np.array(sorted(changes), dtype=np.int64)


def _segments(demand: Series, cuts: NDArray[np.int64]) -> tuple[Series, Series, NDArray[np.int64]]:
    """Per interval the slices of capacity between successive demands, lowest first.

    Each has a width ($/h), a value (hours in which it is used) and its interval's number.
    """
    widths, values, rows = [], [], []
    for row, (first, last) in enumerate(pairwise(cuts)):
        heights, repeats = np.unique(demand[first:last], return_counts=True)
        steps = np.diff(heights, prepend=0.0)
        above = np.cumsum(repeats[::-1])[::-1].astype(np.float64)
        real = steps > 0
        widths.append(steps[real])
        values.append(above[real])
        rows.append(np.full(int(real.sum()), row, dtype=np.int64))
    return np.concatenate(widths), np.concatenate(values), np.concatenate(rows)


def _replayed(
    demand: Series, purchases: tuple[Purchase, ...], menu: tuple[Term, ...], first: int
) -> Hindsight:
    owned, cost = np.zeros(demand.size), 0.0
    for hour, place, quantity in purchases:
        term = menu[place]
        end = min(hour + term.hours, demand.size)
        owned[hour:end] += quantity
        cost += quantity * term.rate_ratio * (end - hour)
    over = np.maximum(demand[first:] - owned[first:], 0.0).sum()
    return Hindsight(float(cost + over), purchases, owned)
