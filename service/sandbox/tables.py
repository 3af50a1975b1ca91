"""The shape of ``catalog.yaml``: what the sandbox sells and who runs what in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NotRequired, TypedDict, cast

import yaml

Discounts = Mapping[str, Mapping[int, Mapping[str, str]]]
"""Service → years → payment → share off on demand, as decimal text."""


class RegionRow(TypedDict):
    """One region: its name in price lists, its price level against us-east-1."""

    location: str
    level: str


class FamilyRow(TypedDict):
    """One instance family: an hour of its .large, and how deep its discounts are."""

    large_usd: str
    depth: str


class OtherRow(TypedDict):
    """One SKU that is no instance."""

    service: str
    usage_type: str
    operation: str
    unit: str
    usd: str


class NodeRow(TypedDict):
    """One managed node, or what a database bills by the request."""

    usage_type: str
    operation: str
    usd: str
    unit: NotRequired[str]


class WorkloadRow(TypedDict):
    """One load: who runs it, on what, how big, and the shape of its days and weeks."""

    account: str
    region: str
    zone: str
    sku: str
    quantity: float
    daily: float
    weekly: float
    growth_per_year: float
    moves_to: NotRequired[str]
    moves_on_day: NotRequired[int]


class Tables(TypedDict):
    """The whole file."""

    regions: Mapping[str, RegionRow]
    families: Mapping[str, FamilyRow]
    windows_usd: str
    sizes: list[str]
    windows_families: list[str]
    other: list[OtherRow]
    discounts: Mapping[str, Discounts]
    workloads: list[WorkloadRow]
    accounts: Mapping[str, str]
    nodes: list[NodeRow]
    node_discounts: Discounts
    node_plans: Mapping[str, Discounts]
    node_workloads: list[WorkloadRow]


@cache
def shipped_tables() -> Tables:
    """The tables beside this module, read once; our own file, so its shape is taken as given."""
    text = files(__package__).joinpath("catalog.yaml").read_text("utf-8")
    return cast("Tables", yaml.safe_load(text))
