"""What to buy for a known future: the free-allocation optimum, replayed and polished as a bill.

Decides continuous amounts of all offerings at once. Purchases start in the first hour and cost
what falls inside the hours given. The result is always judged by the billing waterfall; the
relaxation gives the start and the proven lower bound. Dollars are over all of the dataset's hours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import bill
from service.billing.exact import Pair
from service.billing.market import Market, Stack
from service.billing.sharing import ORGANISATION, Sharing
from service.domain.commitments import Commitment
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId, OfferingId
from service.domain.plans import PlanStatus, Refusal
from service.domain.usage import Dataset
from service.plan.polish import Bills, polish
from service.plan.problem import Problem, as_sized, candidate, pose
from service.plan.quantise import CONTINUOUS_STEP, exactly, quantise, usd
from service.plan.relaxation import TOLERANCE_RATIO, Relaxed, relax

Floats = NDArray[np.float64]

POLISH_EVALUATIONS = 200
"""Bills that polishing may ask for when the dataset is small."""

OPTIMAL_GAP_RATIO = Decimal("0.001")
"""A plan within this gap of its proven bound is called optimal."""

_EXACT_CELLS = 1_000_000  # above so many line-hours the report is billed in float64
_POLISH_CELLS = 12_000_000  # line-hours that polishing may go through
_DUST_RATIO = 1e-9  # of on-demand cost: amounts below are no purchases


@dataclass(frozen=True, slots=True)
class Purchase:
    """One amount to buy: $/h (spend) or units of capacity, before the offering's own step.

    ``on_demand_ratio``: on average, what a dollar of its usage costs under the offering.
    """

    offering: OfferingId
    quantity: Decimal
    on_demand_ratio: float


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What to buy and what it is worth.

    ``before_usd`` and ``after_usd`` are bills without and with the purchases, ``lower_bound_usd``
    is proven for every set of purchases from the menu; ``gap_ratio`` = (after − lower) / before.
    """

    status: PlanStatus
    before_usd: Decimal
    after_usd: Decimal
    lower_bound_usd: Decimal
    gap_ratio: Decimal
    purchases: tuple[Purchase, ...]
    refusals: tuple[Refusal, ...]
    account: AccountId
    iterations: int


def optimise(
    dataset: Dataset,
    *,
    menu: Sequence[OfferingId] | None = None,
    purchase_account: AccountId | None = None,
    sharing: Sharing = ORGANISATION,
    tolerance_ratio: float = TOLERANCE_RATIO,
    evaluations: int = POLISH_EVALUATIONS,
    expired: Callable[[], bool] = lambda: False,
) -> Portfolio:
    """The best purchases from ``menu`` (all offerings when ``None``) for the dataset's hours.

    Queued and payment-pending commitments count as owned from their start when sizing; the bills
    reported count only what is active, as providers do. When ``expired`` answers true the search
    stops with what it has: the bound stays proven, the gap says how far it got.
    """
    account = purchase_account or buying_account(dataset)
    names, refusals = _buyable(dataset, menu)
    market = flat_market(dataset, sharing)
    task = _Task(market, account, names, tolerance_ratio, evaluations, expired)
    owned = as_sized(dataset.commitments)
    billed = tuple(one for one in owned if one in dataset.commitments)
    problem, relaxed = task.relaxed(owned)
    bound = relaxed.lower_bound_usd
    if billed != owned:
        _, apart = task.relaxed(billed)
        bound = apart.lower_bound_usd
    bound += _cost_of(market, billed)
    levels = _levels(problem, relaxed)
    chosen = task.polished(owned, levels, problem)
    bought = tuple(
        candidate(dataset.offerings[name], dataset.usage.hours, account, quantity)
        for name, quantity in chosen
    )
    before = _billed_usd(market, dataset, billed)
    after = _billed_usd(market, dataset, (*billed, *bought))
    lower = min(usd(max(bound, 0.0)), after)
    gap = (after - lower) / before if before else Decimal(0)
    ratios = _on_demand_ratios(problem)
    return Portfolio(
        status=PlanStatus.OPTIMAL if gap <= OPTIMAL_GAP_RATIO else PlanStatus.FEASIBLE,
        before_usd=before,
        after_usd=after,
        lower_bound_usd=lower,
        gap_ratio=round(gap, 12),
        purchases=tuple(Purchase(name, quantity, ratios[name]) for name, quantity in chosen),
        refusals=refusals,
        account=account,
        iterations=relaxed.iterations,
    )


def buying_account(dataset: Dataset) -> AccountId:
    """Who buys when nobody is named: the owner of most holdings, else who uses least.

    A provider serves the owner's own usage first, whether or not it saves most there; an owner
    with little usage leaves the order to the savings.
    """
    owners = [one.account for one in dataset.commitments if one.state.is_owned]
    if owners:
        return max(sorted(set(owners)), key=owners.count)
    spent: dict[AccountId, float] = {}
    totals = dataset.usage.quantity.sum(axis=0)
    for line, total in zip(dataset.usage.lines, totals.tolist(), strict=True):
        usd = total * float(dataset.skus[line.key].on_demand_usd)
        spent[line.account] = spent.get(line.account, 0.0) + usd
    return min(sorted(spent), key=lambda one: spent[one], default=AccountId(""))


