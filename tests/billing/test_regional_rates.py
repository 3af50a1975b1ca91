"""One plan for all regions charges each region's usage at that region's own rate."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from service.billing.bill import bill
from service.billing.warn import warnings
from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.hours import HOUR, HourRange
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine

START = datetime(2026, 3, 2, tzinfo=UTC)
SIZE = "Standard_D4s_v5"


def dataset(rates: dict[str, str]) -> Dataset:
    offering = Offering(
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
        rates_usd={key: Decimal(rate) for key, rate in rates.items()},
        upfront_usd=Decimal(0),
        min_quantity=Decimal("0.001"),
        step=Decimal("0.001"),
    )
    account = AccountId("sub")
    lines = tuple(UsageLine("azure", account, region, "", SIZE) for region in ("eastus", "west"))
    prices = {"eastus": Decimal("0.2"), "west": Decimal("0.3")}
    skus = {
        line.key: Sku(
            key=SkuKey("azure", line.region, SIZE),
            service="vm",
            family="Dsv5 Series",
            size_units=Decimal(4),
            platform="linux",
            tenancy="shared",
            unit="Hrs",
            on_demand_usd=prices[line.region],
            list_usd=prices[line.region],
        )
        for line in lines
    }
    owned = Commitment(
        commitment=CommitmentId("one"),
        offering=offering.offering,
        account=account,
        scope=None,
        zone=None,
        quantity=Decimal(1),
        start=START,
        end=START + HOUR,
        state=CommitmentState.ACTIVE,
    )
    usage = Usage(HourRange(START, 1), lines, np.ones((1, 2)))
    return Dataset(usage, skus, {offering.offering: offering}, (owned,))


def used_usd(rates: dict[str, str]) -> Decimal:
    (use,) = bill(dataset(rates)).commitments.values()
    return use.used_usd


def test_a_region_of_its_own_rate_is_charged_at_it_and_others_at_the_common_one() -> None:
    assert used_usd({SIZE: "0.1", f"west/{SIZE}": "0.25"}) == Decimal("0.35")
    assert used_usd({SIZE: "0.1"}) == Decimal("0.2")
    assert used_usd({f"west/{SIZE}": "0.25"}) == Decimal("0.25")


def test_a_plan_with_regional_rates_alone_is_not_taken_for_one_without_prices() -> None:
    assert not warnings(dataset({f"west/{SIZE}": "0.25"}))
    assert warnings(dataset({"nowhere/Standard_X": "0.25"}))
