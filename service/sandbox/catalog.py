"""What the sandbox AWS sells: decides on-demand prices and every offering's rates.

Everything is a domain value (``Sku``, ``Offering``), so that the billing code charges by it
unchanged; ``catalog.yaml`` holds the numbers. A plan's rate is on demand less the discount of
its kind, years and payment, taken from the machine and never from the licence, and differs a
little from SKU to SKU as real rates do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from uuid import NAMESPACE_URL, uuid5

from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.domain.usage import Sku, SkuKey
from service.sandbox.node_catalog import node_offerings, node_prices
from service.sandbox.rates import (
    PROVIDER,
    RATE_STEP,
    UPFRONT_SHARE,
    Priced,
    discounts_of,
    rate_of,
    reservation_of,
)
from service.sandbox.tables import Discounts, OtherRow, Tables, shipped_tables
from service.usage.aws_sku import aws_sku, region_code, size_units
from service.usage.eligibility import coverable_by

_LARGE_UNITS = Decimal(4)
COMMITMENT_MIN = Decimal("0.001")
_PLANS_ON = date(2026, 1, 1)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Price list, everything on sale, and each region's name in price lists.

    ``convertible`` names the capacity offers that are convertible; the others are standard.
    """

    skus: Mapping[SkuKey, Sku]
    offerings: Mapping[OfferingId, Offering]
    convertible: frozenset[OfferingId]
    locations: Mapping[str, str]

    def with_price_factor(self, offering: OfferingId, factor: Decimal) -> Catalog:
        """The catalogue after the rates and upfront of one capacity or spend offer changed."""
        old = self.offerings[offering]
        changed = replace(
            old,
            rates_usd={sku: rate * factor for sku, rate in old.rates_usd.items()},
            upfront_usd=old.upfront_usd if old.kind.is_spend else old.upfront_usd * factor,
        )
        return replace(self, offerings={**self.offerings, offering: changed})


@cache
def shipped_catalog() -> Catalog:
    """The catalogue that ``catalog.yaml`` describes."""
    tables = shipped_tables()
    priced = tuple(_priced(tables))
    classes = {
        name: tuple(_reservations(priced, name, tables["discounts"][name]))
        for name in ("standard", "convertible")
    }
    nodes = tuple(node_prices(tables))
    offerings = (
        *_savings_plans(priced, tables),
        *classes["standard"],
        *classes["convertible"],
        *node_offerings(nodes, tables["node_discounts"]),
        *_node_plans(nodes, tables),
    )
    return Catalog(
        skus={item.sku.key: item.sku for item in (*priced, *nodes)},
        offerings={offering.offering: offering for offering in offerings},
        convertible=frozenset(offering.offering for offering in classes["convertible"]),
        locations={name: row["location"] for name, row in tables["regions"].items()},
    )


def _priced(tables: Tables) -> Iterator[Priced]:
    licence = Decimal(tables["windows_usd"])
    for region, region_row in tables["regions"].items():
        for family, family_row in tables["families"].items():
            large = Decimal(family_row["large_usd"]) * Decimal(region_row["level"])
            depth = Decimal(family_row["depth"])
            for size in tables["sizes"]:
                instance = f"{family}.{size}"
                yield _instance(region, instance, large, Decimal(0), depth)
                if family in tables["windows_families"]:
                    yield _instance(region, instance, large, licence, depth)
        for row in tables["other"]:
            yield _other(region, row)


def _instance(
    region: str, instance: str, large_usd: Decimal, licence_usd: Decimal, depth: Decimal
) -> Priced:
    units = size_units(instance) or _LARGE_UNITS
    machine = (large_usd * units / _LARGE_UNITS).quantize(RATE_STEP)
    price = machine + licence_usd * units / _LARGE_UNITS
    platform = "windows" if licence_usd else "linux"
    operation = "RunInstances:0002" if licence_usd else "RunInstances"
    sku = Sku(
        key=SkuKey(
            PROVIDER, region, aws_sku(f"{region_code(region)}-BoxUsage:{instance}", operation)
        ),
        service="ec2",
        family=instance.partition(".")[0],
        size_units=None if licence_usd else units,
        platform=platform,
        tenancy="shared",
        unit="Hrs",
        on_demand_usd=price,
        list_usd=price,
    )
    return Priced(sku, machine, depth)


