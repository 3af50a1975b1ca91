"""Who uses how many vCPUs and GB, hour by hour: decides the sandbox's seeded usage.

A load has a steady base, a day, a week, slow growth and noise that lasts; its memory follows its
vCPUs. Pure: the same seed and range give the same usage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.domain.hours import DAY_HOURS, WEEK_HOURS, HourRange
from service.domain.ids import AccountId
from service.domain.usage import Usage, UsageLine
from service.sandbox.gcp.catalog import PROVIDER, RAM, VCPU
from service.sandbox.gcp.tables import WorkloadRow, shipped_tables
from service.usage.gcp_sku import machine_sku

_YEAR_HOURS = 8_760
_NOISE, _NOISE_MEMORY = 0.03, 0.9
_MEMORY_REACH = 64  # 0.9^64 ≈ 0.001: what is older no longer shows


def shipped_usage(seed: int, hours: HourRange) -> Usage:
    """The usage of every workload in ``catalog.yaml`` over ``hours``, in vCPUs and GB."""
    tables = shipped_tables()
    columns: dict[UsageLine, NDArray[np.float64]] = {}
    for number, row in enumerate(tables["workloads"]):
        vcpus = _vcpus(np.random.default_rng([seed, number]), row, hours)
        for resource, amount in ((VCPU, vcpus), (RAM, vcpus * row["gb"])):
            line = UsageLine(
                PROVIDER,
                AccountId(tables["projects"][row["project"]]),
                row["region"],
                tables["regions"][row["region"]]["zone"],
                machine_sku(row["family"], resource),
            )
            columns[line] = np.round(columns.get(line, 0.0) + amount, 4)
    lines = tuple(columns)
    return Usage(hours=hours, lines=lines, quantity=np.column_stack([columns[k] for k in lines]))


def _vcpus(random: np.random.Generator, row: WorkloadRow, hours: HourRange) -> NDArray[np.float64]:
    index = np.arange(hours.count, dtype=np.float64)
    first = hours.start.weekday() * DAY_HOURS + hours.start.hour
    hour_of_week = (first + index) % WEEK_HOURS
    peak = random.uniform(13.0, 17.0)
    daily = row["daily"] * np.cos((hour_of_week % DAY_HOURS - peak) * (2 * np.pi / DAY_HOURS))
    weekend = hour_of_week >= 5 * DAY_HOURS
    weekly = np.where(weekend, -row["weekly"], row["weekly"] * 0.4)
    growth = (1 + row["growth_per_year"]) ** (index / _YEAR_HOURS)
    shocks = random.normal(0.0, _NOISE * np.sqrt(1 - _NOISE_MEMORY**2), hours.count)
    noise = np.convolve(shocks, _NOISE_MEMORY ** np.arange(_MEMORY_REACH))[: hours.count]
    shape: NDArray[np.float64] = (1 + daily + weekly) * growth * (1 + noise)
    vcpus: NDArray[np.float64] = np.maximum(shape, 0.02) * row["vcpus"]
    return vcpus
