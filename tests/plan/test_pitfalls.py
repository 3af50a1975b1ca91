"""How buyers bought too much elsewhere, one test each; the number is that of the list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.plan.ladder import tranche
from service.plan.ladder_terms import PoolState, Term
from tests.plan.test_ladder import BEGIN, WEEK, YEAR_TERM

STEPS = 36


def day_and_night(
    weeks: int, *, day: float, night: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Steady demand of two levels, twelve hours each, with a little noise."""
    hour = np.arange(weeks * WEEK)
    noise = np.random.default_rng(3).normal(1.0, 0.02, hour.size).clip(0.9, 1.1)
    return np.asarray(np.where(hour % 24 < 12, day, night) * noise, dtype=np.float64)


def test_48_a_buyer_of_what_is_not_covered_stops_on_steady_demand() -> None:
    """Sized on used coverage, a target above mean demand was bought towards without end."""
    seen = day_and_night(60, day=130.0, night=90.0)
    owned = 0.0
    bought = []
    for _ in range(STEPS):
        state = PoolState(
            seen=seen, begin=BEGIN, now=seen.size + 24, owned=np.full(200 * WEEK, owned)
        )
        buys = tranche(state, [YEAR_TERM], reasons=False).buys
        bought.append(sum(one.quantity_usd_per_hour for one in buys))
        owned += bought[-1]
    assert 0 < owned <= float(seen.max())
    assert bought[-10:] == [0.0] * 10


def test_51_the_night_counts_and_not_the_mean_of_the_day() -> None:
    """On daily means half of the time nothing above the night's level would be used."""
    seen = day_and_night(60, day=100.0, night=20.0)
    state = PoolState(seen=seen, begin=BEGIN, now=seen.size + 24, owned=np.zeros(WEEK))
    level = tranche(state, [YEAR_TERM], reasons=False).level_usd_per_hour
    assert level < float(seen.mean()) / 2


@pytest.mark.parametrize("ratio", [0.5, 0.73])
def test_50_dollars_on_demand_are_not_bought_as_dollars_of_commitment(ratio: float) -> None:
    """A discount of 28 % bought one for one commits 39 % too much."""
    seen = day_and_night(60, day=100.0, night=100.0)
    state = PoolState(seen=seen, begin=BEGIN, now=seen.size + 24, owned=np.zeros(WEEK))
    term = replace(YEAR_TERM, rate_ratio=ratio)
    decided = tranche(state, [term], reasons=False)
    committed = sum(one.quantity_usd_per_hour * ratio for one in decided.buys)
    assert committed <= float(seen.max()) * ratio


def test_52_each_term_is_sized_by_its_own_rate() -> None:
    """One year's recommendation bought for three years covers too much by the ratio of rates."""
    seen = day_and_night(120, day=120.0, night=60.0)
    state = PoolState(seen=seen, begin=BEGIN, now=seen.size + 24, owned=np.zeros(WEEK))
    one, three = Term("one", 52 * WEEK, 0.73), Term("three", 156 * WEEK, 0.46)
    alone = [tranche(state, [term], reasons=False) for term in (one, three)]
    commits = [
        sum(buy.quantity_usd_per_hour for buy in found.buys) * term.rate_ratio
        for found, term in zip(alone, (one, three), strict=True)
    ]
    # More usage is worth covering at the lower rate, and every dollar of commitment covers more.
    assert alone[1].level_usd_per_hour >= alone[0].level_usd_per_hour
    assert commits[1] < commits[0] * (alone[1].level_usd_per_hour / alone[0].level_usd_per_hour)
