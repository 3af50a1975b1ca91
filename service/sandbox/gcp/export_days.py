"""The billing export's days: decides which appear when, and how true each version is.

As with Google's own export, a day of usage is not there at once: it appears some hours after its
end, a little short, and is written again until it stays. A new version replaces the day whole.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from service.sandbox.gcp.bills import DAY
from service.sandbox.gcp.export_rows import SCHEMA, day_table
from service.sandbox.gcp.world import GcpWorld

_SHORT_LINES_SHARE = 0.25
_SHORT_BY_MOST = 0.03


class Version(NamedTuple):
    """The how-manieth version of a day, and when it was written."""

    number: int
    written_at: datetime


class ExportDays:
    """The export of one world as it stands now; days are made on first need and kept."""

    def __init__(self, world: GcpWorld) -> None:
        self._world = world
        self._tables: dict[tuple[datetime, int], pa.Table] = {}

    def due(self) -> dict[datetime, Version]:
        """Every day that has appeared, with its newest version."""
        with self._world.lock:
            now, first = self._world.now(), self._world.usage.hours.start
            days = (first + index * DAY for index in range(max((now - first) // DAY, 0)))
            versions = ((day, self._version(day, now)) for day in days)
            return {day: version for day, version in versions if version is not None}

    def day(self, day: datetime, version: Version) -> pa.Table:
        """The rows of one version of a day."""
        key = (day, version.number)
        with self._world.lock:
            if key not in self._tables:
                bills = self._world.bills
                share = self._share(day, version.number)
                billed = bills.day(day) if share is None else bills.reported(day, share)
                self._tables[key] = day_table(self._world, billed, version.written_at)
                self._tables.pop((day, version.number - 1), None)
            return self._tables[key]

    def table(self) -> pa.Table:
        """All rows that are there now."""
        parts = [self.day(day, version) for day, version in self.due().items()]
        return pa.concat_tables(parts) if parts else SCHEMA.empty_table()

    def _version(self, day: datetime, now: datetime) -> Version | None:
        options = self._world.options
        least, most = options.export_lag_hours
        # Practice lateness, not secrets: drawn from the seed and the day.
        drawn = random.Random(f"{options.seed} {day:%Y-%m-%d}").random()  # noqa: S311
        appears = day + DAY + timedelta(hours=least + (most - least) * drawn)
        writings = [appears + timedelta(hours=h) for h in (0, *options.restate_after_hours)]
        past = [at for at in writings if at <= now]
        return Version(len(past), past[-1].replace(microsecond=0)) if past else None

    def _share(self, day: datetime, number: int) -> NDArray[np.float64] | None:
        """How much of each line's usage this version knows; ``None`` for all of it."""
        missing = 1 + len(self._world.options.restate_after_hours) - number
        if missing <= 0:
            return None
        lines = len(self._world.usage.lines)
        drawn = np.random.default_rng([self._world.options.seed, day.toordinal()])
        short = drawn.random(lines) < _SHORT_LINES_SHARE
        known: NDArray[np.float64] = 1 - np.where(short, drawn.uniform(0, _SHORT_BY_MOST, lines), 0)
        return known


class ExportWriter:
    """Writes a copy of the export into a folder, one file for each day of usage."""

    def __init__(self, days: ExportDays, folder: Path) -> None:
        self._days = days
        self._folder = folder
        self._written: dict[datetime, int] = {}

    def write_due(self) -> Sequence[Path]:
        """Write every version that is due and not yet written; the files new or changed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        changed: list[Path] = []
        for day, version in self._days.due().items():
            if self._written.get(day) == version.number:
                continue
            path = self._folder / f"gcp-{day:%Y-%m-%d}.parquet"
            aside = path.with_name(f".{path.name}.part")
            pq.write_table(self._days.day(day, version), aside, compression="zstd")
            os.replace(aside, path)  # noqa: PTH105  # whole or not at all
            self._written[day] = version.number
            changed.append(path)
        return changed
