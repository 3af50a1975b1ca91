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
from service.billing.market import Market, compile_market
from service.billing.sharing import ORGANISATION, Sharing
from service.domain.commitments import Commitment
from service.domain.ids import AccountId, OfferingId
from service.domain.plans import PlanStatus, Refusal
from service.domain.usage import Dataset
from service.plan.alike import merged
from service.plan.problem import as_sized, candidate
from service.plan.quantise import CONTINUOUS_STEP, exactly, quantise, usd
from service.plan.relaxation import LARGE_CELLS, TOLERANCE_RATIO
from service.plan.search import SAMPLE_CELLS, Search, Solved
from service.plan.sizable import sizable

Floats = NDArray[np.float64]

POLISH_EVALUATIONS = 200
"""Bills that polishing may ask for when the dataset is small."""

OPTIMAL_GAP_RATIO = Decimal("0.001")
"""A plan within this gap of its proven bound is called optimal."""

Amounts = list[tuple[OfferingId, Decimal]]

_MORE_BUYERS = 3
_EXACT_CELLS = 1_000_000  # above so many line-hours the report is billed in float64
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
    closely: bool = True,
    expired: Callable[[], bool] = lambda: False,
) -> Portfolio:
    """The best purchases from ``menu`` (all offerings when ``None``) for the dataset's hours.

    Queued and payment-pending commitments count as owned from their start when sizing; the bills
    reported count only what is active, as providers do. Without ``closely`` the amounts matter and
    the bound need not be as close as it gets. When ``expired`` answers true the search
    stops with what it has: the bound stays proven, the gap says how far it got.

    When nobody is named, it matters who buys: an owner's usage is served first. Then up to three
    more accounts try, those that use least, and the one with the lowest bill buys (on large
    datasets only while the first one's bill stays far from its bound). The bound is the buyer's.
    """
    names, refusals = sizable(dataset.offerings, dataset.offerings if menu is None else menu)
    market = flat_market(dataset, sharing)
    owned = as_sized(dataset.commitments)

    def search_by(account: AccountId, *, proven: bool) -> Search:
        most = LARGE_CELLS if closely else SAMPLE_CELLS
        search = Search(market, account, names, tolerance_ratio, evaluations, expired, proven, most)
        return replace(search, market=merged(market, [*owned, *search.candidates(names)]))

    def bought_by(account: AccountId, *, proven: bool, start: Solved | None = None) -> Portfolio:
        search = search_by(account, proven=proven)
        return _portfolio(dataset, market, search, refusals, start)

    first = purchase_account or buying_account(dataset)
    rivals = [] if purchase_account or not closely else _other_buyers(dataset)
    if not rivals:
        return bought_by(first, proven=closely)
    quick = search_by(first, proven=False)
    if quick.market.quantity.high.size > LARGE_CELLS:
        return _bought_late(bought_by, first, rivals, expired)
    found = {first: quick.solve(owned)}
    for one in rivals:
        if not expired():
            found[one] = search_by(one, proven=False).solve(owned, found[first])
    best = min(found, key=lambda one: found[one].usd)
    return bought_by(best, proven=True, start=found[best])


def _bought_late(
    bought_by: Callable[..., Portfolio],
    first: AccountId,
    rivals: Sequence[AccountId],
    expired: Callable[[], bool],
) -> Portfolio:
    """Of a large market: others than the first try only while its gap is wide."""
    best = bought_by(first, proven=True)
    if best.status is not PlanStatus.FEASIBLE:
        return best
    tried = [bought_by(one, proven=False) for one in rivals if not expired()]
    rival = min(tried, key=lambda one: one.after_usd, default=best)
    if rival.after_usd < best.after_usd and not expired():
        best = min(best, bought_by(rival.account, proven=True), key=lambda one: one.after_usd)
    return best


