"""Hourly on-demand charges, which Azure tells with its savings plan recommendations.

Cost exports have a row a day. The benefit recommendations of a scope show, for the last sixty days,
what its usage that a savings plan could cover cost on demand in each hour, at the customer's own
prices and without what reservations and plans cover already. The recommendation itself is not
looked at. Charges that cannot be placed in their hours without a doubt are an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from service.domain.errors import ProviderError
from service.domain.hours import HOUR, floor_hour
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import Answer, AzureClients
from service.providers.azure.words import CURRENCY, required_instant
from service.providers.port import Fetched, ProviderExports
from service.usage.hourly_charges import keep_charges

API_VERSION = "2024-08-01"
OPERATION = "BenefitRecommendations.List"
_PLAN, _HOURLY = "SavingsPlan", "Hourly"
_LAST_DAY = timedelta(days=1)


class ExportsWithCharges:
    """``ProviderExports`` that brings the hourly charges of a scope along with its days."""

    def __init__(self, exports: ProviderExports, clients: AzureClients, scope: str) -> None:
        self._exports = exports
        self._clients = clients
        self._scope = scope

    def fetch(self, folder: Path) -> Fetched:
        """Bring what is new or restated, the charges last; ``ProviderError`` for either."""
        fetched = self._exports.fetch(folder)
        changed = keep_charges(folder, self._scope, hourly_charges(self._clients, self._scope))
        return replace(fetched, changed=fetched.changed + bool(changed))


def hourly_charges(clients: AzureClients, scope: str) -> Mapping[datetime, Decimal]:
    """USD by the start of the hour: what could be covered in ``scope`` and was not.

    ``ProviderError`` when Azure tells none, or not clearly whose hour each is.
    """
    # A subscription is asked of by itself; above it the whole scope shares one plan.
    shared = "Single" if scope.lower().startswith("/subscriptions/") else "Shared"
    parameters = {
        "api-version": API_VERSION,
        "$filter": "properties/lookBackPeriod eq 'Last60Days' and properties/term eq 'P3Y' "
        f"and properties/scope eq '{shared}'",
        "$expand": "properties/usage",
    }
    path = f"{scope}/providers/Microsoft.CostManagement/benefitRecommendations"
    told = [
        dict(_placed(one.get("properties") or {}))
        for one in clients.get_all(OPERATION, path, parameters)
        if one.get("kind") == _PLAN
    ]
    if not told:
        raise _unclear("no_charges", f"Azure recommends no savings plan in {scope}")
    if any(one != told[0] for one in told):
        raise _unclear("ambiguous_answer", f"several recommendations in {scope} differ in charges")
    return told[0]


def _placed(properties: Answer) -> Iterator[tuple[datetime, Decimal]]:
    usage = properties.get("usage") or {}
    charges = usage.get("charges")
    if usage.get("usageGrain") != _HOURLY or not isinstance(charges, list) or not charges:
        raise _unclear("incomplete_answer", "the recommendation tells no hourly charges")
    if properties.get("currencyCode") != CURRENCY:
        raise _unclear("unusable_price", f"charges are in {properties.get('currencyCode')}")
    first = required_instant(properties.get("firstConsumptionDate"), "firstConsumptionDate")
    last = required_instant(properties.get("lastConsumptionDate"), "lastConsumptionDate")
    end = first + len(charges) * HOUR
    counted = properties.get("totalHours") == len(charges)
    # The last day is told as its last hour, its beginning or its end.
    if not counted or floor_hour(first) != first or not last <= end <= last + _LAST_DAY:
        detail = (
            f"{len(charges)} charges of {properties.get('totalHours')} hours do not reach from "
            f"{first.isoformat()} to {last.isoformat()}"
        )
        raise _unclear("ambiguous_answer", detail)
    for number, charge in enumerate(charges):
        yield first + number * HOUR, _usd(charge)


def _usd(charge: object) -> Decimal:
    if isinstance(charge, int | Decimal) and not isinstance(charge, bool) and charge >= 0:
        return Decimal(charge)
    raise _unclear("unusable_price", f"{charge!r} is not an hour's charge")


def _unclear(code: str, detail: str) -> ProviderError:
    return ProviderError(provider=PROVIDER, operation=OPERATION, code=code, detail=detail)
