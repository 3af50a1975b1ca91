"""The kinds of value that a policy may hold: amounts, ratios, durations, days, time zones.

Each accepts exactly one YAML type and says in a sentence what it wanted; nothing is coerced.
Numbers become ``Decimal`` without ever being floats.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_HOURS = 8_760
MAX_DELAY_HOURS = 720
MIN_DELAY_HOURS = 25
"""Recent purchases are looked at again once a day; a shorter delay could end before that."""
MINUTES_PER_HOUR = 60
HOURS_PER_DAY = 24


class Mode(StrEnum):
    """What Tenor may do in a scope, from the most to the least cautious."""

    OBSERVE = "observe"
    COPILOT = "copilot"
    AUTOPILOT = "autopilot"

    @property
    def freedom(self) -> int:
        """0 for observe (buys nothing), 1 for copilot (after sign-off), 2 for autopilot."""
        return list(Mode).index(self)


class Day(StrEnum):
    """A day of the week, in the order of ``date.weekday()``."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Provider(StrEnum):
    """A cloud that commitments are bought from."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        kind = "wrong_number"
        raise PydanticCustomError(kind, "must be a plain number such as 0.5 or 48")
    return Decimal(value)


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        kind = "wrong_integer"
        raise PydanticCustomError(kind, "must be a whole number")
    return value


def _text(value: object) -> object:
    if not isinstance(value, str):
        kind = "wrong_text"
        raise PydanticCustomError(kind, "must be text: put it in quotes")
    if not value.strip() or value != value.strip():
        kind = "blank_text"
        raise PydanticCustomError(kind, "must be text without spaces around it, and not empty")
    return value


def _clock_minutes(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d{2}):(\d{2})", value) if isinstance(value, str) else None
    minutes = -1
    if match and int(match[2]) < MINUTES_PER_HOUR:
        minutes = int(match[1]) * MINUTES_PER_HOUR + int(match[2])
    if not 0 <= minutes <= HOURS_PER_DAY * MINUTES_PER_HOUR:
        kind = "wrong_time"
        raise PydanticCustomError(kind, "must be a time of day from 00:00 to 24:00, such as 16:30")
    return minutes


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    kind = "wrong_date"
    raise PydanticCustomError(kind, "must be a day of the calendar such as 2026-12-24")


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        kind = "wrong_zone"
        message = "is not an IANA time zone such as Europe/Berlin or UTC"
        raise PydanticCustomError(kind, message) from error
    return value


def _bool(value: object) -> object:
    if not isinstance(value, bool):
        kind = "wrong_bool"
        raise PydanticCustomError(kind, "must be true or false")
    return value


def _long_enough(value: Decimal) -> Decimal:
    if 0 < value < MIN_DELAY_HOURS:
        kind = "delay_too_short"
        message = (
            f"must be 0 or at least {MIN_DELAY_HOURS}: what is queued is looked at again once a "
            "day, and a shorter delay could end before that"
        )
        raise PydanticCustomError(kind, message)
    return value


Number = Annotated[Decimal, BeforeValidator(_number)]
Usd = Annotated[Number, Field(ge=0), WithJsonSchema({"type": "number", "minimum": 0})]
"""Dollars, or dollars per hour: any number from 0 up."""
Ratio = Annotated[
    Number, Field(ge=0, le=1), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})
]
"""A share from 0 to 1, never per cent."""
Tail = Annotated[
    Number,
    Field(gt=0, le=1),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
]
"""A share above 0, at most 1."""
Hours = Annotated[
    Number,
    Field(gt=0, le=MAX_HOURS),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_HOURS}),
]
"""A duration in hours, above 0 and at most a year of 8,760."""
LeadHours = Annotated[
    Number,
    Field(ge=0, le=MAX_HOURS),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": MAX_HOURS}),
]
"""A duration in hours that may be 0."""
DelayHours = Annotated[
    Number,
    Field(ge=0, le=MAX_DELAY_HOURS),
    AfterValidator(_long_enough),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "const": 0},
                {"type": "number", "minimum": MIN_DELAY_HOURS, "maximum": MAX_DELAY_HOURS},
            ]
        }
    ),
]
"""How long a purchase is queued: 0, or more than a day, up to thirty days."""
Months = Annotated[
    Number,
    Field(ge=0, le=60),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 60}),
]
"""A duration in months, 0 to 60."""
TermMonths = Annotated[
    int, BeforeValidator(_whole), Field(json_schema_extra={"enum": [12, 36, 60]})
]
"""The length of a commitment: 12, 36 or 60 months."""
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Flag = Annotated[bool, BeforeValidator(_bool)]
TimeOfDay = Annotated[
    int,
    BeforeValidator(_clock_minutes),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"}),
]
"""Minutes after local midnight, written ``HH:MM``; ``24:00`` is the end of the day."""
CalendarDay = Annotated[
    date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})
]
Zone = Annotated[Text, AfterValidator(_zone)]
"""An IANA time zone."""


def term_of_months(value: int) -> int:
    """``value`` when it is a term that is sold; raises the field's error when not."""
    if value not in {12, 36, 60}:
        kind = "wrong_term"
        raise PydanticCustomError(kind, "must be 12, 36 or 60 months")
    return value


Term = Annotated[TermMonths, AfterValidator(term_of_months)]
