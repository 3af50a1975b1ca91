"""One request, understood: who asks for what, with fields read strictly.

``Fields`` reads a JSON body, ``Form`` a query body. Whatever is missing or of the wrong type is
the caller's error, in the code that the service uses for it, and never an internal one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from service.domain.ids import OfferingId
from service.sandbox.faults import ApiError
from service.sandbox.identity import Principal
from service.sandbox.world import World


class Fields:
    """A JSON object whose members are asked for by name and type."""

    def __init__(self, members: Mapping[str, object], invalid_code: str) -> None:
        self._members = members
        self.invalid_code = invalid_code

    def invalid(self, message: str) -> ApiError:
        """The service's own error for a request that makes no sense."""
        return ApiError(self.invalid_code, message)

    def text(self, name: str) -> str:
        """A required text."""
        value = self.text_or_none(name)
        if value is None or not value:
            raise self.invalid(f"{name} is required.")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A text that may be left out."""
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.invalid(f"{name} must be a string.")
        return value

    def integer_or_none(self, name: str) -> int | None:
        """A whole number that may be left out."""
        value = self._members.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.invalid(f"{name} must be an integer.")
        return value

    def instant_or_none(self, name: str) -> datetime | None:
        """An instant, as seconds since 1970 or ISO 8601; naive text is UTC."""
        value = self._members.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC)
            if isinstance(value, str):
                parsed = datetime.fromisoformat(value)
                return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
        except (ValueError, OverflowError, OSError) as error:
            raise self.invalid(f"{name} is not an instant.") from error
        raise self.invalid(f"{name} is not an instant.")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty when left out."""
        value = self._members.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.invalid(f"{name} must be a list of strings.")
        return tuple(value)

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers; empty when left out."""
        value = self._members.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise self.invalid(f"{name} must be a list of integers.")
        return tuple(value)

    def text_map(self, name: str) -> dict[str, str]:
        """A mapping of texts; empty when left out."""
        value = self._members.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(
            isinstance(k, str) and isinstance(v, str) for k, v in value.items()
        ):
            raise self.invalid(f"{name} must map strings to strings.")
        return dict(value)

    def parts(self, name: str) -> tuple[Fields, ...]:
        """A list of objects; empty when left out."""
        value = self._members.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.invalid(f"{name} must be a list of objects.")
        return tuple(Fields(item, self.invalid_code) for item in value)

    def listed(self, name: str, item: str) -> tuple[Fields, ...]:
        """A list of objects; ``item`` is what query bodies call each."""
        _ = item
        return self.parts(name)

    def part_or_none(self, name: str) -> Fields | None:
        """An object that may be left out."""
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.invalid(f"{name} must be an object.")
        return Fields(value, self.invalid_code)

    def fingerprint(self) -> str:
        """The request without its page token, for tying tokens to their request."""
        rest = {k: v for k, v in self._members.items() if k.lower() not in _PAGE_FIELDS}
        return repr(sorted(rest.items(), key=lambda item: item[0]))


_PAGE_FIELDS = {
    "nexttoken",
    "nextpagetoken",
    "maxresults",
    "pagesize",
    "marker",
    "maxrecords",
    "continuation-token",
    "max-keys",
}


class Form(Fields):
    """A query body: flat names, lists as ``Name.1``, ``Name.2``."""

    def integer_or_none(self, name: str) -> int | None:
        """A whole number, written in digits."""
        value = self.text_or_none(name)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError as error:
            raise self.invalid(f"{name} must be an integer.") from error

    def flag(self, name: str) -> bool:
        """A boolean; false when left out."""
        value = self.text_or_none(name)
        if value not in {None, "true", "false", "True", "False"}:
            raise self.invalid(f"{name} must be true or false.")
        return value in {"true", "True"}

    def texts(self, name: str) -> tuple[str, ...]:
        """A numbered list."""
        found: list[str] = []
        while (value := self.text_or_none(f"{name}.{len(found) + 1}")) is not None:
            found.append(value)
        return tuple(found)

    def listed(self, name: str, item: str) -> tuple[Fields, ...]:
        """A list of objects, as ``Name.Item.1.Member``."""
        return self.numbered(f"{name}.{item}")

    def numbered(self, name: str) -> tuple[Form, ...]:
        """A numbered list of objects, each a form of its own."""
        found: list[Form] = []
        while True:
            prefix = f"{name}.{len(found) + 1}."
            inner = {
                key.removeprefix(prefix): value
                for key, value in self._members.items()
                if key.startswith(prefix)
            }
            if not inner:
                return tuple(found)
            found.append(Form(inner, self.invalid_code))


def refuse_dry_run(form: Form) -> None:
    """Answer a dry run as EC2 does to those who may make the call: by an error of its own."""
    if form.flag("DryRun"):
        raise ApiError(
            "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
        )


class Sold(Protocol):
    """Any record of a purchase, as far as faults that come after it change it."""

    payment_fails: bool
    hidden_until: datetime | None
    hidden_reads: int


@dataclass(slots=True)
class Call:
    """One understood request, and what it turned out to touch (for faults that come after)."""

    operation: str
    principal: Principal
    region: str
    fields: Fields
    bought: list[Sold] = field(default_factory=list)
    offerings: list[OfferingId] = field(default_factory=list)

    @property
    def form(self) -> Form:
        """The fields of a query request."""
        if not isinstance(self.fields, Form):
            raise self.fields.invalid("a query body is expected")
        return self.fields


Handler = Callable[[World, Call], Mapping[str, object]]
"""Answers one operation: members of its output, or ``ApiError``."""
