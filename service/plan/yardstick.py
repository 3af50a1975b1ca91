"""The whole linear programme in HiGHS: one variable per item, hour and resource that may cover it.

The yardstick that the planner's own method is measured against, and nothing else: exact and slow.
Same data as the relaxation, see ``problem``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_matrix, csr_matrix

from service.domain.errors import InvariantError
from service.plan.problem import Problem
from service.plan.relaxation import Relaxed

Floats = NDArray[np.float64]


class _Rows:
    """Triplets of the constraint matrix, and its right-hand side."""

    def __init__(self) -> None:
        self.row: list[NDArray[np.intp]] = []
        self.column: list[NDArray[np.intp]] = []
        self.value: list[Floats] = []

    def add(self, row: NDArray[np.intp], column: NDArray[np.intp], value: Floats) -> None:
        """Add entries."""
        self.row.append(row)
        self.column.append(column)
        self.value.append(value)

    def matrix(self, rows: int, columns: int) -> csr_matrix:
        """All entries as one sparse matrix."""
        row, column = np.concatenate(self.row), np.concatenate(self.column)
        return coo_matrix((np.concatenate(self.value), (row, column)), (rows, columns)).tocsr()


def whole_programme(problem: Problem, *, limit_seconds: float | None = None) -> Relaxed:
    """The relaxation's optimum by HiGHS; ``InvariantError`` when HiGHS does not prove one.

    ``limit_seconds``: of wall time, after which HiGHS gives up.
    """
    resources, hours = problem.active.shape
    hour = np.arange(hours)
    rows = _Rows()
    usage = sum(group.demand_usd.size for group in problem.groups)
    cost = [problem.active.sum(axis=1)]
    columns = resources
    before = 0
    for group in problem.groups:
        items, cells = len(group.demand_usd), group.demand_usd.size
        for place, one in enumerate(group.resources):
            column = columns + np.arange(cells)
            rows.add(before + np.arange(cells), column, np.ones(cells))
            room = usage + one * hours + np.tile(hour, items)
            rows.add(room, column, np.repeat(group.rate[place], hours))
            cost.append(-np.ones(cells))
            columns += cells
        before += cells
    room = usage + np.arange(resources * hours)
    rows.add(room, np.repeat(np.arange(resources), hours), -problem.active.ravel())
    limits = [group.demand_usd.ravel() for group in problem.groups] + [problem.owned.ravel()]
    solved = linprog(  # type: ignore[call-overload]  # sparse A_ub is missing from the stubs
        np.concatenate(cost),
        A_ub=rows.matrix(usage + resources * hours, columns),
        b_ub=np.concatenate(limits),
        method="highs-ipm",  # on this shape six times faster than simplex
        options={} if limit_seconds is None else {"time_limit": limit_seconds},
    )
    if solved.status != 0:
        msg = f"HiGHS gave no optimum: {solved.message}"
        raise InvariantError(msg)
    demand = sum(float(group.demand_usd.sum()) for group in problem.groups)
    value = float(solved.fun) + demand + problem.fixed_usd
    bought = np.where(problem.active.any(axis=1), solved.x[:resources], 0.0)
    prices = -solved.ineqlin.marginals[usage:].reshape(resources, hours)
    return Relaxed(bought, value, value, int(solved.nit), prices)
