"""Decides how a domain value is written as a JSON document, and read back as the same value.

Decimals are plain decimal text, instants ISO 8601 with ``Z``, enums their value, sets sorted
lists. Reading is as strict as the types: an unknown or mistyped field, or a missing one that has
no default, is an ``InvariantError``, because what the store holds was written by this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from service.domain.errors import InvariantError
from service.domain.hours import iso, require_utc
from service.domain.money import text

T = TypeVar("T")


def to_document(value: object) -> dict[str, Any]:
    """A frozen domain value as a JSON object."""
    document = _encode(value)
    if not isinstance(document, dict):
        msg = f"{type(value).__name__} is not written as a JSON object"
        raise InvariantError(msg)
    return document


def from_document(kind: type[T], document: Mapping[str, Any]) -> T:
    """The value of type ``kind`` that ``to_document`` wrote."""
    value = _decode_dataclass(kind, document)
    if not isinstance(value, kind):
        msg = f"read a {type(value).__name__} where a {kind.__name__} belongs"
        raise InvariantError(msg)
    return value


def _encode(value: object) -> object:  # noqa: PLR0911 - one line per kind of value
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Decimal):
        if not value.is_finite():
            msg = f"{value} cannot be stored"
            raise InvariantError(msg)
        return text(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Mapping):
        return {str(key): _encode(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(str(inner) for inner in value)
    if isinstance(value, tuple):
        return [_encode(inner) for inner in value]
    return _encode_dataclass(value)


def _encode_dataclass(value: object) -> dict[str, object]:
    if not is_dataclass(value) or isinstance(value, type):
        msg = f"a {type(value).__name__} has no form in the store"
        raise InvariantError(msg)
    return {
        field.name: _encode(getattr(value, field.name))
        for field in fields(value)
        if not (field.metadata.get("left_out_when_none") and getattr(value, field.name) is None)
    }


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode_dataclass(kind: type, document: object) -> object:
    if not isinstance(document, Mapping):
        msg = f"a stored {kind.__name__} is not an object"
        raise InvariantError(msg)
    hints = _hints(kind)
    # A field that was added since the document was written has a default that says so.
    absent = set(hints) - set(document)
    differing = (set(document) - set(hints)) | (absent & _required(kind))
    if differing:
        msg = f"a stored {kind.__name__} has missing or unknown fields {sorted(differing)}"
        raise InvariantError(msg)
    return kind(**{name: _decode(hints[name], inner) for name, inner in document.items()})


@cache
def _required(kind: Any) -> frozenset[str]:  # noqa: ANN401 - any dataclass
    return frozenset(
        field.name
        for field in fields(kind)
        if field.default is MISSING and field.default_factory is MISSING
    )


def _decode(hint: Any, value: object) -> object:  # noqa: ANN401 - a type hint is anything
    plain = getattr(hint, "__supertype__", hint)  # a NewType is stored as what it wraps
    origin = get_origin(plain)
    if origin in {Union, UnionType}:
        return _decode_optional(plain, value)
    if origin is tuple:
        return tuple(_decode(get_args(plain)[0], inner) for inner in _list(value))
    if origin is frozenset:
        return frozenset(_decode(get_args(plain)[0], inner) for inner in _list(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            msg = f"{value!r} is stored where an object belongs"
            raise InvariantError(msg)
        inner_hint = get_args(plain)[1]
        return {key: _decode(inner_hint, inner) for key, inner in value.items()}
    if is_dataclass(plain) and isinstance(plain, type):
        return _decode_dataclass(plain, value)
    return _decode_scalar(plain, value)


def _decode_optional(hint: Any, value: object) -> object:  # noqa: ANN401
    inner = [choice for choice in get_args(hint) if choice is not NoneType]
    if value is None:
        return None
    if len(inner) != 1:
        msg = f"{hint} is not an optional value; the store cannot tell its kinds apart"
        raise InvariantError(msg)
    return _decode(inner[0], value)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        msg = f"{value!r} is stored where a list belongs"
        raise InvariantError(msg)
    return value


def _decode_scalar(kind: Any, value: object) -> object:  # noqa: ANN401
    try:
        if isinstance(value, str):
            if kind is Decimal:
                return Decimal(value)
            if kind is datetime:
                return require_utc(datetime.fromisoformat(value))
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                return kind(value)
    except (ValueError, InvalidOperation) as error:
        msg = f"{value!r} is stored where a {kind.__name__} belongs"
        raise InvariantError(msg) from error
    if type(value) is kind:
        return value
    msg = f"{value!r} is stored where a {kind} belongs"
    raise InvariantError(msg)
