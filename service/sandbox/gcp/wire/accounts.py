"""Billing accounts, projects, permissions and the price list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

from service.domain.money import nano
from service.domain.usage import SkuKey
from service.sandbox.gcp.catalog import PROVIDER, RAM, VCPU, RateKey
from service.sandbox.gcp.tables import FamilyRow, RegionRow
from service.sandbox.gcp.wire.call import Call, Handler, Json, Priced, instant, not_found, page
from service.sandbox.gcp.world import GcpWorld
from service.usage.gcp_sku import machine_sku

COMPUTE_SERVICE = "6F81-5844-456A"
_NANO = 1_000_000_000
_SPOT_SHARE = Decimal("0.3")


def list_projects(world: GcpWorld, call: Call) -> Json:
    """The projects of the billing account."""
    _require_account(world, call)
    found = [_billing_info(world, project) for project in world.projects.values()]
    items, token = page(call, found, size_name="pageSize", largest=2)
    answer: dict[str, Any] = {"projectBillingInfo": list(items)}
    return answer | ({"nextPageToken": token} if token else {})


def project_billing(world: GcpWorld, call: Call) -> Json:
    """Which billing account pays for a project."""
    if call.path["project"] not in world.projects.values():
        raise not_found(f"projects/{call.path['project']}")
    return _billing_info(world, call.path["project"])


def test_account_permissions(world: GcpWorld, call: Call) -> Json:
    """The permissions asked about that the caller has on the billing account."""
    _require_account(world, call)
    return _granted(world, call)


def test_project_permissions(world: GcpWorld, call: Call) -> Json:
    """The permissions asked about that the caller has on a project."""
    if call.path["project"] not in world.projects.values():
        raise not_found(f"projects/{call.path['project']}")
    return _granted(world, call)


def list_skus(world: GcpWorld, call: Call) -> Json:
    """Compute Engine's price list: machines on demand, and commitments of each series."""
    if call.path["service"] != COMPUTE_SERVICE:
        raise not_found(f"services/{call.path['service']}")
    found = list(_skus(world))
    call.priced += [
        Priced(region, family)
        for region in world.catalog.tables["regions"]
        for family in world.catalog.tables["families"]
    ]
    items, token = page(call, found, size_name="pageSize", largest=40)
    answer: dict[str, Any] = {"skus": list(items)}
    return answer | ({"nextPageToken": token} if token else {})


OPERATIONS: Mapping[str, Handler] = {
    "billingAccounts.projects.list": list_projects,
    "projects.getBillingInfo": project_billing,
    "billingAccounts.testIamPermissions": test_account_permissions,
    "projects.testIamPermissions": test_project_permissions,
    "skus.list": list_skus,
}


def _require_account(world: GcpWorld, call: Call) -> None:
    if call.path["account"] != world.billing_account:
        raise not_found(f"billingAccounts/{call.path['account']}")


def _granted(world: GcpWorld, call: Call) -> Json:
    asked = [str(one) for one in call.body.get("permissions", ())]
    denied, project = world.denied_permissions, call.path.get("project", "")
    return {
        "permissions": [
            one for one in asked if one not in denied and f"{project}:{one}" not in denied
        ]
    }


def _billing_info(world: GcpWorld, project: str) -> Json:
    return {
        "name": f"projects/{project}/billingInfo",
        "projectId": project,
        "billingAccountName": f"billingAccounts/{world.billing_account}",
        "billingEnabled": True,
    }


@dataclass(frozen=True, slots=True)
class _Machine:
    """One resource of one series in one region."""

    region: str
    place: RegionRow
    family: str
    row: FamilyRow
    resource: str

    @property
    def text(self) -> str:
        words = self.row["core"] if self.resource == VCPU else self.row["ram"]
        return f"{words} running in {self.place['place']}"

    @property
    def unit(self) -> str:
        return "h" if self.resource == VCPU else "GiBy.h"

    def commitment(self, months: int) -> str:
        series = f"{self.row['commitment']} " if self.row["commitment"] else ""
        what = "Cpu" if self.resource == VCPU else "Ram"
        return f"Commitment v1: {series}{what} in {self.place['place']} for {months // 12} Year"


def _machines(world: GcpWorld) -> Iterator[_Machine]:
    tables = world.catalog.tables
    for region, place in tables["regions"].items():
        for family, row in tables["families"].items():
            for resource in (VCPU, RAM):
                yield _Machine(region, place, family, row, resource)


def _skus(world: GcpWorld) -> Iterator[Json]:
    for one in _machines(world):
        price = _price(world, one)
        yield _sku(world, one, one.text, "OnDemand", price)
        spot = (price * _SPOT_SHARE).quantize(Decimal("0.000001"))
        yield _sku(world, one, f"Spot Preemptible {one.text}", "Preemptible", spot)
        for months in world.catalog.tables["resource_discounts"]:
            rate = world.catalog.rates_usd[RateKey(one.region, one.family, one.resource, months)]
            yield _sku(world, one, one.commitment(months), f"Commit{months // 12}Yr", rate)


def descriptions(world: GcpWorld) -> Mapping[tuple[str, str], str]:
    """Region and SKU id of Tenor's → how Google describes what is billed."""
    return {
        (one.region, machine_sku(one.family, one.resource)): one.text for one in _machines(world)
    }


def _price(world: GcpWorld, one: _Machine) -> Decimal:
    key = SkuKey(PROVIDER, one.region, machine_sku(one.family, one.resource))
    return world.catalog.skus[key].on_demand_usd


def sku_id(region: str, description: str) -> str:
    """The id under which the sandbox lists a description in a region."""
    digest = sha256(f"{region} {description}".encode()).hexdigest().upper()
    return f"{digest[:4]}-{digest[4:8]}-{digest[8:12]}"


def _sku(world: GcpWorld, one: _Machine, text: str, usage_type: str, price: Decimal) -> Json:
    identity = sku_id(one.region, text)
    whole, nanos = divmod(nano(price), _NANO)
    unit_price = {"currencyCode": "USD", "units": str(whole), "nanos": nanos}
    return {
        "name": f"services/{COMPUTE_SERVICE}/skus/{identity}",
        "skuId": identity,
        "description": text,
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": "Compute",
            "resourceGroup": "CPU" if one.resource == VCPU else "RAM",
            "usageType": usage_type,
        },
        "serviceRegions": [one.region],
        "pricingInfo": [
            {
                "effectiveTime": instant(world.started_at),
                "pricingExpression": {
                    "usageUnit": one.unit,
                    "displayQuantity": 1,
                    "tieredRates": [{"startUsageAmount": 0, "unitPrice": unit_price}],
                },
                "currencyConversionRate": 1,
            }
        ],
        "serviceProviderName": "Google",
    }
