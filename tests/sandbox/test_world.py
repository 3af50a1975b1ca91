"""The world itself: seeded, billed by the real billing code, true to its invariants."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.billing.bill import bill
from service.domain.commitments import Kind, Payment
from service.domain.errors import InputError, InvariantError
from service.domain.hours import HourRange
from service.domain.ids import OfferingId
from service.sandbox.faults import ApiError
from service.sandbox.savings_plans import PlanRequest
from service.sandbox.world import World, WorldOptions
from tests.sandbox.clouds import SMALL, START, offer, small_world

OWNED = {"queued", "payment-pending", "active"}
LIFE = {
    "queued": {"queued", "queued-deleted", "payment-pending", "active", "payment-failed",
               "retired"},
    "payment-pending": {"payment-pending", "active", "payment-failed", "retired"},
    "active": {"active", "pending-return", "returned", "retired"},
    "pending-return": {"pending-return", "returned"},
}  # fmt: skip


def test_the_same_seed_makes_the_same_world_and_another_does_not() -> None:
    short = replace(SMALL, horizon_days=5)
    one, same = World.generated(short), World.generated(short)
    other = World.generated(replace(short, seed=12))
    assert np.array_equal(one.usage.quantity, same.usage.quantity)
    assert not np.array_equal(one.usage.quantity, other.usage.quantity)
    assert one.new_id() == same.new_id() != other.new_id()


def test_usage_has_days_weeks_growth_and_a_migration() -> None:
    world = World.generated(WorldOptions(seed=3, history_days=120, horizon_days=360))
    prices = np.array([float(world.catalog.skus[o.key].on_demand_usd) for o in world.usage.lines])
    spend = world.usage.quantity @ prices
    by_hour = spend[: 24 * 420].reshape(-1, 24).mean(axis=0)
    assert by_hour.max() > 1.2 * by_hour.min()
    first, last = spend[: 24 * 84].mean(), spend[-24 * 84 :].mean()
    assert 1.03 * first < last < 1.5 * first
    moved = [
        index
        for index, line in enumerate(world.usage.lines)
        if line.sku.startswith("USE1-BoxUsage:m5.2xlarge/")
    ]
    leaving = world.usage.quantity[:, moved].sum(axis=1)
    assert leaving[: 24 * 100].min() > 1
    assert leaving[-24 * 30 :].max() < 0.5 * leaving[: 24 * 100].mean()


def test_days_added_up_are_the_bill_of_the_whole(  # the exact billing code, in one piece
) -> None:
    world = small_world()
    _buy(world, "40")
    world.advance(24 * 9)
    whole = bill(world.dataset(HourRange(START, 24 * 9)))
    totals = world.accrual.totals(START, world.now())
    assert totals.days == 9
    assert totals.total_usd == whole.total_usd
    assert totals.on_demand_equivalent_usd == whole.on_demand_equivalent_usd
    assert Decimal("0.02") < totals.effective_savings_rate < Decimal("0.3")


def test_only_days_that_are_over_are_billed() -> None:
    world = small_world()
    world.advance(23)
    with pytest.raises(InvariantError, match="not over"):
        world.accrual.day(START)
    world.advance(1)
    assert world.accrual.day(START).day == START


def test_time_never_runs_back_nor_beyond_the_usage() -> None:
    world = small_world()
    with pytest.raises(InvariantError, match="run back"):
        world.advance(-1)
    with pytest.raises(InvariantError, match="usage ends"):
        world.advance(24 * 10_000)
    assert world.now() == START


def test_a_dataset_can_be_the_world() -> None:
    source = small_world()
    dataset = source.dataset(HourRange(START - timedelta(days=5), 24 * 8))
    offered = replace(dataset, offerings=source.catalog.offerings)
    world = World.from_dataset(offered, SMALL)
    world.advance(24)
    expected = bill(source.dataset(HourRange(START, 24))).on_demand_usd
    assert world.accrual.bill(START).on_demand_usd == expected
    with pytest.raises(InputError, match="cannot start"):
        World.from_dataset(offered, replace(SMALL, start=START + timedelta(days=9)))


def _buy(world: World, commitment: str) -> None:
    request = PlanRequest(world.payer, offer(world).offering, commitment, None, None, ())
    world.savings_plans.create(
        request, token=commitment, offerings=world.catalog.offerings, now=world.now()
    )


class PlanLives(RuleBasedStateMachine):
    """Any sequence of purchases, waits, returns and deletions keeps the world's invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.world = small_world()
        self.kinds = [Kind.AWS_COMPUTE_SP, Kind.AWS_EC2_INSTANCE_SP]
        self.seen: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    @rule(
        token=st.integers(0, 6),
        kind=st.integers(0, 1),
        payment=st.sampled_from(list(Payment)),
        commitment=st.sampled_from(["0.001", "3.2", "99", "250"]),
        wait=st.sampled_from([None, 5, 200]),
    )
    def buy(
        self, token: int, kind: int, payment: Payment, commitment: str, wait: int | None
    ) -> None:
        world = self.world
        request = PlanRequest(
            account=world.payer,
            offering=OfferingId(offer(world, self.kinds[kind], payment=payment).offering),
            commitment=commitment,
            upfront=None,
            purchase_time=None if wait is None else world.after_hours(wait),
            tags=(("tenor:intent", f"i-{token}"),),
        )
        before = len(world.savings_plans.plans)
        try:
            record, new = world.savings_plans.create(
                request, token=str(token), offerings=world.catalog.offerings, now=world.now()
            )
        except ApiError as error:
            self.refused(error, before)
            return
        assert self.tokens.setdefault(str(token), record.plan_id) == record.plan_id
        assert len(world.savings_plans.plans) == before + new

    def refused(self, error: ApiError, plans: int) -> None:
        assert error.status < 500
        assert len(self.world.savings_plans.plans) == plans

    @rule(hours=st.sampled_from([0.25, 1, 7, 30, 200]))
    def wait(self, hours: float) -> None:
        if self.world.after_hours(hours) < self.world.usage.hours.end:
            self.world.advance(hours)

    @precondition(lambda self: bool(self.tokens))
    @rule(choice=st.integers(0, 6), delete=st.booleans())
    def give_up(self, choice: int, delete: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        world = self.world
        plan = list(self.tokens.values())[choice % len(self.tokens)]
        try:
            if delete:
                world.savings_plans.delete_queued(world.payer, plan, world.now())
            else:
                world.savings_plans.give_back(world.payer, plan, "back", world.now())
        except ApiError as error:
            self.refused(error, len(self.tokens))

    @invariant()
    def states_move_only_forward(self) -> None:
        for plan in self.world.savings_plans.plans.values():
            state = plan.state(self.world.now())
            before = self.seen.get(plan.plan_id, state)
            assert state in LIFE.get(before, {before})
            self.seen[plan.plan_id] = state

    @invariant()
    def no_intent_is_bought_twice(self) -> None:
        assert self.world.double_purchases() == 0

    @invariant()
    def what_is_charged_was_paid_within_its_term(self) -> None:
        for charged in self.world.charged():
            plan = self.world.savings_plans.plans[charged.commitment]
            assert plan.start <= charged.start < charged.end <= plan.end
            assert plan.state(self.world.now()) not in {"queued", "payment-failed"}

    @invariant()
    def snapshot_agrees_with_the_plans(self) -> None:
        snapshot = self.world.snapshot()
        active = [state for state in snapshot.states.values() if state == "active"]
        assert snapshot.commitments_active == len(active)


PlanLives.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, derandomize=True
)
TestPlanLives = PlanLives.TestCase
