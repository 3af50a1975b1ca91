"""Pages and their tokens: opaque, tied to the request that they continue."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

from service.sandbox.faults import ApiError

Item = TypeVar("Item")


def page_of(
    items: Sequence[Item],
    *,
    token: str | None,
    limit: int,
    fingerprint: str,
    invalid_code: str,
) -> tuple[Sequence[Item], str | None]:
    """One page and the token of the next, ``None`` after the last.

    A token that is malformed, or from another request, is an ``ApiError``.
    """
    offset = 0 if token is None else _offset(token, fingerprint, invalid_code)
    following = offset + max(limit, 1)
    more = following < len(items)
    return items[offset:following], _token(following, fingerprint) if more else None


def _digest(fingerprint: str) -> str:
    return sha256(fingerprint.encode()).hexdigest()[:16]


def _token(offset: int, fingerprint: str) -> str:
    return base64.b64encode(f"{offset}:{_digest(fingerprint)}".encode()).decode()


def _offset(token: str, fingerprint: str, invalid_code: str) -> int:
    refused = ApiError(invalid_code, "The pagination token is not valid for this request.")
    try:
        offset, _, digest = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise refused from error
    if digest != _digest(fingerprint) or not offset.isdigit():
        raise refused
    return int(offset)
