"""Brings the usage store up to date with an export: what changed is read, the rest is known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from service.store.usage_days import UsageDays
from service.usage.dataset_export import is_dataset
from service.usage.day_shapes import Shaping, UnshapedDay
from service.usage.days import IngestSummary, ObservedPrice, UsageDay
from service.usage.ingest import find_parts, read_export
from service.usage.parts_seen import PartsSeen, ProviderDay, stamps_of

WORK_FOLDER = ".work"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh read and what came of it; see ``Export`` and ``IngestSummary``."""

    summary: IngestSummary
    formats: tuple[str, ...]
    parts_read: int
    parts_unchanged: int
    source_rows: int
    set_aside: Mapping[str, int]
    prices: tuple[ObservedPrice, ...]
    unshaped: tuple[UnshapedDay, ...] = ()


def _unwatched(done: int, total: int) -> None:
    """Watch nothing."""


def refresh(
    days: UsageDays,
    source: Path,
    *,
    now: datetime,
    providers: Collection[str] | None = None,
    allow_smaller: bool = False,
    everything: bool = False,
    shaping: Shaping | None = None,
    watch: Callable[[int, int], None] = _unwatched,
) -> Refreshed:
    """Store what ``source`` says, reading only files that changed since they were last read.

    A day is always put together from every file that has rows in it. ``everything`` reads all
    files again. ``shaping`` spreads Azure's whole days over their hours: a stored day whose hourly
    charges changed since is put together again, and without it one that was spread is not known.
    Raises ``InputError`` for an unusable export and ``RefusedError`` for one that
    would shrink a day; nothing is stored then, and the files are read again next time.
    """
    paths = find_parts(source)
    # Taken before reading: a file that changes meanwhile is read again next time.
    stamps = stamps_of(paths)
    seen = PartsSeen(days.folder, providers)
    stored = frozenset(
        (entry.provider, entry.day) for entry in days.manifest() if _is_up_to_date(entry, shaping)
    )
    unchanged: dict[Path, frozenset[ProviderDay]] = {}
    if not everything:
        unchanged = seen.unchanged(paths, stored)
    if len(unchanged) == len(paths):
        return _nothing_new(days, unchanged)
    if is_dataset(source):
        # Its price list prices every row of its usage: one changed, both are read.
        unchanged = {}
    with read_export(
        source,
        providers=providers,
        work_dir=days.folder / WORK_FOLDER,
        unchanged=unchanged,
        restated=seen.days_of(path for path in paths if path not in unchanged),
        shaping=shaping,
        watch=watch,
    ) as export:
        done = days.replace(export.days, now=now, allow_smaller=allow_smaller)
        read = {path: frozenset[ProviderDay]() for path in paths if path not in unchanged}
        read |= export.part_days
        seen.remember(read, stamps)
    known = frozenset[ProviderDay]().union(*unchanged.values(), *read.values())
    return Refreshed(
        summary=_summary(days, known, added=done.added, replaced=done.replaced),
        formats=export.formats,
        parts_read=len(read),
        parts_unchanged=len(paths) - len(read),
        source_rows=export.source_rows,
        set_aside=export.set_aside,
        prices=export.prices,
        unshaped=export.unshaped,
    )


def _nothing_new(days: UsageDays, unchanged: Mapping[Path, Collection[ProviderDay]]) -> Refreshed:
    known = frozenset[ProviderDay]().union(*unchanged.values())
    return Refreshed(
        summary=_summary(days, known, added=0, replaced=0),
        formats=(),
        parts_read=0,
        parts_unchanged=len(unchanged),
        source_rows=0,
        set_aside={},
        prices=(),
    )


def _is_up_to_date(entry: UsageDay, shaping: Shaping | None) -> bool:
    """Whether the day's hours, if they were estimated, are still what would be estimated."""
    if not entry.shape:
        return True
    # Charges older than what Azure still tells may be gone: the day stands as it was spread.
    return shaping is not None and shaping.digest(entry.day) in {"", entry.shape}


def _summary(
    days: UsageDays, known: Collection[ProviderDay], *, added: int, replaced: int
) -> IngestSummary:
    """What the store now holds of the source's days, read just now or before."""
    entries = [entry for entry in days.manifest() if (entry.provider, entry.day) in known]
    return IngestSummary(
        added=added,
        replaced=replaced,
        unchanged=len(entries) - added - replaced,
        rows=sum(entry.rows for entry in entries),
        eligible_usd=sum((entry.eligible_usd for entry in entries), Decimal(0)),
        total_usd=sum((entry.total_usd for entry in entries), Decimal(0)),
        newest_hour=max((entry.last_hour for entry in entries), default=None),
        estimated=sum(entry.shape != "" for entry in entries),
    )
