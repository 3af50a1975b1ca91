"""How AWS usage is named, and what its name says: decides the SKU id and the facts in it.

AWS bills by usage type (``USW2-BoxUsage:m5.large``) and operation (``RunInstances:0002``). The
SKU id is both, joined by ``/``, with the region's code always written and always spelled the
same, because reports and price lists differ in that: us-east-1 often has no code, and Ireland
is ``EU`` in one and ``EUW1`` in the other. What the words mean is data: ``aws_tables.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

import yaml

from service.usage.aws_nodes import AwsNode, node_of

_HOME_CODE = "USE1"
_XLARGE = re.compile(r"(?:metal-)?(\d+)x(?:large|l)\Z")
_INSTANCE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+\Z")
_SLASH, _SLASH_CODED = "/", "%2F"


@dataclass(frozen=True, slots=True)
class AwsTables:
    """The contents of ``aws_tables.yaml``."""

    regions: Mapping[str, str]
    region_aliases: Mapping[str, str]
    platforms: Mapping[str, str]
    tenancies: Mapping[str, str]
    sizes: Mapping[str, Decimal]
    metal_sizes: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class AwsSku:
    """What a SKU id says. ``None`` where its words do not tell.

    ``size_units``: normalised units of one instance-hour (a Multi-AZ database's count twice),
    ``None`` when not an instance or of unknown weight. ``tenancy``: ``shared``, ``dedicated`` or
    ``host``. ``bare_type`` is the usage type without its region code.
    """

    usage_type: str
    bare_type: str
    operation: str
    region: str
    service: str | None
    instance_type: str | None
    family: str | None
    size_units: Decimal | None
    platform: str | None
    tenancy: str | None


def aws_sku(usage_type: str, operation: str) -> str:
    """The SKU id of a usage type and operation as AWS writes them."""
    code, rest = _split_region(usage_type.strip())
    return f"{code}-{rest}".replace(_SLASH, _SLASH_CODED) + _SLASH + operation.strip()


def split_sku(sku: str) -> tuple[str, str]:
    """Usage type (region code written) and operation of a SKU id."""
    usage_type, _, operation = sku.partition(_SLASH)
    return usage_type.replace(_SLASH_CODED, _SLASH), operation


def describe_sku(sku: str) -> AwsSku:
    """Everything that a SKU id says about what it bills."""
    usage_type, operation = split_sku(sku)
    code, rest = _split_region(usage_type)
    word, _, after = rest.partition(":")
    tables = aws_tables()
    node = node_of(rest, operation)
    if node is not None:
        return _described_node(node, usage_type, rest, operation, tables.regions[code])
    tenancy = tables.tenancies.get(word)
    instance = None
    if tenancy is not None:
        # The first instance type ever sold is billed without its name.
        candidate = after or "m1.small"
        instance = candidate if _INSTANCE.match(candidate) else None
    return AwsSku(
        usage_type=usage_type,
        bare_type=rest,
        operation=operation,
        region=tables.regions[code],
        service=_service(word, tenancy),
        instance_type=instance,
        family=_family(word, after, instance),
        size_units=size_units(instance) if instance is not None else None,
        platform=tables.platforms.get(operation) if tenancy is not None else None,
        tenancy=tenancy,
    )


def _described_node(
    node: AwsNode, usage_type: str, bare_type: str, operation: str, region: str
) -> AwsSku:
    units = None if node.instance_type is None else size_units(node.instance_type)
    return AwsSku(
        usage_type=usage_type,
        bare_type=bare_type,
        operation=operation,
        region=region,
        service=node.service,
        instance_type=node.instance_type,
        family=node.family,
        size_units=None if units is None or node.weight is None else units * node.weight,
        platform=node.platform,
        tenancy=None,
    )


def family_of(sku: str) -> str | None:
    """The instance family that a SKU id bills, such as ``m5``; ``None`` when it is no instance."""
    return describe_sku(sku).family


def region_of_usage_type(usage_type: str) -> str:
    """The region that a usage type is billed in; ``us-east-1`` when it carries no code."""
    return aws_tables().regions[_split_region(usage_type)[0]]


def region_code(region: str) -> str | None:
    """The short code of a region (``USW2``), or ``None`` when the table does not know it."""
    return next((code for code, name in aws_tables().regions.items() if name == region), None)


def size_units(instance_type: str) -> Decimal | None:
    """Normalised units of one hour of an instance type; ``None`` when its weight is unknown."""
    family, _, size = instance_type.rpartition(".")
    tables = aws_tables()
    if size == "metal":
        return tables.metal_sizes.get(family)
    known = tables.sizes.get(size)
    if known is not None:
        return known
    large = _XLARGE.match(size)
    return Decimal(8 * int(large.group(1))) if large else None


def platform_of(operation: str) -> str | None:
    """The platform that an EC2 operation bills, ``None`` for one that launches no instance."""
    return aws_tables().platforms.get(operation)


@cache
def aws_tables() -> AwsTables:
    """The tables shipped beside this module, read once."""
    raw = yaml.safe_load(files(__package__).joinpath("aws_tables.yaml").read_text("utf-8"))
    return AwsTables(
        regions=raw["regions"],
        region_aliases=raw["region_aliases"],
        platforms=raw["platforms"],
        tenancies=raw["tenancies"],
        sizes={size: Decimal(weight) for size, weight in raw["sizes"].items()},
        metal_sizes={family: Decimal(weight) for family, weight in raw["metal_sizes"].items()},
    )


def _split_region(usage_type: str) -> tuple[str, str]:
    code, dash, rest = usage_type.partition("-")
    tables = aws_tables()
    code = tables.region_aliases.get(code, code)
    if dash and code in tables.regions:
        return code, rest
    return _HOME_CODE, usage_type


def _service(word: str, tenancy: str | None) -> str | None:
    if tenancy is not None:
        return "ec2"
    if word.startswith("Fargate-"):
        return "fargate"
    if word.startswith("Lambda-"):
        return "lambda"
    return None


def _family(word: str, after: str, instance: str | None) -> str | None:
    if instance is not None:
        return instance.partition(".")[0]
    # A dedicated host is billed by family: "HostUsage:m5".
    return after or None if word == "HostUsage" else None