def _buyable(
    dataset: Dataset, menu: Sequence[OfferingId] | None
) -> tuple[list[OfferingId], tuple[Refusal, ...]]:
    """The menu's offerings that can be sized, in order of their ids, and why others cannot."""
    names, refusals = [], []
    for name in sorted(dataset.offerings if menu is None else set(menu)):
        offering = dataset.offerings[name]
        if offering.term_months not in TERM_HOURS:
            detail = f"a term of {offering.term_months} months is not sold"
            refusals.append(Refusal("term", name, detail))
        elif not offering.kind.is_spend and min(offering.rates_usd.values()) <= 0:
            refusals.append(Refusal("rate", name, "a rate of 0 has no best amount"))
        else:
            names.append(name)
    return names, tuple(refusals)


def flat_market(dataset: Dataset, sharing: Sharing) -> Market:
    """Float64 is enough for searching; what is reported is billed again."""
    quantity = np.ascontiguousarray(dataset.usage.quantity.T)
    price = [float(dataset.skus[line.key].on_demand_usd) for line in dataset.usage.lines]
    return Market(
        dataset=replace(dataset, commitments=()),
        sharing=sharing,
        quantity=Pair(quantity, np.broadcast_to(np.zeros(1), quantity.shape)),
        on_demand_usd=np.array(price),
    )


@dataclass(frozen=True, slots=True)
class _Task:
    """What stays the same through one optimisation."""

    market: Market
    account: AccountId
    names: Sequence[OfferingId]
    tolerance_ratio: float
    evaluations: int
    expired: Callable[[], bool]

    def candidates(self, names: Sequence[OfferingId]) -> list[Commitment]:
        """The offerings bought in the first hour."""
        dataset = self.market.dataset
        hours = dataset.usage.hours
        return [candidate(dataset.offerings[name], hours, self.account) for name in names]

    def relaxed(self, held: Sequence[Commitment]) -> tuple[Problem, Relaxed]:
        """The relaxation with ``held`` owned."""
        market = self.market
        problem = pose(
            market.stack((*held, *self.candidates(self.names))).plan,
            held=len(held),
            quantity=market.quantity.high,
            on_demand_usd=market.on_demand_usd,
        )
        return problem, relax(problem, tolerance_ratio=self.tolerance_ratio, expired=self.expired)

    def polished(
        self, held: Sequence[Commitment], levels: dict[OfferingId, float], problem: Problem
    ) -> list[tuple[OfferingId, Decimal]]:
        """Amounts after polishing, rounded down to a billionth; nothing that is worth nothing."""
        names = list(levels)
        if not names:
            return []
        stack = self.market.stack((*held, *self.candidates(names)))
        bills = Bills(stack, len(held), _evaluations(stack, self.evaluations))
        start = np.array([levels[one] for one in names])
        least = (
            start
            if bills.left == 0
            else polish(bills, start, _siblings(problem, names), self.expired)
        )
        dust = least * bills.usd_per_level < _DUST_RATIO * problem.demand_total_usd
        amounts = [
            quantise(float(level), step=CONTINUOUS_STEP, min_quantity=Decimal(0))
            for level in np.where(dust, 0.0, least)
        ]
        return [(name, amount) for name, amount in zip(names, amounts, strict=True) if amount > 0]


def _cost_of(market: Market, held: Sequence[Commitment]) -> float:
    stack = market.stack(held)
    return float(stack.usd_per_level @ stack.levels)


def _levels(problem: Problem, relaxed: Relaxed) -> dict[OfferingId, float]:
    """Quantities by offering that the problem kept."""
    return {
        name: float(units / per)
        for name, units, per in zip(
            problem.offering, relaxed.bought, problem.units_per_quantity, strict=True
        )
        if name is not None
    }


def _evaluations(stack: Stack, most: int) -> int:
    cells = stack.market.quantity.high.size
    return min(most, _POLISH_CELLS // max(cells, 1))


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
        if name is not None:
            siblings[place[name]] = sorted(
                place[rival]
                for other, theirs in reach.items()
                if other != one and theirs & mine and len(theirs) <= len(mine)
                if (rival := problem.offering[other]) is not None
            )
    return siblings


def _on_demand_ratios(problem: Problem) -> dict[OfferingId, float]:
    """What a dollar of on-demand usage costs under each offering, weighted by usage."""
    cost = np.zeros(len(problem.offering))
    usage = np.zeros(len(problem.offering))
    for group in problem.groups:
        spend = group.demand_usd.sum(axis=1)
        for place, one in enumerate(group.resources):
            cost[one] += float(group.rate[place] @ spend)
            usage[one] += float(spend.sum())
    return {
        name: float(cost[one] / usage[one]) if usage[one] else 1.0
        for one, name in enumerate(problem.offering)
        if name is not None
    }


def _billed_usd(market: Market, dataset: Dataset, held: Sequence[Commitment]) -> Decimal:
    """The bill's total: exact, or for very large datasets within a millionth of a dollar."""
    if dataset.usage.quantity.size <= _EXACT_CELLS:
        return bill(replace(dataset, commitments=tuple(held)), sharing=market.sharing).total_usd
    return round(exactly(market.cost(held)), 6)
