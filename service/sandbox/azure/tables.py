"""The shape of ``catalog.yaml``: what the sandbox Azure sells and who runs what in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import NotRequired, TypedDict, cast

import yaml


class RegionRow(TypedDict):
    """One region: its name in price lists, its price level against eastus."""

    location: str
    level: str


class SeriesRow(TypedDict):
    """One series: a vCPU-hour's price, discount depth, how sizes are written, its group."""

    vcpu_usd: str
    depth: str
    size: str
    group: str


class WorkloadRow(TypedDict):
    """One load: who runs it, on what, how big, and the shape of its days and weeks."""

    subscription: str
    group: str
    region: str
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
    series: Mapping[str, SeriesRow]
    windows_usd: str
    vcpus: list[int]
    windows_series: list[str]
    discounts: Mapping[str, Mapping[int, str]]
    no_longer_sold: Mapping[str, Mapping[int, date]]
    workloads: list[WorkloadRow]
    scale_sets: list[str]
    tenant: str
    subscriptions: Mapping[str, str]


@cache
def shipped_tables() -> Tables:
    """The tables shipped beside this module, read once."""
    text = files(__package__).joinpath("catalog.yaml").read_text("utf-8")
    return cast("Tables", yaml.safe_load(text))
