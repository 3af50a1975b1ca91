"""What the sandbox AWS sells of managed nodes: databases, caches, search, warehouses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from service.domain.commitments import Kind, Offering, Payment
from service.domain.ids import OfferingId
from service.domain.usage import Sku, SkuKey
from service.sandbox.rates import PROVIDER, Priced, discounts_of, reservation_of
from service.sandbox.tables import Discounts, NodeRow, Tables
from service.usage.aws_sku import aws_sku, describe_sku, region_code

NODE_KINDS: Mapping[str, Kind] = {
    "rds": Kind.AWS_RDS_RI,
    "elasticache": Kind.AWS_ELASTICACHE_RI,
    "memorydb": Kind.AWS_MEMORYDB_RI,
    "opensearch": Kind.AWS_OPENSEARCH_RI,
    "redshift": Kind.AWS_REDSHIFT_RI,
}
_FLEXIBLE = frozenset({"rds", "elasticache", "memorydb"})


def node_prices(tables: Tables) -> Iterator[Priced]:
    """The on-demand price of every node in every region."""
    for region in tables["regions"]:
        for row in tables["nodes"]:
            yield _priced(region, row)


def _priced(region: str, row: NodeRow) -> Priced:
    price = Decimal(row["usd"])
    name = aws_sku(f"{region_code(region)}-{row['usage_type']}", row["operation"])
    facts = describe_sku(name)
    sku = Sku(
        key=SkuKey(PROVIDER, region, name),
        service=str(facts.service),
        family=facts.family,
        size_units=facts.size_units,
        platform=facts.platform,
        tenancy=facts.tenancy,
        unit=row.get("unit", "Hrs"),
        on_demand_usd=price,
        list_usd=price,
    )
    return Priced(sku, price, Decimal(1))


def node_offerings(items: tuple[Priced, ...], by_service: Discounts) -> Iterator[Offering]:
    """Reservations of every node that has a class; RDS sells No Upfront for one year only."""
    for years, payment, discounts in discounts_of(by_service):
        for item in items:
            facts = describe_sku(item.sku.key.sku)
            kind = NODE_KINDS.get(item.sku.service)
            if kind is None or facts.instance_type is None or item.sku.service not in discounts:
                continue
            if "IOOptimized" in facts.bare_type:
                continue  # covered by the plain instance's reservation, by its heavier units
            if kind is Kind.AWS_RDS_RI and (years, payment) == (3, Payment.NO_UPFRONT):
                continue
            name = f"{item.sku.key.sku}/{years}/{payment}"
            yield reservation_of(
                item,
                kind,
                OfferingId(str(uuid5(NAMESPACE_URL, name))),
                terms=(years, payment),
                discount=discounts[item.sku.service],
                size_flexible=item.sku.service in _FLEXIBLE,
            )
