"""One Azure request, understood; one answer, to be written.

``Body`` reads JSON strictly: what is missing or of the wrong type is the caller's error, in Azure's
own code for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Protocol
from urllib.parse import parse_qs, quote, urlencode

from service.sandbox.azure.world import AzureWorld
from service.sandbox.faults import ApiError

INVALID = "InvalidRequestContent"


class Body:
    """A JSON object whose members are asked for by name and type."""

    def __init__(self, members: Mapping[str, object]) -> None:
        self._members = members

    @classmethod
    def parse(cls, raw: bytes) -> Body:
        """The body of a request; ``ApiError`` when it is no JSON object."""
        try:
            members = json.loads(raw, parse_float=Decimal) if raw else {}
        except ValueError as error:
            raise ApiError(INVALID, "The request content is not valid JSON.") from error
        if not isinstance(members, dict):
            raise ApiError(INVALID, "The request content must be an object.")
        return cls(members)

    def text(self, name: str) -> str:
        """A required text."""
        value = self.text_or_none(name)
        if not value:
            raise ApiError(INVALID, f"{name} is required.")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A text that may be left out."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, str):
            raise ApiError(INVALID, f"{name} must be a string.")
        return value

    def integer(self, name: str) -> int:
        """A required whole number."""
        value = self._members.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ApiError(INVALID, f"{name} must be an integer.")
        return value

    def decimal(self, name: str) -> Decimal:
        """A required number."""
        value = self._members.get(name)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ApiError(INVALID, f"{name} must be a number.")
        try:
            return Decimal(value)
        except InvalidOperation as error:
            raise ApiError(INVALID, f"{name} must be a number.") from error

    def flag(self, name: str) -> bool:
        """A boolean; false when left out."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, bool):
            raise ApiError(INVALID, f"{name} must be true or false.")
        return bool(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty when left out."""
        value = self._members.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ApiError(INVALID, f"{name} must be a list of strings.")
        return tuple(value)

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers; empty when left out."""
        value = self._members.get(name)
        if not isinstance(value, list) or not all(type(one) is int for one in value):
            raise ApiError(INVALID, f"{name} must be a list of integers.")
        return tuple(value)

    def part(self, name: str) -> Body:
        """An object; an empty one when left out."""
        value = self._members.get(name)
        if value is not None and not isinstance(value, dict):
            raise ApiError(INVALID, f"{name} must be an object.")
        return Body(value or {})

    def parts(self, name: str) -> tuple[Body, ...]:
        """A list of objects; empty when left out."""
        value = self._members.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise ApiError(INVALID, f"{name} must be a list of objects.")
        return tuple(Body(one) for one in value)

    def has(self, name: str) -> bool:
        """Whether the member is given."""
        return self._members.get(name) is not None


class Sold(Protocol):
    """Any record of a purchase, as far as faults that come after it change it."""

    payment_fails: bool
    hidden_until: datetime | None
    hidden_reads: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: JSON unless it is bytes already."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        """The body as it goes over the wire."""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    msg = f"{value!r} has no JSON form here"
    raise TypeError(msg)


@dataclass(slots=True)
class Call:
    """One understood request, and what it turned out to touch (for faults that come after)."""

    world: AzureWorld
    endpoint: str
    path: str
    names: Mapping[str, str]
    query: Mapping[str, str]
    raw: bytes
    headers: Mapping[str, str]
    sold: list[Sold] = field(default_factory=list)
    priced: list[tuple[str, str]] = field(default_factory=list)

    @property
    def body(self) -> Body:
        """The JSON body."""
        return Body.parse(self.raw)

    def page(
        self,
        items: Sequence[object],
        *,
        token: str = "$skiptoken",  # noqa: S107  # the name of a parameter
    ) -> tuple[list[object], str | None]:
        """One page of ``items``, and the link to the next, if there is one."""
        word = self.query.get(token, "0")
        if not re.fullmatch(r"\d{1,9}(\.0)?", word):
            raise ApiError(INVALID, f"{token} is not valid.")
        first, size = int(word.partition(".")[0]), self.world.options.page_size
        if first + size >= len(items):
            return list(items[first:]), None
        rest = {**self.query, token: str(first + size)}
        link = f"{self.endpoint}{quote(self.path)}?{urlencode(rest)}"
        return list(items[first : first + size]), link


def query_of(text: str) -> Mapping[str, str]:
    """The parameters of a query; of several with one name the last counts."""
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """Which requests an operation answers, and the action that its caller must be granted.

    ``operation`` is what faults and counts know it by. ``action`` is empty where anybody may.
    """

    method: str
    pattern: re.Pattern[str]
    operation: str
    action: str
    handler: Handler


def route(method: str, path: str, operation: str, action: str, handler: Handler) -> Route:
    """A route whose ``path`` has ``{names}``; a name with a star takes slashes too."""
    pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return Route(method, re.compile(pattern + r"/?\Z", re.IGNORECASE), operation, action, handler)
