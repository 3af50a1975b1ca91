"""The sandbox Azure itself: seeded, billed by the billing code, and honest about money moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from service.billing.bill import bill
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.ids import IntentId
from service.domain.purchases import Bought
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.world import AzureWorld, AzureWorldOptions
from service.sandbox.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    INTENT,
    PURCHASE,
    START,
    buyer,
    order,
    owned,
    plan_order,
    quoted,
    reservation_id,
    small_cloud,
    strike,
)

TINY = AzureWorldOptions(seed=3, history_days=3, horizon_days=20)


def test_the_same_seed_gives_the_same_world_and_another_gives_another() -> None:
    one, same, other = (AzureWorld.generated(replace(TINY, seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.usage.quantity, same.usage.quantity)
    assert not np.array_equal(one.usage.quantity, other.usage.quantity)
    assert one.new_id() == same.new_id() != other.new_id()


def test_the_same_calls_make_the_same_holdings() -> None:
    def states() -> dict[str, str]:
        with small_cloud() as cloud:
            owned(cloud)
            buyer(cloud).buy(plan_order(cloud))
            cloud.advance(48)
            return dict(cloud.snapshot().states)

    assert states() == states()


def test_the_bill_is_that_of_the_billing_code_on_the_worlds_own_truth() -> None:
    with small_cloud() as cloud:
        owned(cloud, quantity="40")
        buyer(cloud).buy(plan_order(cloud))
        cloud.advance(72)
        whole = bill(cloud.world.dataset(HourRange(START, 3 * DAY_HOURS)))
        totals = cloud.totals()
        assert totals.days == 3
        assert totals.total_usd == pytest.approx(whole.total_usd, abs=Decimal("0.000001"))
        assert totals.effective_savings_rate > 0


def test_what_was_bought_keeps_its_price_when_prices_change() -> None:
    with small_cloud() as cloud:
        owned(cloud)
        before = cloud.snapshot().committed_usd_per_hour
        cloud.world.change_price("eastus", "Standard_D4s_v5", Decimal(2))
        assert cloud.snapshot().committed_usd_per_hour == before
        assert owned(cloud, intent=IntentId("second"))
        assert cloud.snapshot().committed_usd_per_hour == pytest.approx(
            3 * before, rel=Decimal("0.001")
        )


def test_a_purchase_is_counted_under_its_intent_while_it_may_cost_money() -> None:
    with small_cloud() as cloud:
        failing = quoted(cloud, order(cloud, intent=IntentId("unpaid")))
        strike(cloud, Fault(PURCHASE, FaultKind.PAYMENT_FAILS))
        buyer(cloud).buy(failing)
        owned(cloud)
        buyer(cloud).buy(replace(plan_order(cloud), intent=IntentId("plan")))
        assert set(cloud.snapshot().paid_by_intent) == {INTENT, "plan"}
        assert cloud.snapshot().commitments_active == 2


def test_two_purchases_of_one_intent_are_seen_as_a_double_purchase() -> None:
    with small_cloud() as cloud:
        for _ in range(2):  # as a buyer does that asks for a new price after a lost answer
            assert isinstance(buyer(cloud).buy(quoted(cloud, order(cloud))), Bought)
        assert cloud.snapshot().double_purchases == 1
        assert len(cloud.snapshot().paid_by_intent[INTENT]) == 2


def test_a_clock_that_another_cloud_moves_moves_this_world_too() -> None:
    clock = VirtualClock(START + timedelta(days=5))
    options = replace(TINY, clock=clock, operation_reads=99)
    with AzureSandbox.generated(options) as one, AzureSandbox.generated(options) as other:
        assert one.world.now() == clock.now()
        buyer(one).buy(quoted(one, order(one)))
        assert set(one.snapshot().states.values()) == {"PendingBilling"}
        other.advance(1)
        assert one.world.now() == other.world.now()
        assert set(one.snapshot().states.values()) == {"Succeeded"}
        clock.advance(timedelta(days=2))
        assert one.totals().days == 2


def test_time_ends_with_the_usage() -> None:
    with AzureSandbox.generated(TINY) as cloud, pytest.raises(InvariantError, match="ends at"):
        cloud.advance(24 * 21)


def test_a_plan_that_ends_expires_and_renews_only_when_it_says_so() -> None:
    with small_cloud() as cloud:
        buyer(cloud).buy(plan_order(cloud))
        buyer(cloud).buy(replace(plan_order(cloud), intent=IntentId("renewing")))
        cloud.world.plans.plans[1].renew = True
        cloud.advance(24 * 366)
        states = sorted(plan.state for plan in cloud.world.plans.plans)
        assert states == ["Expired", "Expired", "Succeeded"]
        assert cloud.snapshot().double_purchases == 0


def exported(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))])


def test_settled_exports_add_up_to_the_bill_to_the_nano_dollar(tmp_path: Path) -> None:
    with small_cloud(tmp_path) as cloud:
        owned(cloud, quantity="60")
        buyer(cloud).buy(plan_order(cloud))
        cloud.advance(24 * 8)
        table = exported(tmp_path)
        days = {
            instant.date()
            for instant in table["ChargePeriodStart"].to_pylist()
            if instant >= START and instant < START + timedelta(days=4)
        }
        assert len(days) == 4
        recent = table.filter(
            pc.and_(
                pc.greater_equal(table["ChargePeriodStart"], pa.scalar(START)),
                pc.less(table["ChargePeriodStart"], pa.scalar(START + timedelta(days=4))),
            )
        )
        billed = cloud.world.accrual.totals(START, START + timedelta(days=4)).total_usd
        assert pc.sum(recent["EffectiveCost"]).as_py() == pytest.approx(
            billed, abs=Decimal("0.00001")
        )
        bought = table.filter(pc.equal(table["ChargeCategory"], "Purchase"))
        assert bought.num_rows == 2
        unused = table.filter(pc.equal(table["CommitmentDiscountStatus"], "Unused"))
        used = table.filter(pc.equal(table["CommitmentDiscountStatus"], "Used"))
        assert unused.num_rows > 0
        assert used.num_rows > 0


def test_a_day_appears_late_and_short_and_is_restated_to_the_truth(tmp_path: Path) -> None:
    def quantity() -> float:
        table = exported(tmp_path)
        day = pc.equal(pc.day(table["ChargePeriodStart"]), 2)
        march = pc.equal(pc.month(table["ChargePeriodStart"]), 3)
        return float(pc.sum(table.filter(pc.and_(day, march))["PricingQuantity"]).as_py() or 0)

    with small_cloud(tmp_path) as cloud:
        first, last = cloud.world.usage.hours.clip(START, START + timedelta(days=1))
        truth = float(cloud.world.usage.quantity[first:last].sum())
        cloud.advance(24 + 23)
        assert quantity() == 0
        cloud.advance(26)
        assert 0.97 * truth < quantity() < truth
        cloud.advance(30)
        assert quantity() == pytest.approx(truth, rel=1e-9)


def test_reservations_of_every_size_on_sale_can_be_bought() -> None:
    with small_cloud() as cloud:
        for number, machine in enumerate(cloud.world.catalog.machines.values()):
            if machine.region == "eastus":
                offering = reservation_id(machine.arm_name, months=36)
                assert owned(cloud, offering, "1", IntentId(f"intent-{number}"))
        assert cloud.snapshot().double_purchases == 0
