"""AWS words for tests of bills: instance types, reservations, what became of a SKU."""

from __future__ import annotations

from service.billing.bill import Bill, SkuUse
from service.domain.commitments import Kind, Offering
from service.domain.usage import Sku
from tests.billing.worlds import offer, sku

UNITS = {
    "small": "1", "medium": "2", "large": "4", "xlarge": "8", "2xlarge": "16", "4xlarge": "32",
    "8xlarge": "64", "16xlarge": "128", "metal": "128",
}  # fmt: skip


def of(result: Bill, name: str) -> SkuUse:
    """What became of one SKU."""
    return next(use for use in result.by_sku if use.key.sku == name)


def instance(name: str, price: str = "1", **more: str) -> Sku:
    """A Linux instance type such as ``m5.large``."""
    family, size = name.rsplit(".", 1)
    return sku(name, price, family=family, size=UNITS[size], **more)


def regional(name: str, unit: str, kind: Kind = Kind.AWS_RI_REGIONAL) -> Offering:
    """A size-flexible regional reservation of one instance type."""
    return offer(
        name, kind, {unit: "0.6"}, region="us-east-1", family=unit.rsplit(".", 1)[0], flexible=True
    )


def zonal(name: str, unit: str) -> Offering:
    """A zonal reservation of one instance type."""
    return offer(name, Kind.AWS_RI_ZONAL, {unit: "0.6"}, region="us-east-1")
