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

AHEAD_AT_LEAST = HOUR
"""By how much what a clock dated must lie in the future before that clock is taken to have been
ahead. What lies there by less, as clocks differ and are corrected, is waited for from its date:
that is longer, never shorter."""


class Clock(Protocol):
    """What time it is. Passed in; nothing in the core reads the wall clock."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a reading that began at ``read_at`` had waited, judged at ``now``, later.

    What a reading misses proves something after ``grace``. ``steady_since``: the clock was set
    then, and instants from before tell no time that passed; ``None``: it never was.
    """

    read_at: datetime
    now: datetime
    grace: timedelta
    steady_since: datetime | None = None

    def is_over_for(self, moved_at: datetime) -> bool:
        """Whether the grace period passed between ``moved_at`` and the beginning of the reading.

        What moved between that and ``now`` is the newest of all: the reading proves nothing of it.
        Only what is dated far after ``now`` can have been dated by a clock that was ahead and set
        back since. Its date says nothing, and it is waited for from when the clock was set.
        """
        begun = moved_at
        if self.steady_since is not None:
            was_ahead = moved_at > self.now + AHEAD_AT_LEAST
            begun = self.steady_since if was_ahead else max(moved_at, self.steady_since)
        return min(self.read_at, self.now) - begun >= self.grace


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
