"""What is decided on hours that were estimated from days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from service.domain.commitments import Commitment, Kind, Offering
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.ids import AccountId, CycleId, OfferingId
from service.domain.plans import Plan, PlanInputs
from service.domain.usage import Dataset, Usage
from service.plan.decide import DecisionRequest, decide
from service.plan.estimated import RULE, decidable
from tests.billing.worlds import held, offer, sku, used, world

START = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = HourRange(START, 10 * 7 * DAY_HOURS)
KNOWN = PlanInputs("u", "p", "c", "y", HOURS.end, 0, "test", "azure")
ESTIMATED = replace(KNOWN, estimated_days=41)
D2, D4 = "Standard_D2s_v5", "Standard_D4s_v5"
PLAN, RESERVATION, OWNED = (OfferingId(one) for one in ("plan", "reservation", "owned:one"))
BY_DAY = (np.arange(HOURS.count) % DAY_HOURS >= 12).astype(float)


def machines(
    level: float, rest: np.ndarray | float, *commitments: Commitment, size: str = D2
) -> Dataset:
    """One size's level usage and the rest, with a reservation of it and a savings plan on sale."""
    flat = np.ones(HOURS.count)
    prices = [
        sku(name, usd, provider="azure", service="vm", family="Dsv5 Series", size=weight,
            tenancy=None, region="eastus")
        for name, usd, weight in ((D2, "0.1", "2"), (D4, "0.2", "4"))
    ]  # fmt: skip
    lines = [
        used(size, *(one * flat), provider="azure", region="eastus", level=proven)
        for one, proven in ((level, True), (rest, False))
    ]
    found = world(prices, lines, [_reserved(RESERVATION), _reserved(OWNED), _plan()], commitments)
    return replace(found, usage=Usage(HOURS, found.usage.lines, found.usage.quantity))


def _reserved(name: OfferingId) -> Offering:
    sold = offer(name, Kind.AZURE_RESERVATION, {D2: "0.06"}, region="eastus", flexible=True)
    return replace(sold, min_quantity=Decimal(1), step=Decimal(1), platform=None)


def _plan() -> Offering:
    sold = offer(PLAN, Kind.AZURE_SAVINGS_PLAN, {f"eastus/{D2}": "0.07", f"eastus/{D4}": "0.14"})
    return replace(sold, min_quantity=Decimal("0.001"), step=Decimal("0.001"))


def owning(quantity: str) -> Commitment:
    return replace(held("one", OWNED, quantity), start=START, end=HOURS.end + timedelta(days=300))


def decided(
    dataset: Dataset, menu: tuple[OfferingId, ...] = (RESERVATION,), **changes: object
) -> Plan:
    fields: dict[str, object] = {
        "cycle": CycleId("daily@2026-05-10"),
        "decided_at": HOURS.end + timedelta(hours=48),
        "dataset": dataset,
        "menu": menu,
        "accounts": {"azure": AccountId("A")},
        "inputs": ESTIMATED,
        "lead_time_hours": 48,
    }
    return decide(DecisionRequest(**{**fields, **changes}))  # type: ignore[arg-type]


def bought(plan: Plan) -> Mapping[OfferingId, float]:
    return {line.offering: float(line.quantity) for line in plan.lines}


def test_reservations_are_decided_on_level_usage_alone_and_that_is_said() -> None:
    plan = decided(machines(10, 8), menu=(PLAN, RESERVATION))
    assert 5 <= bought(plan)[RESERVATION] <= 10
    (declined,) = [one for one in plan.refusals if one.rule == RULE]
    assert "hours of 41 days are estimated" in declined.detail
    assert "1.00 of 1.80 USD/h" in declined.detail
    said = {line.offering: line.reason for line in plan.lines}
    assert said[RESERVATION].endswith("machines that ran all day, of which every hour is known.")
    assert said[PLAN].endswith("days behind this are estimated from daily rows.")


def test_what_is_not_proven_is_never_reserved_however_steady_it_looks() -> None:
    assert bought(decided(machines(0, 18))) == {}
    assert bought(decided(machines(0, 18), inputs=KNOWN))[RESERVATION] >= 9


def test_everything_is_decided_on_hours_that_are_told() -> None:
    dataset = machines(10, 8)
    assert decidable(dataset, (PLAN, RESERVATION), KNOWN) == (dataset, ())
    assert bought(decided(dataset, inputs=KNOWN))[RESERVATION] > 10


@pytest.mark.parametrize("rest", [0.0, 8.0, 40 * BY_DAY], ids=["none", "steady", "by day"])
@pytest.mark.parametrize(("owned", "most"), [("10", 0), ("14", 0), ("7", 3), ("3", 7)])
def test_a_reservation_that_covers_level_usage_is_not_bought_again(
    rest: np.ndarray | float, owned: str, most: float
) -> None:
    """Whatever the rest looks like: the owned one is not counted on to cover that instead."""
    plan = decided(machines(10, rest, owning(owned)))
    assert bought(plan).get(RESERVATION, 0) <= most
    assert bought(decided(machines(10, rest)))[RESERVATION] > 4


def test_an_owned_reservation_of_another_size_takes_level_usage_first_too() -> None:
    plan = decided(machines(5, 20 * BY_DAY, owning("10"), size=D4))
    assert bought(plan) == {}
    assert bought(decided(machines(5, 20 * BY_DAY, size=D4)))[RESERVATION] > 4


def test_machines_that_have_stood_still_since_are_not_reserved() -> None:
    stopped = np.where(np.arange(HOURS.count) < HOURS.count - 21 * DAY_HOURS, 10.0, 0.0)
    dataset = machines(10, 3)
    quantity = np.column_stack([stopped, dataset.usage.quantity[:, 1]])
    usage = Usage(HOURS, dataset.usage.lines, quantity)
    assert bought(decided(replace(dataset, usage=usage))) == {}


def test_plans_on_told_hours_are_named_as_before_there_were_estimates() -> None:
    assert "estimated" not in repr(KNOWN)
