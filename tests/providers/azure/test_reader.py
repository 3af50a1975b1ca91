"""The Azure reader against the sandbox: complete, exact, and an error where Azure does not tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest

from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import ProviderError
from service.domain.hours import TERM_HOURS
from service.domain.ids import AccountId, IntentId
from service.domain.usage import SkuKey
from service.providers.azure.clients import AzureClients
from service.providers.azure.reader import AzureReader
from service.providers.azure.retirements import is_retired
from service.providers.port import ProviderReader
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.azure.wire.reservations import reservation_json
from service.sandbox.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    SMALL,
    buyer,
    offering_named,
    order,
    owned,
    plan_order,
    quoted,
    reader,
    reservation_id,
    small_cloud,
    strike,
)

D4 = SkuKey("azure", "eastus", "Standard_D4s_v5")
D2 = SkuKey("azure", "eastus", "Standard_D2s_v5")
F4 = SkuKey("azure", "eastus", "Standard_F4s_v2")
D8_V3 = SkuKey("azure", "eastus", "Standard_D8s_v3")
D4_WINDOWS = SkuKey("azure", "eastus", "Standard_D4s_v5 windows")
D4_WEST = SkuKey("azure", "westeurope", "Standard_D4s_v5")


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def test_says_whose_tenant_principal_and_subscription_it_is(cloud: AzureSandbox) -> None:
    there: ProviderReader = reader(cloud)
    who = there.identity()
    assert (who.provider, who.account) == ("azure", cloud.world.payer)
    assert who.principal.startswith(cloud.world.tenant)


def test_another_tenants_token_is_an_error(cloud: AzureSandbox) -> None:
    access = replace(cloud.access(), tenant_id="9c000000-0000-4000-8000-000000000009")
    with (
        closing(AzureClients(access)) as clients,
        pytest.raises(ProviderError, match="wrong_tenant"),
    ):
        AzureReader(clients, clock=cloud.world.clock).identity()


def test_lists_every_enabled_subscription_over_all_pages() -> None:
    with small_cloud(options=replace(SMALL, page_size=2)) as cloud:
        assert set(reader(cloud).accounts()) == set(cloud.world.subscriptions.values())
        assert cloud.server.calls["azure.Subscriptions.List"] == 3


def test_prices_every_sku_that_the_world_uses(cloud: AzureSandbox) -> None:
    keys = sorted({line.key for line in cloud.world.usage.lines})
    priced = reader(cloud).prices(keys, {})
    assert [sku.key for sku in priced] == keys
    for sku in priced:
        truth = cloud.world.catalog.skus[sku.key]
        assert (sku.on_demand_usd, sku.family) == (truth.on_demand_usd, truth.family)
        assert (sku.platform, sku.service, sku.unit) == (truth.platform, truth.service, truth.unit)


def test_spot_windows_and_linux_prices_of_one_size_are_told_apart(cloud: AzureSandbox) -> None:
    linux, windows = reader(cloud).prices([D4, D4_WINDOWS], {})
    assert (linux.on_demand_usd, windows.on_demand_usd) == (Decimal("0.192"), Decimal("0.376"))


def test_sizes_of_a_group_weigh_as_the_catalogue_says(cloud: AzureSandbox) -> None:
    small, large = reader(cloud).prices([D2, D4], {})
    assert (small.size_units, large.size_units) == (Decimal(1), Decimal(2))
    assert small.family == large.family == "Dsv5 Series"


def test_what_the_price_list_lacks_is_priced_by_what_bills_show(cloud: AzureSandbox) -> None:
    key = SkuKey("azure", "eastus", "Azure App Service/Premium v3 Plan/P1 v3 App")
    (sku,) = reader(cloud).prices([key], {key: ("1 Hour", Decimal("0.155"))})
    assert (sku.on_demand_usd, sku.service) == (Decimal("0.155"), "app_service")


def test_offers_reservations_at_whole_term_prices_spread_over_the_term(
    cloud: AzureSandbox,
) -> None:
    offered = list(reader(cloud).offerings([D2, D4]))
    upfront = offering_named(offered, reservation_id("Standard_D2s_v5"))
    machine = cloud.world.catalog.machines["eastus", "Standard_D2s_v5"]
    whole = cloud.world.catalog.reservation_usd(machine, 12)
    assert upfront.upfront_usd == whole
    assert upfront.rates_usd == {"Standard_D2s_v5": whole / TERM_HOURS[12]}
    assert (upfront.size_flexible, upfront.platform) == (True, "linux")
    monthly = offering_named(offered, reservation_id("Standard_D2s_v5", payment=Payment.NO_UPFRONT))
    assert (monthly.upfront_usd, monthly.rates_usd) == (Decimal(0), upfront.rates_usd)


def test_offers_a_pool_of_flexible_sizes_by_the_smallest_that_is_used(
    cloud: AzureSandbox,
) -> None:
    sizes = {
        name
        for one in reader(cloud).offerings([D4, D2, F4])
        if one.kind is Kind.AZURE_RESERVATION
        for name in one.rates_usd
    }
    assert sizes == {"Standard_D2s_v5", "Standard_F4s_v2"}


def test_plans_have_each_regions_own_rates_and_discount_no_licence(cloud: AzureSandbox) -> None:
    keys = [D4, D4_WEST, D4_WINDOWS]
    plans = [one for one in reader(cloud).offerings(keys) if one.kind.is_spend]
    assert {(one.term_months, one.payment) for one in plans} == {
        (months, payment)
        for months in (12, 36)
        for payment in (Payment.NO_UPFRONT, Payment.ALL_UPFRONT)
    }
    plan = plans[0]
    east, west = (plan.rate_usd(key.region, key.sku) for key in (D4, D4_WEST))
    windows = plan.rate_usd(D4_WINDOWS.region, D4_WINDOWS.sku)
    assert east is not None
    assert west is not None
    assert windows is not None
    assert west > east
    assert windows - east == Decimal("0.184")  # four vCPUs of licence
    assert {one.upfront_usd for one in plans} == {Decimal(0), Decimal(8_760), Decimal(26_280)}


@pytest.mark.parametrize(
    ("on", "fsv2", "dsv3"), [("2026-06-30", {12, 36}, {12, 36}), ("2026-07-01", {36}, set())]
)
def test_reservations_of_retired_series_are_not_offered_from_their_day_on(
    on: str, fsv2: set[int], dsv3: set[int]
) -> None:
    clock = VirtualClock(datetime.fromisoformat(f"{on}T00:00:00+00:00"))
    with small_cloud(options=replace(SMALL, clock=clock)) as cloud:
        found = reader(cloud).offerings([F4, D8_V3])

    def terms(size: str) -> set[int]:
        return {one.term_months for one in found if size in one.rates_usd}

    assert (terms("Standard_F4s_v2"), terms("Standard_D8s_v3")) == (fsv2, dsv3)


@pytest.mark.parametrize(
    ("size", "months", "retired"),
    [
        ("Standard_A2_v2", 12, True),
        ("Standard_A2m_v2", 12, True),
        ("Standard_B2ms", 12, True),
        ("Standard_B2s_v2", 12, False),
        ("Standard_D2_v2", 12, True),
        ("Standard_DS13-4_v2", 12, True),
        ("Standard_F8s_v2", 12, True),
        ("Standard_F8s_v2", 36, False),
        ("Standard_GS5-16", 12, True),
        ("Standard_L8s_v2", 12, True),
        ("Standard_L8s_v3", 12, False),
        ("Standard_D4_v3", 36, True),
        ("Standard_E64is_v3", 36, True),
        ("Standard_E4-2s_v3", 12, True),
        ("Standard_D4s_v5", 12, False),
        ("Standard_NC6s_v3", 36, False),
    ],
)
def test_the_series_that_stopped_on_the_first_of_july_2026(
    size: str,
    months: int,
    retired: bool,  # noqa: FBT001  # a column of the table above
) -> None:
    assert is_retired(size, months, date(2026, 7, 1)) is retired
    assert not is_retired(size, months, date(2026, 6, 30))


def test_the_inventory_holds_every_page_and_every_state(cloud: AzureSandbox) -> None:
    for number in range(9):
        owned(cloud, quantity="1", intent=IntentId(f"intent-{number}"))
    buyer(cloud).buy(plan_order(cloud))
    strike(cloud, Fault("azure.ReservationOrder.Purchase", FaultKind.PAYMENT_FAILS))
    buyer(cloud).buy(quoted(cloud, order(cloud, intent=IntentId("unpaid"))))
    items = reader(cloud).inventory()
    assert len(items) == 11
    assert cloud.server.calls["azure.Reservation.ListAll"] == 2
    failed = [one for one in items if one.commitment.state is CommitmentState.FAILED]
    assert [one.intent for one in failed] == ["unpaid"]
    assert {one.commitment.account for one in items} == {cloud.world.payer}


def test_a_reservation_tells_what_it_costs_where_it_came_from_and_how_it_ends(
    cloud: AzureSandbox,
) -> None:
    ordered = quoted(cloud, order(cloud))
    buyer(cloud).buy(ordered)
    (item,) = reader(cloud).inventory()
    assert item.reference == ordered.reference
    assert item.upfront_usd == ordered.upfront_usd
    assert item.commit_usd_per_hour == pytest.approx(
        ordered.upfront_usd / TERM_HOURS[12], rel=Decimal("1e-20")
    )
    assert (item.region, item.family, item.term_months) == ("eastus", "Dsv5 Series", 12)
    assert (item.exchangeable, item.renews, item.commitment.scope) == (True, False, None)
    assert item.returnable_until is not None


def test_scopes_are_subscriptions_and_resource_groups(cloud: AzureSandbox) -> None:
    web = cloud.world.subscriptions["web"]
    paths = {
        f"/subscriptions/{web}": frozenset({AccountId(web)}),
        f"/subscriptions/{web}/resourceGroups/Front": frozenset({AccountId(f"{web}/front")}),
    }
    for number, path in enumerate(paths):
        owned(cloud, quantity="1", intent=IntentId(f"intent-{number}"))
        list(cloud.world.book.orders.values())[-1].reservations[0].scopes = (path,)
    assert [one.commitment.scope for one in reader(cloud).inventory()] == list(paths.values())


def test_a_state_that_azure_added_since_stops_the_reading(cloud: AzureSandbox) -> None:
    owned(cloud)
    cloud.world.book.reservations()[0].outcome = "Hibernating"
    with pytest.raises(ProviderError, match="Hibernating"):
        reader(cloud).inventory()


def test_an_ended_reservation_is_retired_and_a_renewed_one_has_no_intent(
    cloud: AzureSandbox,
) -> None:
    owned(cloud)
    cloud.world.book.reservations()[0].renew = True
    cloud.advance(24 * 366)
    first, second = reader(cloud).inventory()
    assert (first.commitment.state, first.intent is None) == (CommitmentState.RETIRED, False)
    assert (second.commitment.state, second.intent) == (CommitmentState.ACTIVE, None)
    assert second.commitment.start == first.commitment.end
    assert cloud.snapshot().double_purchases == 0


def test_throttled_reads_are_tried_again(cloud: AzureSandbox) -> None:
    strike(cloud, Fault("azure.Retail.Prices", FaultKind.THROTTLE, times=2))
    assert len(reader(cloud).prices([D4], {})) == 1
    assert cloud.server.calls["azure.Retail.Prices"] == 3


def test_a_read_that_goes_on_failing_is_an_error_with_azures_code(cloud: AzureSandbox) -> None:
    strike(cloud, Fault("azure.Subscriptions.List", FaultKind.ERROR_BEFORE, times=99))
    with pytest.raises(ProviderError, match="InternalServerError"):
        reader(cloud).accounts()


def test_a_next_page_elsewhere_is_not_followed(cloud: AzureSandbox) -> None:
    def leads_away(_: Call) -> Reply:
        return Reply(200, {"value": [], "nextLink": "http://127.0.0.2:1/subscriptions"})

    lure = route("GET", "/subscriptions", "azure.Subscriptions.List", "", leads_away)
    cloud.server.answer_first((lure,))
    with pytest.raises(ProviderError, match="foreign_link"):
        reader(cloud).accounts()


def test_prices_in_another_currency_are_an_error(cloud: AzureSandbox) -> None:
    def in_euros(_: Call) -> Reply:
        row = {"currencyCode": "EUR", "type": "Consumption", "retailPrice": 1}
        return Reply(200, {"Items": [row], "NextPageLink": None})

    path = "/api/retail/prices"
    cloud.server.answer_first((route("GET", path, "azure.Retail.Prices", "", in_euros),))
    with pytest.raises(ProviderError, match="EUR"):
        reader(cloud).prices([D4], {})


def test_purchases_carry_no_float_that_is_not_what_was_ordered(cloud: AzureSandbox) -> None:
    buyer(cloud).buy(plan_order(cloud, quantity="1.001"))
    body = json.loads(cloud.server.bodies["azure.SavingsPlanOrderAlias.Create"])
    assert repr(body["properties"]["commitment"]["amount"]) == "1.001"
    assert "billingPlan" in body["properties"]


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": None},
        {"quantity": "many"},
        {"term": "P7Y"},
        {"expiryDateTime": "soon"},
        {"appliedScopeType": "Single", "appliedScopes": []},
        {"billingPlan": "Weekly"},
    ],
)
def test_a_reservation_that_makes_no_sense_stops_the_reading(
    cloud: AzureSandbox, change: dict[str, object]
) -> None:
    owned(cloud)

    def odd(call: Call) -> Reply:
        told = reservation_json(call.world.book.reservations()[0])
        properties = told["properties"]
        assert isinstance(properties, dict)
        properties.update(change)
        return Reply(200, {"value": [told]})

    path = "/providers/Microsoft.Capacity/reservations"
    cloud.server.answer_first((route("GET", path, "azure.Reservation.ListAll", "", odd),))
    with pytest.raises(ProviderError):
        reader(cloud).inventory()
