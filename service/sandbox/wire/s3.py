"""``s3``: the world's billing exports as one bucket's objects. Read only; protocol rest-xml."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET  # only written here, never read

from service.domain.hours import iso
from service.sandbox.faults import ApiError
from service.sandbox.wire.call import Call, Handler
from service.sandbox.wire.paging import page_of
from service.sandbox.world import World

BUCKET = "sandbox-exports"
_PAGE_MAX = 1000
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def list_objects(world: World, call: Call) -> Mapping[str, object]:
    """``ListObjectsV2``."""
    form = call.form
    folder = _folder(world, form.text("Bucket"))
    prefix = form.text_or_none("prefix") or ""
    token = form.text_or_none("continuation-token")
    asked = form.integer_or_none("max-keys")
    if asked is not None and asked < 0:
        raise form.invalid("max-keys must not be negative.")
    keys = [key for key in _keys(folder) if key.startswith(prefix)]
    page, following = page_of(
        keys,
        token=token,
        limit=min(asked or _PAGE_MAX, _PAGE_MAX, world.options.page_size),
        fingerprint=form.fingerprint(),
        invalid_code="InvalidArgument",
    )
    encoded = form.text_or_none("encoding-type") == "url"
    root = ET.Element("ListBucketResult", xmlns=_NAMESPACE)
    head = {
        "Name": BUCKET,
        "Prefix": prefix,
        "KeyCount": str(len(page)),
        "MaxKeys": str(asked or _PAGE_MAX),
        "IsTruncated": "true" if following else "false",
    }
    if encoded:
        head["EncodingType"] = "url"
    if token is not None:
        head["ContinuationToken"] = token
    if following is not None:
        head["NextContinuationToken"] = following
    for name, value in head.items():
        ET.SubElement(root, name).text = value
    for key in page:
        path = folder / key
        shown = {
            "Key": quote(key) if encoded else key,
            "LastModified": iso(_changed_at(path).replace(microsecond=0)),
            "ETag": _etag(path.read_bytes()),
            "Size": str(path.stat().st_size),
            "StorageClass": "STANDARD",
        }
        contents = ET.SubElement(root, "Contents")
        for name, value in shown.items():
            ET.SubElement(contents, name).text = value
    body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return {"Body": body, "Headers": {"Content-Type": "application/xml"}}


def get_object(world: World, call: Call) -> Mapping[str, object]:
    """``GetObject``, whole."""
    form = call.form
    folder = _folder(world, form.text("Bucket"))
    key = form.text("Key")
    if key not in _keys(folder):
        raise ApiError("NoSuchKey", "The specified key does not exist.", 404)
    body = (folder / key).read_bytes()
    headers = {
        "Content-Type": "binary/octet-stream",
        "ETag": _etag(body),
        "Last-Modified": format_datetime(_changed_at(folder / key), usegmt=True),
    }
    return {"Body": body, "Headers": headers}


def _folder(world: World, bucket: str) -> Path:
    if bucket != BUCKET or world.exports_folder is None:
        raise ApiError("NoSuchBucket", "The specified bucket does not exist.", 404)
    return world.exports_folder


def _keys(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    found = (path.relative_to(folder).as_posix() for path in files if path.name[0] != ".")
    return sorted(found)


def _changed_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _etag(body: bytes) -> str:
    # S3's own checksum of a single-part object; nothing is kept secret by it.
    return f'"{md5(body).hexdigest()}"'  # noqa: S324


OPERATIONS: Mapping[str, Handler] = {"ListObjectsV2": list_objects, "GetObject": get_object}
