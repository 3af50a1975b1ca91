"""Is an instant inside one of a policy's blackout windows? Local time decides, in its own zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from service.domain.hours import require_utc
from service.guard.fields import Day
from service.guard.language import Blackouts, DatedBlackout, WeeklyBlackout

MINUTES_PER_HOUR = 60


def blackout_at(blackouts: Blackouts, now: datetime) -> str | None:
    """The name of a window that ``now`` (aware) lies in, or ``None``.

    Windows include their start and exclude their end. Where clocks are set back, both passes
    of the repeated hour lie in a window that names it.
    """
    require_utc(now)
    for weekly in blackouts.weekly:
        if _in_week(weekly, now):
            return weekly.name
    for dated in blackouts.dates:
        if _in_dates(dated, now):
            return dated.name
    return None


def _in_week(window: WeeklyBlackout, now: datetime) -> bool:
    local = now.astimezone(ZoneInfo(window.timezone))
    minute = local.hour * MINUTES_PER_HOUR + local.minute
    today = _day_of(local)
    if window.start < window.end:
        return today in window.days and window.start <= minute < window.end
    begun_today = today in window.days and minute >= window.start
    begun_yesterday = _day_of(local - timedelta(days=1)) in window.days and minute < window.end
    return begun_today or begun_yesterday


def _in_dates(window: DatedBlackout, now: datetime) -> bool:
    today = now.astimezone(ZoneInfo(window.timezone)).date()
    return window.first_day <= today <= window.last_day


def _day_of(local: datetime) -> Day:
    return list(Day)[local.weekday()]
