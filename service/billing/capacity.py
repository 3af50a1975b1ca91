"""What a capacity commitment may cover: one SKU exactly, or a family's sizes by their factor.

Capacity is counted in normalised units where it floats over sizes: AWS normalisation factors (a
Multi-AZ database's SKU has twice the units of a Single-AZ one's), Azure ratios. What must be the
same for capacity to float differs by service:

- EC2: family, platform and tenancy. Source: EC2 user guide, "How regional Reserved Instances are
  applied".
- RDS, Aurora: instance class type and engine, not the deployment. Source: RDS user guide,
  "Size-flexible reserved DB instances".
- ElastiCache: node family and engine; MemoryDB: node family. Valkey counts as Redis OSS, with lower
  factors. Source: MemoryDB developer guide, "Size flexible reserved nodes"; AWS Database Blog,
  "New: Size flexibility for Amazon ElastiCache reserved nodes".
- Azure: the flexibility group, whatever the operating system. Source: Microsoft Cost Management,
  "Virtual machine size flexibility with Reserved VM Instances".
- GCP: the machine series and the resource, vCPU or memory, told apart by its unit. Source: Compute
  Engine, "Resource-based committed use discounts".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from service.billing.flexibility import is_flexible
from service.billing.moves import ONE, Room, Scene, in_scope, reaches
from service.domain.commitments import Kind, Offering
from service.domain.usage import Sku, SkuKey
from service.usage.aws_sku import describe_sku

_SAME = {
    Kind.AWS_RI_REGIONAL: ("service", "family", "platform", "tenancy"),
    Kind.AWS_RDS_RI: ("service", "family", "platform"),
    Kind.AWS_ELASTICACHE_RI: ("service", "family", "platform"),
    Kind.AWS_MEMORYDB_RI: ("service", "family"),
    Kind.AZURE_RESERVATION: ("service", "family"),
    Kind.GCP_RESOURCE_CUD: ("service", "family", "unit"),
}


def unit_sku(scene: Scene, offering: Offering) -> Sku | None:
    """The price list's entry of the SKU that one unit of capacity is defined in.

    An offering for any region takes its size from the first region that has the SKU.
    """
    (name,) = offering.rates_usd
    if offering.region is not None:
        key = SkuKey(offering.provider, offering.region, name)
        return scene.skus.get(key) or _by_name(key)
    found = [key for key in scene.skus if key[0::2] == (offering.provider, name)]
    return scene.skus[min(found)] if found else None


def _by_name(key: SkuKey) -> Sku | None:
    """What an AWS SKU's own name says of its size, where the price list does not have it.

    A reservation of a size that nobody runs covers its family's other sizes all the same, and
    price lists are read for what is used. Nothing is billed at the price, which is left at 0.
    """
    if key.provider != "aws":
        return None
    facts = describe_sku(key.sku)
    if facts.service is None or facts.size_units is None:
        return None
    return Sku(
        key=key,
        service=facts.service,
        family=facts.family,
        size_units=facts.size_units,
        platform=facts.platform,
        tenancy=facts.tenancy,
        unit="",
        on_demand_usd=Decimal(0),
        list_usd=Decimal(0),
    )


def room_per_quantity(unit: Sku | None, *, flexible: bool) -> Decimal:
    """Normalised units in one unit of capacity; units themselves where sizes do not float."""
    return unit.size_units if flexible and unit is not None and unit.size_units else ONE


def matched(
    scene: Scene, lines: Sequence[int], room: Room, at: datetime
) -> Iterator[tuple[int, Decimal, bool]]:
    """Lines that the room may take, the room that one unit of each uses up, whether it floats."""
    offering = room.offering
    (name,) = offering.rates_usd
    unit = unit_sku(scene, offering)
    flexible = is_flexible(offering, unit, at)
    for line in lines:
        label, sku = scene.lines[line], scene.sku(line)
        if not in_scope(offering, label, sku) or not reaches(room.commitment, label):
            continue
        if not flexible and label.sku == name:
            # In the room's own units, which are those of hours in which it floats, if any are.
            yield line, room.per_quantity, False
        elif flexible and unit is not None and sku.size_units and _alike(offering.kind, sku, unit):
            yield line, sku.size_units, True


def _alike(kind: Kind, sku: Sku, unit: Sku) -> bool:
    return all(_word(sku, name) == _word(unit, name) for name in _SAME.get(kind, ()))


_ONE_ENGINE = {"valkey": "redis", "redis oss": "redis"}


def _word(sku: Sku, name: str) -> str | None:
    word: str | None = getattr(sku, name)
    return _ONE_ENGINE.get(word.lower(), word) if name == "platform" and word else word
