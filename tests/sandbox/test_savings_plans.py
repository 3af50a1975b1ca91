"""The life of a Savings Plan in the sandbox, seen through boto3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from botocore.exceptions import ClientError

from service.domain.commitments import Kind, Payment
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.clouds import Sdk, create_plan, offer, sdk, small_cloud, strike


@pytest.fixture
def cloud() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def plans(cloud: SandboxCloud) -> Sdk:
    return sdk(cloud, "savingsplans")


def refused(call: Callable[..., object], **arguments: object) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def state_of(plans: Sdk, plan: str) -> str:
    (listed,) = plans.describe_savings_plans(savingsPlanIds=[plan])["savingsPlans"]
    return str(listed["state"])


def test_is_payment_pending_then_active_then_retired(cloud: SandboxCloud, plans: Sdk) -> None:
    plan = create_plan(plans, offer(cloud.world))
    assert state_of(plans, plan) == "payment-pending"
    cloud.advance(1)
    assert state_of(plans, plan) == "active"
    cloud.advance(8_760)
    assert state_of(plans, plan) == "retired"


def test_ends_payment_failed_when_the_payment_fails(cloud: SandboxCloud, plans: Sdk) -> None:
    strike(cloud, Fault("savingsplans.CreateSavingsPlan", FaultKind.PAYMENT_FAILS))
    plan = create_plan(plans, offer(cloud.world))
    cloud.advance(1)
    assert state_of(plans, plan) == "payment-failed"
    assert cloud.world.charged() == ()
    assert cloud.snapshot().paid_by_intent == {}


def test_same_token_and_parameters_buy_once(cloud: SandboxCloud, plans: Sdk) -> None:
    first = create_plan(plans, offer(cloud.world), tags={"tenor:intent": "i"})
    cloud.advance(100)
    assert create_plan(plans, offer(cloud.world), tags={"tenor:intent": "i"}) == first
    assert len(cloud.world.savings_plans.plans) == 1
    assert cloud.world.double_purchases() == 0


def test_same_token_with_another_commitment_is_refused(cloud: SandboxCloud, plans: Sdk) -> None:
    create_plan(plans, offer(cloud.world))
    code = refused(
        plans.create_savings_plan,
        savingsPlanOfferingId=offer(cloud.world).offering,
        commitment="1.6",
        clientToken="token-1",
    )
    assert code == "ValidationException"
    assert len(cloud.world.savings_plans.plans) == 1


def test_counts_an_intent_that_was_bought_twice(cloud: SandboxCloud, plans: Sdk) -> None:
    for token in ("a", "b"):
        create_plan(plans, offer(cloud.world), clientToken=token, tags={"tenor:intent": "i"})
    create_plan(plans, offer(cloud.world), clientToken="c", tags={"tenor:intent": "j"})
    assert cloud.world.double_purchases() == 1


def test_a_plan_without_a_token_is_bought_every_time(cloud: SandboxCloud, plans: Sdk) -> None:
    for _ in range(2):
        plans.create_savings_plan(savingsPlanOfferingId=offer(cloud.world).offering, commitment="1")
    assert len(cloud.world.savings_plans.plans) == 2


@pytest.mark.parametrize("commitment", ["0.0009", "1000000.1", "1.000001", "1e3", "-1", "", "x"])
def test_refuses_a_commitment_outside_the_rules(
    cloud: SandboxCloud, plans: Sdk, commitment: str
) -> None:
    code = refused(
        plans.create_savings_plan,
        savingsPlanOfferingId=offer(cloud.world).offering,
        commitment=commitment,
    )
    assert code == "ValidationException"


@pytest.mark.parametrize("commitment", ["0.001", "1000000", "1.00001", "250"])
def test_takes_a_commitment_at_the_edges(cloud: SandboxCloud, plans: Sdk, commitment: str) -> None:
    plan = create_plan(plans, offer(cloud.world), commitment=commitment)
    (listed,) = plans.describe_savings_plans(savingsPlanIds=[plan])["savingsPlans"]
    assert Decimal(listed["commitment"]) == Decimal(commitment)


@pytest.mark.parametrize(
    ("payment", "upfront", "accepted"),
    [
        (Payment.PARTIAL_UPFRONT, "4380", "yes"),
        (Payment.PARTIAL_UPFRONT, "8672", "yes"),
        (Payment.PARTIAL_UPFRONT, "4379", "no"),
        (Payment.PARTIAL_UPFRONT, "8700", "no"),
        (Payment.PARTIAL_UPFRONT, "4400.5", "no"),
        (Payment.NO_UPFRONT, "4380", "no"),
        (Payment.ALL_UPFRONT, "8760", "no"),
    ],
)
def test_upfront_amount_is_for_half_to_almost_all_of_a_partial_plan(
    cloud: SandboxCloud, plans: Sdk, payment: Payment, upfront: str, accepted: str
) -> None:
    offering = offer(cloud.world, payment=payment)
    change = {"commitment": "1", "upfrontPaymentAmount": upfront}
    if accepted == "yes":
        plan = create_plan(plans, offering, **change)
        (listed,) = plans.describe_savings_plans(savingsPlanIds=[plan])["savingsPlans"]
        assert Decimal(listed["upfrontPaymentAmount"]) == Decimal(upfront)
        hourly = Decimal(listed["recurringPaymentAmount"])
        assert abs(hourly * 8_760 + Decimal(upfront) - 8_760) < Decimal("0.001")
    else:
        call = {"savingsPlanOfferingId": offering.offering, **change}
        assert refused(plans.create_savings_plan, **call) == "ValidationException"


def test_all_upfront_is_charged_for_the_whole_term(cloud: SandboxCloud, plans: Sdk) -> None:
    plan = create_plan(plans, offer(cloud.world, years=3, payment=Payment.ALL_UPFRONT))
    (listed,) = plans.describe_savings_plans(savingsPlanIds=[plan])["savingsPlans"]
    assert Decimal(listed["upfrontPaymentAmount"]) == Decimal("1.5") * 26_280
    assert listed["recurringPaymentAmount"] == "0"


def test_a_queued_plan_costs_nothing_until_it_starts(cloud: SandboxCloud, plans: Sdk) -> None:
    when = cloud.world.after_hours(36)
    plan = create_plan(plans, offer(cloud.world), purchaseTime=when)
    assert state_of(plans, plan) == "queued"
    cloud.advance(35)
    assert cloud.world.charged() == ()
    cloud.advance(2)
    assert state_of(plans, plan) == "active"
    assert cloud.world.charged()[0].start == when


def test_a_queued_plan_can_be_deleted_until_it_starts(cloud: SandboxCloud, plans: Sdk) -> None:
    plan = create_plan(plans, offer(cloud.world), purchaseTime=cloud.world.after_hours(36))
    plans.delete_queued_savings_plan(savingsPlanId=plan)
    assert state_of(plans, plan) == "queued-deleted"
    cloud.advance(48)
    assert cloud.world.charged() == ()
    later = create_plan(plans, offer(cloud.world), clientToken="token-2")
    assert refused(plans.delete_queued_savings_plan, savingsPlanId=later) == "ValidationException"


def test_a_queued_plan_starting_at_the_very_end_of_a_month_fails_to_be_invoiced(
    cloud: SandboxCloud, plans: Sdk
) -> None:
    last_minutes = datetime(2026, 3, 31, 23, 45, tzinfo=UTC)
    plan = create_plan(plans, offer(cloud.world), purchaseTime=last_minutes)
    cloud.advance(24 * 31)
    assert state_of(plans, plan) == "payment-failed"


@pytest.mark.parametrize("hours", [-1, 24 * 365 * 3 + 24])
def test_refuses_a_purchase_time_in_the_past_or_beyond_three_years(
    cloud: SandboxCloud, plans: Sdk, hours: int
) -> None:
    code = refused(
        plans.create_savings_plan,
        savingsPlanOfferingId=offer(cloud.world).offering,
        commitment="1",
        purchaseTime=cloud.world.now() + timedelta(hours=hours),
    )
    assert code == "ValidationException"


def test_returns_an_active_plan_within_its_window(cloud: SandboxCloud, plans: Sdk) -> None:
    plan = create_plan(plans, offer(cloud.world))
    cloud.advance(30)
    plans.return_savings_plan(savingsPlanId=plan, clientToken="back")
    assert state_of(plans, plan) == "pending-return"
    plans.return_savings_plan(savingsPlanId=plan, clientToken="back")
    cloud.advance(3)
    assert state_of(plans, plan) == "returned"
    (charged,) = cloud.world.charged()
    assert (charged.end - charged.start) == timedelta(hours=30)


def test_says_until_when_a_plan_can_be_returned(cloud: SandboxCloud, plans: Sdk) -> None:
    cloud.advance(24 * 26)  # 28 March: the month ends before seven days have passed
    plan = create_plan(plans, offer(cloud.world))
    cloud.advance(1)
    (listed,) = plans.describe_savings_plans(savingsPlanIds=[plan])["savingsPlans"]
    assert listed["returnableUntil"] == "2026-04-01T00:00:00.000Z"
    cloud.advance(24 * 4)
    (listed,) = plans.describe_savings_plans(savingsPlanIds=[plan])["savingsPlans"]
    assert "returnableUntil" not in listed


@pytest.mark.parametrize("wait_hours", [0, 24 * 7 + 1])
def test_refuses_a_return_before_payment_and_after_a_week(
    cloud: SandboxCloud, plans: Sdk, wait_hours: int
) -> None:
    plan = create_plan(plans, offer(cloud.world))
    cloud.advance(wait_hours)
    assert refused(plans.return_savings_plan, savingsPlanId=plan) == "ValidationException"


def test_refuses_to_return_more_than_a_hundred_dollars_an_hour(
    cloud: SandboxCloud, plans: Sdk
) -> None:
    large = create_plan(plans, offer(cloud.world), commitment="100.001")
    small = create_plan(plans, offer(cloud.world), commitment="100", clientToken="token-2")
    cloud.advance(1)
    assert refused(plans.return_savings_plan, savingsPlanId=large) == "ValidationException"
    plans.return_savings_plan(savingsPlanId=small)


def test_refuses_the_eleventh_return_of_a_year(cloud: SandboxCloud, plans: Sdk) -> None:
    bought = [create_plan(plans, offer(cloud.world), clientToken=f"token-{n}") for n in range(11)]
    cloud.advance(1)
    for plan in bought[:10]:
        plans.return_savings_plan(savingsPlanId=plan)
    code = refused(plans.return_savings_plan, savingsPlanId=bought[10])
    assert code == "ServiceQuotaExceededException"


def test_lists_every_plan_over_many_pages(cloud: SandboxCloud, plans: Sdk) -> None:
    bought = {create_plan(plans, offer(cloud.world), clientToken=str(n)) for n in range(17)}
    listed: list[str] = []
    token: dict[str, str] = {}
    pages = 0
    while True:
        page = plans.describe_savings_plans(maxResults=5, **token)
        listed.extend(one["savingsPlanId"] for one in page["savingsPlans"])
        pages += 1
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert pages == 4
    assert len(listed) == 17
    assert set(listed) == bought


def test_a_page_token_belongs_to_its_request(cloud: SandboxCloud, plans: Sdk) -> None:
    for number in range(8):
        create_plan(plans, offer(cloud.world), clientToken=str(number))
    token = plans.describe_savings_plans(maxResults=5)["nextToken"]
    code = refused(plans.describe_savings_plans, states=["active"], nextToken=token)
    assert code == "ValidationException"


def test_filters_plans_by_state_and_kind(cloud: SandboxCloud, plans: Sdk) -> None:
    create_plan(plans, offer(cloud.world))
    cloud.advance(1)
    family = offer(cloud.world, Kind.AWS_EC2_INSTANCE_SP)
    create_plan(plans, family, clientToken="token-2")
    active = plans.describe_savings_plans(states=["active"])["savingsPlans"]
    assert [one["savingsPlanType"] for one in active] == ["Compute"]
    wanted = [{"name": "savings-plan-type", "values": ["EC2Instance"]}]
    assert len(plans.describe_savings_plans(filters=wanted)["savingsPlans"]) == 1
    assert plans.describe_savings_plans(states=["retired"])["savingsPlans"] == []


def test_rates_differ_from_sku_to_sku_and_are_never_above_on_demand(cloud: SandboxCloud) -> None:
    world = cloud.world
    prices = {key.sku: sku.on_demand_usd for key, sku in world.catalog.skus.items()}
    for payment in Payment:
        rates = offer(world, payment=payment).rates_usd
        shares = {sku: rate / prices[sku] for sku, rate in rates.items()}
        assert all(0 < share < 1 for share in shares.values())
        assert len({round(share, 4) for share in shares.values()}) > 20


def test_paying_more_upfront_or_longer_is_never_dearer(cloud: SandboxCloud) -> None:
    for kind in (Kind.AWS_COMPUTE_SP, Kind.AWS_EC2_INSTANCE_SP):
        by_terms = [
            offer(cloud.world, kind, years, payment).rates_usd
            for years in (1, 3)
            for payment in Payment
        ]
        for sku in by_terms[0]:
            rates = [rates[sku] for rates in by_terms]
            assert rates == sorted(rates, reverse=True)
