"""How values look in answers: dollars as decimal text, instants with a ``Z``, strict bodies."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from service.api.cursor import LIMIT_DEFAULT, LIMIT_MAX
from service.domain.hours import iso
from service.domain.money import text

DecimalText = Annotated[
    Decimal,
    PlainSerializer(text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["1.25"]}),
]
"""A number that must stay exact: plain decimal text, never an exponent, never a float."""

Instant = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-02T06:00:00Z"]}),
]
"""An instant in UTC, ISO 8601 with a ``Z``."""


class Answer(BaseModel):
    """Base of what the API answers with; built from stored documents, which may know more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Body(BaseModel):
    """Base of what the API accepts: no unknown fields, no conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Item = TypeVar("Item", bound=BaseModel)


class Page(Answer, Generic[Item]):
    """One page of a collection. ``next`` is the URL of the page after it, or null at the end."""

    items: list[Item]
    next: str | None = Field(examples=["/v1/plans?limit=50&cursor=WyJwbGFucyIs"])


STORABLE = r"^[^\x00]*$"
"""A pattern for text that every database can hold: PostgreSQL has no place for a NUL."""

REASON = r"^[^\x00]*[^\s\x00][^\x00]*$"
"""A pattern for something to read, in text that every database can hold."""

Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX, description="rows in a page")]
"""How many rows a page may have."""

LIMIT = LIMIT_DEFAULT
