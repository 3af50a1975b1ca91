"""Google's calendar: decides when a commitment begins and ends. Days turn at midnight Pacific time.

Source: Compute Engine, "Resource-based committed use discounts": a commitment becomes active at
12 AM US and Canadian Pacific time of the day after its purchase.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from service.domain.hours import HOUR, floor_hour

_PACIFIC = ZoneInfo("America/Los_Angeles")
_YEAR_MONTHS = 12


def next_midnight(instant: datetime) -> datetime:
    """The next midnight in Pacific time after ``instant``, in UTC."""
    local = instant.astimezone(_PACIFIC)
    following = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return following.astimezone(UTC)


def next_hour(instant: datetime) -> datetime:
    """The next whole hour after ``instant``."""
    return floor_hour(instant) + HOUR


def term_end(start: datetime, months: int) -> datetime:
    """The same Pacific wall time ``months`` later (whole years), in UTC; 29 February ends on 28."""
    local = start.astimezone(_PACIFIC)
    year = local.year + months // _YEAR_MONTHS
    try:
        ended = local.replace(year=year)
    except ValueError:
        ended = local.replace(year=year, day=28)
    return ended.astimezone(UTC)
