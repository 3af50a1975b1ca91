"""How Azure usage is named, and what its name says: decides the SKU id and the facts in it.

A virtual machine's SKU id is its size as Azure Resource Manager writes it (``Standard_D4s_v5``),
then ``windows`` where its price includes that licence, then ``spot`` or ``low priority``, with
spaces between: bills name the size (``ServiceType``), price lists do (``armSkuName``), and so do
reservations. Everything else is its meter: category, subcategory and name joined by ``/``. What the
words mean is data: ``azure_tables.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

import yaml

VIRTUAL_MACHINES = "Virtual Machines"
_PREFIXES = ("Standard_", "Basic_", "Internal_")
_CAPACITIES = {"spot": "Spot", "low priority": "Low Priority"}
_SIZE = re.compile(
    r"(?P<series>[A-Z]+)(?P<vcpus>\d+)(?:-\d+)?(?P<features>[a-z]*)"
    r"(?P<accelerator>_[A-Z][A-Za-z0-9]*)?(?:_v(?P<version>\d+))?\Z"
)


@dataclass(frozen=True, slots=True)
class AzureTables:
    """The contents of ``azure_tables.yaml``; ``units`` by size: flexibility group and weight."""

    services: Mapping[str, str]
    units: Mapping[str, tuple[str, Decimal]]


@dataclass(frozen=True, slots=True)
class AzureSku:
    """What a SKU id says. ``None`` where its words do not tell.

    ``arm_sku_name`` is the machine's size, ``family`` its flexibility group, ``size_units`` its
    weight in the group, ``platform`` ``linux`` or ``windows`` (the licence in the price).
    ``capacity`` is ``on_demand``, ``spot`` or ``low priority``.
    """

    arm_sku_name: str | None
    service: str | None
    family: str | None
    size_units: Decimal | None
    platform: str | None
    tenancy: str | None
    unit: str | None
    capacity: str


def azure_sku(
    *, meter_category: str, meter_subcategory: str = "", meter_name: str, arm_sku_name: str = ""
) -> str:
    """The SKU id of what a meter bills, as bills and the retail price list name it.

    Bills: MeterCategory, MeterSubCategory, MeterName, and ``ServiceType`` of AdditionalInfo.
    Price list: serviceName, productName, meterName, armSkuName.
    """
    category, group, meter = (
        word.strip() for word in (meter_category, meter_subcategory, meter_name)
    )
    if category != VIRTUAL_MACHINES or "dedicated host" in group.lower():
        return "/".join(word for word in (category, group, meter) if word)
    size = _arm_name(arm_sku_name.strip(), meter)
    if size is None:
        return "/".join(word for word in (category, group, meter) if word)
    words = [size]
    if group.lower().endswith("windows"):
        words.append("windows")
    words += [
        capacity
        for capacity, ending in _CAPACITIES.items()
        if meter.lower().endswith(ending.lower())
    ]
    return " ".join(words)


def describe_sku(sku: str) -> AzureSku:
    """Everything that a SKU id says about what it bills."""
    if not sku.startswith(_PREFIXES):
        service = azure_tables().services.get(sku.partition("/")[0])
        if service == "vm":
            # A host, or a machine whose size its meter does not tell.
            service = "dedicated_host" if "dedicated host" in sku.lower() else None
        return AzureSku(None, service, None, None, None, None, None, "on_demand")
    size, *words = sku.split(" ")
    capacity = next((word for word in _CAPACITIES if sku.endswith(f" {word}")), "on_demand")
    family, weight = flexibility(size)
    return AzureSku(
        arm_sku_name=size,
        service="vm",
        family=family,
        size_units=weight,
        platform="windows" if "windows" in words else "linux",
        tenancy="shared",
        unit="Hrs",
        capacity=capacity,
    )


def family_of(sku: str) -> str | None:
    """The flexibility group of a machine's SKU id, such as ``Dsv5 Series``; ``None`` for others."""
    return describe_sku(sku).family


def flexibility(arm_sku_name: str) -> tuple[str | None, Decimal | None]:
    """The flexibility group of a size and its weight in it; nothing where the name tells none."""
    known = azure_tables().units.get(arm_sku_name.lower())
    if known is not None:
        return known
    size = _SIZE.match(arm_sku_name.partition("_")[2])
    if size is None or not arm_sku_name.startswith("Standard_"):
        return None, None
    version = f"v{size['version']}" if size["version"] else ""
    extra = (size["accelerator"] or "").replace("_", " ")
    return f"{size['series']}{size['features']}{version}{extra} Series", Decimal(size["vcpus"])


def resource_group_of(resource_id: str) -> str | None:
    """The resource group that a resource's path names, in lower case; ``None`` for none."""
    found = _GROUP.search(resource_id)
    return found[1].lower() if found else None


_GROUP = re.compile(r"/subscriptions/[^/]+/resourcegroups/([^/]+)", re.IGNORECASE)


@cache
def azure_tables() -> AzureTables:
    """The tables shipped beside this module, read once."""
    raw = yaml.safe_load(files(__package__).joinpath("azure_tables.yaml").read_text("utf-8"))
    return AzureTables(
        services=raw["services"],
        units={
            size.lower(): (group, Decimal(weight))
            for group, sizes in raw["units"].items()
            for size, weight in sizes.items()
        },
    )


def _arm_name(told: str, meter: str) -> str | None:
    """The size: as told, else from a meter's name, ``D2 v2/DS2 v2 Spot`` being Standard_D2_v2."""
    if told.startswith(_PREFIXES):
        return told
    name = meter.partition("/")[0].strip()
    for ending in _CAPACITIES.values():
        name = name.removesuffix(f" {ending}")
    candidate = f"Standard_{name.replace(' ', '_')}"
    return candidate if _SIZE.match(candidate.partition("_")[2]) else None
