"""A container of blobs on the wire: listing and reading, no more. Its blobs are a folder's files.

Blobs are asked for by path, ``/ACCOUNT/CONTAINER/NAME``, with the sandbox's signature in the query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from service.sandbox.azure.access import EXPORTS_PATH
from service.sandbox.azure.wire.call import Call, Reply, Route, route
from service.sandbox.faults import ApiError

_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z")
_PAGE = 5
_SIGNATURE = "sandbox"


def routes(folder: Path) -> tuple[Route, ...]:
    """Answers for a container that holds what lies in ``folder``."""
    get = partial(get_blob, folder)
    return (
        route("GET", EXPORTS_PATH, "azure.Blob.List", "", partial(list_blobs, folder)),
        route("GET", EXPORTS_PATH + "/{blob*}", "azure.Blob.Get", "", get),
        route("HEAD", EXPORTS_PATH + "/{blob*}", "azure.Blob.Head", "", get),
    )


def list_blobs(folder: Path, call: Call) -> Reply:
    """One page of the blobs whose names begin with a prefix."""
    _authorise(call)
    if call.query.get("comp") != "list":
        raise ApiError("UnsupportedQueryParameter", "Containers are listed here, no more.")
    prefix, marker = call.query.get("prefix", ""), call.query.get("marker", "")
    found = [name for name in sorted(_names(folder)) if name.startswith(prefix) and name >= marker]
    page, rest = found[:_PAGE], found[_PAGE:]
    listing = Element("EnumerationResults", {"ContainerName": EXPORTS_PATH})
    SubElement(listing, "Prefix").text = prefix
    blobs = SubElement(listing, "Blobs")
    for name in page:
        blob = SubElement(blobs, "Blob")
        SubElement(blob, "Name").text = name
        properties = SubElement(blob, "Properties")
        for key, value in _properties(folder / name).items():
            SubElement(properties, key).text = value
    SubElement(listing, "NextMarker").text = rest[0] if rest else ""
    text = tostring(listing, encoding="utf-8", xml_declaration=True)
    return Reply(200, text, {"Content-Type": "application/xml"})


def get_blob(folder: Path, call: Call) -> Reply:
    """One blob, or the part of it that is asked for."""
    _authorise(call)
    name = call.names["blob"]
    if name not in set(_names(folder)):
        raise ApiError("BlobNotFound", "The specified blob does not exist.", 404)
    path = folder / name
    raw = path.read_bytes()
    headers = {"Content-Type": "application/octet-stream", "x-ms-blob-type": "BlockBlob"}
    headers |= {"Last-Modified": _modified(path), "ETag": f'"{path.stat().st_mtime_ns:x}"'}
    asked = _RANGE.match(call.headers.get("x-ms-range") or call.headers.get("range") or "")
    if asked is None:
        return Reply(200, raw, headers)
    first = int(asked[1])
    last = min(int(asked[2]) if asked[2] else len(raw) - 1, len(raw) - 1)
    if first > last:
        raise ApiError("InvalidRange", "The range specified is invalid.", 416)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(raw)}"
    return Reply(206, raw[first : last + 1], headers)


def _authorise(call: Call) -> None:
    if call.query.get("sig") != _SIGNATURE:
        raise ApiError("AuthenticationFailed", "The signature is not valid.", 403)


def _names(folder: Path) -> Iterator[str]:
    """Blobs of the container: files, except what is being written."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix()


def _properties(path: Path) -> dict[str, str]:
    return {
        "Last-Modified": _modified(path),
        "Etag": f"{path.stat().st_mtime_ns:x}",
        "Content-Length": str(path.stat().st_size),
        "Content-Type": "application/octet-stream",
        "BlobType": "BlockBlob",
    }


def _modified(path: Path) -> str:
    return format_datetime(datetime.fromtimestamp(path.stat().st_mtime, UTC), usegmt=True)
