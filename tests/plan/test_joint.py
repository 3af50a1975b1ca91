"""What is sold together only becomes one line: within ratio and caps, with the sums of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.commitments import Beside, Kind, Offering, Payment
from service.domain.hours import HourRange
from service.domain.ids import AccountId, CycleId, OfferingId
from service.domain.plans import PlanInputs, PlanLine
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from service.plan.decide import DecisionRequest, decide
from service.plan.joint import amounts
from service.usage.gcp_sku import GB_HOURS, VCPU_HOURS
from tests.plan.markets import START

BUYER = AccountId("acme")
REGION = "us-central1"
HOURS = 26 * 168
QUARTER = Decimal("0.25")
CORE_USD, GB_USD = Decimal("0.019908"), Decimal("0.002646")
UNITS = {"N2 vCPU": VCPU_HOURS, "N2 RAM": GB_HOURS}
FLEXIBLE = OfferingId("gcp_flexible/1")


def sold(resource: str, rate_usd: Decimal, beside: Beside | None) -> Offering:
    step = Decimal(1) if beside is None else QUARTER
    return Offering(
        offering=OfferingId(f"gcp_cud/{REGION}/n2/{resource.lower()}/1"),
        provider="gcp",
        kind=Kind.GCP_RESOURCE_CUD,
        term_months=12,
        payment=Payment.NO_UPFRONT,
        region=REGION,
        family="n2",
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=True,
        rates_usd={f"N2 {resource}": rate_usd},
        upfront_usd=Decimal(0),
        min_quantity=step,
        step=step,
        beside=beside,
    )


CORES = sold("vCPU", CORE_USD, None)
MEMORY = sold("RAM", GB_USD, Beside(CORES.offering, QUARTER, Decimal("6.5"), "GB of memory"))


def flexible() -> Offering:
    rates = {f"{REGION}/N2 vCPU": Decimal("0.022752"), f"{REGION}/N2 RAM": Decimal("0.003024")}
    cent = Decimal("0.01")
    return replace(
        CORES,
        offering=FLEXIBLE,
        kind=Kind.GCP_FLEXIBLE_CUD,
        region=None,
        family=None,
        size_flexible=False,
        rates_usd=rates,
        min_quantity=cent,
        step=cent,
    )


def steady(vcpus: float, gb: float, *offerings: Offering) -> Dataset:
    """Machines that always run: so many vCPUs, and so much memory."""
    prices = {"N2 RAM": Decimal("0.0042"), "N2 vCPU": Decimal("0.0316")}
    lines = tuple(UsageLine("gcp", AccountId("web"), REGION, "", sku) for sku in sorted(prices))
    skus = {
        (key := SkuKey("gcp", REGION, sku)): Sku(
            key, "compute", "n2", Decimal(1), None, None, UNITS[sku], usd, usd
        )
        for sku, usd in prices.items()
    }
    quantity = np.tile(np.array([gb, vcpus]), (HOURS, 1))
    return Dataset(
        Usage(HourRange(START, HOURS), lines, quantity),
        skus,
        {one.offering: one for one in offerings},
        (),
    )


def request(dataset: Dataset, **changes: object) -> DecisionRequest:
    fields: dict[str, object] = {
        "cycle": CycleId("cycle"),
        "decided_at": dataset.usage.hours.end + timedelta(hours=1),
        "dataset": dataset,
        "menu": tuple(sorted(dataset.offerings)),
        "accounts": {"gcp": BUYER},
        "inputs": PlanInputs("u", "p", "c", "y", dataset.usage.hours.end, 0, "test"),
    }
    return DecisionRequest(**{**fields, **changes})  # type: ignore[arg-type]


def test_machines_are_covered_whole_in_one_line_with_the_sums_of_both() -> None:
    plan = decide(request(steady(100.0, 400.0, CORES, MEMORY)))
    (line,) = plan.lines
    assert line.offering == CORES.offering
    beside = line.companion
    assert beside is not None
    assert beside.offering == MEMORY.offering
    assert 90 <= line.quantity <= 100
    assert beside.quantity % QUARTER == 0
    assert 360 <= beside.quantity <= 400
    assert beside.commit_usd_per_hour == beside.quantity * GB_USD
    assert line.commit_usd_per_hour == line.quantity * CORE_USD + beside.commit_usd_per_hour
    assert line.total_usd == line.commit_usd_per_hour * 8_760
    alone = decide(request(steady(100.0, 400.0, CORES))).lines[0]
    assert line.expected_savings_usd_per_hour > alone.expected_savings_usd_per_hour
    assert line.expected_utilization_ratio > Decimal("0.98")
    assert float(line.break_even_months) == pytest.approx(0.63 * 12, rel=1e-3)
    assert f"{beside.quantity.normalize():f} GB of memory" in line.reason
    saved = f"{line.expected_savings_usd_per_hour:.4f} USD/h saved in expectation by both"
    assert saved in line.reason.split(";")[0]
    # The bill with the plan is replayed with both parts of it.
    assert plan.after_usd < decide(request(steady(100.0, 400.0, CORES))).after_usd


def test_memory_above_the_ratio_is_left_for_what_else_covers_it_and_that_is_said() -> None:
    plan = decide(request(steady(100.0, 900.0, CORES, MEMORY, flexible())))
    lines = {line.offering: line for line in plan.lines}
    whole = lines[CORES.offering]
    assert whole.companion is not None
    assert whole.companion.quantity <= whole.quantity * Decimal("6.5")
    assert whole.companion.quantity > whole.quantity * 6
    assert "beside" in {one.rule for one in plan.refusals}
    # Some 250 GB at the flexible rate.
    assert Decimal("0.5") < lines[FLEXIBLE].quantity < Decimal("0.8")


def test_vcpus_that_are_bought_without_need_of_memory_bring_the_least_at_its_full_cost() -> None:
    plan = decide(request(steady(100.0, 0.0, CORES, MEMORY)))
    (line,) = plan.lines
    assert line.companion is not None
    assert line.companion.quantity == QUARTER
    assert line.commit_usd_per_hour == line.quantity * CORE_USD + QUARTER * GB_USD
    alone = decide(request(steady(100.0, 0.0, CORES))).lines[0]
    lost = alone.expected_savings_usd_per_hour - line.expected_savings_usd_per_hour
    assert lost == QUARTER * GB_USD
    assert line.expected_utilization_ratio < 1


def test_memory_is_never_bought_alone() -> None:
    plan = decide(request(steady(0.0, 400.0, CORES, MEMORY)))
    assert plan.lines == ()
    assert "beside" in {one.rule for one in plan.refusals}


@pytest.mark.parametrize("cap", ["0.5", "1.5", "2.9", "100"])
def test_both_together_stay_within_what_the_caps_leave_a_line(cap: str) -> None:
    limit = Decimal(cap)

    def room(
        offering: Offering, lines: Sequence[PlanLine], begun: PlanLine | None = None
    ) -> Decimal:
        assert not lines
        gone = Decimal(0) if begun is None else begun.commit_usd_per_hour
        (rate,) = offering.rates_usd.values()
        return (limit - gone) / rate

    plan = decide(request(steady(100.0, 400.0, CORES, MEMORY), room=room))
    (line,) = plan.lines
    assert line.companion is not None
    assert line.commit_usd_per_hour <= limit
    free = decide(request(steady(100.0, 400.0, CORES, MEMORY))).lines[0]
    assert line.commit_usd_per_hour > min(limit, free.commit_usd_per_hour) - 2 * CORE_USD
    # Cut alike: neither crowds out the other.
    assert Decimal("3.5") < line.companion.quantity / line.quantity < Decimal("4.5")


QUANTITIES = st.decimals(1, 5_000, places=0, allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(
    own=QUANTITIES,
    wanted=st.floats(0, 40_000),
    left=st.none() | st.decimals(0, 40_000, places=3, allow_nan=False, allow_infinity=False),
)
def test_amounts_are_sellable_no_more_than_wanted_and_no_more_than_fits(
    own: Decimal, wanted: float, left: Decimal | None
) -> None:
    bought, beside = amounts(CORES, own, MEMORY, wanted, left)
    assert bought == bought.to_integral_value()
    assert beside % QUARTER == 0
    assert 0 <= bought <= own
    if not bought:
        assert beside == 0
        return
    assert QUARTER <= beside <= bought * Decimal("6.5")
    assert beside <= max(Decimal(repr(wanted)), QUARTER)
    if left is not None:
        spent = bought * CORE_USD + beside * GB_USD
        assert spent <= own * CORE_USD + left * GB_USD
    if left is None or left >= Decimal(repr(wanted)) + QUARTER:
        assert bought == own
