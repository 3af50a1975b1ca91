"""The world's cost exports: decides which run of an export appears when, and how true it is.

As Cost Management does, a run writes the whole of a month so far into a folder of its own, the
manifest last, and puts it in the place of the run before. A day's usage is not there the day after:
it first appears 24 to 48 hours after the day's end, a little short, and is restated until it stays.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from service.domain.hours import iso
from service.sandbox.accrual import DAY, DayBill
from service.sandbox.azure.access import EXPORT_NAME
from service.sandbox.azure.export_rows import Charge, day_table, payments
from service.sandbox.calendar import month_end

if TYPE_CHECKING:
    from service.sandbox.azure.world import AzureWorld

_SHORT_LINES_SHARE = 0.25
_SHORT_BY_MOST = 0.03
_DAYS_PER_PART = 8


class AzureExportWriter:
    """Writes what is due into ``folder``, the container's root. One writer for one folder."""

    def __init__(self, world: AzureWorld, folder: Path) -> None:
        self._world = world
        self._folder = folder
        self._versions: dict[datetime, int] = {}
        self._tables: dict[datetime, Any] = {}

    def write_due(self) -> Sequence[Path]:
        """Run the export for every month that has something new; the files of those runs."""
        world = self._world
        with world.lock:
            world.settle()
            now, first = world.now(), world.usage.hours.start
            changed: dict[datetime, set[int]] = {}
            for index in range(max((now - first) // DAY, 0)):
                day = first + index * DAY
                if self._versions.get(day, 0) == self._last_version:
                    continue
                version = self._version(day, now)
                if version > self._versions.get(day, 0):
                    self._tables[day] = self._table(day, version)
                    self._versions[day] = version
                    changed.setdefault(day.replace(day=1), set()).add(_part(day))
            return [path for month in sorted(changed) for path in self._run(month, changed[month])]

    @property
    def _last_version(self) -> int:
        return 1 + len(self._world.options.restate_after_hours)

    def _version(self, day: datetime, now: datetime) -> int:
        """How many versions of the day have appeared by ``now``; 0 before the first."""
        options = self._world.options
        least, most = options.export_lag_hours
        # Practice lateness, not secrets: drawn from the seed and the day.
        drawn = random.Random(f"azure {options.seed} {day:%Y-%m-%d}").random()  # noqa: S311
        appears = day + DAY + timedelta(hours=least + (most - least) * drawn)
        return sum(
            now >= appears + timedelta(hours=step) for step in (0, *options.restate_after_hours)
        )

    def _table(self, day: datetime, version: int) -> Any:  # noqa: ANN401 - pyarrow ships no types
        accrual = self._world.accrual
        share = self._share(day, version)
        billed = accrual.day(day) if share is None else accrual.reported(day, share)
        return day_table(billed, self._world, self._paid(billed))

    def _share(self, day: datetime, version: int) -> NDArray[np.float64] | None:
        """How much of each line's usage this version knows; ``None`` for all of it."""
        missing = self._last_version - version
        if missing <= 0:
            return None
        lines = len(self._world.usage.lines)
        drawn = np.random.default_rng([self._world.options.seed, 7, day.toordinal()])
        short = drawn.random(lines) < _SHORT_LINES_SHARE
        by = drawn.uniform(0, _SHORT_BY_MOST, lines)
        # Each version finds about half of what the last one missed.
        known: NDArray[np.float64] = 1 - np.where(
            short, by * 0.5 ** (self._last_version - 1 - missing), 0.0
        )
        return known

    def _paid(self, billed: DayBill) -> list[Charge]:
        """What is paid for commitments on the day."""
        first, until = billed.day, billed.day + DAY
        began = {one.resource_id: one.start for one in self._world.book.reservations()}
        paid = []
        for owned in billed.dataset.commitments:
            # Payments go on as they began, of what is left; none is due for what was given back.
            name, _, _ = owned.commitment.partition(" before ")
            start = began.get(name, owned.start)
            offering = billed.dataset.offerings[owned.offering]
            paid += [
                charge
                for charge in payments(name, offering, start, owned.quantity)
                if max(first, owned.start) <= charge.at < min(until, owned.end)
            ]
        return paid

    def _run(self, month: datetime, changed: Collection[int]) -> list[Path]:
        """One run: parts first, then the manifest, then the run before goes.

        Parts in which nothing changed are the files of the run before.
        """
        now = self._world.now()
        days = sorted(day for day in self._tables if day.replace(day=1) == month)
        last = month_end(month) - DAY
        period = self._folder / EXPORT_NAME / f"{month:%Y%m%d}-{last:%Y%m%d}"
        run = period / str(self._world.new_id())
        run.mkdir(parents=True)
        before = [path for path in period.iterdir() if path != run]
        parts = []
        for number in sorted({_part(day) for day in days}):
            path = run / f"part_0_{number:04d}.parquet"
            known = [one / path.name for one in before if (one / path.name).is_file()]
            if known and number not in changed:
                path.hardlink_to(known[0])
            else:
                tables = [self._tables[day] for day in days if _part(day) == number]
                _write(pa.concat_tables(tables), path)
            parts.append(path)
        manifest = run / "manifest.json"
        aside = manifest.with_name(".manifest.part")
        aside.write_text(json.dumps(self._manifest(month, now, run, parts)), "utf-8")
        # Blobs tell when they were written, in the world's time.
        os.utime(aside, (now.timestamp(), now.timestamp()))
        aside.replace(manifest)
        for path in before:
            shutil.rmtree(path)
        return [*parts, manifest]

    def _manifest(
        self, month: datetime, now: datetime, run: Path, parts: Sequence[Path]
    ) -> dict[str, object]:
        names = [path.relative_to(self._folder).as_posix() for path in parts]
        return {
            "manifestVersion": "2024-04-01",
            "byteCount": sum(path.stat().st_size for path in parts),
            "blobCount": len(parts),
            "dataRowCount": sum(pq.read_metadata(path).num_rows for path in parts),
            "exportConfig": {"exportName": EXPORT_NAME, "type": "FocusCost", "dataVersion": "1.2"},
            "deliveryConfig": {"partitionData": True, "fileFormat": "Parquet"},
            "runInfo": {
                "executionType": "Scheduled",
                "submittedTime": iso(now),
                "runId": run.name,
                "startDate": iso(month),
                "endDate": iso(month_end(month) - DAY),
            },
            "blobs": [
                {"blobName": name, "byteCount": path.stat().st_size}
                for name, path in zip(names, parts, strict=True)
            ],
        }


def _part(day: datetime) -> int:
    """The number of the part of its month that holds the day."""
    return 1 + (day.day - 1) // _DAYS_PER_PART


def _write(table: Any, path: Path) -> None:  # noqa: ANN401
    aside = path.with_name(f".{path.name}.part")
    pq.write_table(table, aside, compression="snappy", write_statistics=False)
    aside.replace(path)