def _portfolio(
    dataset: Dataset,
    market: Market,
    search: Search,
    refusals: tuple[Refusal, ...],
    start: Solved | None,
) -> Portfolio:
    """What one account buys, billed exactly, beside the bound."""
    account = search.account
    owned = as_sized(dataset.commitments)
    billed = tuple(one for one in owned if one in dataset.commitments)
    solved = search.solve(owned, start)
    bound = solved.lower_bound_usd
    if billed != owned:
        bound = search.bound_beside(billed, solved.levels)
    bound += _cost_of(market, billed)
    on_demand = float(market.on_demand_usd @ market.quantity.high.sum(axis=1))
    chosen = _amounts(dataset, solved, on_demand)
    bought = tuple(
        candidate(dataset.offerings[name], dataset.usage.hours, account, quantity)
        for name, quantity in chosen
    )
    before = _billed_usd(market, dataset, billed)
    after = _billed_usd(market, dataset, (*billed, *bought))
    lower = min(usd(max(bound, 0.0)), after)
    gap = (after - lower) / before if before else Decimal(0)
    ratios = _on_demand_ratios(market, bought)
    return Portfolio(
        status=PlanStatus.OPTIMAL if gap <= OPTIMAL_GAP_RATIO else PlanStatus.FEASIBLE,
        before_usd=before,
        after_usd=after,
        lower_bound_usd=lower,
        gap_ratio=round(gap, 12),
        purchases=tuple(Purchase(name, quantity, ratios[name]) for name, quantity in chosen),
        refusals=refusals,
        account=account,
        iterations=solved.iterations,
    )


def buying_account(dataset: Dataset) -> AccountId:
    """Who buys when nobody is named: the owner of most holdings, else who uses least.

    A provider serves the owner's own usage first, whether or not it saves most there; an owner
    with little usage leaves the order to the savings.
    """
    owners = [one.account for one in dataset.commitments if one.state.is_owned]
    if owners:
        return max(sorted(set(owners)), key=owners.count)
    return next(iter(_by_spend(dataset)), AccountId(""))


def _other_buyers(dataset: Dataset) -> list[AccountId]:
    """Who else might buy, least usage first; nobody where it is known or does not matter."""
    if any(one.state.is_owned for one in dataset.commitments):
        return []
    if all(line.provider != "aws" for line in dataset.usage.lines):
        return []  # elsewhere no owner comes first
    return _by_spend(dataset)[1 : 1 + _MORE_BUYERS]


def _by_spend(dataset: Dataset) -> list[AccountId]:
    """The accounts, least on-demand dollars first."""
    spent: dict[AccountId, float] = {}
    totals = dataset.usage.quantity.sum(axis=0)
    for line, total in zip(dataset.usage.lines, totals.tolist(), strict=True):
        usd = total * float(dataset.skus[line.key].on_demand_usd)
        spent[line.account] = spent.get(line.account, 0.0) + usd
    return sorted(sorted(spent), key=lambda one: spent[one])


def flat_market(dataset: Dataset, sharing: Sharing) -> Market:
    """Float64 is enough for searching; what is reported is billed again."""
    return compile_market(dataset.usage, dataset.skus, dataset.offerings, sharing=sharing)


def _amounts(dataset: Dataset, solved: Solved, on_demand_usd: float) -> Amounts:
    """Amounts rounded down to a billionth; nothing that is worth nothing."""
    hours = dataset.usage.hours.count
    amounts = []
    for name in sorted(solved.levels):
        level, offering = max(solved.levels[name], 0.0), dataset.offerings[name]
        usd_per_hour = 1.0 if offering.kind.is_spend else float(min(offering.rates_usd.values()))
        if level * usd_per_hour * hours < _DUST_RATIO * on_demand_usd:
            continue
        amount = quantise(level, step=CONTINUOUS_STEP, min_quantity=Decimal(0))
        if amount > 0:
            amounts.append((name, amount))
    return amounts


def _cost_of(market: Market, held: Sequence[Commitment]) -> float:
    stack = market.stack(held)
    return float(stack.usd_per_level @ stack.levels)


def _on_demand_ratios(market: Market, bought: Sequence[Commitment]) -> dict[OfferingId, float]:
    """What a dollar of on-demand usage costs under each purchase, weighted by usage."""
    plan = market.stack(bought).plan
    spend = market.on_demand_usd * market.quantity.high.sum(axis=1)
    cost, usage = np.zeros(len(bought)), np.zeros(len(bought))
    for move in plan.moves:
        usd = float(plan.rooms[move.room].usd_per_room)
        for line, rate in zip(move.lines, move.rates, strict=True):
            if spend[line] > 0:
                usage[move.room] += spend[line]
                cost[move.room] += spend[line] * float(rate) * usd / market.on_demand_usd[line]
    return {
        one.offering: float(paid / used) if used else 1.0
        for one, paid, used in zip(bought, cost, usage, strict=True)
    }


def _billed_usd(market: Market, dataset: Dataset, held: Sequence[Commitment]) -> Decimal:
    """The bill's total: exact, or for very large datasets within a millionth of a dollar."""
    if dataset.usage.quantity.size <= _EXACT_CELLS:
        return bill(replace(dataset, commitments=tuple(held)), sharing=market.sharing).total_usd
    return round(exactly(market.cost(held)), 6)
