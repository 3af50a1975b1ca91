"""How shipped tools went wrong when they bought in Azure: one regression test for each way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from azure.mgmt.reservations.models import ReservedResourceType

from service.domain.alterations import AlterationKind, Altered
from service.domain.commitments import CommitmentState, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.purchases import Bought, Refused, Unknown
from service.domain.usage import SkuKey
from service.providers.azure.permissions import AzurePermissions
from service.providers.azure.words import VIRTUAL_MACHINES, name_of
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.azure.wire.reservations import ORDERS, order_json
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    CALCULATE,
    INTENT,
    PURCHASE,
    SMALL,
    alteration,
    alterer,
    buyer,
    offering_named,
    order,
    owned,
    quoted,
    reader,
    reservation_id,
    small_cloud,
    strike,
    target,
)

MADE_UP = "00000000-aaaa-4000-8000-000000000001"


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def test_27_an_order_id_of_our_own_is_refused_and_the_minted_one_keeps_the_purchase_single(
    cloud: AzureSandbox,
) -> None:
    made_up = buyer(cloud).buy(replace(quoted(cloud, order(cloud)), reference=MADE_UP))
    assert isinstance(made_up, Refused)
    assert "Session timed out" in made_up.detail
    ordered = quoted(cloud, order(cloud))
    assert [type(buyer(cloud).buy(ordered)) for _ in range(3)] == [Bought] * 3
    assert cloud.server.calls[PURCHASE] == 2
    assert cloud.snapshot().paid_by_intent == {INTENT: (ordered.reference,)}


def test_27_the_intent_is_written_on_what_was_bought_for_a_scan_of_the_tenant(
    cloud: AzureSandbox,
) -> None:
    owned(cloud)
    (order_found,) = cloud.world.book.orders.values()
    assert order_found.terms.display_name == name_of(INTENT)
    assert [item.intent for item in reader(cloud).inventory()] == [INTENT]


def test_28_a_lost_answer_never_leads_to_a_new_price_and_a_new_order_id(
    cloud: AzureSandbox,
) -> None:
    ordered = quoted(cloud, order(cloud))
    strike(cloud, Fault(PURCHASE, FaultKind.TIMEOUT_AFTER))
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    asked = cloud.server.calls[CALCULATE]
    assert isinstance(buyer(cloud).buy(ordered), Bought)
    assert cloud.server.calls[CALCULATE] == asked
    assert list(cloud.world.book.orders) == [ordered.reference]


@pytest.mark.parametrize("body", [b"", b"<html>a proxy's page</html>", b'{"message": "no code"}'])
def test_28_a_400_whose_body_tells_nothing_proves_nothing(cloud: AzureSandbox, body: bytes) -> None:
    def unreadable(_: Call) -> Reply:
        return Reply(400, body)

    answer = route("PUT", ORDERS + "/{order}", PURCHASE, "", unreadable)
    ordered = quoted(cloud, order(cloud))
    cloud.server.answer_first((answer,))
    assert isinstance(buyer(cloud).buy(ordered), Unknown)


@pytest.mark.parametrize("payment", [Payment.NO_UPFRONT, Payment.ALL_UPFRONT])
def test_29_the_billing_plan_is_always_said(cloud: AzureSandbox, payment: Payment) -> None:
    owned(cloud, reservation_id(payment=payment))
    (bought,) = cloud.world.book.orders.values()
    assert bought.terms.monthly is (payment is Payment.NO_UPFRONT)
    assert b'"billingPlan"' in cloud.server.bodies[PURCHASE]


def test_29_and_in_every_target_of_an_exchange(cloud: AzureSandbox) -> None:
    source = owned(cloud, reservation_id(payment=Payment.NO_UPFRONT))
    wanted = target(6, reservation_id(payment=Payment.NO_UPFRONT), Payment.NO_UPFRONT)
    order_ = alteration(
        AlterationKind.EXCHANGE,
        (source,),
        wanted,
        account=cloud.world.payer,
        most_to_pay_usd="100000",
    )
    assert isinstance(alterer(cloud).alter(order_), Altered)
    assert all(one.terms.monthly for one in cloud.world.book.orders.values())


def test_30_a_size_is_bought_by_machines_of_that_size_and_never_by_units(
    cloud: AzureSandbox,
) -> None:
    owned(cloud, reservation_id("Standard_D8s_v5"), "3")
    (bought,) = cloud.world.book.orders.values()
    assert (bought.machine.arm_name, bought.terms.quantity) == ("Standard_D8s_v5", 3)
    (item,) = reader(cloud).inventory()
    keys = [SkuKey("azure", "eastus", f"Standard_D{n}s_v5") for n in (2, 8)]
    small, large = reader(cloud).prices(keys, {})
    assert large.size_units == 4 * (small.size_units or 0)
    (offering,) = reader(cloud).owned_offerings([item], keys)
    assert list(offering.rates_usd) == ["Standard_D8s_v5"]
    cloud.advance(48)
    # Three machines of eight vCPUs are room for twelve of two; the bill sees it so.
    assert cloud.totals().used_usd == cloud.totals().commitment_usd > 0


def test_31_the_resource_type_is_one_that_azure_has(cloud: AzureSandbox) -> None:
    assert VIRTUAL_MACHINES in {one.value for one in ReservedResourceType}
    owned(cloud)
    assert b'"VirtualMachines"' in cloud.server.bodies[PURCHASE]


def test_31_a_listing_that_fails_is_an_error_and_never_an_empty_inventory(
    cloud: AzureSandbox,
) -> None:
    owned(cloud)
    for operation in ("azure.Reservation.ListAll", "azure.SavingsPlan.ListAll"):
        strike(cloud, Fault(operation, FaultKind.REFUSE, times=9, code="Forbidden", status=403))
        with pytest.raises(ProviderError, match="Forbidden"):
            reader(cloud).inventory()
        cloud.world.faults.clear()
    assert len(reader(cloud).inventory()) == 1


def test_32_a_price_that_is_missing_is_an_error_and_nothing_is_invented(
    cloud: AzureSandbox,
) -> None:
    unknown = SkuKey("azure", "eastus", "Standard_X64s_v9")
    with pytest.raises(InputError, match="Standard_X64s_v9"):
        reader(cloud).prices([unknown], {})
    assert reader(cloud).offerings([unknown]) == []


def test_32_a_reservation_whose_order_tells_no_price_is_an_error(cloud: AzureSandbox) -> None:
    owned(cloud)

    def without_price(call: Call) -> Reply:
        found = []
        for one in call.world.book.orders.values():
            told = order_json(call.world, one)
            properties = told["properties"]
            assert isinstance(properties, dict)
            del properties["planInformation"]
            found.append(told)
        return Reply(200, {"value": found} if call.path == ORDERS else found[0])

    cloud.server.answer_first(
        (
            route("GET", ORDERS, "azure.ReservationOrder.List", "", without_price),
            route("GET", ORDERS + "/{order}", "azure.ReservationOrder.Get", "", without_price),
        )
    )
    with pytest.raises(ProviderError, match="does not tell clearly what it costs"):
        reader(cloud).inventory()


def test_33_a_role_without_calculateprice_is_told_with_its_mend() -> None:
    granted = (
        "Microsoft.Resources/*",
        "Microsoft.Capacity/catalogs/read",
        "Microsoft.Capacity/reservationorders/*",
        "Microsoft.BillingBenefits/*",
    )
    with small_cloud(options=replace(SMALL, granted=granted)) as cloud:
        proofs = AzurePermissions(cloud.clients()).permissions("copilot")
        (lacking,) = [one for one in proofs if one.action.endswith("calculateprice/action")]
        assert lacking.allowed is False
        assert "Reservations Contributor on" in lacking.mend
        with pytest.raises(ProviderError, match="calculateprice"):
            buyer(cloud).quote(order(cloud))


def test_33_a_provider_that_is_not_registered_is_refused_and_not_registered_by_us(
    cloud: AzureSandbox,
) -> None:
    ordered = quoted(cloud, order(cloud))
    code = "MissingSubscriptionRegistration"
    strike(cloud, Fault(PURCHASE, FaultKind.REFUSE, code=code, status=409, times=9))
    outcome = buyer(cloud).buy(ordered)
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert cloud.server.calls[PURCHASE] == 1
    assert not any("register" in call.lower() for call in cloud.server.calls)


def test_34_a_return_is_quoted_again_and_stops_when_less_would_come_back(
    cloud: AzureSandbox,
) -> None:
    source = owned(cloud)
    giving = alteration(AlterationKind.RETURN, (source,), account=cloud.world.payer)
    consented = alterer(cloud).quote_alteration(giving).refund_usd
    cloud.advance(24 * 30)
    least = replace(giving, most_to_pay_usd=-consented)
    outcome = alterer(cloud).alter(least)
    assert isinstance(outcome, Refused)
    assert outcome.code == "price_moved"
    assert cloud.server.calls["azure.Return.Post"] == 0
    assert isinstance(alterer(cloud).alter(giving), Altered)


def test_34_the_last_hour_of_a_term_is_not_counted_on_for_a_return(cloud: AzureSandbox) -> None:
    owned(cloud)
    (item,) = reader(cloud).inventory()
    end = item.commitment.end
    ways = alterer(cloud).ways
    assert AlterationKind.RETURN in ways(item, end - timedelta(minutes=61))
    assert AlterationKind.RETURN not in ways(item, end - timedelta(minutes=59))


def test_34_a_policy_that_is_violated_after_the_quote_is_a_refusal(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    refuse = Fault("azure.Return.Post", FaultKind.REFUSE, code="RefundPolicyViolated")
    strike(cloud, refuse)
    giving = alteration(AlterationKind.RETURN, (source,), account=cloud.world.payer)
    outcome = alterer(cloud).alter(giving)
    assert isinstance(outcome, Refused)
    assert outcome.code == "RefundPolicyViolated"
    assert reader(cloud).inventory()[0].commitment.state is CommitmentState.ACTIVE


def test_57_a_purchase_is_in_the_inventory_at_once_whatever_azure_recommends() -> None:
    with small_cloud(options=replace(SMALL, operation_reads=99)) as cloud:
        assert isinstance(buyer(cloud).buy(quoted(cloud, order(cloud))), Unknown)
        (item,) = reader(cloud).inventory()
        assert item.commitment.state is CommitmentState.PAYMENT_PENDING
        assert item.commitment.state.is_owned
        assert item.commitment.quantity == Decimal(3)
        assert not any("recommend" in call.lower() for call in cloud.server.calls)
        keys = [SkuKey("azure", "eastus", "Standard_D4s_v5")]
        (offering,) = reader(cloud).owned_offerings([item], keys)
        on_sale = offering_named(list(reader(cloud).offerings(keys)), offering.offering)
        assert offering.rates_usd["Standard_D4s_v5"] == pytest.approx(
            on_sale.rates_usd["Standard_D4s_v5"], rel=Decimal("1e-20")
        )
