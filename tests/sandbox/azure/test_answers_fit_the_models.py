"""Every member that the sandbox Azure answers with is one that the SDK's model knows."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any, TypeGuard

import pytest
from azure.mgmt.billingbenefits import models as benefits
from azure.mgmt.reservations import models as capacity

from service.domain.alterations import AlterationKind
from service.sandbox.azure.access import sandbox_token
from service.sandbox.azure.cloud import AzureSandbox
from tests.sandbox.azure.clouds import (
    alteration,
    alterer,
    buyer,
    owned,
    plan_order,
    reservation_id,
    small_cloud,
    target,
)

ORDERS = "/providers/Microsoft.Capacity/reservationOrders"
PLANS = "/providers/Microsoft.BillingBenefits/savingsPlans"
ALIASES = "/providers/Microsoft.BillingBenefits/savingsPlanOrderAliases"


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


def members(model: type) -> dict[str, type | None]:
    """The model's members by their names on the wire, with the model that each holds, if any."""
    model()  # names are filled in when the first is made
    known: dict[str, type | None] = {}
    for base in model.__mro__:
        models = benefits if "billingbenefits" in base.__module__ else capacity
        for name, note in vars(base).get("__annotations__", {}).items():
            wire = getattr(vars(base).get(name), "_rest_name", None)
            if isinstance(wire, str):
                words = (getattr(models, word, None) for word in re.findall(r"\w+", str(note)))
                known.setdefault(wire, next((one for one in words if is_model(one)), None))
    return known


def is_model(found: object) -> TypeGuard[type]:
    return isinstance(found, type) and hasattr(found, "as_dict")


def strangers(model: type, answer: object, path: str = "") -> list[str]:
    """Members of the answer that the model does not know, by path."""
    if isinstance(answer, list):
        return [one for item in answer for one in strangers(model, item, path)]
    if not isinstance(answer, dict):
        return []
    known, found = members(model), []
    for name, value in answer.items():
        if name not in known:
            found.append(f"{path}.{name}")
            continue
        inner = known[name]
        if inner is not None:
            found += strangers(inner, value, f"{path}.{name}")
    return found


def get(cloud: AzureSandbox, path: str) -> Any:  # noqa: ANN401
    asked = urllib.request.Request(  # noqa: S310
        cloud.endpoint_url + path, headers={"Authorization": f"Bearer {sandbox_token()}"}
    )
    with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_listings_and_single_readings_fit(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    payer = cloud.world.payer
    split = alteration(AlterationKind.SPLIT, (source,), target(2), target(4), account=payer)
    alterer(cloud).alter(split)
    buyer(cloud).buy(plan_order(cloud))
    cloud.world.book.reservations()[0].scopes = (f"/subscriptions/{payer}",)
    (order,) = cloud.world.book.orders
    alias = cloud.world.plans.plans[0].alias
    catalogs = f"/subscriptions/{payer}/providers/Microsoft.Capacity/catalogs"
    answers: list[tuple[type, object]] = [
        (capacity.ReservationOrderResponse, get(cloud, f"{ORDERS}/{order}")),
        (capacity.ReservationOrderResponse, get(cloud, ORDERS)["value"]),
        (capacity.ReservationResponse, get(cloud, f"{ORDERS}/{order}/reservations")["value"]),
        (
            capacity.Catalog,
            get(cloud, f"{catalogs}?reservedResourceType=VirtualMachines&location=eastus")["value"],
        ),
        (benefits.SavingsPlanModel, get(cloud, PLANS)["value"]),
        (benefits.SavingsPlanOrderAliasModel, get(cloud, f"{ALIASES}/{alias}")),
    ]
    for model, answer in answers:
        assert answer
        assert strangers(model, answer) == [], model.__name__


def test_prices_refunds_and_exchanges_fit(cloud: AzureSandbox) -> None:
    source = owned(cloud)
    payer = cloud.world.payer
    bodies: dict[str, object] = {}
    cloud.server.watch = bodies.setdefault
    alterer(cloud).quote_alteration(alteration(AlterationKind.RETURN, (source,), account=payer))
    e8 = target(3, reservation_id("Standard_E8s_v5", months=36))
    change = alteration(
        AlterationKind.EXCHANGE, (source,), e8, account=payer, most_to_pay_usd="99999"
    )
    alterer(cloud).alter(change)
    owned(cloud, intent=change.intent)
    fits = {
        "azure.ReservationOrder.Calculate": capacity.CalculatePriceResponse,
        "azure.CalculateRefund.Post": capacity.CalculateRefundResponse,
        "azure.CalculateExchange.Post": capacity.CalculateExchangeOperationResultResponse,
        "azure.Exchange.Post": capacity.ExchangeOperationResultResponse,
        "azure.ReservationOrder.Purchase": capacity.ReservationOrderResponse,
    }
    for operation, model in fits.items():
        assert bodies[operation]
        assert strangers(model, bodies[operation]) == [], operation


def test_the_check_finds_a_member_that_no_model_has() -> None:
    odd = {"properties": {"planInformation": {"pricingCurrencyTotal": {"amuont": 1}}}, "x": 1}
    assert strangers(capacity.ReservationOrderResponse, odd) == [
        ".properties.planInformation.pricingCurrencyTotal.amuont",
        ".x",
    ]
