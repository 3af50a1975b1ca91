"""What the sandbox Google Cloud sells: decides on-demand prices and every commitment's rates.

Resource commitments have a price of their own for one vCPU and one GB of a series in a region;
flexible ones take a share off every covered SKU's price. All dollars are for one hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from service.domain.usage import Sku, SkuKey
from service.sandbox.gcp.tables import Tables, shipped_tables
from service.usage.gcp_sku import GB_HOURS, VCPU_HOURS, machine_sku

PROVIDER = "gcp"
VCPU, RAM = "vCPU", "RAM"
UNITS = {VCPU: VCPU_HOURS, RAM: GB_HOURS}
TERMS = (12, 36)
_STEP = Decimal("0.000001")


class RateKey(NamedTuple):
    """What a resource commitment's rate belongs to; ``resource`` is ``vCPU`` or ``RAM``."""

    region: str
    family: str
    resource: str
    term_months: int


@dataclass(frozen=True, slots=True)
class Flexible:
    """A flexible commitment on sale: ``discount_ratio`` (0-1) off every covered SKU's price."""

    offer: str
    term_months: int
    discount_ratio: Decimal


@dataclass(frozen=True, slots=True)
class Catalog:
    """Price list, resource commitments' rates (dollars per unit and hour), flexible offers."""

    tables: Tables
    skus: Mapping[SkuKey, Sku]
    rates_usd: Mapping[RateKey, Decimal]
    flexible: Mapping[str, Flexible]

    def family_of_type(self, commitment_type: str) -> str | None:
        """The series that a commitment of this type is for; ``None`` when none is sold."""
        families = self.tables["families"].items()
        return next((name for name, row in families if row["type"] == commitment_type), None)

    def with_price_factor(self, region: str, family: str, factor: Decimal) -> Catalog:
        """The catalogue after commitments of a series in a region changed their price."""
        changed = {
            key: rate * factor if (key.region, key.family) == (region, family) else rate
            for key, rate in self.rates_usd.items()
        }
        return replace(self, rates_usd=changed)


@cache
def shipped_catalog() -> Catalog:
    """The catalogue that ``catalog.yaml`` describes."""
    tables = shipped_tables()
    skus: dict[SkuKey, Sku] = {}
    rates: dict[RateKey, Decimal] = {}
    for region, place in tables["regions"].items():
        for family, row in tables["families"].items():
            for resource, usd in ((VCPU, row["vcpu_usd"]), (RAM, row["gb_usd"])):
                price = Decimal(usd) * Decimal(place["level"])
                sku = _sku(region, family, resource, price)
                skus[sku.key] = sku
                for months, discount in tables["resource_discounts"].items():
                    rate = (price * (1 - Decimal(discount))).quantize(_STEP)
                    rates[RateKey(region, family, resource, months)] = rate
    flexible = {
        row["offer"]: Flexible(row["offer"], months, Decimal(row["discount"]))
        for months, row in tables["flexible"].items()
    }
    return Catalog(tables, skus, rates, flexible)


def _sku(region: str, family: str, resource: str, price_usd: Decimal) -> Sku:
    return Sku(
        key=SkuKey(PROVIDER, region, machine_sku(family, resource)),
        service="compute",
        family=family,
        size_units=Decimal(1),
        platform=None,
        tenancy=None,
        unit=UNITS[resource],
        on_demand_usd=price_usd,
        list_usd=price_usd,
    )