def _other(region: str, row: OtherRow) -> Priced:
    price = Decimal(row["usd"])
    usage_type = f"{region_code(region)}-{row['usage_type']}"
    sku = Sku(
        key=SkuKey(PROVIDER, region, aws_sku(usage_type, row["operation"])),
        service=row["service"],
        family=None,
        size_units=None,
        platform=None,
        tenancy=None,
        unit=row["unit"],
        on_demand_usd=price,
        list_usd=price,
    )
    return Priced(sku, price, Decimal(1))


def _savings_plans(items: tuple[Priced, ...], tables: Tables) -> Iterator[Offering]:
    for years, payment, discounts in discounts_of(tables["discounts"]["compute"]):
        yield _plan(Kind.AWS_COMPUTE_SP, (years, payment), (None, None), items, discounts)
    by_scope: dict[tuple[str, str], list[Priced]] = {}
    for item in items:
        if item.sku.family is not None:
            by_scope.setdefault((item.sku.key.region, item.sku.family), []).append(item)
    for years, payment, discounts in discounts_of(tables["discounts"]["ec2_instance"]):
        for (region, family), covered in by_scope.items():
            scope = (region, family)
            yield _plan(Kind.AWS_EC2_INSTANCE_SP, (years, payment), scope, covered, discounts)


def _node_plans(items: tuple[Priced, ...], tables: Tables) -> Iterator[Offering]:
    """Database and SageMaker plans, for what their rules say that they cover."""
    for name, by_service in tables["node_plans"].items():
        kind = Kind(name)
        covered = [
            item
            for item in items
            if item.sku.service in by_service
            and kind in coverable_by(PROVIDER, item.sku.key.sku, _PLANS_ON)
        ]
        for years, payment, discounts in discounts_of(by_service):
            yield _plan(kind, (years, payment), (None, None), covered, discounts)


def _plan(
    kind: Kind,
    terms: tuple[int, Payment],
    scope: tuple[str | None, str | None],
    items: Iterable[Priced],
    discounts: Mapping[str, Decimal],
) -> Offering:
    (years, payment), (region, family) = terms, scope
    term_hours = Decimal(TERM_HOURS[12 * years])
    upfront_share = UPFRONT_SHARE[payment]
    name = f"{kind}/{years}/{payment}/{region}/{family}"
    return Offering(
        offering=OfferingId(str(uuid5(NAMESPACE_URL, name))),
        provider=PROVIDER,
        kind=kind,
        term_months=12 * years,
        payment=payment,
        region=region,
        family=family,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=False,
        rates_usd={i.sku.key.sku: rate_of(i, discounts[i.sku.service]) for i in items},
        upfront_usd=term_hours * upfront_share,
        min_quantity=COMMITMENT_MIN,
        step=COMMITMENT_MIN,
    )


def _reservations(
    items: tuple[Priced, ...], offering_class: str, by_service: Discounts
) -> Iterator[Offering]:
    """Regional offers, and the same for one zone, which cost as much and keep to one size."""
    for years, payment, discounts in discounts_of(by_service):
        for item in items:
            if item.sku.service != "ec2":
                continue
            regional = _reservation(item, offering_class, years, payment, discounts["ec2"])
            yield regional
            for zone in zones_of(item.sku.key.region):
                yield replace(
                    regional,
                    offering=OfferingId(str(uuid5(NAMESPACE_URL, f"{regional.offering}/{zone}"))),
                    kind=Kind.AWS_RI_ZONAL,
                    zone=zone,
                    size_flexible=False,
                )


def zones_of(region: str) -> tuple[str, ...]:
    """The zones of a region that the sandbox knows."""
    return tuple(f"{region}{letter}" for letter in "ab")


def reservation_id(sku: str, offering_class: str, years: int, payment: Payment) -> OfferingId:
    """The id under which the sandbox sells a regional reservation of ``sku``."""
    return OfferingId(str(uuid5(NAMESPACE_URL, f"{sku}/{offering_class}/{years}/{payment}")))


def _reservation(
    item: Priced, offering_class: str, years: int, payment: Payment, discount: Decimal
) -> Offering:
    return reservation_of(
        item,
        Kind.AWS_RI_REGIONAL,
        reservation_id(item.sku.key.sku, offering_class, years, payment),
        terms=(years, payment),
        discount=discount,
        size_flexible=item.sku.size_units is not None,
    )
