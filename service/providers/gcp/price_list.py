"""Compute Engine's public price list: on-demand prices and what commitments cost, by region.

Cloud Catalog lists each machine series' vCPU and GB hours, and beside them its resource
commitments: "Commitment v1: N2 Cpu in Americas for 1 Year", and of C2 "Commitment: Compute
optimized Core running in Americas for 1 Year". Of tiered prices the first that costs anything
counts. Prices are exact nano-dollars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from service.domain.errors import InputError, ProviderError
from service.domain.hours import Clock
from service.domain.money import from_nano
from service.domain.usage import Sku, SkuKey
from service.providers.gcp.clients import GcpClients, invoke_all
from service.providers.gcp.words import PROVIDER, RAM, VCPU, ResourceTerms, gcp_tables
from service.providers.port import ShownPrice
from service.usage.gcp_sku import COMPUTE_ENGINE, describe_sku, gcp_sku

if TYPE_CHECKING:
    from datetime import datetime

    from google.cloud.billing_v1.types import Sku as ListedSku

_SERVICE = "services/6F81-5844-456A"
_CURRENCY = "USD"
_PAGE = 5_000
_MAX_AGE_SECONDS = 3_600
_NANO = 1_000_000_000
_COMMITMENT = re.compile(
    r"Commitment(?: v1)?: (?P<series>.*?) ?(?P<resource>Cpu|Ram|Core)(?: running)? in .+ "
    r"for (?P<years>[13]) Years?\Z"
)
_MAKERS = re.compile(r" (?:AMD|Arm|Intel|Instance)\b")
_RESOURCES = {"Cpu": VCPU, "Core": VCPU, "Ram": RAM}
_COVERED_VARIANTS = frozenset({"custom"})


@dataclass(slots=True)
class PriceList:
    """One reading of the list. A key that is priced twice is in ``ambiguous`` as well."""

    on_demand: dict[SkuKey, ShownPrice] = field(default_factory=dict)
    commitments_usd: dict[ResourceTerms, Decimal] = field(default_factory=dict)
    ambiguous: set[SkuKey | ResourceTerms] = field(default_factory=set)

    def rate_usd(self, terms: ResourceTerms) -> Decimal | None:
        """Dollars an hour for one unit under a resource commitment; ``None`` when not sold."""
        if terms in self.ambiguous:
            raise _ambiguous(terms.offering)
        return self.commitments_usd.get(terms)

    def owed_usd(self, terms: ResourceTerms) -> Decimal | None:
        """What one unit that is owned costs an hour, at least the truth; ``None`` when not known.

        A series that Tenor does not buy, without a rate of its own, counts at the highest rate of
        any series and region: too much, never too little.
        """
        rate = self.rate_usd(terms)
        if rate is not None or terms.family in gcp_tables().sold_types:
            return rate
        alike = (
            found
            for other, found in self.commitments_usd.items()
            if (other.resource, other.term_months) == (terms.resource, terms.term_months)
        )
        return max(alike, default=None)

    def price_usd(self, key: SkuKey) -> Decimal | None:
        """Dollars for one unit on demand; ``None`` when the list has no such SKU."""
        if key in self.ambiguous:
            raise _ambiguous("/".join(key))
        found = self.on_demand.get(key)
        return None if found is None else found[1]


class Prices:
    """The price list, read again when it is older than an hour, or when asked for afresh."""

    def __init__(self, clients: GcpClients, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._list: PriceList | None = None
        self._read_at: datetime | None = None

    def fresh(self) -> PriceList:
        """The list as it is now."""
        self._read_at = self._clock.now()
        self._list = read_price_list(self._clients)
        return self._list

    def recent(self) -> PriceList:
        """The list as it was within the hour."""
        now = self._clock.now()
        if self._list is None or self._read_at is None:
            return self.fresh()
        age = (now - self._read_at).total_seconds()
        return self._list if 0 <= age < _MAX_AGE_SECONDS else self.fresh()


def read_price_list(clients: GcpClients) -> PriceList:
    """All pages of Compute Engine's list."""
    listed = invoke_all(
        "catalog.list_skus",
        clients.catalog().list_skus,
        request={"parent": _SERVICE, "currency_code": _CURRENCY, "page_size": _PAGE},
    )
    return price_list(listed)


