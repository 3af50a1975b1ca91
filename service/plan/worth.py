"""What purchases are worth over a market's hours: bills without and with them, and a bound.

Decides how a decided plan is reported. It buys less than the optimum on purpose, so its bound is
over all purchases up to its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from service.billing.bill import Bill, bill
from service.billing.market import Market
from service.domain.commitments import Commitment
from service.plan.problem import pose
from service.plan.quantise import usd
from service.plan.relaxation import relax


@dataclass(frozen=True, slots=True)
class Worth:
    """Bills without and with purchases, and a bound proven for every purchase up to them."""

    before: Bill
    after: Bill
    lower_bound_usd: Decimal

    @property
    def gap_ratio(self) -> Decimal:
        """(after − lower) / before; 0 when nothing was billed before."""
        if not self.before.total_usd:
            return Decimal(0)
        gap = (self.after.total_usd - self.lower_bound_usd) / self.before.total_usd
        return round(gap, 12)


def replay(market: Market, base: Sequence[Commitment], bought: Sequence[Commitment]) -> Worth:
    """What ``bought`` is worth beside ``base`` over the market's hours."""
    before = _bill(market, base)
    after = _bill(market, (*base, *bought)) if bought else before
    lower = min(usd(max(_bound(market, base, bought), 0.0)), after.total_usd)
    return Worth(before, after, lower)


def _bill(market: Market, commitments: Sequence[Commitment]) -> Bill:
    dataset = replace(market.dataset, commitments=tuple(commitments))
    return bill(dataset, sharing=market.sharing)


def _bound(market: Market, base: Sequence[Commitment], bought: Sequence[Commitment]) -> float:
    """Proven for every purchase up to the quantities of ``bought``.

    The relaxation's prices at the plan say what a unit less would have been worth; the bill is
    convex in the relaxation, so no smaller purchase can beat that tangent.
    """
    stack = market.stack((*base, *bought))
    problem = pose(
        market.stack((*base, *bought, *bought)).plan,
        held=len(base) + len(bought),
        quantity=market.quantity.high,
        on_demand_usd=market.on_demand_usd,
        keep_dominated=True,
    )
    solved = relax(replace(problem, active=np.zeros_like(problem.active)))
    planned = {one.offering: float(one.quantity) for one in bought}
    bound = solved.lower_bound_usd + float(stack.usd_per_level @ stack.levels)
    lasting = problem.active.min(axis=1, initial=1.0) > 0
    for place, name in enumerate(problem.offering):
        if name is not None:
            units = planned[name] * problem.units_per_quantity[place]
            cost = float(problem.active[place].sum())
            worth = float(solved.worth_usd[place]) if lasting[place] else 0.0
            bound -= max(cost - worth, 0.0) * units
    return bound
