"""What Google sells that Tenor can buy, and at which rates.

Resource commitments: vCPUs of one series in one region, and memory, which Google sells only beside
vCPUs in the same commitment (``tables.yaml`` says how much). Flexible commitments: dollars an hour
of discounted spend, in every region, on the series that they cover.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from service.domain.commitments import Beside, Kind, Offering, Payment
from service.domain.ids import OfferingId
from service.domain.purchases import InventoryItem
from service.domain.usage import SkuKey
from service.providers.gcp.clients import GcpAccess
from service.providers.gcp.price_list import PriceList, is_covered
from service.providers.gcp.words import (
    FLEXIBLE_STEP_USD,
    MEMORY_UNIT,
    PLAN_WORDS,
    PROVIDER,
    RAM,
    VCPU,
    ResourceTerms,
    flexible_offering,
    gcp_tables,
    gigabytes,
    resource_terms,
)
from service.usage.gcp_sku import describe_sku

_WHOLE = Decimal(1)
_RATE_STEP = Decimal("0.0000001")


def offerings(prices: PriceList, access: GcpAccess, keys: Sequence[SkuKey]) -> list[Offering]:
    """Everything on sale that covers any of ``keys``, with its rates for them."""
    found = list(_resource_offerings(prices, keys))
    for months in sorted(access.flexible_offers):
        rates = flexible_rates(prices, keys, months)
        if rates:
            found.append(_flexible(months, rates))
    return found


def _resource_offerings(prices: PriceList, keys: Iterable[SkuKey]) -> Iterator[Offering]:
    wanted = {
        (key.region, facts.family or "", facts.resource or "")
        for key in keys
        if key.provider == PROVIDER
        and is_covered(key.sku)
        and (facts := describe_sku(key.sku)).resource in {VCPU, RAM}
        and facts.family in gcp_tables().sold_types
    }
    for region, family, resource in sorted(wanted):
        for months in sorted(PLAN_WORDS):
            terms = ResourceTerms(region, family, resource, months)
            rate = prices.rate_usd(terms)
            alone = terms.resource == RAM and (
                (region, family, VCPU) not in wanted
                or prices.rate_usd(replace(terms, resource=VCPU)) is None
            )
            if rate is not None and not alone:
                yield resource_offering(terms, rate)


def resource_offering(terms: ResourceTerms, rate_usd: Decimal) -> Offering:
    """One part of a resource commitment at ``rate_usd`` an hour for each unit."""
    beside = beside_vcpus(terms)
    step = _WHOLE if beside is None else gigabytes(gcp_tables().memory.step_mb)
    return Offering(
        offering=terms.offering,
        provider=PROVIDER,
        kind=Kind.GCP_RESOURCE_CUD,
        term_months=terms.term_months,
        payment=Payment.NO_UPFRONT,
        region=terms.region,
        family=terms.family,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=True,
        rates_usd={terms.sku: rate_usd},
        upfront_usd=Decimal(0),
        min_quantity=step,
        step=step,
        beside=beside,
    )


def beside_vcpus(terms: ResourceTerms) -> Beside | None:
    """How memory is sold, in GB; ``None`` for vCPUs, which can be had alone."""
    if terms.resource != RAM:
        return None
    sold = gcp_tables().memory
    return Beside(
        offering=replace(terms, resource=VCPU).offering,
        least=gigabytes(sold.least_mb),
        most_per_unit=gigabytes(sold.most_mb_per_vcpu),
        unit=MEMORY_UNIT,
    )


def flexible_rates(prices: PriceList, keys: Iterable[SkuKey], months: int) -> dict[str, Decimal]:
    """``region/sku`` → dollars of commitment that one unit uses up, for what is covered."""
    tables = gcp_tables()
    kept = 1 - tables.flexible_discounts[months]
    rates: dict[str, Decimal] = {}
    for key in keys:
        if key.provider != PROVIDER or not is_covered(key.sku):
            continue
        price = prices.price_usd(key)
        if price is not None and describe_sku(key.sku).family in tables.flexible_families:
            rates[f"{key.region}/{key.sku}"] = (price * kept).quantize(_RATE_STEP)
    return rates


def _flexible(months: int, rates_usd: dict[str, Decimal]) -> Offering:
    return Offering(
        offering=flexible_offering(months),
        provider=PROVIDER,
        kind=Kind.GCP_FLEXIBLE_CUD,
        term_months=months,
        payment=Payment.NO_UPFRONT,
        region=None,
        family=None,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=False,
        rates_usd=rates_usd,
        upfront_usd=Decimal(0),
        min_quantity=FLEXIBLE_STEP_USD,
        step=FLEXIBLE_STEP_USD,
    )


def owned_offering(prices: PriceList, item: InventoryItem, keys: Sequence[SkuKey]) -> Offering:
    """What an owned commitment is of: its own rate, or a flexible one's for ``keys`` as now."""
    if item.kind.is_spend:
        return _flexible(item.term_months, flexible_rates(prices, keys, item.term_months))
    terms = resource_terms(OfferingId(item.commitment.offering))
    rate = item.commit_usd_per_hour / item.commitment.quantity
    return resource_offering(terms, rate)
