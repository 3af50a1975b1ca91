"""Billing exports from S3: decides which objects are new, and brings whole files only.

AWS Data Exports writes an export's files under one prefix and overwrites them as data is restated.
What is there is compared with what was brought last (entity tag, size), what changed is downloaded
beside its place and renamed, and what is gone is deleted. Athena is not used: the files are read
where they lie.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import urlsplit

from service.domain.errors import InputError, ProviderError
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke
from service.providers.aws.outcome import WIRE_ERRORS
from service.providers.port import Fetched
from service.usage.one_export import refuse_two_roots

MANIFEST = ".objects.json"
_SUFFIXES = (".parquet", ".csv", ".csv.gz")
_PAGES_MAX = 10_000
_CHUNK_BYTES = 1 << 20
_VERSION = re.compile(r"(?P<period>.*BILLING_PERIOD=[^/]+)/(?P<version>[^/]+)/", re.IGNORECASE)
_ROOT = re.compile(r"(?P<root>.*?)/?(?P<period>BILLING_PERIOD=[^/]+)/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class S3Location:
    """Where an export lies: ``s3://bucket/prefix``."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Read ``url``; ``InputError`` when it is not ``s3://bucket`` or ``s3://bucket/prefix``."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise InputError(
                f"{url} is not the place of an export",
                file="the settings",
                column="TENOR_AWS_EXPORTS_S3",
                remedy="Write it as s3://bucket/prefix.",
            )
        prefix = parts.path.strip("/")
        return cls(parts.netloc, f"{prefix}/" if prefix else "")


@dataclass(frozen=True, slots=True)
class Listed:
    """One object as S3 lists it."""

    etag: str
    size: int
    modified_at: str


class AwsExports:
    """``ProviderExports`` for one bucket and prefix. One fetcher for one folder at a time."""

    def __init__(self, clients: AwsClients, location: S3Location) -> None:
        self._clients = clients
        self._location = location

    @property
    def location(self) -> S3Location:
        """Where the export lies."""
        return self._location

    def fetch(self, folder: Path) -> Fetched:
        """Make ``folder`` hold what the bucket holds now. Touches no file that it did not bring.

        ``ProviderError`` when S3 does not answer, or anything was delivered while it was read; what
        was brought until then stays, whole files, and the next fetch goes on from there.
        ``InputError`` for a layout that would count usage twice.
        """
        listed = self._listed()
        _refuse_versions(listed)
        _refuse_several(listed)
        known = _read_manifest(folder)
        changed = 0
        for key, one in sorted(listed.items()):
            path = folder / _path(key)
            if known.get(key) != one or not path.is_file() or path.stat().st_size != one.size:
                self._download(key, one, path)
                changed += 1
                known[key] = one
                _write_manifest(folder, known)
        if changed:
            self._refuse_new_delivery(listed)
        for key in sorted(set(known) - set(listed)):
            (folder / _path(key)).unlink(missing_ok=True)
            del known[key]
            changed += 1
        _write_manifest(folder, known)
        newest = max((datetime.fromisoformat(o.modified_at) for o in listed.values()), default=None)
        return Fetched(tuple(folder / _path(key) for key in sorted(listed)), changed, newest)

    def _refuse_new_delivery(self, before: Mapping[str, Listed]) -> None:
        """Files are checked one by one: a delivery in between leaves old ones beside new ones."""
        after = self._listed()
        differing = sorted(
            key for key in before.keys() | after.keys() if before.get(key) != after.get(key)
        )
        if differing:
            detail = f"{differing[0]} was delivered anew while files were read; try again later"
            raise _failed("list_objects_v2", "changed_while_read", detail)

    def _listed(self) -> dict[str, Listed]:
        """Every export file under the prefix, by its key without the prefix."""
        client = self._clients.reading("s3")
        found: dict[str, Listed] = {}
        following: dict[str, str] = {}
        for _ in range(_PAGES_MAX):
            arguments = {"Bucket": self._location.bucket, "Prefix": self._location.prefix}
            page = invoke(client, "list_objects_v2", arguments | following, needs="KeyCount")
            for one in page.get("Contents", ()):
                key = one["Key"].removeprefix(self._location.prefix)
                if key.endswith(_SUFFIXES):
                    modified_at = one["LastModified"].isoformat()
                    found[key] = Listed(one["ETag"].strip('"'), one["Size"], modified_at)
            if not page.get("IsTruncated"):
                return found
            following = {"ContinuationToken": page["NextContinuationToken"]}
        raise _failed("list_objects_v2", "endless_listing", f"more than {_PAGES_MAX} pages")

    def _download(self, key: str, one: Listed, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        arguments = {"Bucket": self._location.bucket, "Key": f"{self._location.prefix}{key}"}
        answer = invoke(self._clients.reading("s3"), "get_object", arguments, needs="Body")
        try:
            size = _store(answer, aside)
        except WIRE_ERRORS as error:
            raise _failed("get_object", type(error).__name__, str(error)) from error
        if (str(answer.get("ETag")).strip('"'), size) != (one.etag, one.size):
            aside.unlink()
            raise _failed("get_object", "changed_while_read", f"{key} is being rewritten")
        os.replace(aside, path)  # noqa: PTH105  # whole or not at all


def _store(answer: Answer, aside: Path) -> int:
    size = 0
    with closing(answer["Body"]) as body, aside.open("wb") as file:
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            size += file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size


def _refuse_versions(listed: Mapping[str, Listed]) -> None:
    """An export that keeps every version would be counted once for each of them."""
    versions: dict[str, set[str]] = {}
    for key in listed:
        match = _VERSION.match(key)
        if match:
            versions.setdefault(match["period"], set()).add(match["version"])
    several = sorted(period for period, names in versions.items() if len(names) > 1)
    if several:
        raise InputError(
            f"the export keeps {len(versions[several[0]])} versions of {several[0]}",
            file="the export on S3",
            remedy="Set the export to overwrite its files, and remove older versions.",
        )


def _refuse_several(listed: Mapping[str, Listed]) -> None:
    """Two exports under one prefix would be added up."""
    roots: dict[str, set[str]] = {}
    for key in listed:
        match = _ROOT.match(key)
        if match:
            roots.setdefault(match["period"], set()).add(match["root"])
    refuse_two_roots(
        roots,
        file="the exports on S3",
        remedy="Point TENOR_AWS_EXPORTS_S3 at the prefix of one export.",
    )


def _path(key: str) -> PurePosixPath:
    """The object's place in the folder; ``InputError`` for a key that leads out of it."""
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts or "\\" in key or not path.parts:
        raise InputError(
            f"the object {key!r} has no place in a folder",
            file="the export on S3",
            remedy="Point TENOR_AWS_EXPORTS_S3 at the prefix of one export.",
        )
    return path


def _read_manifest(folder: Path) -> dict[str, Listed]:
    try:
        raw: dict[str, dict[str, Any]] = json.loads((folder / MANIFEST).read_text("utf-8"))
        return {key: Listed(**one) for key, one in raw.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"the list of what was brought cannot be read: {error}",
            file=str(folder / MANIFEST),
            remedy="Delete the folder; everything in it is brought anew.",
        ) from error


def _write_manifest(folder: Path, known: Mapping[str, Listed]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{MANIFEST}.part"
    aside.write_text(json.dumps({key: asdict(one) for key, one in known.items()}), "utf-8")
    os.replace(aside, folder / MANIFEST)  # noqa: PTH105


def _failed(operation: str, code: str, detail: str) -> ProviderError:
    return ProviderError(provider=PROVIDER, operation=f"s3.{operation}", code=code, detail=detail)
