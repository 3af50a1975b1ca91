"""Remembers which files of an export were read, so that months that did not change cost nothing.

The memory is a convenience, never a truth: it is written after the days are stored, a file counts
as read only while its size and time are the same *and* all its days are in the manifest, and the
whole of it is forgotten when Tenor or its tables change.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from service import __version__

ProviderDay = tuple[str, date]
_TABLES = ("aws_tables.yaml", "azure_tables.yaml", "eligibility.yaml")
_STORED = "resource groups, services, blocks, commitments planned, no reserved capacity, one export"
"""What stored days hold beyond usage: they are read again when that changes."""
_FILE = "parts{of}.json"


class PartsSeen:
    """The files read so far into the usage folder ``folder``, for one choice of providers."""

    def __init__(self, folder: Path, providers: Collection[str] | None) -> None:
        chosen = "".join(f"-{provider}" for provider in sorted(providers or ()))
        self._path = folder / _FILE.format(of=chosen)
        self._reader = _reader(providers)

    def unchanged(
        self, paths: Iterable[Path], stored: Collection[ProviderDay]
    ) -> dict[Path, frozenset[ProviderDay]]:
        """Those of ``paths`` that need no reading, each with the days that it has rows in.

        ``stored``: the provider's days that the manifest holds.
        """
        known = self._read()
        found = {}
        for path in paths:
            seen = known.get(_key(path))
            if seen is not None and seen["stamp"] == _stamp(path):
                days = _days(seen)
                if days.issubset(stored):
                    found[path] = days
        return found

    def days_of(self, paths: Iterable[Path]) -> frozenset[ProviderDay]:
        """The days that these files had rows in when they were last read."""
        known = self._read()
        return frozenset(
            day for path in paths if _key(path) in known for day in _days(known[_key(path)])
        )

    def remember(
        self, part_days: Mapping[Path, Collection[ProviderDay]], stamps: Mapping[Path, object]
    ) -> None:
        """Note that these parts were read as they were at ``stamps``."""
        known = self._read()
        for path, days in part_days.items():
            listed = sorted((provider, day.isoformat()) for provider, day in days)
            known[_key(path)] = {"stamp": stamps[path], "days": listed}
        present = {key: seen for key, seen in known.items() if Path(key).exists()}
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps({"reader": self._reader, "parts": present}), "utf-8")
        aside.rename(self._path)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            memory = json.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return dict(memory["parts"]) if memory.get("reader") == self._reader else {}


def stamps_of(paths: Iterable[Path]) -> dict[Path, object]:
    """What tells one content of each file from another; taken before it is read."""
    return {path: _stamp(path) for path in paths}


def _days(seen: Mapping[str, Any]) -> frozenset[ProviderDay]:
    return frozenset((provider, date.fromisoformat(day)) for provider, day in seen["days"])


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _key(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links keep their own names


def _reader(providers: Collection[str] | None) -> str:
    package = files(__package__)
    parts = [__version__, _STORED, *sorted(providers or ())]
    parts += [package.joinpath(table).read_text("utf-8") for table in _TABLES]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
