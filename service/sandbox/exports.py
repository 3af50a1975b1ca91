"""The world's billing data exports: decides which day's file appears when, and how true it is.

As with AWS Data Exports, a day's usage is not there the day after: it first appears 24 to 48
hours after the day's end, a little short, and is rewritten until it stays. Files lie in a folder
for each billing month and are replaced whole, never half-written. Days that were settled when
the world began lie together, one file for each month.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from service.domain.hours import HOUR
from service.sandbox.accrual import DAY, DayBill
from service.sandbox.export_rows import Purchase, day_table, hourly_usd
from service.sandbox.world import World

_SHORT_LINES_SHARE = 0.25
_SHORT_BY_MOST = 0.03


class ExportWriter:
    """Writes what is due into ``folder``. One writer for one folder."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._accrual = world.accrual
        self._folder = folder
        self._written: dict[datetime, int] = {}
        self._appears: dict[datetime, datetime] = {}

    def write_due(self) -> Sequence[Path]:
        """Write every day whose next version is due by now; the files that are new or changed."""
        world = self._world
        with world.lock:
            now = world.now()
            first = world.usage.hours.start
            count = max((now - first) // DAY, 0)
            versions = {
                day: version
                for index in range(count)
                for day in [first + index * DAY]
                if self._written.get(day, 0) < self._last_version
                for version in [self._version(day, now)]
                if version > self._written.get(day, 0)
            }
            written = self._write_history(versions) if not self._written else []
            for day, version in versions.items():
                if self._written.get(day, 0) < version:
                    written.append(self._write([self._table(day, version)], day, f"{day:%Y-%m-%d}"))
                    self._written[day] = version
            return written

    def _version(self, day: datetime, now: datetime) -> int:
        """How many versions of the day's file have appeared by ``now``; 0 before the first."""
        appears = self._appears.get(day)
        if appears is None:
            options = self._world.options
            least, most = options.export_lag_hours
            # Practice lateness, not secrets: drawn from the seed and the day.
            drawn = random.Random(f"{options.seed} {day:%Y-%m-%d}").random()  # noqa: S311
            appears = day + DAY + timedelta(hours=least + (most - least) * drawn)
            self._appears[day] = appears
        steps = (0, *self._world.options.restate_after_hours)
        return sum(now >= appears + timedelta(hours=step) for step in steps)

    @property
    def _last_version(self) -> int:
        return 1 + len(self._world.options.restate_after_hours)

    def _write_history(self, versions: Mapping[datetime, int]) -> list[Path]:
        months: dict[str, list[datetime]] = {}
        for day, version in versions.items():
            if version >= self._last_version and day < self._world.options.start:
                months.setdefault(f"{day:%Y-%m}", []).append(day)
                self._written[day] = version
        return [
            self._write(
                [self._table(day, self._last_version) for day in days],
                days[0],
                f"{days[0]:%Y-%m-%d}_{days[-1]:%Y-%m-%d}",
            )
            for days in months.values()
        ]

    def _table(self, day: datetime, version: int) -> object:
        share = self._share(day, version)
        billed = self._accrual.day(day) if share is None else self._accrual.reported(day, share)
        return day_table(billed, self._world.payer, self._purchases(billed))

    def _share(self, day: datetime, version: int) -> NDArray[np.float64] | None:
        """How much of each line's usage this version knows; ``None`` for all of it."""
        missing = self._last_version - version
        if missing <= 0:
            return None
        lines = len(self._world.usage.lines)
        random_lines = np.random.default_rng([self._world.options.seed, day.toordinal()])
        short = random_lines.random(lines) < _SHORT_LINES_SHARE
        by = random_lines.uniform(0, _SHORT_BY_MOST, lines)
        # Each version finds about half of what the last one missed.
        still = by * 0.5 ** (self._last_version - 1 - missing)
        known: NDArray[np.float64] = 1 - np.where(short, still, 0.0)
        return known

    def _purchases(self, billed: DayBill) -> list[Purchase]:
        """What was charged for owning commitments: upfront in their first hour, then hourly."""
        upfront = self._world.upfront_due()
        charges: list[Purchase] = []
        hours = billed.dataset.usage.hours
        for owned in billed.dataset.commitments:
            offering = billed.dataset.offerings[owned.offering]
            first, last = hours.clip(owned.start, owned.end)
            recurring = Purchase(offering, owned.commitment, owned.account)
            recurring.usd = hourly_usd(offering, owned.quantity)
            if recurring.usd > 0:
                recurring.hours = [hours.start + hour * HOUR for hour in range(first, last)]
                charges.append(recurring)
            once = Purchase(offering, owned.commitment, owned.account)
            once.usd = upfront[owned.commitment]
            if once.usd > 0 and billed.day <= owned.start < billed.day + DAY and first < last:
                once.recurring = False
                once.hours = [hours.start + first * HOUR]
                charges.append(once)
        return [one for one in charges if one.usd > Decimal(0)]

    def _write(self, tables: Sequence[object], day: datetime, name: str) -> Path:
        folder = self._folder / f"BILLING_PERIOD={day:%Y-%m}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"focus-{name}.parquet"
        aside = folder / f".{path.name}.part"
        pq.write_table(
            pa.concat_tables(tables), aside, compression="snappy", write_statistics=False
        )
        os.replace(aside, path)  # noqa: PTH105  # whole or not at all
        return path