def price_list(listed: Iterable[ListedSku]) -> PriceList:
    """The list that the provider's SKUs make."""
    found = PriceList()
    for one in listed:
        price = _price_usd(one)
        if price is None:
            continue
        terms = _commitment(one.description)
        for region in one.service_regions:
            if terms is not None:
                family, resource, months = terms
                sold = ResourceTerms(region, family, resource, months)
                if found.commitments_usd.setdefault(sold, price) != price:
                    found.ambiguous.add(sold)
            elif one.category.usage_type in {"OnDemand", "Preemptible"}:
                key = SkuKey(PROVIDER, region, gcp_sku(COMPUTE_ENGINE, one.description))
                unit = describe_sku(key.sku).unit or _unit(one)
                if found.on_demand.setdefault(key, (unit, price)) != (unit, price):
                    found.ambiguous.add(key)
    return found


def skus(
    prices: PriceList, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]
) -> list[Sku]:
    """The public on-demand price of each key, in the order given; ``InputError`` without one."""
    return [_sku(prices, key, shown.get(key)) for key in keys]


def is_covered(sku: str) -> bool:
    """Whether the SKU is what commitments cover: plain or custom vCPUs and memory, not Spot."""
    facts = describe_sku(sku)
    return facts.family is not None and facts.variants <= _COVERED_VARIANTS


def _sku(prices: PriceList, key: SkuKey, shown: ShownPrice | None) -> Sku:
    listed = prices.price_usd(key)
    facts = describe_sku(key.sku)
    if listed is not None:
        unit, price = prices.on_demand[key][0], listed
    elif shown is not None:
        unit, price = shown
    else:
        raise InputError(
            f"neither Google's price list nor the exports have an on-demand price for {key.sku} "
            f"in {key.region}",
            file="the Google Cloud price list",
            remedy="Export the list price (price.list_price), which tells what it costs.",
        )
    covered = is_covered(key.sku)
    return Sku(
        key=key,
        service=facts.service or "",
        family=facts.family if covered else None,
        size_units=facts.size_units if covered else None,
        platform=facts.platform,
        tenancy=facts.tenancy,
        unit=unit,
        on_demand_usd=price,
        list_usd=price,
    )


def _commitment(description: str) -> tuple[str, str, int] | None:
    """Series, resource and months of a commitment's SKU; ``None`` for anything else."""
    found = _COMMITMENT.match(" ".join(description.split()))
    if found is None:
        return None
    named = _MAKERS.sub("", f" {found['series']}").strip() if found["series"] else ""
    family = gcp_tables().commitment_names.get(found["series"]) or named.lower()
    if not re.fullmatch(r"[a-z]\d+[a-z]?", family):
        return None  # GPUs, local SSD and such: nothing that Tenor reads
    return family, _RESOURCES[found["resource"]], 12 * int(found["years"])


def _price_usd(one: ListedSku) -> Decimal | None:
    """The first price of the newest list that costs anything; ``None`` for what is free."""
    if not one.pricing_info:
        return None
    expression = one.pricing_info[-1].pricing_expression
    for tier in expression.tiered_rates:
        nanos = tier.unit_price.units * _NANO + tier.unit_price.nanos
        if nanos > 0 and tier.unit_price.currency_code == _CURRENCY:
            return from_nano(nanos)
    return None


def _unit(one: ListedSku) -> str:
    return str(one.pricing_info[-1].pricing_expression.usage_unit)


def _ambiguous(name: str) -> ProviderError:
    return ProviderError(
        provider=PROVIDER,
        operation="catalog.list_skus",
        code="ambiguous_price",
        detail=f"{name} has two prices",
    )
