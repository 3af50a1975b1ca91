"""Rows of the public price list: which one counts, and what a price is for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from service.domain.errors import ProviderError
from service.domain.usage import SkuKey
from service.providers.azure.reader import AzureReader
from service.providers.azure.words import block_of
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.wire.call import Call, Reply, route
from tests.sandbox.azure.clouds import reader, small_cloud


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


@pytest.mark.parametrize(
    ("unit", "block"),
    [
        ("1 Hour", 1),
        ("100 Hours", 100),
        ("10K", 10_000),
        ("1M", 1_000_000),
        ("1,000 Units", 1_000),
        ("1 Month", 1),
        ("0.5 Hours", Decimal("0.5")),
        ("Hours", None),
        ("", None),
    ],
)
def test_a_unit_says_how_many_a_price_is_for(unit: str, block: object) -> None:
    assert block_of(unit) == block


APP = SkuKey("azure", "eastus", "Azure App Service/Premium v3 Plan/P1 v3 App")


def app_row(**changes: object) -> dict[str, object]:
    return {
        "currencyCode": "USD",
        "type": "Consumption",
        "serviceName": "Azure App Service",
        "productName": "Premium v3 Plan",
        "meterName": "P1 v3 App",
        "armRegionName": "eastus",
        "unitOfMeasure": "100 Hours",
        "retailPrice": 15.5,
        "tierMinimumUnits": 0,
        "isPrimaryMeterRegion": True,
        "effectiveStartDate": "2025-01-01T00:00:00Z",
        "savingsPlan": [{"term": "1 Year", "retailPrice": 11}],
    } | changes


def answered(cloud: AzureSandbox, rows: list[dict[str, object]]) -> AzureReader:
    def listed(_: Call) -> Reply:
        return Reply(200, {"Items": rows, "NextPageLink": None})

    path = "/api/retail/prices"
    cloud.server.answer_first((route("GET", path, "azure.Retail.Prices", "", listed),))
    return reader(cloud)


@pytest.mark.parametrize(
    "other",
    [
        {"tierMinimumUnits": 500, "retailPrice": 9},
        {"isPrimaryMeterRegion": False, "retailPrice": 9},
        {"effectiveStartDate": "2024-01-01T00:00:00Z", "retailPrice": 9},
        {"unitOfMeasure": "some Hours", "retailPrice": 9},
        {"type": "DevTestConsumption", "retailPrice": 9},
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_of_several_rows_for_one_thing_the_best_counts(
    cloud: AzureSandbox,
    other: dict[str, object],
    first: bool,  # noqa: FBT001  # in either order
) -> None:
    rows = [app_row(), app_row(**other)]
    there = answered(cloud, rows[:: 1 if first else -1])
    (sku,) = there.prices([APP], {})
    assert (sku.on_demand_usd, sku.service) == (Decimal("0.155"), "app_service")
    (plan, *_) = there.offerings([APP])
    assert plan.rates_usd == {f"eastus/{APP.sku}": Decimal("0.11")}


def test_two_prices_for_one_thing_are_an_error(cloud: AzureSandbox) -> None:
    there = answered(cloud, [app_row(), app_row(retailPrice=16)])
    with pytest.raises(ProviderError, match="costs"):
        there.prices([APP], {})
