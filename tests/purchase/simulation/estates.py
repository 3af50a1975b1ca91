"""Small clouds for years of the whole service: few SKUs, seeded demand, the real SDK over loopback.

The worlds, their state machines, their wire and the adapters are the service's own. What is small
is the estate: two loads of one cloud, whose demand drops and surges by seed, and whose exports are
files of a month each, as a customer's are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from service.clouds import Cloud
from service.domain.usage import Usage
from service.providers.aws.reader import AwsReader
from service.sandbox.accrual import DAY
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.exports import AzureExportWriter
from service.sandbox.azure.world import AzureWorld, AzureWorldOptions
from service.sandbox.cloud import SandboxCloud
from service.sandbox.exports import ExportWriter
from service.sandbox.gcp.cloud import GcpSandbox
from service.sandbox.gcp.export_days import ExportDays
from service.sandbox.gcp.world import GcpWorld, GcpWorldOptions
from service.sandbox.world import World, WorldOptions
from tests.purchase.simulation.aws import REGION, SimAws
from tests.purchase.simulation.azure import SimAzure
from tests.purchase.simulation.clouds import SimCloud
from tests.purchase.simulation.gcp import SimGcp

HISTORY_DAYS: Final = 35
WEEK_HOURS: Final = 7 * 24


def seeded_demand(usage: Usage, lines: Sequence[int], seed: int) -> Usage:
    """Some of the usage; each load falls to a part, or rises above, for some weeks at a time."""
    drawn = np.random.default_rng([4_711, seed])
    quantity = np.ascontiguousarray(usage.quantity[:, list(lines)])
    level = np.ones(usage.hours.count)
    hour = (HISTORY_DAYS + 14) * 24
    while hour < usage.hours.count:
        lasts = int(drawn.integers(3, 14)) * WEEK_HOURS
        level[hour : hour + lasts] = drawn.choice([1.0, 0.35, 0.6, 1.4, 2.0])
        hour += lasts + int(drawn.integers(0, WEEK_HOURS))
    return Usage(
        usage.hours,
        tuple(usage.lines[one] for one in lines),
        np.round(quantity * level[:, None], 4),
    )


class SmallCloud(ABC):
    """One running cloud: its world, its wire, its exports, and what people do to it."""

    losing: tuple[str, ...] = ()
    """The operations that buy, as its faults name them."""

    def __init__(self, sim: SimCloud, server: Any, folder: Path) -> None:  # noqa: ANN401
        self.sim = sim
        self.provider = sim.provider
        self.server = server
        self.folder = folder
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self._running.enter_context(self.server)
        self.write_exports()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def world(self) -> Any:  # noqa: ANN401 - one of three
        return self.sim.world

    @property
    def settings(self) -> dict[str, str]:
        """What points Tenor here."""
        return {f"{self.provider}_endpoint_url": self.server.endpoint_url}

    def behind_the_port(self, cloud: Cloud) -> Cloud:
        """The service's own adapter, with exports that lie on this machine."""
        return replace(cloud, exports=None)

    def advance(self, hours: float) -> None:
        """Let time pass and billing data arrive."""
        self.world.advance(hours)
        self.write_exports()

    @abstractmethod
    def write_exports(self) -> None:
        """Write the months in which something is new."""

    @abstractmethod
    def raise_price(self, factor: Decimal) -> None:
        """From now on something that is sold costs so many times as much."""


class Months:
    """Exports as files of a month, rewritten whole when a day of it is new or restated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._days: dict[datetime, Any] = {}
        folder.mkdir(parents=True)

    def write(self, changed: dict[datetime, Any]) -> None:
        self._days |= changed
        for month in sorted({(day.year, day.month) for day in changed}):
            tables = [
                self._days[day] for day in sorted(self._days) if (day.year, day.month) == month
            ]
            name = f"{month[0]}-{month[1]:02}.parquet"
            aside = self._folder / f".{name}.part"
            pq.write_table(pa.concat_tables(tables), aside, write_statistics=False)
            aside.replace(self._folder / name)


class _AwsDays(ExportWriter):
    """The days of AWS's exports, as tables."""

    def due(self) -> dict[datetime, Any]:
        return _due(self, self._written)


