"""The shape of ``catalog.yaml``: what the sandbox Google Cloud sells and who runs what in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypedDict, cast

import yaml


class RegionRow(TypedDict):
    """One region: its name in SKU descriptions, its price level, the zone its machines run in."""

    place: str
    level: str
    zone: str


class FamilyRow(TypedDict):
    """One machine series: prices, the words of its SKUs, and its commitments' type."""

    vcpu_usd: str
    gb_usd: str
    core: str
    ram: str
    commitment: str
    type: str


class FlexibleRow(TypedDict):
    """One flexible commitment: its offer's name, and its discount as decimal text, 0-1."""

    offer: str
    discount: str


class WorkloadRow(TypedDict):
    """One load: who runs it, on what, how big, and the shape of its days and weeks."""

    project: str
    region: str
    family: str
    vcpus: float
    gb: float
    daily: float
    weekly: float
    growth_per_year: float


class Tables(TypedDict):
    """The whole file. Discounts and offers are by the term's months."""

    billing_account: str
    projects: Mapping[str, str]
    regions: Mapping[str, RegionRow]
    families: Mapping[str, FamilyRow]
    resource_discounts: Mapping[int, str]
    flexible: Mapping[int, FlexibleRow]
    quota_vcpus: int
    workloads: list[WorkloadRow]


@cache
def shipped_tables() -> Tables:
    """The file as shipped, read once."""
    text = files(__package__).joinpath("catalog.yaml").read_text("utf-8")
    return cast("Tables", yaml.safe_load(text))
