"""What is decided on hours that were estimated from days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from service.domain.commitments import Kind, Offering, Payment
from service.domain.ids import OfferingId
from service.domain.plans import PlanInputs
from service.plan.estimated import RULE, decidable

KNOWN = PlanInputs("u", "p", "c", "y", datetime(2026, 9, 1, tzinfo=UTC), 0, "test", "azure")
ESTIMATED = replace(KNOWN, estimated_days=41)
PLAN = Offering(
    offering=OfferingId("plan"),
    provider="azure",
    kind=Kind.AZURE_SAVINGS_PLAN,
    term_months=12,
    payment=Payment.NO_UPFRONT,
    region=None,
    family=None,
    platform=None,
    tenancy=None,
    zone=None,
    size_flexible=False,
    rates_usd={"eastus/Standard_D2s_v5": Decimal("0.07")},
    upfront_usd=Decimal(0),
    min_quantity=Decimal("0.001"),
    step=Decimal("0.001"),
)
RESERVATION = replace(PLAN, offering=OfferingId("reservation"), kind=Kind.AZURE_RESERVATION)
OFFERINGS = {one.offering: one for one in (PLAN, RESERVATION)}


def test_reservations_are_not_decided_on_estimated_hours_and_that_is_said() -> None:
    menu, (declined,) = decidable(sorted(OFFERINGS), OFFERINGS, ESTIMATED)
    assert menu == ("plan",)
    assert declined.rule == RULE
    assert "hours of 41 days are estimated" in declined.detail
    assert "1 reservations" in declined.detail


def test_everything_is_decided_on_hours_that_are_told() -> None:
    menu, declined = decidable(sorted(OFFERINGS), OFFERINGS, KNOWN)
    assert menu == ("plan", "reservation")
    assert not declined


def test_plans_on_told_hours_are_named_as_before_there_were_estimates() -> None:
    assert "estimated" not in repr(KNOWN)
