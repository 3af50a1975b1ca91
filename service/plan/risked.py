"""What given purchases would risk by themselves, beside all that is owned.

The measure that a plan's own lines are held to, for commitments that no plan sized: what an
exchange makes is judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal

import numpy as np

from service.billing.market import Market
from service.domain.ids import OfferingId
from service.domain.plans import Shortfall
from service.plan.decide import EXPECTED_HOURS, DecisionRequest, last_hours
from service.plan.kin import Types
from service.plan.ladder_terms import Term
from service.plan.optimise import flat_market
from service.plan.pools import Owned, Pool, counted, pools_of, reaches, state_of, terms_of
from service.plan.quantise import exactly
from service.plan.risk import Exposure, Floats, Slice, shortfall

_SMALLEST = Decimal("0.000001")


def shortfalls(
    request: DecisionRequest, bought: Mapping[OfferingId, Decimal]
) -> Mapping[OfferingId, Shortfall]:
    """The expected shortfall of buying ``bought``, by offering, $/h or units each.

    ``request`` tells usage, what is owned without ``bought``, and the tail; its menu does not
    count. An offering that covers no usage seen is left out: what it risks is not known.
    """
    usage = last_hours(request.dataset.usage, EXPECTED_HOURS)
    seen = replace(request.dataset, usage=usage, commitments=())
    market: Market = flat_market(seen, request.sharing)
    spend = market.on_demand_usd * usage.quantity.mean(axis=0)
    kept = counted(request.dataset.commitments, request.decided_at, request.lead_time_hours)
    owned = Owned(kept, tuple(reaches(market, kept, spend)))
    types = Types(request.dataset.usage, request.dataset.skus, market.on_demand_usd)
    losses: list[tuple[Pool, Floats]] = []
    for pool in pools_of(market, tuple(sorted(bought)), request.accounts, spend):
        sold = terms_of(pool, request.dataset.offerings, request.capital_annual_ratio)
        terms = {one.offer: one for one in sold}
        slices = [_slice(pool, terms[name], bought[name]) for name in pool.offerings]
        state = state_of(
            pool,
            market,
            request.dataset.usage,
            owned,
            spend,
            types=types,
            decided_at=request.decided_at,
            step_hours=request.step_hours,
            changes=request.changes,
            holidays=request.holidays,
        )
        exposure = Exposure(state, slices, [], seed=request.inputs.seed)
        losses.append((pool, exposure.losses(1.0)))
    if not losses:
        return {}
    tail = request.risk.tail_ratio
    total = _usd(shortfall(np.sum([one for _, one in losses], axis=0), tail))
    return {
        name: Shortfall(_usd(shortfall(one, tail)), total, Decimal(repr(tail)))
        for pool, one in losses
        for name in pool.offerings
    }


def _slice(pool: Pool, term: Term, quantity: Decimal) -> Slice:
    reach = pool.reach[OfferingId(term.offer)]
    on_demand = float(quantity) * reach.usd_per_quantity / reach.rate_ratio
    return Slice(on_demand, term.hours, term.rate_ratio)


def _usd(amount: float) -> Decimal:
    """Rounded up: what the guard reads is never less than what was measured."""
    return exactly(amount).quantize(_SMALLEST, ROUND_CEILING)
