"""The sandbox Azure on the wire: what the SDKs themselves make of it, traps included."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.reservations import ReservationsMgmtClient

from service.providers.azure.reservations import ReservationTerms, purchase_request
from service.sandbox.azure.access import sandbox_token
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.server import AzureServer, shipped_routes
from service.sandbox.azure.world import AzureWorld
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.loopback import LOOPBACK
from tests.sandbox.azure.clouds import (
    PURCHASE,
    SMALL,
    order,
    owned,
    quoted,
    reader,
    reservation_id,
    small_cloud,
    strike,
)

SHORT_SECONDS = 0.3


class Signed(SansIOHTTPPolicy[Any, Any]):
    """Sends the sandbox's token."""

    def on_request(self, request: Any) -> None:  # noqa: ANN401  # the base's own
        request.http_request.headers["Authorization"] = f"Bearer {sandbox_token()}"


class NoCredential:
    """What the SDK wants and never asks."""

    def get_token(self, *_: str, **__: object) -> Any:  # noqa: ANN401
        raise NotImplementedError


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def plain_sdk(cloud: AzureSandbox, backoff: float = 0.8) -> ReservationsMgmtClient:
    """The SDK as anyone would use it, with its own retries and polling."""
    return ReservationsMgmtClient(
        NoCredential(),
        base_url=cloud.endpoint_url,
        authentication_policy=Signed(),
        polling_interval=0,
        retry_backoff_factor=backoff,
    )


def request_of(cloud: AzureSandbox) -> Any:  # noqa: ANN401
    return purchase_request(
        ReservationTerms.of_offering(reservation_id()),
        quantity=2,
        display_name="anyone",
        charged_to=f"/subscriptions/{cloud.world.payer}",
    )


