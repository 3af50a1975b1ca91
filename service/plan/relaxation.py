"""The free-allocation relaxation: what to buy if every hour might allocate as it liked.

Decides the portfolio to start from and a proven lower bound on any portfolio's bill. A provider's
order of application is one allocation among those that the relaxation may choose, so its optimum
is never above the true one. Amounts are dollars, quantities resource units (see ``problem``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeVar

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from service.plan.elimination import eliminate
from service.plan.interior import Shard, Standing, Step
from service.plan.interior_items import Cell, Items
from service.plan.problem import Group, Problem

Floats = NDArray[np.float64]
_S = TypeVar("_S")
_T = TypeVar("_T")

TOLERANCE_RATIO = 1e-6
"""Stop when primal and bound are within this share of the on-demand cost."""

LARGE_CELLS = 600_000
"""Item-hours above which a part is large: single precision, certified in double at the end."""

_LARGE_TOLERANCE_RATIO = 6e-4
_SHARD_HOURS = 4_400  # long enough for numpy's loops, short enough for a core's cache
_THREADS = 2
_ITERATIONS = 120
_BARRIER = 0.2
_PRICE = 0.85
_START_ROOM = 1.2
_LEAST_CENTRING = 1e-4
_LEAST_CENTRING_APART = 0.2  # hours that lag behind must be able to follow
_NOTHING = 1e-7  # of a mean item: stands for no demand, so that the interior is not empty
_NO_ROOM = 1e-6
_APART_CELLS = 20_000
_TOGETHER_RATIO = 1e-2
"""With many item-hours, hours go each as far as they can until the gap is so small, then all the
same length: the first is several times faster, the second converges to the last digit."""


@dataclass(frozen=True, slots=True)
class Relaxed:
    """The relaxation's answer.

    ``bought``: units by resource. ``lower_bound_usd``: proven, all of the market's usage and
    purchases included, owned commitments' cost excluded. ``value_usd``: the relaxed bill at
    ``bought``, at most this. ``iterations``: steps of the interior-point method. ``prices``: of a
    unit of each resource in each hour, those that prove the bound; ``worth_usd``: their sums.
    """

    bought: Floats
    lower_bound_usd: float
    value_usd: float
    iterations: int
    prices: Floats

    @property
    def worth_usd(self) -> Floats:
        """Σ over hours of the prices, by resource."""
        total: Floats = self.prices.sum(axis=1)
        return total


def relax(
    problem: Problem,
    *,
    tolerance_ratio: float = TOLERANCE_RATIO,
    expired: Callable[[], bool] = lambda: False,
) -> Relaxed:
    """Solve ``problem`` to ``tolerance_ratio`` of its on-demand cost, or until ``expired``.

    When time runs out the bound is still proven, only weaker. Parts of more than ``LARGE_CELLS``
    are solved less closely, see ``LARGE_CELLS``.
    """
    bought = np.zeros(len(problem.offering))
    prices = np.zeros_like(problem.active)
    lower = value = problem.fixed_usd
    iterations = 0
    for members in _parts(problem):
        resources = _resources(members)
        solved = _solved(problem, members, tolerance_ratio, expired)
        bought[resources] = solved.bought
        prices[resources] = solved.prices
        lower += solved.lower_bound_usd
        value += solved.value_usd
        iterations = max(iterations, solved.iterations)
    return Relaxed(bought, lower, value, iterations, prices)


def _solved(
    problem: Problem,
    members: Sequence[Group],
    tolerance_ratio: float,
    expired: Callable[[], bool],
) -> Relaxed:
    """One part, in double precision from the start where single precision got stuck."""
    part = _Part(problem, members)
    within = max(tolerance_ratio, part.least_tolerance_ratio) * part.demand_usd
    solved = part.solve(within, expired)
    if part.is_single and not expired() and solved.value_usd - solved.lower_bound_usd > 2 * within:
        again = _Part(problem, members, single=False).solve(within, expired)
        if again.lower_bound_usd > solved.lower_bound_usd:
            return again
    return solved


def _parts(problem: Problem) -> list[list[Group]]:
    """Groups that share no resource, directly or through others, can be solved apart."""
    plan = eliminate(len(problem.offering), [])
    label = list(range(plan.size))

    def root(one: int) -> int:
        while label[one] != one:
            one = label[one]
        return one

    for group in problem.groups:
        for other in group.resources[1:]:
            label[root(other)] = root(group.resources[0])
    parts: dict[int, list[Group]] = {}
    for group in problem.groups:
        parts.setdefault(root(group.resources[0]), []).append(group)
    return list(parts.values())


def _resources(groups: Sequence[Group]) -> NDArray[np.intp]:
    return np.array(sorted({one for group in groups for one in group.resources}), dtype=np.intp)


class _Part:
    """One connected part of a market and the state of its interior-point method.

    Amounts are divided by the mean item's hourly demand, so that they are around one.
    """

    def __init__(self, problem: Problem, groups: Sequence[Group], *, single: bool = True) -> None:
        self.resources = _resources(groups)
        index = {int(one): place for place, one in enumerate(self.resources)}
        demand = sum(float(group.demand_usd.sum()) for group in groups)
        count = sum(group.demand_usd.size for group in groups)
        self._scale = demand / count
        self._total = float(count)
        self._large = count > LARGE_CELLS
        self.demand_usd = demand
        self.active = problem.active[self.resources]
        self._given = problem.owned[self.resources]
        owned = self._given / self._scale
        self._owned = np.where(self.active > 0, owned, np.maximum(owned, _NO_ROOM))
        self._groups = [
            (tuple(index[one] for one in group.resources), group.demand_usd, group.rate)
            for group in groups
        ]
        self._cost = self.active.sum(axis=1)
        self._buy = np.flatnonzero(self._cost > 0)
        pairs = sum((1 + len(group.resources)) * group.demand_usd.size for group in groups)
        self.is_single = single and self._large
        self._kind = np.float32 if self.is_single else np.float64
        self._complements = pairs + self.active.size + len(self._buy)
        self._shards = self._cut()
        self._bought = np.zeros(len(self.resources))
        self._slack = self._cost * (1.0 - _PRICE)
        self._slack_off = np.zeros(len(self.resources))
        self._together = count <= _APART_CELLS
        self._least_gap = np.inf

    @property
    def least_tolerance_ratio(self) -> float:
        """What is worth proving: less for what is large, where single precision is at work."""
        return _LARGE_TOLERANCE_RATIO if self._large else 0.0

    def _cut(self) -> list[Shard]:
        plan = eliminate(len(self.resources), [one for one, _, _ in self._groups])
        hours = self.active.shape[1]
        pieces = max(1, round(hours / _SHARD_HOURS))
        edges = [hours * piece // pieces for piece in range(pieces + 1)]
        shards = []
        for first, last in itertools.pairwise(edges):
            cells = [
                Cell(one, self._items(demand[:, first:last]), rate)
                for one, demand, rate in self._groups
            ]
            active = np.ascontiguousarray(self.active[:, first:last])
            owned = np.ascontiguousarray(self._owned[:, first:last])
            shards.append(Shard(plan, cells, active, owned, _PRICE))
        return shards

    def _items(self, demand_usd: Floats) -> Items:
        return np.maximum(demand_usd / self._scale, _NOTHING).astype(self._kind)

    def solve(self, within_usd: float, expired: Callable[[], bool]) -> Relaxed:
        """Iterate until primal less bound is at most ``within_usd``."""
        with ThreadPoolExecutor(_THREADS) as pool:
            crew = _Crew(pool, self._shards)
            self._start(crew)
            at = _sum(crew.each(Shard.standing))
            best, prices = self._bounded(at), crew.each(Shard.prices)
            primal = self._primal(at)
            done = 0
            while (primal - best) * self._scale > within_usd and done < _ITERATIONS:
                if expired():
                    break
                try:
                    at = self._iterate(crew, primal - at.dual)
                except LinAlgError:  # the last digits are reached: the best so far stands
                    break
                done += 1
                primal = self._primal(at)
                if self._bounded(at) > best:
                    best, prices = self._bounded(at), crew.each(Shard.prices)
            certified = np.concatenate(prices, axis=1)
            bound = self._certified(crew, certified)
        return Relaxed(
            bought=self._bought * self._scale,
            lower_bound_usd=bound,
            value_usd=primal * self._scale,
            iterations=done,
            prices=certified,
        )

    def _primal(self, at: Standing) -> float:
        return at.primal + float(self._cost @ self._bought)

    def _bounded(self, at: Standing) -> float:
        """About what the bound will be once prices that add up to too much are scaled down."""
        return at.bound - float(np.maximum(-at.price_slack, 0.0) @ self._bought)

    def _certified(self, crew: _Crew, prices: Floats) -> float:
        """The dual objective at ``prices``, in double precision on the data as given.

        Every item pays its cheapest cover, owned room is handed back at its price. Prices that
        add up to more than a purchase costs are scaled down first, so no purchase can gain.
        """
        sums = (self.active * prices).sum(axis=1)
        fair = np.minimum(1.0, self._cost / np.maximum(sums, 1e-300))
        prices *= np.where(self._cost > 0, fair, 1.0)[:, None]

        def worth(group: tuple[tuple[int, ...], Floats, Floats]) -> float:
            resources, demand_usd, rate = group
            least = np.ones_like(demand_usd)
            for one, of in zip(resources, rate, strict=True):
                np.minimum(least, of[:, None] * prices[one], out=least)
            return float(np.vdot(demand_usd, least))

        total = sum(crew.over(worth, self._groups))
        return (total - float((self._given * prices).sum())) * (1.0 - 1e-13)

    def _start(self, crew: _Crew) -> None:
        used = np.concatenate(crew.each(lambda shard: shard.centre_items(_BARRIER)), axis=1)
        need = np.where(self.active > 0, used - self._owned, 0.0).mean(axis=1)
        self._bought[self._buy] = np.maximum(_START_ROOM * need, 1e-3)[self._buy]
        cuts = np.cumsum([shard.active.shape[1] for shard in self._shards])[:-1]
        for shard, part in zip(self._shards, np.split(used, cuts, axis=1), strict=True):
            shard.fit(self._bought, part)

    def _iterate(self, crew: _Crew, gap: float) -> Standing:
        buy = self._buy
        bought, slack = self._bought[buy], self._slack[buy]
        assembled = crew.each(lambda shard: shard.assemble(self._bought))
        matrix = _added([one[0] for one in assembled])[np.ix_(buy, buy)]
        if not np.isfinite(matrix).all():
            msg = "the hours' systems have lost their digits"
            raise LinAlgError(msg)
        factor = _Cholesky(matrix + np.diag(slack / bought))
        off = self._slack_off[buy]
        right = _added([one[1] for one in assembled])[buy]
        step = factor.solve(right - slack - off)
        predicted = crew.each(lambda shard: shard.predict(self._whole(step)))
        moved = [one[0] for one in predicted]
        price_ratio = (off - _added([one.price_sums for one in moved])[buy]) / slack
        primal, dual = self._lengths(moved, step / bought, price_ratio)
        gain = float(self._cost[buy] @ step) + sum(one.primal_change for one in moved)
        left = gap + primal * gain - dual * sum(one.dual_change for one in moved)
        least = _LEAST_CENTRING if self._together else _LEAST_CENTRING_APART
        centring = min(max((max(left, 0.0) / gap) ** 3, least), 0.9)
        barrier = centring * gap / self._complements
        second_order = 1.0 + price_ratio * step / bought
        right = barrier * _added([one[1] for one in predicted])[buy]
        right += _added([one[2] for one in predicted])[buy]
        right += barrier / bought - second_order * slack - off
        step = factor.solve(right)
        keep = min(max(0.9, 1.0 - 10.0 * gap / self._total), 0.9995)
        corrected = crew.each(lambda shard: shard.correct(self._whole(step), barrier, keep))
        price_ratio = (off - _added([one.price_sums for one in corrected])[buy]) / slack
        primal, dual = self._lengths(corrected, step / bought, price_ratio, keep)
        together = (primal, dual) if self._together else None
        at = _sum(crew.each(lambda shard: shard.move(together)))
        self._bought[buy] += primal * step
        self._slack[buy] *= 1.0 + dual * price_ratio
        self._slack_off = at.price_slack - self._slack
        self._choose_steps(gap)
        return at

    def _choose_steps(self, gap: float) -> None:
        """Hours go together near the end, or once going apart has made things worse."""
        near = not self.is_single and gap < _TOGETHER_RATIO * self._total
        self._together |= near or gap > 1.5 * self._least_gap
        self._least_gap = min(self._least_gap, gap)

    def _whole(self, step: Floats) -> Floats:
        whole = np.zeros(len(self.resources))
        whole[self._buy] = step
        return whole

    def _lengths(
        self, steps: Sequence[Step], bought: Floats, slack: Floats, keep: float = 1.0
    ) -> tuple[float, float]:
        """How far to go with the purchases and their slacks, whose relative changes are given.

        As far as the hours go on average, or the shortest of them when they go together.
        """
        if self._together:
            primal, dual = np.min([one.lengths[:, 1] for one in steps], axis=0)
        else:
            primal, dual = _added([one.lengths[:, 0] for one in steps]) / self.active.shape[1]
        return (
            min(float(primal), -keep / min(float(bought.min(initial=0.0)), -1e-12)),
            min(float(dual), -keep / min(float(slack.min(initial=0.0)), -1e-12)),
        )


class _Crew:
    """Threads that do one thing to every shard; the order of the answers is the shards'."""

    def __init__(self, pool: ThreadPoolExecutor, shards: Sequence[Shard]) -> None:
        self._pool = pool
        self._shards = shards

    def over(self, work: Callable[[_S], _T], values: Sequence[_S]) -> list[_T]:
        """``work`` done to every value."""
        return list(self._pool.map(work, values))

    def each(self, work: Callable[[Shard], _T]) -> list[_T]:
        """``work`` done to every shard. What overflows is seen where the sums are used."""

        def quietly(shard: Shard) -> _T:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                return work(shard)

        return list(self._pool.map(quietly, self._shards))


class _Cholesky:
    """A factored positive definite matrix; of no rows when nothing can be bought."""

    def __init__(self, matrix: Floats) -> None:
        from scipy.linalg import cho_factor  # noqa: PLC0415 - a second that a start can do without

        self._factor = cho_factor(matrix) if matrix.size else None

    def solve(self, right: Floats) -> Floats:
        """The solution for ``right``; ``LinAlgError`` when that has lost its digits."""
        if self._factor is None:
            return right
        if not np.isfinite(right).all():
            msg = "the hours' sums have lost their digits"
            raise LinAlgError(msg)
        from scipy.linalg import cho_solve  # noqa: PLC0415 - as above

        solution: Floats = cho_solve(self._factor, right)
        return solution


def _added(arrays: Sequence[Floats]) -> Floats:
    return reduce(add, arrays)


def _sum(parts: Sequence[Standing]) -> Standing:
    return Standing(
        primal=sum(one.primal for one in parts),
        dual=sum(one.dual for one in parts),
        bound=sum(one.bound for one in parts),
        price_slack=_added([one.price_slack for one in parts]),
    )
