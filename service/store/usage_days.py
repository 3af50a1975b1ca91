"""Keeps hourly usage: one Parquet file per provider and day, counted only through the manifest.

A day is written aside, synced and renamed to a name of its own; then one database transaction
points the manifest at all the new files; then files that nothing points at are swept away. A
process killed anywhere leaves every day as it was or as it is to be, never a mixture.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Engine, delete, insert, select

from service.domain.errors import InvariantError, RefusedError
from service.domain.hours import DAY_HOURS, HOUR, HourRange, iso
from service.domain.money import text
from service.domain.usage import Usage
from service.store.engine import reading, writing
from service.store.usage_files import load_prices, load_usage
from service.store.usage_seen import note_commitments, seen_commitments
from service.store.usage_tables import usage_days
from service.usage.days import (
    DayOfUsage,
    IngestSummary,
    NamedCommitment,
    ObservedPrice,
    SeenCommitment,
    UsageDay,
)

SMALLEST_RATIO = Decimal("0.5")
"""A day that comes back with less than this share of its rows is taken for a partial export."""

__all__ = ["DayOfUsage", "IngestSummary", "ObservedPrice", "UsageDay", "UsageDays"]

ProviderDay = tuple[str, date]

WEIGHTS = "hour_weights"

_ASIDE = ".incoming"
_LOCK = ".lock"
_READ_ATTEMPTS = 3
T = TypeVar("T")


def _reach(_point: str) -> None:
    """Pass a point of the ingest; tests stop the process at each."""


class UsageDays:
    """The usage files below ``folder`` and their manifest in the database."""

    def __init__(
        self, engine: Engine, folder: Path, *, reach: Callable[[str], None] = _reach
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._reach = reach
        self._entries: dict[tuple[object, ...], UsageDay] = {}
        (folder / _ASIDE).mkdir(parents=True, exist_ok=True)
        with self._writer(wait=False) as alone:
            # Whoever is writing right now sweeps afterwards.
            if alone:
                self._sweep()

    @property
    def folder(self) -> Path:
        """The folder that holds the usage files."""
        return self._folder

    def replace(
        self, days: Iterable[DayOfUsage], *, now: datetime, allow_smaller: bool = False
    ) -> IngestSummary:
        """Store ``days``, each replacing what was known of that provider's day.

        A day whose content is known already is left alone. Raises ``RefusedError`` (rules
        ``day_loses_hours``, ``day_loses_rows``) when a day would lose hours, or more than half
        of its rows, unless ``allow_smaller``; then nothing at all is stored.
        """
        with self._writer(wait=True):
            known = {(entry.provider, entry.day): entry for entry in self.manifest()}
            seen: list[UsageDay] = []
            named: dict[ProviderDay, tuple[NamedCommitment, ...]] = {}
            fresh: list[tuple[Path, UsageDay]] = []
            try:
                for day in days:
                    aside = self._folder / _ASIDE / f"{uuid4().hex}.parquet"
                    entry = self._write_aside(day, aside, now)
                    seen.append(entry)
                    named[entry.provider, entry.day] = day.commitments
                    old = known.get((entry.provider, entry.day))
                    if old is None or (old.digest, old.shape) != (entry.digest, entry.shape):
                        fresh.append((aside, entry))
                    if old is not None and not allow_smaller:
                        _refuse_smaller(old, entry)
                self._publish(fresh, named)
            finally:
                # Also what a refusal, or a full disk, left unfinished.
                for leftover in (self._folder / _ASIDE).iterdir():
                    leftover.unlink()
            self._sweep()
            self._reach("swept")
        replaced = sum((entry.provider, entry.day) in known for _, entry in fresh)
        return IngestSummary(
            added=len(fresh) - replaced,
            replaced=replaced,
            unchanged=len(seen) - len(fresh),
            rows=sum(entry.rows for entry in seen),
            eligible_usd=sum((entry.eligible_usd for entry in seen), Decimal(0)),
            total_usd=sum((entry.total_usd for entry in seen), Decimal(0)),
            newest_hour=max((entry.last_hour for entry in seen), default=None),
            estimated=sum(entry.shape != "" for entry in seen),
        )

    def manifest(self) -> tuple[UsageDay, ...]:
        """Every day known, by provider and day.

        Asked for again and again, and a day's weights take longest to read: they are read again
        only when a day is new or another than it was.
        """
        order = (usage_days.c.provider, usage_days.c.day)
        named = select(*(one for one in usage_days.c if one.name != WEIGHTS)).order_by(*order)
        with reading(self._engine) as connection:
            keys = [tuple(row) for row in connection.execute(named)]
            known = self._entries
            if not all(key in known for key in keys):
                whole = connection.execute(select(usage_days).order_by(*order)).mappings()
                known = {
                    tuple(value for name, value in row.items() if name != WEIGHTS): _entry(row)
                    for row in whole
                }
                self._entries, keys = known, list(known)
            return tuple(known[key] for key in keys)

    def load(
        self,
        hours: HourRange,
        *,
        eligible_only: bool = True,
        provider: str | None = None,
        resource_groups: bool = False,
        level: bool = False,
    ) -> Usage:
        """Dense usage of exactly ``hours``; lines are sorted by label.

        ``eligible_only`` keeps what some commitment could cover on the last day; ``provider`` one
        provider's lines; ``resource_groups`` a line for each of Azure's resource groups, for
        commitments that are limited to one; ``level`` a line for the level part of usage whose
        hours are estimated, see ``UsageLine``. Raises ``RefusedError`` (rule ``usage_gap``) when
        nothing is known or a provider has no row at all in one of the hours: no hour is filled
        silently.
        """

        def read(entries: Sequence[UsageDay]) -> Usage:
            _refuse_gaps(entries, hours)
            return load_usage(
                self._paths(entries),
                hours,
                eligible_only=eligible_only,
                resource_groups=resource_groups,
                level=level,
            )

        return self._stable(hours, provider, read)

    def prices(self, hours: HourRange) -> tuple[ObservedPrice, ...]:
        """What the exports of ``hours`` show each SKU to cost, in its newest hour that tells."""

        def read(entries: Sequence[UsageDay]) -> tuple[ObservedPrice, ...]:
            return load_prices(self._paths(entries), hours) if entries else ()

        return self._stable(hours, None, read)

    def commitments_seen(self, hours: HourRange) -> tuple[SeenCommitment, ...]:
        """The commitments that exports name on the days of ``hours``, by provider and id.

        Whole days: an export tells of a day's commitments, not of an hour's.
        """
        with reading(self._engine) as connection:
            return seen_commitments(connection, hours)

    def _stable(
        self, hours: HourRange, provider: str | None, read: Callable[[Sequence[UsageDay]], T]
    ) -> T:
        """``read`` the days overlapping ``hours``, again when an ingest swept one meanwhile."""
        for _ in range(_READ_ATTEMPTS):
            entries = [
                entry
                for entry in self.manifest()
                if entry.last_hour >= hours.start
                and entry.first_hour < hours.end
                and provider in {None, entry.provider}
            ]
            try:
                return read(entries)
            except FileNotFoundError as error:
                missing = error
        msg = f"the manifest names a usage file that is not there: {missing}"
        raise InvariantError(msg)

    def _paths(self, entries: Sequence[UsageDay]) -> list[Path]:
        return [self._folder / entry.file for entry in entries]

    def _write_aside(self, day: DayOfUsage, aside: Path, now: datetime) -> UsageDay:
        day.write(aside)
        self._reach("written")
        digest = _sync_and_digest(aside)
        self._reach("synced")
        start = datetime.combine(day.day, time.min, UTC)
        present = [hour for hour in range(DAY_HOURS) if day.hours_mask >> hour & 1]
        return UsageDay(
            provider=day.provider,
            day=day.day,
            file=f"{day.provider}/{day.day.year}/{day.day.isoformat()}-{digest[:16]}.parquet",
            digest=digest,
            rows=day.rows,
            hours_present=len(present),
            hours_mask=day.hours_mask,
            first_hour=start + present[0] * HOUR,
            last_hour=start + present[-1] * HOUR,
            seen_at=now,
            eligible_usd=day.eligible_usd,
            total_usd=day.total_usd,
            hour_weights=day.hour_weights,
            shape=day.shape,
        )

    def _publish(
        self,
        fresh: Sequence[tuple[Path, UsageDay]],
        named: Mapping[ProviderDay, Sequence[NamedCommitment]],
    ) -> None:
        """Put the files in place, then point the manifest at all of them at once.

        Commitments are noted for days whose usage did not change, too.
        """
        for aside, entry in fresh:
            target = self._folder / entry.file
            target.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(target)
            self._reach("renamed")
        for folder in {(self._folder / entry.file).parent for _, entry in fresh}:
            # A rename is lost in a power cut until its folder, and that folder's, are synced.
            for step in (folder, *folder.parents):
                _sync_folder(step)
                if step == self._folder:
                    break
        self._reach("before_transaction")
        with writing(self._engine) as connection:
            for _, entry in fresh:
                connection.execute(
                    delete(usage_days).where(
                        usage_days.c.provider == entry.provider, usage_days.c.day == entry.day
                    )
                )
                connection.execute(insert(usage_days).values(_values(entry)))
                self._reach("in_transaction")
            note_commitments(connection, named)
        self._reach("committed")

    def _sweep(self) -> None:
        """Delete every file that the manifest does not name. Only the one writer may."""
        named = {entry.file for entry in self.manifest()}
        for path in self._folder.rglob("*.parquet"):
            if path.relative_to(self._folder).as_posix() not in named:
                path.unlink(missing_ok=True)

    @contextmanager
    def _writer(self, *, wait: bool) -> Iterator[bool]:
        """Hold the folder's only writer's place; yields whether it was to be had."""
        with (self._folder / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def _refuse_smaller(old: UsageDay, new: UsageDay) -> None:
    day = f"{old.provider} {old.day.isoformat()}"
    hint = "; ingest the whole day, or allow smaller days if it was restated"
    lost = old.hours_mask & ~new.hours_mask
    if lost:
        raise RefusedError(
            rule="day_loses_hours",
            detail=f"{day} has {old.hours_present} hours, the export {new.hours_present}{hint}",
        )
    if new.rows < SMALLEST_RATIO * old.rows:
        raise RefusedError(
            rule="day_loses_rows",
            detail=f"{day} has {old.rows} rows, the export {new.rows}{hint}",
        )


def _refuse_gaps(entries: Sequence[UsageDay], hours: HourRange) -> None:
    if not entries:
        raise RefusedError(
            rule="usage_gap",
            detail=f"no usage is known of {hours.count} hours from {iso(hours.start)}",
        )
    masks = {(entry.provider, entry.day): entry.hours_mask for entry in entries}
    for provider in sorted({entry.provider for entry in entries}):
        missing = [
            hour
            for hour in map(hours.hour, range(hours.count))
            if not masks.get((provider, hour.date()), 0) >> hour.hour & 1
        ]
        if missing:
            raise RefusedError(
                rule="usage_gap",
                detail=f"{provider} has no usage in {len(missing)} of {hours.count} hours, "
                f"first in {iso(missing[0])}",
            )


def _entry(row: Mapping[Any, Any]) -> UsageDay:
    fields = dict(row)
    weights = fields["hour_weights"]["weights"]
    fields["hour_weights"] = tuple(
        None if weight is None else Decimal(weight) for weight in weights
    )
    return UsageDay(**fields)


def _values(entry: UsageDay) -> dict[str, object]:
    values: dict[str, object] = {
        name: getattr(entry, name) for name in UsageDay.__dataclass_fields__
    }
    values["hour_weights"] = {
        "weights": [None if weight is None else text(weight) for weight in entry.hour_weights]
    }
    return values


def _sync_and_digest(path: Path) -> str:
    with path.open("rb+") as content:
        os.fsync(content.fileno())
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
