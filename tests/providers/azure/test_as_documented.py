"""Answers as Azure's own published examples have them, where they are not what one would think."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.commitments import Payment
from service.domain.errors import ProviderError
from service.domain.purchases import Bought, Refused, Unknown
from service.domain.usage import SkuKey
from service.providers.azure.changes import Giving, quote_return
from service.providers.azure.term_price import bought_term_usd, whole_term_usd
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.server import shipped_routes
from service.sandbox.azure.wire.benefits import ALIASES, ORDERS
from service.sandbox.azure.wire.call import Call, Reply, route
from tests.sandbox.azure.clouds import (
    SMALL,
    buyer,
    order,
    owned,
    plan_order,
    quoted,
    reader,
    reservation_id,
    small_cloud,
)

D4 = SkuKey("azure", "eastus", "Standard_D4s_v5")
MONTHLY = reservation_id(payment=Payment.NO_UPFRONT)


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def paid(*usd: str, status: str = "Scheduled") -> list[dict[str, object]]:
    return [
        {"pricingCurrencyTotal": {"currencyCode": "USD", "amount": Decimal(one)}, "status": status}
        for one in usd
    ]


@pytest.mark.parametrize(
    ("total", "payments", "whole"),
    [
        ("552", paid(*["46"] * 12), "552"),
        ("46", paid(*["46"] * 12), "552"),
        ("46", paid(*["46"] * 3), "552"),
        ("100", paid(*["8.33"] * 12), "100"),
        ("8.33", paid(*["8.34"] * 4, *["8.33"] * 8), "100.00"),
        ("46", [*paid("46", status="Failed"), *paid(*["46"] * 12)], "552"),
    ],
)
def test_a_monthly_total_is_that_of_the_term_or_of_a_payment_as_the_payments_say(
    total: str, payments: list[dict[str, object]], whole: str
) -> None:
    found = whole_term_usd("x", Decimal(total), payments, 12, Payment.NO_UPFRONT)
    assert found == pytest.approx(Decimal(whole), abs=Decimal("0.05"))


@pytest.mark.parametrize("payments", [[], paid("46"), paid(*["30"] * 12), paid("46", "500")])
def test_a_monthly_total_that_the_payments_do_not_explain_is_no_price(
    payments: list[dict[str, object]],
) -> None:
    with pytest.raises(ProviderError, match="unclear_price"):
        whole_term_usd("x", Decimal(46) + len(payments) // 12, payments, 12, Payment.NO_UPFRONT)


def test_an_upfront_total_is_the_price() -> None:
    assert whole_term_usd("x", Decimal(552), [], 12, Payment.ALL_UPFRONT) == 552
    assert bought_term_usd(Decimal(552), [], 12, Payment.ALL_UPFRONT, owned=True) == 552


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("total", ["552", "46"])
@pytest.mark.parametrize(
    "payments",
    [
        paid(*["46"] * 12),
        [*paid("46", status="Completed"), *paid(*["46"] * 11, status="Cancelled")],
        paid("46", status="Completed"),
        [*paid(*["46"] * 3, status="Completed"), *paid(*["23"] * 9)],
    ],
    ids=["to their end", "given back in the first month", "one was paid", "half given back"],
)
def test_what_was_bought_by_the_month_costs_what_it_did_whatever_was_given_back(
    payments: list[dict[str, object]], total: str, *, owned: bool
) -> None:
    found = bought_term_usd(Decimal(total), payments, 12, Payment.NO_UPFRONT, owned=owned)
    assert found == 552


@pytest.mark.parametrize("payments", [[], paid("46"), paid(*["30"] * 12)])
def test_only_what_is_still_owned_must_tell_a_clear_price(
    payments: list[dict[str, object]],
) -> None:
    total, by_month = Decimal(100), Payment.NO_UPFRONT
    assert bought_term_usd(total, payments, 12, by_month, owned=True) is None
    over = bought_term_usd(total, payments, 12, by_month, owned=False)
    assert over is not None
    assert over >= total


@pytest.mark.parametrize("told", ["term", "payment"])
def test_a_monthly_reservation_costs_the_same_however_its_total_is_told(told: str) -> None:
    with small_cloud(options=replace(SMALL, monthly_totals=told)) as cloud:
        draft = order(cloud, MONTHLY)
        quote = buyer(cloud).quote(draft)
        upfront = buyer(cloud).quote(order(cloud))
        assert quote.upfront_usd == 0
        assert quote.commit_usd_per_hour == pytest.approx(
            upfront.commit_usd_per_hour, rel=Decimal("0.0001")
        )
        owned(cloud, MONTHLY)
        (item,) = reader(cloud).inventory()
        assert item.commit_usd_per_hour == pytest.approx(
            quote.commit_usd_per_hour * 2, rel=Decimal("0.0001")
        )


def test_an_alias_stays_created_and_the_plan_says_that_it_was_bought(cloud: AzureSandbox) -> None:
    ordered = plan_order(cloud)
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    answer = cloud.clients().benefits.savings_plan_order_alias.get(f"tenor-{ordered.intent}")
    assert answer.as_dict()["properties"]["provisioningState"] == "Created"
    assert isinstance(buyer(cloud).look_up(ordered), Bought)
    cloud.advance(24 * 366)
    assert isinstance(buyer(cloud).look_up(ordered), Bought)  # it ended, and had been bought


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("Failed", Refused), ("Cancelled", Refused), ("PendingBilling", Unknown), ("", Unknown)],
)
def test_an_alias_that_is_created_buys_nothing_by_itself(
    state: str, outcome: type, cloud: AzureSandbox
) -> None:
    ordered = plan_order(cloud)
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    plans = ORDERS + "/{order}/savingsPlans"
    (true,) = [one for one in shipped_routes() if one.operation == "azure.SavingsPlan.List"]

    def other(call: Call) -> Reply:
        body = json.loads(true.handler(call).raw())
        body["value"][0]["properties"]["provisioningState"] = state
        return Reply(200, body)

    cloud.server.answer_first((route("GET", plans, "azure.SavingsPlan.List", "", other),))
    assert isinstance(buyer(cloud).look_up(ordered), outcome)


@pytest.mark.parametrize(("valid", "wrapped"), [(True, True), (False, True), (False, False)])
def test_verdicts_come_in_one_list_or_in_a_list_of_lists(
    cloud: AzureSandbox, *, valid: bool, wrapped: bool
) -> None:
    verdicts: list[object] = [{"valid": valid, "reasonCode": "CustomerCannotPurchaseSavingsPlan"}]
    body = {"benefits": [{"benefits": verdicts}] if wrapped else verdicts}
    path = ALIASES.rpartition("/")[0] + "/validate"
    told = route("POST", path, "azure.Benefit.Validate", "", lambda _: Reply(200, body))
    cloud.server.answer_first((told,))
    if valid:
        assert buyer(cloud).quote(plan_order(cloud)).quantity == Decimal("2.5")
        return
    with pytest.raises(ProviderError, match="CustomerCannotPurchaseSavingsPlan"):
        buyer(cloud).quote(plan_order(cloud))


@pytest.mark.parametrize(
    ("restrictions", "months"),
    [
        ([], {12, 36}),
        ([{"type": "Term", "values": ["P1Y"], "reasonCode": "NotAvailableForSubscription"}], {36}),
        ([{"type": "Location", "values": ["eastus"], "reasonCode": "NotAvailable"}], set()),
    ],
)
def test_what_the_subscription_is_restricted_from_is_not_offered(
    restrictions: list[object], months: set[int], cloud: AzureSandbox
) -> None:
    path = "/subscriptions/{subscription}/providers/Microsoft.Capacity/catalogs"
    (true,) = [one for one in shipped_routes() if one.operation == "azure.Catalog.List"]

    def restricted(call: Call) -> Reply:
        body = json.loads(true.handler(call).raw())
        body["value"] = [{**one, "restrictions": restrictions} for one in body["value"]]
        return Reply(200, body)

    cloud.server.answer_first((route("GET", path, "azure.Catalog.List", "", restricted),))
    offered = {one.term_months for one in reader(cloud).offerings([D4]) if not one.kind.is_spend}
    assert offered == months


def test_what_was_paid_in_advance_counts_against_the_refund_limit_too(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    operation = "azure.CalculateRefund.Post"
    (true,) = [one for one in shipped_routes() if one.operation == operation]

    def nothing_to_come(call: Call) -> Reply:
        body = json.loads(true.handler(call).raw(), parse_float=Decimal)
        usd = {"currencyCode": "USD", "amount": 0}
        billing = body["properties"]["billingInformation"]
        billing["billingCurrencyRemainingCommitmentAmount"] = usd
        body["properties"]["policyResult"]["properties"]["maxRefundLimit"]["amount"] = 1_000
        return Reply(200, body)

    path = "/providers/Microsoft.Capacity/reservationOrders/{order}/calculateRefund"
    cloud.server.answer_first((route("POST", path, operation, true.action, nothing_to_come),))
    session = quote_return(cloud.clients(), Giving(source, 6))
    assert session.left_usd == session.refund_usd > 1_000
    assert "is too much" in session.refusals[-1]
    assert quoted(cloud, order(cloud)).reference
