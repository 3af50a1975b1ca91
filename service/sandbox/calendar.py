"""Calendar arithmetic that the provider's rules are stated in: UTC months, years, terms."""

from __future__ import annotations

from datetime import datetime, timedelta


def month_end(instant: datetime) -> datetime:
    """The first instant of the next UTC calendar month."""
    first = instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def same_month(one: datetime, other: datetime) -> bool:
    """Both instants fall in the same UTC calendar month."""
    return (one.year, one.month) == (other.year, other.month)
