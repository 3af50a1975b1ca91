"""What a capacity commitment may cover: one SKU exactly, or a family's sizes by their factor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from service.billing.moves import ONE, Room, Scene, in_scope
from service.domain.commitments import Commitment, Offering
from service.domain.usage import Sku, SkuKey


def unit_sku(scene: Scene, offering: Offering, region: str | None = None) -> Sku | None:
    """The price list's entry of the SKU that one unit of capacity is defined in.

    An offering for any region is defined in each region by that region's entry.
    """
    (name,) = offering.rates_usd
    where = offering.region or region
    if where is not None:
        return scene.skus.get(SkuKey(offering.provider, where, name))
    found = (sku for key, sku in scene.skus.items() if key[0::2] == (offering.provider, name))
    return next(found, None)


def is_flexible(offering: Offering, unit: Sku | None) -> bool:
    """True when the offering floats over sizes and its SKU has a size to float from."""
    return offering.size_flexible and unit is not None and unit.size_units is not None


def room_per_quantity(unit: Sku | None, *, flexible: bool) -> Decimal:
    """Normalised units in one unit of capacity; units themselves where sizes do not float."""
    if flexible and unit is not None and unit.size_units is not None:
        return unit.size_units
    return ONE


def matched(
    scene: Scene, lines: Sequence[int], room: Room, unit: Sku | None, *, flexible: bool
) -> Iterator[tuple[int, Decimal]]:
    """Lines that the room may take, with the room that one unit of each uses up."""
    offering, commitment = room.offering, room.commitment
    (name,) = offering.rates_usd
    for line in lines:
        label, sku = scene.lines[line], scene.sku(line)
        if not in_scope(offering, label, sku) or not _for_account(commitment, label.account):
            continue
        if label.sku == name and not flexible:
            yield line, ONE
        elif flexible and unit is not None and sku.size_units is not None and _same_kind(sku, unit):
            yield line, sku.size_units


def _for_account(commitment: Commitment, account: str) -> bool:
    return commitment.scope is None or account in commitment.scope


def _same_kind(sku: Sku, unit: Sku) -> bool:
    return (sku.service, sku.family, sku.platform, sku.tenancy, sku.unit) == (
        unit.service,
        unit.family,
        unit.platform,
        unit.tenancy,
        unit.unit,
    )
