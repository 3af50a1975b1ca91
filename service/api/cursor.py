"""Decides how lists are cut into pages: by position in an order, never by counting rows.

A cursor says after which row the page before it ended, so rows that arrive meanwhile neither
repeat nor hide one. It is opaque to callers and bound to its collection.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, and_, or_

from service.api.problems import Kind, ProblemError
from service.domain.errors import InvariantError
from service.domain.hours import iso, require_utc
from service.domain.money import nano, text

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
_LARGEST = 2**63 - 1


Value = datetime | Decimal
"""What a collection can be ordered by."""


@dataclass(frozen=True, slots=True)
class Position:
    """The place of one row in a collection ordered by a column and then by its key."""

    value: Value
    key: str


def encode(collection: str, *parts: str | int) -> str:
    """The cursor after the row that ``parts`` identify."""
    raw = json.dumps([collection, *parts], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _refused() -> ProblemError:
    return ProblemError(
        Kind.INVALID, "The cursor is not one of this collection. Start again without it."
    )


def decode(collection: str, cursor: str, *parts: type[str | int]) -> list[str | int]:
    """What a cursor that ``encode`` made for ``collection`` holds; else a 422 problem.

    ``parts`` are the types of what it must hold.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _refused() from error
    if (
        not isinstance(found, list)
        or found[:1] != [collection]
        or [type(part) for part in found[1:]] != list(parts)
        or not all(_is_storable(part) for part in found)
    ):
        raise _refused()
    return found[1:]


def _is_storable(part: str | int) -> bool:
    """False for what no row can hold and a database refuses to compare with."""
    if isinstance(part, int):
        return abs(part) <= _LARGEST
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in part)


def encode_position(collection: str, position: Position) -> str:
    """The cursor after the row at ``position``."""
    value = position.value
    return encode(
        collection, iso(value) if isinstance(value, datetime) else text(value), position.key
    )


def decode_position(collection: str, cursor: str, kind: type[Value]) -> Position:
    """The position that ``cursor`` names, its value a ``kind``; a 422 problem without one."""
    told, key = decode(collection, cursor, str, str)
    try:
        if kind is Decimal:
            value: Value = _amount(str(told))
        else:
            value = require_utc(datetime.fromisoformat(str(told)))
    except (ValueError, ArithmeticError, InvariantError) as error:
        raise _refused() from error
    return Position(value=value, key=str(key))


def _amount(told: str) -> Decimal:
    amount = Decimal(told)
    if abs(nano(amount)) > _LARGEST:
        raise OverflowError
    return amount


def beyond(
    value: ColumnElement[Any], key: ColumnElement[str], position: Position, *, descending: bool
) -> ColumnElement[bool]:
    """Rows after ``position`` in an order by ``value``, ties by ``key`` the same way."""
    if descending:
        return or_(value < position.value, and_(value == position.value, key < position.key))
    return or_(value > position.value, and_(value == position.value, key > position.key))


def next_link(path: str, *, limit: int, cursor: str, filters: Mapping[str, str | None]) -> str:
    """The relative URL of the page after this one, with the same filters."""
    kept = {name: value for name, value in filters.items() if value is not None}
    return f"{path}?{urlencode({**kept, 'limit': limit, 'cursor': cursor})}"
