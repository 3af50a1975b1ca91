"""Time in Tenor: aware UTC instants, whole hours, half-open ranges. The clock is a port."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from service.domain.errors import InvariantError

HOUR = timedelta(hours=1)
DAY_HOURS = 24
WEEK_HOURS = 168
MONTH_HOURS = 730  # a twelfth of 8,760; the provider's own month for commitments

TERM_HOURS = {12: 8_760, 36: 26_280, 60: 43_800}
"""Hours in a commitment's term, by its months. Source: AWS Savings Plans bill 8,760 hours a
year (term lengths 31,536,000 and 94,608,000 seconds in ``DescribeSavingsPlansOfferings``)."""


class Clock(Protocol):
    """What time it is. Passed in; nothing in the core reads the wall clock."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


def has_waited(
    moved_at: datetime, read_at: datetime, grace: timedelta, steady_since: datetime | None
) -> bool:
    """Whether ``grace`` passed between what moved and the reading, on one and the same clock.

    What moved while the clock was set ahead is dated in the future: it is waited for anew.
    """
    begun = moved_at
    if steady_since is not None:
        begun = steady_since if moved_at > read_at else max(moved_at, steady_since)
    return read_at - begun >= grace


def require_utc(instant: datetime) -> datetime:
    """``instant`` in UTC; raises ``InvariantError`` when it is naive."""
    if instant.tzinfo is None:
        msg = f"naive instant {instant.isoformat()}"
        raise InvariantError(msg)
    return instant.astimezone(UTC)


def floor_hour(instant: datetime) -> datetime:
    """The start of the hour that ``instant`` falls in."""
    return require_utc(instant).replace(minute=0, second=0, microsecond=0)


def iso(instant: datetime) -> str:
    """ISO 8601 in UTC with a ``Z``, as every table and answer of Tenor writes instants."""
    return require_utc(instant).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class HourRange:
    """``count`` consecutive hours from ``start`` (inclusive, on the hour, UTC)."""

    start: datetime
    count: int

    def __post_init__(self) -> None:
        if self.start != floor_hour(self.start) or self.count < 0:
            msg = f"not an hour range: {self.start.isoformat()} × {self.count}"
            raise InvariantError(msg)

    @property
    def end(self) -> datetime:
        """The first instant after the range."""
        return self.start + self.count * HOUR

    def index(self, instant: datetime) -> int:
        """Position of the hour that ``instant`` falls in; may lie outside ``0..count-1``."""
        return (floor_hour(instant) - self.start) // HOUR

    def hour(self, index: int) -> datetime:
        """The start of hour number ``index``."""
        return self.start + index * HOUR

    def clip(self, start: datetime, end: datetime) -> tuple[int, int]:
        """The half-open index range of this range's hours that begin in [start, end)."""
        first = -((self.start - require_utc(start)) // HOUR)
        last = -((self.start - require_utc(end)) // HOUR)
        return min(max(first, 0), self.count), min(max(last, 0), self.count)
