"""Who uses how much, hour by hour: decides the sandbox's seeded usage.

Each load has a steady base, a daily and a weekly cycle, slow growth, persistent noise, and may
move to another family over six weeks. Quantities are in the SKU's unit. Pure: the same seed and
range give the same usage.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from service.domain.hours import DAY_HOURS, WEEK_HOURS, HourRange
from service.domain.ids import AccountId
from service.domain.usage import Usage, UsageLine
from service.sandbox.rates import PROVIDER
from service.sandbox.tables import NodeRow, WorkloadRow, shipped_tables
from service.usage.aws_sku import aws_sku, region_code

_YEAR_HOURS = 8_760
_MIGRATION_HOURS = 6 * WEEK_HOURS
_NOISE = 0.035
_NOISE_MEMORY = 0.9


def shipped_usage(seed: int, hours: HourRange, *, databases: bool = False) -> Usage:
    """The usage of every workload in ``catalog.yaml`` over ``hours``.

    ``databases`` adds the managed nodes' to the others', which it leaves as they are.
    """
    tables = shipped_tables()
    columns: dict[UsageLine, NDArray[np.float64]] = {}
    rows = [*tables["workloads"], *(tables["node_workloads"] if databases else ())]
    for number, row in enumerate(rows):
        load = _load(np.random.default_rng([seed, number]), row, hours)
        moved = _moved_share(row, hours.count)
        account = AccountId(tables["accounts"][row["account"]])
        _add(columns, _line(row, account, row["sku"]), load * (1 - moved))
        if "moves_to" in row:
            _add(columns, _line(row, account, row["moves_to"]), load * moved)
    lines = tuple(columns)
    return Usage(hours=hours, lines=lines, quantity=np.column_stack([columns[k] for k in lines]))


def _add(
    columns: dict[UsageLine, NDArray[np.float64]], line: UsageLine, load: NDArray[np.float64]
) -> None:
    # A ten-thousandth of an hour is a third of a second: about the grain that AWS bills in.
    columns[line] = columns.get(line, 0.0) + np.round(load, 4)


def _line(row: WorkloadRow, account: AccountId, name: str) -> UsageLine:
    region = row["region"]
    return UsageLine(PROVIDER, account, region, row["zone"], _sku(region_code(region), name))


def _sku(code: str | None, name: str) -> str:
    """The SKU id of ``m5.large``, ``m5.large windows`` or a usage type of another service."""
    other = {row["usage_type"]: row["operation"] for row in shipped_tables()["other"]}
    if name in other:
        return aws_sku(f"{code}-{name}", other[name])
    instance, _, platform = name.partition(" ")
    if any((row["usage_type"], row["operation"]) == (instance, platform) for row in _nodes()):
        return aws_sku(f"{code}-{instance}", platform)
    operation = "RunInstances:0002" if platform == "windows" else "RunInstances"
    return aws_sku(f"{code}-BoxUsage:{instance}", operation)


def _nodes() -> list[NodeRow]:
    return shipped_tables()["nodes"]


def _load(random: np.random.Generator, row: WorkloadRow, hours: HourRange) -> NDArray[np.float64]:
    index = np.arange(hours.count, dtype=np.float64)
    hour_of_week = (_hour_of_week(hours.start) + index) % WEEK_HOURS
    hour_of_day = hour_of_week % DAY_HOURS
    peak = random.uniform(13.0, 17.0)
    daily = row["daily"] * np.cos((hour_of_day - peak) * (2 * np.pi / DAY_HOURS))
    weekend = hour_of_week >= 5 * DAY_HOURS
    weekly = np.where(weekend, -row["weekly"], row["weekly"] * 0.4)
    growth = (1 + row["growth_per_year"]) ** (index / _YEAR_HOURS)
    shape = (1 + daily + weekly) * growth * (1 + _persistent_noise(random, hours.count))
    return np.maximum(shape, 0.02) * row["quantity"]


def _hour_of_week(start: datetime) -> int:
    return start.weekday() * DAY_HOURS + start.hour


def _persistent_noise(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Noise that lasts: each hour keeps most of the last one's deviation (an AR(1) series)."""
    shocks = random.normal(0.0, _NOISE * np.sqrt(1 - _NOISE_MEMORY**2), count)
    reach = 64  # 0.9^64 ≈ 0.001: what is older no longer shows
    kernel = _NOISE_MEMORY ** np.arange(reach)
    noise: NDArray[np.float64] = np.convolve(shocks, kernel)[:count]
    return noise


def _moved_share(row: WorkloadRow, count: int) -> NDArray[np.float64]:
    """The part of the load that has left for the other family, 0 to 1, hour by hour."""
    if "moves_to" not in row or "moves_on_day" not in row:
        return np.zeros(count)
    begins = row["moves_on_day"] * DAY_HOURS
    progress = (np.arange(count, dtype=np.float64) - begins) / _MIGRATION_HOURS
    return np.clip(progress, 0.0, 1.0)
