"""Decides which offerings repay themselves in the time that a policy gives them, before sizing.

A line's months until it has paid are its term times its average share of on demand: known before
anything is sized. The guard refuses the line of an offering that takes longer, whatever its size;
sized all the same, it would have taken the place of one that is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from service.domain.commitments import Offering
from service.domain.ids import OfferingId
from service.domain.plans import Refusal
from service.plan.decide import EXPECTED_HOURS, DecisionRequest, last_hours
from service.plan.explain import months_to_repay
from service.plan.joint import companions
from service.plan.optimise import flat_market
from service.plan.pools import pools_of

Months = Mapping[OfferingId, Decimal]


def repaying(
    request: DecisionRequest, max_break_even_months: Decimal
) -> tuple[tuple[OfferingId, ...], tuple[Refusal, ...]]:
    """Those of the request's menu that repay themselves in time, and why not the others.

    Of two that are sold in one purchase, what both together take is only known once they are
    sized: they stay unless each takes too long.
    """
    months = _months(request)
    partners = companions(request.dataset.offerings, request.menu)
    pairs = {name: other.offering for name, other in partners.items()}
    pairs |= {other: name for name, other in pairs.items()}

    def is_slow(name: OfferingId) -> bool:
        return months.get(name, Decimal(0)) > max_break_even_months

    slow = [
        name
        for name in request.menu
        if is_slow(name) and (name not in pairs or is_slow(pairs[name]))
    ]
    refusals = tuple(
        Refusal(
            "break_even",
            name,
            f"it takes {months[name].normalize():f} months to repay itself, "
            f"{max_break_even_months} at most are allowed",
        )
        for name in slow
    )
    return tuple(one for one in request.menu if one not in set(slow)), refusals


def _months(request: DecisionRequest) -> Months:
    """By offering, the months after which a line of it has paid; what covers nothing is not there.

    On the same hours as the decision, so that it is what the line will say.
    """
    dataset = request.dataset
    hours = last_hours(dataset.usage, EXPECTED_HOURS)
    market = flat_market(replace(dataset, usage=hours, commitments=()), request.sharing)
    spend = market.on_demand_usd * hours.quantity.mean(axis=0)
    offerings: Mapping[OfferingId, Offering] = dataset.offerings
    return {
        name: months_to_repay(reach, offerings[name].term_months)
        for pool in pools_of(market, request.menu, request.accounts, spend)
        for name, reach in pool.reach.items()
    }
