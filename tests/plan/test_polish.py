"""Portfolios out of the reach of slopes."""

from __future__ import annotations

import numpy as np

from service.billing.sharing import ORGANISATION
from service.domain.ids import AccountId
from service.plan.optimise import flat_market
from service.plan.polish import Bills, jolt, polish
from service.plan.problem import candidate
from tests.plan.markets import market

BUYER = AccountId("acct0")


def bills(evaluations: int) -> Bills:
    """A plan serves its owner first, and here the owner has half of all usage."""
    dataset = market(skus=8, families=2, hours=48, seed=23, accounts=2)
    hours = dataset.usage.hours
    long = [one for one in dataset.offerings.values() if one.term_months == 36]
    offers = [candidate(one, hours, BUYER) for one in long]
    return Bills(flat_market(dataset, ORGANISATION).stack(offers), 0, evaluations)


def test_jolts_find_a_lower_bill_where_slopes_lead_no_further() -> None:
    slopes = bills(200)
    count = len(slopes.usd_per_level)
    stuck = polish(slopes, np.zeros(count), [[]] * count, lambda: False)
    jolts = bills(300)
    found = jolt(jolts, stuck, lambda: False)
    assert jolts.best_usd < slopes.best_usd * (1 - 1e-3)
    assert bills(1).cost(found) == jolts.best_usd


def test_jolts_are_the_same_for_the_same_bills_and_never_lose_what_is_known() -> None:
    one, other, few = bills(120), bills(120), bills(1)
    start = np.full(len(one.usd_per_level), 2.0)
    assert jolt(one, start, lambda: False).tolist() == jolt(other, start, lambda: False).tolist()
    assert jolt(few, start, lambda: True).tolist() == start.tolist()
    assert one.best_usd < few.best_usd
