"""The search for the best continuous amounts: relaxation, true bill and ordered bound together.

Decides levels and the proven bound. Small markets start from the relaxation over all hours,
polished; large ones from that over every few hours. From there the ordered bound leads on (see
``climb``). Whichever bound is higher counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.billing.market import Market, Stack, compile_market
from service.domain.commitments import Commitment
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId, OfferingId
from service.domain.usage import Usage
from service.plan.climb import Climbed, climb
from service.plan.ordered import Ordered
from service.plan.polish import Bills, jolt, polish
from service.plan.problem import Problem, candidate, pose
from service.plan.relaxation import LARGE_CELLS, Relaxed, relax

Floats = NDArray[np.float64]

SAMPLE_CELLS = 150_000
"""Line-hours of a sample, and what needs none when the bound need not be close."""

_POLISH_CELLS, _POLISH_ALONE_CELLS = 3_000_000, 12_000_000
"""Line-hours that polishing may go through when the ordered bound leads on, and when not."""

_JOLTS, _JOLT_CELLS, _FEWEST_JOLTED = 3, 16_000_000, 100  # bills; fewer lead nowhere
_ENOUGH_RATIO = 2e-5  # of on-demand cost: below this gap nobody searches on
_ENOUGH_LARGE_RATIO = 3e-4
_WITHIN_RATIO, _WITHIN_LARGE_RATIO = 1e-4, 1e-3
_ROUNDS, _ROUNDS_LARGE = 12, 3
_SAMPLE_TOLERANCE_RATIO = 3e-3
_SLACK_RATIO = 1e-3  # a bound weaker than this is worth the relaxation over all hours too


@dataclass(frozen=True, slots=True)
class Solved:
    """``levels``: quantities by offering. The bound leaves owned commitments' cost out.

    ``free_usd``: the relaxation's bound, which holds whoever buys. ``usd``: the bill of ``levels``,
    where the search has come to know it.
    """

    levels: Mapping[OfferingId, float]
    lower_bound_usd: float
    iterations: int
    free_usd: float = 0.0
    usd: float = math.inf


@dataclass(frozen=True, slots=True)
class Search:
    """What stays the same through one optimisation: a market, a buyer and a menu.

    ``closely``: whether to prove the bound as close as it gets, which most of the time goes into.
    ``most_cells``: line-hours above which a sample of the hours leads.
    """

    market: Market
    account: AccountId
    names: Sequence[OfferingId]
    tolerance_ratio: float
    evaluations: int
    expired: Callable[[], bool]
    closely: bool = True
    most_cells: int = LARGE_CELLS

    def candidates(self, names: Sequence[OfferingId]) -> list[Commitment]:
        """The offerings bought in the first hour."""
        dataset = self.market.dataset
        hours = dataset.usage.hours
        return [candidate(dataset.offerings[name], hours, self.account) for name in names]

    def stack(self, held: Sequence[Commitment]) -> Stack:
        """``held``, then everything on the menu."""
        return self.market.stack((*held, *self.candidates(self.names)))

    def posed(self, stack: Stack, held: int) -> Problem:
        """The relaxation's data with the first ``held`` owned."""
        return pose(
            stack.plan,
            held=held,
            quantity=self.market.quantity.high,
            on_demand_usd=self.market.on_demand_usd,
        )

    def relaxed(self, problem: Problem) -> Relaxed:
        """The relaxation's answer to ``problem``."""
        return relax(problem, tolerance_ratio=self.tolerance_ratio, expired=self.expired)

    def ordered(self, stack: Stack, held: int) -> Ordered:
        """The ordered bound with the first ``held`` owned."""
        return Ordered(
            stack.plan,
            held=held,
            quantity=self.market.quantity.high,
            on_demand_usd=self.market.on_demand_usd,
        )

    def bound_beside(self, held: Sequence[Commitment], levels: Mapping[OfferingId, float]) -> float:
        """A bound with ``held`` owned, where ``levels`` were sized beside other commitments."""
        stack = self.stack(held)
        lower = self.relaxed(self.posed(stack, len(held))).lower_bound_usd
        ordered = self.ordered(stack, len(held))
        if ordered.knows and not self.expired():
            lower = max(lower, ordered.bound(levels, within_ratio=_WITHIN_RATIO).lower_bound_usd)
        return lower

    def solve(self, held: Sequence[Commitment], start: Solved | None = None) -> Solved:
        """The best amounts found beside ``held``, and the bound proven for all amounts.

        ``start``: what another buyer's search, or an earlier one, has found. Of its bounds only
        the relaxation's is this buyer's too.
        """
        stack = self.stack(held)
        cells = max(self.market.quantity.high.size, 1)
        if cells > self.most_cells and self._lasts(held):
            return self._solve_large(held, stack)
        ordered = self.ordered(stack, len(held))
        if start is not None:
            start = replace(start, lower_bound_usd=start.free_usd, usd=math.inf)
        if start is None or not (self.closely and ordered.knows):
            problem = self.posed(stack, len(held))
            most = _POLISH_CELLS if ordered.knows else _POLISH_ALONE_CELLS
            start = self._polished(held, start or self._relaxed(problem), problem, most // cells)
        if not ordered.knows or self.expired():
            return start
        found = self._climbed(stack, ordered, start.levels, large=False if self.closely else None)
        lower = max(found.lower_bound_usd, start.free_usd)
        return Solved(found.levels, lower, start.iterations, start.free_usd, found.usd)

    def _lasts(self, held: Sequence[Commitment]) -> bool:
        """Whether every hour is alike: all that may cover anything covers it in every hour."""
        hours = self.market.dataset.usage.hours
        offerings = self.market.dataset.offerings
        spans = [hours.clip(one.start, one.end) for one in held]
        return all(
            TERM_HOURS[offerings[name].term_months] >= hours.count for name in self.names
        ) and all(span == (0, hours.count) or span[0] >= span[1] for span in spans)

    def _solve_large(self, held: Sequence[Commitment], stack: Stack) -> Solved:
        """From the optimum over a sample of the hours; all hours are relaxed only if need be."""
        ordered = self.ordered(stack, len(held))
        few = self._sampled()
        sample = few.stack(held)
        problem = few.posed(sample, len(held))
        solved = relax(problem, tolerance_ratio=_SAMPLE_TOLERANCE_RATIO, expired=self.expired)
        levels: Mapping[OfferingId, float] = levels_of(problem, solved)
        lower = 0.0
        if ordered.knows and not self.expired():
            fewer = few.ordered(sample, len(held))
            levels = few._climbed(sample, fewer, levels, large=None).levels  # noqa: SLF001 - a Search
            found = self._climbed(stack, ordered, levels, large=True if self.closely else None)
            levels, lower = found.levels, found.lower_bound_usd
            owned = float(stack.usd_per_level[: len(held)] @ stack.levels[: len(held)])
            on_demand = float(self.market.on_demand_usd @ stack.quantity_by_line)
            near = found.usd - owned - lower <= _SLACK_RATIO * on_demand
            if near or not self.closely:
                return Solved(levels, lower, solved.iterations, usd=found.usd)
        problem = self.posed(stack, len(held))
        relaxed = self._relaxed(problem)
        start = replace(relaxed, levels=levels) if ordered.knows else relaxed
        most = _POLISH_ALONE_CELLS // self.market.quantity.high.size
        polished = self._polished(held, start, problem, most)
        return replace(polished, lower_bound_usd=max(lower, relaxed.lower_bound_usd))

    def _relaxed(self, problem: Problem) -> Solved:
        """The relaxation's amounts and bound."""
        relaxed = self.relaxed(problem)
        levels = levels_of(problem, relaxed)
        free_usd = relaxed.lower_bound_usd
        return Solved(levels, free_usd, relaxed.iterations, free_usd)

    def _sampled(self) -> Search:
        """The same search over every few hours, evenly spread over days and weeks."""
        market = self.market
        usage = market.dataset.usage
        lines, hours = market.quantity.high.shape
        stride = max(1, hours // max(SAMPLE_CELLS // lines, 1))
        stride = next(
            one for one in range(stride, 2 * stride + 2) if one % 2 and one % 3 and one % 7
        )
        picked = np.arange(stride // 2, hours, stride)
        few = Usage(replace(usage.hours, count=len(picked)), usage.lines, usage.quantity[picked])
        dataset = market.dataset
        return replace(
            self,
            market=compile_market(few, dataset.skus, dataset.offerings, sharing=market.sharing),
        )

    def _climbed(
        self,
        stack: Stack,
        ordered: Ordered,
        start: Mapping[OfferingId, float],
        *,
        large: bool | None,
    ) -> Climbed:
        """What ``climb`` makes of ``start``; ``large=None``: without proving anything."""
        held = len(stack.levels) - len(self.names)
        fixed = stack.levels[:held]
        on_demand = float(self.market.on_demand_usd @ stack.quantity_by_line)

        def bill_usd(levels: Mapping[OfferingId, float]) -> float:
            wanted = [max(float(levels.get(name, 0.0)), 0.0) for name in self.names]
            return stack.cost(np.concatenate((fixed, wanted)))

        return climb(
            ordered,
            bill_usd,
            start,
            owned_usd=float(stack.usd_per_level[:held] @ fixed),
            enough_usd=(_ENOUGH_LARGE_RATIO if large else _ENOUGH_RATIO) * on_demand,
            within_ratio=None if large is None else _WITHIN_LARGE_RATIO if large else _WITHIN_RATIO,
            rounds=_ROUNDS if large is False else _ROUNDS_LARGE,
            jolted=lambda levels: self._jolted(stack, held, levels),
            expired=self.expired,
        )

    def _jolted(
        self, stack: Stack, held: int, levels: Mapping[OfferingId, float]
    ) -> Mapping[OfferingId, float]:
        """Levels out of reach of slopes, where bills are cheap enough to look for them."""
        most = min(_JOLTS * self.evaluations, _JOLT_CELLS // self.market.quantity.high.size)
        if most < _FEWEST_JOLTED or not levels:
            return levels
        names = sorted(levels)
        owned = [room.commitment for room in stack.plan.rooms[:held]]
        bills = Bills(self.market.stack((*owned, *self.candidates(names))), held, most)
        given = np.maximum([levels[one] for one in names], 0.0)
        best = jolt(bills, given, self.expired)
        return dict(zip(names, best.tolist(), strict=True))

    def _polished(
        self,
        held: Sequence[Commitment],
        start: Solved,
        problem: Problem,
        evaluations: int,
    ) -> Solved:
        """Polished from ``start`` by so many bills."""
        names = list(start.levels)
        most = min(self.evaluations, evaluations)
        if most > 0 and names:
            stack = self.market.stack((*held, *self.candidates(names)))
            bills = Bills(stack, len(held), most)
            given = np.array([start.levels[one] for one in names])
            best = polish(bills, given, _siblings(problem, names), self.expired)
            levels = dict(zip(names, best.tolist(), strict=True))
            return replace(start, levels=levels, usd=bills.best_usd)
        return start


def levels_of(problem: Problem, relaxed: Relaxed) -> dict[OfferingId, float]:
    """Quantities by offering that the problem kept."""
    return {
        name: float(units / per)
        for name, units, per in zip(
            problem.offering, relaxed.bought, problem.units_per_quantity, strict=True
        )
        if name is not None
    }


def _siblings(problem: Problem, names: Sequence[OfferingId]) -> list[list[int]]:
    """For each offering those that share a group with it but do not reach further."""
    place = {name: index for index, name in enumerate(names)}
    groups = [
        {one for one in group.resources if problem.offering[one] is not None}
        for group in problem.groups
    ]
    reach = {
        one: {number for number, group in enumerate(groups) if one in group}
        for group in groups
        for one in group
    }
    siblings: list[list[int]] = [[] for _ in names]
    for one, mine in reach.items():
        name = problem.offering[one]
        if name is not None and name in place:
            siblings[place[name]] = sorted(
                place[rival]
                for other, theirs in reach.items()
                if other != one and theirs & mine and len(theirs) <= len(mine)
                if (rival := problem.offering[other]) is not None and rival in place
            )
    return siblings
