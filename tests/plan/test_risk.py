"""Expected shortfall: measured on scenarios, held within a budget per pool and in total."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InvariantError
from service.domain.hours import WEEK_HOURS
from service.domain.plans import Plan
from service.forecast.changes import PlannedChange
from service.plan.decide import decide
from service.plan.guarded import plan_dataset
from service.plan.ladder_terms import PoolState
from service.plan.risk import Exposure, RiskBudget, Slice, shortfall, within
from tests.guard.cases import policy
from tests.plan.markets import market
from tests.plan.test_decide import committed, request, steady

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
YEAR = 8_760


def state(seen: np.ndarray[tuple[int], np.dtype[np.float64]], owned: float = 0.0) -> PoolState:
    return PoolState(seen, BEGIN, seen.size, np.full(YEAR, owned))


def level(usd_per_hour: float, weeks: int = 26) -> PoolState:
    return state(np.full(weeks * WEEK_HOURS, usd_per_hour))


def falling(usd_per_hour: float, weeks: int = 26) -> PoolState:
    """The last weeks lost 4% each."""
    factors = np.repeat(0.96 ** np.arange(weeks), WEEK_HOURS)
    return state(usd_per_hour * factors / factors[-1])


def exposure(pool: PoolState, quantity: float, below: float = 0.0) -> Exposure:
    beneath = [Slice(below, YEAR, 0.7)] if below else []
    return Exposure(pool, [Slice(quantity, YEAR, 0.7)], beneath, seed=1)


def test_the_shortfall_is_the_mean_of_the_worst_losses() -> None:
    losses = np.arange(100.0)
    assert shortfall(losses, 0.05) == pytest.approx((95 + 96 + 97 + 98 + 99) / 5)
    assert shortfall(losses, 0.001) == 99.0
    assert shortfall(losses, 1.0) == pytest.approx(losses.mean())


def test_capacity_that_is_always_used_loses_nothing_and_saves_its_discount() -> None:
    losses = exposure(level(10.0), 2.0).losses(1.0)
    hours = 53 * WEEK_HOURS  # the term in whole weeks
    assert losses == pytest.approx(-0.3 * 2.0 * hours, rel=1e-6)


def test_capacity_above_all_use_loses_all_it_costs() -> None:
    losses = exposure(level(10.0), 2.0, below=1e6).losses(1.0)
    assert losses == pytest.approx(0.7 * 2.0 * 53 * WEEK_HOURS, rel=1e-6)


def test_what_is_owned_is_used_first() -> None:
    free, owned = exposure(level(10.0), 5.0), exposure(state(level(10.0).seen, 9.0), 5.0)
    assert owned.losses(1.0).mean() > free.losses(1.0).mean()


def test_falling_scenarios_shrink_what_steady_ones_leave_whole() -> None:
    budget = RiskBudget(per_pool_usd=500.0)
    (calm,) = within([exposure(level(10.0), 6.0)], budget)
    (steep,) = within([exposure(falling(10.0), 6.0)], budget)
    assert calm.share_ratio == 1.0
    assert steep.share_ratio < 0.9
    assert steep.shortfall_usd <= 500.0
    (unlimited,) = within([exposure(falling(10.0), 6.0)], RiskBudget())
    assert unlimited.share_ratio == 1.0
    assert unlimited.shortfall_usd > 500.0


def test_a_total_is_kept_by_giving_up_what_risks_most_for_least_saving() -> None:
    pools = [exposure(level(10.0), 0.5), exposure(falling(10.0), 8.0)]
    alone = within(pools, RiskBudget())
    limit = alone[0].total_shortfall_usd / 2
    assert limit > 0
    calm, steep = within(pools, RiskBudget(total_usd=limit))
    assert calm.share_ratio == 1.0
    assert 0 < steep.share_ratio < 1
    assert calm.total_shortfall_usd == steep.total_shortfall_usd <= limit


def test_no_budget_at_all_leaves_only_what_cannot_lose() -> None:
    calm, steep = within(
        [exposure(level(10.0), 6.0), exposure(falling(10.0), 12.0)],
        RiskBudget(per_pool_usd=0.0, total_usd=0.0),
    )
    assert calm.share_ratio == 1.0
    assert steep.shortfall_usd <= 0


def test_a_tail_of_nothing_is_refused() -> None:
    with pytest.raises(InvariantError):
        RiskBudget(tail_ratio=0.0)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.5, 15)), min_size=1, max_size=4),
    st.floats(0, 20_000),
    st.floats(0, 40_000),
    st.floats(0, 1),
)
def test_a_tighter_budget_never_risks_more(
    pools: list[tuple[bool, float]], per_pool: float, total: float, share: float
) -> None:
    exposures = [exposure((falling if fell else level)(10.0), size) for fell, size in pools]
    loose = within(exposures, RiskBudget(per_pool, total))
    tight = within(exposures, RiskBudget(per_pool * share, total * share))
    for found, limits in ((loose, 1.0), (tight, share)):
        assert all(one.shortfall_usd <= per_pool * limits + 1e-6 for one in found)
        assert found[0].total_shortfall_usd <= total * limits + 1e-6


def dropping(chance: float) -> PlannedChange:
    return PlannedChange(
        what="the service moves away",
        scope="*",
        at=request(steady()).decided_at + timedelta(days=30),
        ratio=0.1,
        usd_per_hour=0.0,
        probability=chance,
    )


def decided(**changes: object) -> Plan:
    return decide(request(steady(), **changes))


def test_the_decision_shrinks_within_its_budget_and_says_so() -> None:
    # One scenario in fourteen loses nearly everything: the ladder still buys, the budget does not.
    free = decided(changes=(dropping(0.07),))
    held = decided(changes=(dropping(0.07),), risk=RiskBudget(per_pool_usd=3_000.0))
    assert Decimal(0) < committed(held) < committed(free)
    assert "allowed: any per pool" in free.lines[0].reason
    assert "3000.00 USD per pool" in held.lines[0].reason
    assert "of its size by that" in held.lines[0].reason


def test_steady_use_is_not_held_back_by_the_same_budget() -> None:
    assert committed(decided(risk=RiskBudget(per_pool_usd=3_000.0))) == committed(decided())


def test_what_no_budget_allows_is_refused_with_its_limits() -> None:
    plan = decided(changes=(dropping(0.07),), risk=RiskBudget(total_usd=0.0))
    if plan.lines:
        assert committed(plan) < committed(decided(changes=(dropping(0.07),))) / 2
    else:
        (refusal,) = [one for one in plan.refusals if one.rule == "expected_shortfall"]
        assert "0.00 USD in total" in refusal.detail


def test_a_policys_budget_reaches_the_plan_of_a_dataset() -> None:
    dataset = market(skus=6, families=2, hours=26 * WEEK_HOURS, seed=3)
    hours = dataset.usage.hours.count
    fall = np.linspace(2.0, 1.0, hours)[:, None]
    dataset = replace(dataset, usage=replace(dataset.usage, quantity=dataset.usage.quantity * fall))
    before = "max_pool_share_per_tranche_ratio: 0.5"
    tight = policy(before, f"{before}, expected_shortfall_usd_total: 10")
    free = plan_dataset(dataset, policy=policy()).plan
    held = plan_dataset(dataset, policy=tight).plan
    assert committed(held) <= committed(free)
    told = [one.reason for one in held.lines] + [one.detail for one in held.refusals]
    assert any("10.00 USD in total" in one for one in told)


def test_each_line_carries_what_the_guard_reads() -> None:
    limit = 3_000.0
    plan = decided(changes=(dropping(0.07),), risk=RiskBudget(per_pool_usd=limit))
    assert plan.lines
    for one in plan.lines:
        assert one.shortfall is not None
        assert one.shortfall.pool_usd <= Decimal(limit)
        assert one.shortfall.tail_ratio == Decimal("0.05")
        assert f"{one.shortfall.pool_usd:.2f}" in one.reason
