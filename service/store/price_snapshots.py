"""Decides how prices and offerings are kept: dated snapshots under the digest of what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from service.domain.commitments import Offering
from service.domain.ids import OfferingId
from service.domain.usage import Sku, SkuKey
from service.store import records
from service.store.codec import from_document, to_document
from service.store.metadata import canonical_json
from service.store.schema import prices


@dataclass(frozen=True, slots=True)
class PriceSnapshot:
    """What a provider's prices and offerings were at ``taken_at``; dollars per SKU's unit."""

    provider: str
    taken_at: datetime
    skus: Mapping[SkuKey, Sku]
    offerings: Mapping[OfferingId, Offering]
    digest: str


@dataclass(frozen=True, slots=True)
class _SkuRow:
    provider: str
    region: str
    sku: str
    service: str
    family: str | None
    size_units: Decimal | None
    platform: str | None
    tenancy: str | None
    unit: str
    on_demand_usd: Decimal
    list_usd: Decimal


@dataclass(frozen=True, slots=True)
class _Snapshot:
    skus: tuple[_SkuRow, ...]
    offerings: tuple[Offering, ...]


def snapshot_of(
    provider: str, taken_at: datetime, skus: Iterable[Sku], offerings: Iterable[Offering]
) -> PriceSnapshot:
    """A snapshot in a fixed order, with its digest, which does not depend on the date."""
    by_key = {sku.key: sku for sku in sorted(skus, key=lambda sku: sku.key)}
    by_id = {one.offering: one for one in sorted(offerings, key=lambda one: one.offering)}
    bare = PriceSnapshot(provider, taken_at, by_key, by_id, "")
    digest = hashlib.sha256(canonical_json(_document(bare)).encode()).hexdigest()
    return replace(bare, digest=digest)


def keep(connection: Connection, snapshot: PriceSnapshot) -> bool:
    """Write a snapshot down, or note that the one with its digest still holds.

    Returns ``False`` when these very prices were known.
    """
    fresh = records.keep_prices(
        connection,
        digest=snapshot.digest,
        provider=snapshot.provider,
        taken_at=snapshot.taken_at,
        document=_document(snapshot),
    )
    if not fresh:
        connection.execute(
            prices.update()
            .where(prices.c.digest == snapshot.digest)
            .values(taken_at=snapshot.taken_at)
        )
    return fresh


def newest(connection: Connection, provider: str) -> PriceSnapshot | None:
    """The snapshot taken last, or ``None``."""
    query = (
        select(prices)
        .where(prices.c.provider == provider)
        .order_by(prices.c.taken_at.desc(), prices.c.digest)
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _snapshot(dict(row))


def find(connection: Connection, digest: str) -> PriceSnapshot | None:
    """The snapshot with ``digest``, or ``None``."""
    row = connection.execute(select(prices).where(prices.c.digest == digest)).mappings()
    found = row.one_or_none()
    return None if found is None else _snapshot(dict(found))


def _document(snapshot: PriceSnapshot) -> dict[str, Any]:
    rows = tuple(
        _SkuRow(
            *sku.key,
            service=sku.service,
            family=sku.family,
            size_units=sku.size_units,
            platform=sku.platform,
            tenancy=sku.tenancy,
            unit=sku.unit,
            on_demand_usd=sku.on_demand_usd,
            list_usd=sku.list_usd,
        )
        for sku in snapshot.skus.values()
    )
    return to_document(_Snapshot(skus=rows, offerings=tuple(snapshot.offerings.values())))


def _snapshot(row: Mapping[str, Any]) -> PriceSnapshot:
    content = from_document(_Snapshot, row["document"])
    skus = (
        Sku(
            key=SkuKey(one.provider, one.region, one.sku),
            service=one.service,
            family=one.family,
            size_units=one.size_units,
            platform=one.platform,
            tenancy=one.tenancy,
            unit=one.unit,
            on_demand_usd=one.on_demand_usd,
            list_usd=one.list_usd,
        )
        for one in content.skus
    )
    return PriceSnapshot(
        provider=row["provider"],
        taken_at=row["taken_at"],
        skus={sku.key: sku for sku in skus},
        offerings={one.offering: one for one in content.offerings},
        digest=row["digest"],
    )
