"""``Microsoft.CostManagement`` on the wire: savings plan recommendations, for their hourly charges.

What usage cost on demand in each hour of the last days, where nothing covered it. Charges appear a
while after their day's end, and are then as the bill says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray

from service.billing.focus import NONE
from service.domain.hours import DAY_HOURS, HOUR, iso
from service.domain.money import NANO_PER_USD
from service.sandbox.accrual import DAY, DayBill
from service.sandbox.azure.access import BILLING_ACCOUNT
from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.azure.wire.reservations import CURRENCY
from service.sandbox.azure.world import AzureWorld
from service.sandbox.faults import ApiError

_PATH = "providers/Microsoft.CostManagement/benefitRecommendations"
_LOOK_BACK_DAYS = {"Last7Days": 7, "Last30Days": 30, "Last60Days": 60}
_CONDITION = re.compile(r"properties/(\w+) eq '(\w+)'")
_SUBSCRIPTION = re.compile(r"subscriptions/([^/]+)", re.IGNORECASE)


def list_recommendations(call: Call) -> Reply:
    """The one savings plan recommendation of a scope; none where nothing was used."""
    asked = dict(_CONDITION.findall(call.query.get("$filter", "")))
    look_back = asked.get("lookBackPeriod", "Last60Days")
    term = asked.get("term", "P3Y")
    if look_back not in _LOOK_BACK_DAYS or term not in {"P1Y", "P3Y"}:
        raise ApiError("BadRequest", f"{look_back} or {term} is not supported.")
    account = _account(call, asked.get("scope", "Shared"))
    days = _days(call.world, _LOOK_BACK_DAYS[look_back])
    if not days:
        return Reply(200, {"value": []})
    charges = np.concatenate([_charges(day, account) for day in days])
    usd = [Decimal(int(nano)) / NANO_PER_USD for nano in charges]
    expand = call.query.get("$expand", "")
    usage = {"usage": {"usageGrain": "Hourly", "charges": usd}}
    path = f"/{call.names['scope']}/{_PATH}"
    name = str(uuid5(NAMESPACE_URL, f"{path} {look_back} {term}"))
    properties = {
        "firstConsumptionDate": iso(days[0].day),
        "lastConsumptionDate": iso(days[-1].day + (DAY_HOURS - 1) * HOUR),
        "lookBackPeriod": look_back,
        "totalHours": len(usd),
        "armSkuName": "Compute_Savings_Plan",
        "term": term,
        "commitmentGranularity": "Hourly",
        "currencyCode": CURRENCY,
        "costWithoutBenefit": sum(usd, Decimal(0)),
        "scope": asked.get("scope", "Shared"),
        **(usage if "properties/usage" in expand else {}),
    }
    kind = {"type": "Microsoft.CostManagement/benefitRecommendations", "kind": "SavingsPlan"}
    one = {"id": f"{path}/{name}", "name": name, **kind, "properties": properties}
    return Reply(200, {"value": [one]})


def _account(call: Call, scope: str) -> str | None:
    """The subscription that is asked about; ``None`` for all of the billing account."""
    path = "/" + call.names["scope"].strip("/")
    if path.lower() == BILLING_ACCOUNT.lower() and scope == "Shared":
        return None
    found = _SUBSCRIPTION.fullmatch(path.strip("/"))
    if found is not None and scope == "Single":
        known = found[1].lower()
        if known in call.world.subscriptions.values():
            return known
    raise ApiError("BillingScopeNotFound", f"There is no {scope} scope {path}.", 404)


def _days(world: AzureWorld, count: int) -> Sequence[DayBill]:
    """The newest ``count`` days whose charges are out."""
    out_by = world.now() - timedelta(hours=world.options.charges_lag_hours)
    end = datetime.combine(out_by.date(), datetime.min.time(), out_by.tzinfo)
    return world.accrual.days(end - count * DAY, end)


def _charges(day: DayBill, account: str | None) -> NDArray[np.int64]:
    """Nano-dollars on demand in each hour."""
    rows = day.rows
    ours = np.array(
        [account is None or line.account == account for line in day.dataset.usage.lines]
    )
    uncovered = (rows.commitment == NONE) & (rows.line != NONE)
    counted = uncovered & ours[np.where(uncovered, rows.line, 0)]
    charges = np.zeros(DAY_HOURS, dtype=np.int64)
    np.add.at(charges, rows.hour[counted], rows.effective_nano_usd[counted])
    return charges


ROUTES = (
    route(
        "GET",
        "/{scope*}/" + _PATH,
        "azure.BenefitRecommendations.List",
        "Microsoft.CostManagement/benefitRecommendations/read",
        list_recommendations,
    ),
)
