"""Cost Management exports on blob storage: decides which files are the newest telling of a month.

An export writes each run into a folder of its own, below a folder for the month:
``EXPORT/20260301-20260331/RUN/part_0_0001.parquet`` and, last of all, ``manifest.json``, which
names the parts with their sizes. A run without a manifest is not finished, and of several runs of
a month the newest holds all of it. Parts are fetched under another name and renamed when they are
whole; what the newest manifests do not name any more is deleted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from azure.core.exceptions import AzureError

from service.domain.errors import ProviderError
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import AzureClients, failed
from service.providers.azure.words import instant
from service.providers.port import Fetched
from service.usage.one_export import refuse_two_roots

_MANIFEST = "manifest.json"
_PERIOD = re.compile(r"(?:^|/)(?P<period>\d{8}-\d{8})/")
_MONTH = re.compile(r"\d{8}-\d{8}\Z")
_ENDINGS = (".parquet", ".csv", ".csv.gz")
_STAMP = ".fetched.json"


@dataclass(frozen=True, slots=True)
class _Run:
    """One finished run: its month, when it was written, its parts with their sizes."""

    period: str
    manifest: str
    written_at: datetime
    parts: Mapping[str, int]


class AzureExports:
    """``ProviderExports`` of one export in one container; of that of costs if none is named."""

    def __init__(self, clients: AzureClients, *, prefix: str | None = None) -> None:
        self._clients = clients
        self._prefix = (clients.access.exports_prefix if prefix is None else prefix).strip("/")

    def fetch(self, folder: Path) -> Fetched:
        """Bring the newest run of every month into ``folder``; whole files only.

        ``ProviderError`` when the container cannot be read, or a part is not as its manifest says.
        ``InputError`` when a month lies there from two exports: neither may be dropped.
        """
        runs = self._newest_runs()
        folder.mkdir(parents=True, exist_ok=True)
        known = _stamps(folder)
        kept: dict[str, str] = {}
        changed = 0
        for run in runs:
            for number, (name, size) in enumerate(sorted(run.parts.items())):
                local = f"{run.period}/{number:04d}{_ending(name)}"
                kept[local] = f"{name} {size} {run.written_at.isoformat()}"
                if known.get(local) != kept[local] or not (folder / local).is_file():
                    self._download(name, size, folder / local)
                    changed += 1
        changed += _delete_others(folder, kept)
        _write_whole(folder / _STAMP, json.dumps(kept, sort_keys=True).encode())
        return Fetched(
            files=tuple(folder / local for local in sorted(kept)),
            changed=changed,
            newest_at=max((run.written_at for run in runs), default=None),
        )

    def _newest_runs(self) -> list[_Run]:
        newest: dict[str, _Run] = {}
        roots: dict[str, set[str]] = {}
        for name, written_at in self._manifests():
            found = _PERIOD.search(name)
            if found is None:
                continue
            roots.setdefault(found["period"], set()).add(name[: found.start()])
            known = newest.get(found["period"])
            if known is None or known.written_at < written_at:
                newest[found["period"]] = _Run(found["period"], name, written_at, {})
        refuse_two_roots(
            roots,
            file="the exports in the container",
            remedy="Let the prefix (TENOR_AZURE_EXPORTS_PREFIX or "
            "TENOR_AZURE_PRICE_SHEET_PREFIX) name the folder of one export.",
        )
        return [
            _Run(run.period, run.manifest, run.written_at, self._parts(run.manifest))
            for _, run in sorted(newest.items())
        ]

    def _manifests(self) -> Iterator[tuple[str, datetime]]:
        start = f"{self._prefix}/" if self._prefix else None
        try:
            for blob in self._clients.exports.list_blobs(name_starts_with=start):
                written_at = instant(blob.last_modified)
                if blob.name.rpartition("/")[2] == _MANIFEST and written_at is not None:
                    yield blob.name, written_at
        except AzureError as error:
            raise failed("Blob.List", error) from error

    def _parts(self, manifest: str) -> Mapping[str, int]:
        try:
            raw = self._clients.exports.download_blob(manifest).readall()
            told = json.loads(raw)
            return {str(one["blobName"]): int(one["byteCount"]) for one in told["blobs"]}
        except AzureError as error:
            raise failed("Blob.Get", error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise _unusable(manifest, f"it is no manifest: {error}") from error

    def _download(self, name: str, size: int, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        try:
            with aside.open("wb") as out:
                written = self._clients.exports.download_blob(name).readinto(out)
                out.flush()
                os.fsync(out.fileno())
        except AzureError as error:
            aside.unlink(missing_ok=True)
            raise failed("Blob.Get", error) from error
        except ValueError as error:  # headers that the SDK cannot make sense of
            aside.unlink(missing_ok=True)
            raise _unusable(name, str(error)) from error
        if written != size:
            aside.unlink(missing_ok=True)
            raise _unusable(name, f"it has {written} bytes, its manifest says {size}")
        aside.replace(path)


def _ending(name: str) -> str:
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return ending
    raise _unusable(name, "it is neither Parquet nor CSV")


def _stamps(folder: Path) -> Mapping[str, str]:
    """What each local file was fetched from; nothing where that is not known."""
    try:
        stamps = json.loads((folder / _STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _delete_others(folder: Path, kept: Mapping[str, str]) -> int:
    """Delete what no manifest names any more; how many files that were.

    Only folders of months are looked into: what else lies there is not ours.
    """
    gone = 0
    months = (path for path in folder.iterdir() if _MONTH.match(path.name) and path.is_dir())
    found = {path for month in months for path in (month, *month.rglob("*"))}
    for path in sorted(found, reverse=True):
        local = path.relative_to(folder).as_posix()
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif local not in kept:
            path.unlink()
            gone += not path.name.startswith(".")
    return gone


def _write_whole(path: Path, content: bytes) -> None:
    aside = path.with_name(f"{path.name}.part")
    aside.write_bytes(content)
    aside.replace(path)


def _unusable(name: str, problem: str) -> ProviderError:
    return ProviderError(
        provider=PROVIDER, operation="Blob.Get", code="unusable_export", detail=f"{name}: {problem}"
    )