class _AzureDays(AzureExportWriter):
    """The days of Azure's exports, as tables."""

    def due(self) -> dict[datetime, Any]:
        return _due(self, self._versions)


def _due(writer: Any, written: dict[datetime, int]) -> dict[datetime, Any]:  # noqa: ANN401
    """The days of which a newer version is due, all of them told as written."""
    world, changed = writer._world, {}  # noqa: SLF001 - of the subclasses above
    now, day = world.now(), world.usage.hours.start
    while day + DAY <= now:
        if written.get(day, 0) < writer._last_version:  # noqa: SLF001
            version = writer._version(day, now)  # noqa: SLF001
            if version > written.get(day, 0):
                changed[day] = writer._table(day, version)  # noqa: SLF001
                written[day] = version
        day += DAY
    return changed


class SmallAws(SmallCloud):
    """Two sizes of one family in one region."""

    losing = ("savingsplans.CreateSavingsPlan", "ec2.PurchaseReservedInstancesOffering")

    def __init__(self, seed: int, days: int, folder: Path) -> None:
        made = World.generated(WorldOptions(seed, history_days=HISTORY_DAYS, horizon_days=days))
        world = World(made.options, made.catalog, seeded_demand(made.usage, (0, 10), seed))
        super().__init__(SimAws(seed, days, world), SandboxCloud(world), folder)
        self._days, self._months = _AwsDays(world, folder), Months(folder)

    def behind_the_port(self, cloud: Cloud) -> Cloud:
        """The reader asks one region: a listing each of two more costs a third of the year."""
        reader = AwsReader(self.server.clients(), regions=[REGION])
        return replace(super().behind_the_port(cloud), reader=reader)

    def write_exports(self) -> None:
        self._months.write(self._days.due())

    def raise_price(self, factor: Decimal) -> None:
        for one in self.sim.wares:
            self.world.change_price(one.offering, factor)


class SmallAzure(SmallCloud):
    """Two sizes of one series in one region."""

    losing = ("azure.ReservationOrder.Purchase", "azure.SavingsPlanOrderAlias.Create")

    def __init__(self, seed: int, days: int, folder: Path) -> None:
        made = AzureWorld.generated(
            AzureWorldOptions(
                seed, history_days=HISTORY_DAYS, horizon_days=days, refund_limit_usd=Decimal(10**6)
            )
        )
        world = AzureWorld(made.options, made.catalog, seeded_demand(made.usage, (0, 1), seed))
        super().__init__(SimAzure(seed, days, world), AzureSandbox(world), folder)
        self._days, self._months = _AzureDays(world, folder), Months(folder)

    def write_exports(self) -> None:
        self.world.settle()
        self._months.write(self._days.due())

    def raise_price(self, factor: Decimal) -> None:
        machine = self.sim.machine  # type: ignore[attr-defined]
        self.world.change_price(machine.region, machine.arm_name, factor)


class SmallGcp(SmallCloud):
    """The vCPUs and the memory of one series in one region."""

    losing = ("gcp.regionCommitments.insert", "gcp.orders.place")

    def __init__(self, seed: int, days: int, folder: Path) -> None:
        made = GcpWorld.generated(
            GcpWorldOptions(seed, history_days=HISTORY_DAYS, horizon_days=days)
        )
        world = GcpWorld(made.options, made.catalog, seeded_demand(made.usage, (0, 1), seed))
        super().__init__(SimGcp(seed, days, world), GcpSandbox(world), folder)
        self._days, self._months = ExportDays(world), Months(folder)
        self._written: dict[datetime, int] = {}

    def write_exports(self) -> None:
        changed = {
            day: self._days.day(day, version)
            for day, version in self._days.due().items()
            if self._written.get(day) != version.number
        }
        self._written |= {day: self._days.due()[day].number for day in changed}
        self._months.write(changed)

    def raise_price(self, factor: Decimal) -> None:
        self.world.change_price("us-central1", "n2", factor)


SMALL: Final[tuple[type[SmallAws | SmallAzure | SmallGcp], ...]] = (SmallAws, SmallAzure, SmallGcp)
