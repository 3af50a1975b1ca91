"""Decides which exports are read again, and keeps what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from service.domain.errors import InputError, RefusedError
from service.observe.events import UsageIngested, UsageRefused
from service.observe.log import log_event
from service.store import ledger
from service.store.engine import writing
from service.usage.days import IngestSummary
from service.usage.ingest import read_export
from service.wiring import Parts

_PERIOD = re.compile(r"billing_period=", re.IGNORECASE)

Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class Ingester:
    """Reads a folder of exports whenever something in it has changed.

    Billing periods in folders of their own (``BILLING_PERIOD=2026-03``) are read one by one,
    because a day lies in one period; anything else is read whole, so that a day whose rows are
    spread over several files is never replaced by some of them. What was seen is remembered for
    this process only: after a restart everything is read once more, which changes nothing.
    """

    parts: Parts
    _seen: dict[Path, Fingerprint] = field(default_factory=dict)

    def ingest(self) -> str:
        """Read what has changed; returns a sentence. ``InputError`` when something is unusable."""
        source = self.parts.settings.exports
        if not source.exists():
            raise InputError(
                "there are no exports there",
                file=str(source),
                remedy="Set TENOR_EXPORTS to the file or folder that billing exports arrive in.",
            )
        changed = 0
        for piece in _pieces(source):
            fingerprint = _fingerprint(piece)
            if not fingerprint or self._seen.get(piece) == fingerprint:
                continue
            summary = self._read(piece)
            self._seen[piece] = fingerprint
            changed += summary.added + summary.replaced
        return f"{changed} days changed"

    def _read(self, piece: Path) -> IngestSummary:
        parts = self.parts
        now = parts.clock.now()
        try:
            with read_export(piece, work_dir=parts.settings.usage_dir / ".work") as export:
                summary = parts.usage.replace(export.days, now=now)
        except (InputError, RefusedError) as error:
            rule = error.rule if isinstance(error, RefusedError) else "unusable"
            refused = UsageRefused(source=piece.name, rule=rule, detail=str(error))
            with writing(parts.engine) as connection:
                ledger.append(connection, refused, now=now)
            log_event(refused)
            raise
        if summary.added or summary.replaced:
            event = UsageIngested(
                source=piece.name,
                days=summary.added + summary.replaced,
                rows=summary.rows,
                through=summary.newest_hour,
            )
            with writing(parts.engine) as connection:
                ledger.append(connection, event, now=now)
            log_event(event)
        return summary


def _pieces(source: Path) -> list[Path]:
    if source.is_dir():
        periods = sorted(path for path in source.rglob("*") if _is_period(path))
        strays = any(
            path.is_file() and not any(_is_period(parent) for parent in path.parents)
            for path in source.rglob("*")
        )
        if periods and not strays:
            return periods
    return [source]


def _is_period(path: Path) -> bool:
    return _PERIOD.match(path.name) is not None and path.is_dir()


def _fingerprint(piece: Path) -> Fingerprint:
    files = [piece] if piece.is_file() else sorted(p for p in piece.rglob("*") if p.is_file())
    stats = ((str(path), path.stat()) for path in files)
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
