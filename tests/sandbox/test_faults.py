"""Each kind of fault, as the SDK and as the money see it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import cast

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from service.domain.ids import OfferingId
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind, FaultScript
from tests.sandbox.clouds import Sdk, create_plan, impatient, offer, sdk, small_cloud, strike
from tests.sandbox.settling import wait_until_done

CREATE = "savingsplans.CreateSavingsPlan"
LIST = "savingsplans.DescribeSavingsPlans"


@pytest.fixture
def cloud() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def plans(cloud: SandboxCloud) -> Sdk:
    return sdk(cloud, "savingsplans")


def bought(cloud: SandboxCloud) -> int:
    return len(cloud.world.savings_plans.plans)


def test_a_refusal_buys_nothing(cloud: SandboxCloud, plans: Sdk) -> None:
    code = "ServiceQuotaExceededException"
    strike(cloud, Fault(CREATE, FaultKind.REFUSE, code=code, status=402))
    with pytest.raises(ClientError) as caught:
        create_plan(plans, offer(cloud.world))
    assert caught.value.response["Error"]["Code"] == code
    assert bought(cloud) == 0


def test_a_throttle_strikes_as_often_as_told_and_buys_nothing(
    cloud: SandboxCloud, plans: Sdk
) -> None:
    strike(cloud, Fault(CREATE, FaultKind.THROTTLE, times=2))
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            create_plan(plans, offer(cloud.world))
        assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert bought(cloud) == 0
    create_plan(plans, offer(cloud.world))
    assert bought(cloud) == 1


@pytest.mark.parametrize(
    ("kind", "plans_bought"), [(FaultKind.TIMEOUT_BEFORE, 0), (FaultKind.TIMEOUT_AFTER, 1)]
)
def test_a_closed_connection_hides_whether_it_was_bought(
    cloud: SandboxCloud, plans: Sdk, kind: FaultKind, plans_bought: int
) -> None:
    strike(cloud, Fault(CREATE, kind))
    with pytest.raises(ConnectionClosedError):
        create_plan(plans, offer(cloud.world))
    assert bought(cloud) == plans_bought


def test_a_held_connection_is_a_read_timeout(cloud: SandboxCloud) -> None:
    strike(cloud, Fault(CREATE, FaultKind.TIMEOUT_AFTER, hold_seconds=60))
    with impatient(cloud) as clients:
        hurried = cast("Sdk", clients.purchasing("savingsplans"))
        with pytest.raises(ReadTimeoutError):
            create_plan(hurried, offer(cloud.world))
    wait_until_done(cloud, CREATE)
    assert bought(cloud) == 1


@pytest.mark.parametrize(
    ("kind", "plans_bought"), [(FaultKind.ERROR_BEFORE, 0), (FaultKind.ERROR_AFTER, 1)]
)
def test_an_internal_error_hides_whether_it_was_bought(
    cloud: SandboxCloud, plans: Sdk, kind: FaultKind, plans_bought: int
) -> None:
    strike(cloud, Fault(CREATE, kind))
    with pytest.raises(ClientError) as caught:
        create_plan(plans, offer(cloud.world))
    assert caught.value.response["Error"]["Code"] == "InternalServerException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert bought(cloud) == plans_bought


def test_the_sdks_own_retries_would_have_sent_a_purchase_again(cloud: SandboxCloud) -> None:
    strike(cloud, Fault(CREATE, FaultKind.ERROR_AFTER, times=2))
    retrying = cast("Sdk", cloud.clients().reading("savingsplans"))
    create_plan(retrying, offer(cloud.world))
    assert cloud.server.calls[CREATE] == 3
    assert bought(cloud) == 1  # one token: the plan survives it, a reservation would not


def test_a_listing_lags_by_hours(cloud: SandboxCloud, plans: Sdk) -> None:
    strike(cloud, Fault(CREATE, FaultKind.LISTING_LAG, lag_hours=3))
    plan = create_plan(plans, offer(cloud.world))
    cloud.advance(2)
    assert plans.describe_savings_plans()["savingsPlans"] == []
    cloud.advance(1)
    listed = plans.describe_savings_plans()["savingsPlans"]
    assert [one["savingsPlanId"] for one in listed] == [plan]


def test_a_listing_lags_by_reads(cloud: SandboxCloud, plans: Sdk) -> None:
    strike(cloud, Fault(CREATE, FaultKind.LISTING_LAG, lag_reads=2))
    create_plan(plans, offer(cloud.world))
    counts = [len(plans.describe_savings_plans()["savingsPlans"]) for _ in range(3)]
    assert counts == [0, 0, 1]


def test_a_price_changes_after_it_was_read(cloud: SandboxCloud, plans: Sdk) -> None:
    read = "savingsplans.DescribeSavingsPlansOfferingRates"
    strike(cloud, Fault(read, FaultKind.PRICE_CHANGE, price_factor=Decimal("1.1")))
    offering = offer(cloud.world)
    before, after = (
        plans.describe_savings_plans_offering_rates(savingsPlanOfferingIds=[offering.offering])
        for _ in range(2)
    )
    old, new = (Decimal(page["searchResults"][0]["rate"]) for page in (before, after))
    assert new == old * Decimal("1.1")


def test_what_was_bought_before_a_price_change_keeps_its_rate(
    cloud: SandboxCloud, plans: Sdk
) -> None:
    offering = offer(cloud.world)
    create_plan(plans, offering)
    cloud.world.change_price(OfferingId(offering.offering), Decimal(2))
    create_plan(plans, offering, clientToken="token-2")
    cloud.advance(48)
    day = cloud.world.accrual.day(cloud.world.options.start)
    rates = [day.dataset.offerings[one.offering].rates_usd for one in day.dataset.commitments]
    sku = next(iter(offering.rates_usd))
    assert sorted(rate[sku] for rate in rates) == [
        offering.rates_usd[sku],
        offering.rates_usd[sku] * 2,
    ]


def test_a_fault_strikes_the_call_it_was_told_to(cloud: SandboxCloud, plans: Sdk) -> None:
    strike(cloud, Fault(LIST, FaultKind.REFUSE, after_calls=2))
    for _ in range(2):
        plans.describe_savings_plans()
    with pytest.raises(ClientError):
        plans.describe_savings_plans()
    plans.describe_savings_plans()


def test_chance_is_drawn_from_the_seed() -> None:
    def struck(seed: int) -> list[int]:
        script = FaultScript(seed)
        script.add(Fault("*", FaultKind.REFUSE, chance=0.3, times=1_000))
        return [len(script.strike("any.Operation")) for _ in range(200)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 90


def test_nothing_fails_once_the_script_is_cleared(cloud: SandboxCloud, plans: Sdk) -> None:
    strike(cloud, Fault("*", FaultKind.REFUSE, times=100))
    cloud.world.faults.clear()
    create_plan(plans, offer(cloud.world))
    assert bought(cloud) == 1