def get(cloud: AzureSandbox, path: str, *, token: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token or sandbox_token()}"}
    asked = urllib.request.Request(cloud.endpoint_url + path, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.parametrize("style", ["location", "body"])
def test_the_sdks_own_poller_ends_a_purchase_that_succeeds(style: str) -> None:
    with small_cloud(options=replace(SMALL, poll_style=style)) as cloud:
        sdk = plain_sdk(cloud)
        body = request_of(cloud)
        price = sdk.reservation_order.calculate(body).as_dict()["properties"]
        bought = sdk.reservation_order.begin_purchase(price["reservationOrderId"], body).result(9)
        assert bought.as_dict()["properties"]["provisioningState"] == "Succeeded"


def test_the_sdks_poller_takes_a_failed_payment_for_a_success_by_location() -> None:
    with small_cloud(options=replace(SMALL, poll_style="location")) as cloud:
        strike(cloud, Fault(PURCHASE, FaultKind.PAYMENT_FAILS))
        sdk, body = plain_sdk(cloud), request_of(cloud)
        price = sdk.reservation_order.calculate(body).as_dict()["properties"]
        poller = sdk.reservation_order.begin_purchase(price["reservationOrderId"], body)
        found = poller.result(9).as_dict()
        assert poller.status() == "Succeeded"
        assert found["properties"]["provisioningState"] == "BillingFailed"


def test_the_sdks_poller_never_ends_on_a_failed_payment_by_body() -> None:
    with small_cloud(options=replace(SMALL, poll_style="body")) as cloud:
        strike(cloud, Fault(PURCHASE, FaultKind.PAYMENT_FAILS))
        sdk, body = plain_sdk(cloud), request_of(cloud)
        price = sdk.reservation_order.calculate(body).as_dict()["properties"]
        poller = sdk.reservation_order.begin_purchase(
            price["reservationOrderId"], body, polling_interval=1
        )
        poller.result(SHORT_SECONDS)
        assert not poller.done()
        cloud.server.close()  # lets the poller's thread end


def test_an_order_that_exists_is_not_bought_again(cloud: AzureSandbox) -> None:
    sdk, body = plain_sdk(cloud), request_of(cloud)
    order_id = sdk.reservation_order.calculate(body).as_dict()["properties"]["reservationOrderId"]
    sdk.reservation_order.begin_purchase(order_id, body, polling=False)
    with pytest.raises(ResourceExistsError, match="already exists"):
        sdk.reservation_order.begin_purchase(order_id, body, polling=False)
    assert len(cloud.world.book.orders) == 1


def test_a_purchase_other_than_quoted_is_refused(cloud: AzureSandbox) -> None:
    sdk, body = plain_sdk(cloud), request_of(cloud)
    order_id = sdk.reservation_order.calculate(body).as_dict()["properties"]["reservationOrderId"]
    body.properties.quantity = 3
    with pytest.raises(HttpResponseError, match="does not match"):
        sdk.reservation_order.begin_purchase(order_id, body, polling=False)


def test_the_sdks_own_retries_send_a_purchase_again_which_ours_do_not(
    cloud: AzureSandbox,
) -> None:
    sdk, body = plain_sdk(cloud, backoff=0.001), request_of(cloud)
    order_id = sdk.reservation_order.calculate(body).as_dict()["properties"]["reservationOrderId"]
    strike(cloud, Fault(PURCHASE, FaultKind.ERROR_BEFORE, times=99))
    with pytest.raises(HttpResponseError):
        sdk.reservation_order.begin_purchase(order_id, body, polling=False)
    assert cloud.server.calls[PURCHASE] > 1


def test_a_billing_plan_left_out_is_all_upfront(cloud: AzureSandbox) -> None:
    sdk, body = plain_sdk(cloud), request_of(cloud)
    del body["properties"]["billingPlan"]
    order_id = sdk.reservation_order.calculate(body).as_dict()["properties"]["reservationOrderId"]
    sdk.reservation_order.begin_purchase(order_id, body, polling=False)
    assert cloud.world.book.orders[order_id].terms.monthly is False


def test_only_the_sandboxs_token_is_let_in(cloud: AzureSandbox) -> None:
    assert get(cloud, "/subscriptions")[0] == 200
    status, answer = get(cloud, "/subscriptions", token="another.one.here")  # noqa: S106
    assert (status, answer["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_what_is_not_there_is_a_404_in_azures_words(cloud: AzureSandbox) -> None:
    for path in ("/nowhere", "/providers/Microsoft.Capacity/reservationOrders/x"):
        status, answer = get(cloud, path)
        assert status == 404
        assert answer["error"]["code"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"properties": 1}', b"\xff"])
def test_bodies_that_are_nonsense_are_the_callers_error(cloud: AzureSandbox, body: bytes) -> None:
    for route in shipped_routes():
        if route.method in {"PUT", "POST", "PATCH"}:
            path = route.pattern.pattern.replace("/?\\Z", "")
            path = path.replace("(?P<order>[^/]+)", "a").replace("(?P<alias>[^/]+)", "b")
            path = path.replace("(?P<reservation>[^/]+)", "c").replace("(?P<plan>[^/]+)", "d")
            asked = urllib.request.Request(  # noqa: S310
                cloud.endpoint_url + path,
                data=body,
                method=route.method,
                headers={"Authorization": f"Bearer {sandbox_token()}"},
            )
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(asked, timeout=5)  # noqa: S310
            with caught.value as error:
                assert error.code in {400, 404}, path
                assert json.loads(error.read())["error"]["code"]


def test_filters_of_the_price_list_keep_what_they_ask_for(cloud: AzureSandbox) -> None:
    def rows(text: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"api-version": "2023-01-01-preview", "$filter": text})
        found: list[dict[str, Any]] = []
        link: str | None = f"/api/retail/prices?{query}"
        while link:
            status, answer = get(cloud, link.removeprefix(cloud.endpoint_url))
            assert status == 200
            found += answer["Items"]
            link = answer["NextPageLink"]
        return found

    both = rows("armSkuName eq 'Standard_D2s_v5' and armRegionName eq 'eastus'")
    assert {row["type"] for row in both} == {"Consumption", "Reservation"}
    reserved = rows("priceType eq 'Reservation' and (armRegionName eq 'eastus')")
    assert {row["reservationTerm"] for row in reserved} == {"1 Year", "3 Years"}
    assert rows("armSkuName eq 'standard_d2s_v5'") == []  # values are case-sensitive
    status, answer = get(cloud, "/api/retail/prices?$filter=armSkuName%20like%20'x'")
    assert (status, answer["error"]["code"]) == (400, "BadRequest")


def test_prices_of_plans_stand_in_the_preview_version_only(cloud: AzureSandbox) -> None:
    path = "/api/retail/prices?api-version={}"
    with_plans = get(cloud, path.format("2023-01-01-preview"))[1]["Items"]
    without = get(cloud, path.format("2021-10-01"))[1]["Items"]
    assert any("savingsPlan" in row for row in with_plans)
    assert not any("savingsPlan" in row for row in without)


def test_listings_lag_by_hours_and_by_readings(cloud: AzureSandbox) -> None:
    ordered = quoted(cloud, order(cloud))
    strike(cloud, Fault(PURCHASE, FaultKind.LISTING_LAG, lag_reads=1))
    request = request_of(cloud)
    request.properties.quantity = 3
    plain_sdk(cloud).reservation_order.begin_purchase(
        str(ordered.reference), request, polling=False
    )
    assert len(cloud.world.book.orders) == 1
    assert reader(cloud).inventory() == []
    assert len(reader(cloud).inventory()) == 1


def test_it_listens_on_loopback_and_nowhere_else() -> None:
    world = AzureWorld.generated(replace(SMALL, history_days=1, horizon_days=2))
    with AzureServer(world) as server:
        assert LOOPBACK == "127.0.0.1"
        assert server.endpoint_url.startswith("http://127.0.0.1:")


def test_answers_of_the_price_and_the_order_fit_the_sdks_models(cloud: AzureSandbox) -> None:
    owned(cloud)
    sdk = plain_sdk(cloud)
    (one,) = list(sdk.reservation.list_all())
    assert one.properties is not None
    assert one.properties.expiry_date_time is not None
    assert one.properties.purchase_date is not None
    assert one.sku is not None
    assert one.sku.name == "Standard_D4s_v5"
    (found,) = list(sdk.reservation_order.list())
    assert found.properties is not None
    plan = found.properties.plan_information
    assert plan is not None
    assert plan.pricing_currency_total is not None
    assert (plan.pricing_currency_total.amount or 0) > 0
