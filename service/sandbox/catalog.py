"""What the sandbox AWS sells: decides on-demand prices and every offering's rates.

Everything is a domain value (``Sku``, ``Offering``), so that the billing code charges by it
unchanged; ``catalog.yaml`` holds the numbers. A plan's rate is on demand less the discount of
its kind, years and payment, taken from the machine and never from the licence, and differs a
little from SKU to SKU as real rates do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from hashlib import sha256
from uuid import NAMESPACE_URL, uuid5

from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.domain.usage import Sku, SkuKey
from service.sandbox.tables import Discounts, OtherRow, Tables, shipped_tables
from service.usage.aws_sku import aws_sku, region_code, size_units

PROVIDER = "aws"
_LARGE_UNITS = Decimal(4)
_RATE_STEP = Decimal("0.00001")
_SMALL_RATE_STEP = Decimal("0.0000000001")
COMMITMENT_MIN = Decimal("0.001")
UPFRONT_SHARE = {
    Payment.NO_UPFRONT: Decimal(0),
    Payment.PARTIAL_UPFRONT: Decimal("0.5"),
    Payment.ALL_UPFRONT: Decimal(1),
}
"""The part of a term's price that is due at purchase."""


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
    offerings = (*_savings_plans(priced, tables), *classes["standard"], *classes["convertible"])
    return Catalog(
        skus={item.sku.key: item.sku for item in priced},
        offerings={offering.offering: offering for offering in offerings},
        convertible=frozenset(offering.offering for offering in classes["convertible"]),
        locations={name: row["location"] for name, row in tables["regions"].items()},
    )


@dataclass(frozen=True, slots=True)
class _Priced:
    sku: Sku
    machine_usd: Decimal
    depth: Decimal


def _priced(tables: Tables) -> Iterator[_Priced]:
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
) -> _Priced:
    units = size_units(instance) or _LARGE_UNITS
    machine = (large_usd * units / _LARGE_UNITS).quantize(_RATE_STEP)
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
    return _Priced(sku, machine, depth)


def _other(region: str, row: OtherRow) -> _Priced:
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
    return _Priced(sku, price, Decimal(1))


def _rate(item: _Priced, discount: Decimal) -> Decimal:
    """What one unit uses up of a plan: the machine discounted, the licence in full.

    Half a point of the discount, either way, belongs to the SKU alone.
    """
    digest = sha256(item.sku.key.sku.encode()).digest()
    own = (Decimal(digest[0]) / 255 - Decimal("0.5")) / 100
    share = min(max(discount * item.depth + own, Decimal(0)), Decimal("0.9"))
    step = _RATE_STEP if item.sku.on_demand_usd > Decimal("0.001") else _SMALL_RATE_STEP
    return (item.sku.on_demand_usd - item.machine_usd * share).quantize(step, ROUND_HALF_EVEN)


def _discounts(
    by_service: Discounts,
) -> Iterator[tuple[int, Payment, Mapping[str, Decimal]]]:
    """Years, payment, and the discount of each service under them."""
    for years in (1, 3):
        for payment in Payment:
            yield (
                years,
                payment,
                {name: Decimal(by_years[years][payment]) for name, by_years in by_service.items()},
            )


def _savings_plans(items: tuple[_Priced, ...], tables: Tables) -> Iterator[Offering]:
    for years, payment, discounts in _discounts(tables["discounts"]["compute"]):
        yield _plan(Kind.AWS_COMPUTE_SP, (years, payment), (None, None), items, discounts)
    by_scope: dict[tuple[str, str], list[_Priced]] = {}
    for item in items:
        if item.sku.family is not None:
            by_scope.setdefault((item.sku.key.region, item.sku.family), []).append(item)
    for years, payment, discounts in _discounts(tables["discounts"]["ec2_instance"]):
        for (region, family), covered in by_scope.items():
            scope = (region, family)
            yield _plan(Kind.AWS_EC2_INSTANCE_SP, (years, payment), scope, covered, discounts)


def _plan(
    kind: Kind,
    terms: tuple[int, Payment],
    scope: tuple[str | None, str | None],
    items: Iterable[_Priced],
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
        rates_usd={i.sku.key.sku: _rate(i, discounts[i.sku.service]) for i in items},
        upfront_usd=term_hours * upfront_share,
        min_quantity=COMMITMENT_MIN,
        step=COMMITMENT_MIN,
    )


def _reservations(
    items: tuple[_Priced, ...], offering_class: str, by_service: Discounts
) -> Iterator[Offering]:
    """Regional offers, and the same for one zone, which cost as much and keep to one size."""
    for years, payment, discounts in _discounts(by_service):
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
    item: _Priced, offering_class: str, years: int, payment: Payment, discount: Decimal
) -> Offering:
    rate = _rate(item, discount)
    term_hours = Decimal(TERM_HOURS[12 * years])
    upfront_share = UPFRONT_SHARE[payment]
    sku = item.sku
    # Whole dollars are paid upfront; the amortised rate is what makes the sum exact.
    upfront = (rate * term_hours * upfront_share).quantize(Decimal(1))
    hourly = Decimal(0) if payment is Payment.ALL_UPFRONT else rate * (1 - upfront_share)
    return Offering(
        offering=reservation_id(sku.key.sku, offering_class, years, payment),
        provider=PROVIDER,
        kind=Kind.AWS_RI_REGIONAL,
        term_months=12 * years,
        payment=payment,
        region=sku.key.region,
        family=sku.family,
        platform=sku.platform,
        tenancy=sku.tenancy,
        zone=None,
        size_flexible=sku.size_units is not None,
        rates_usd={sku.key.sku: hourly.quantize(_RATE_STEP) + upfront / term_hours},
        upfront_usd=upfront,
        min_quantity=Decimal(1),
        step=Decimal(1),
    )
