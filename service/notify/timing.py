"""Decides when an alert may go to a receiver: at once, after quiet hours, or with the digest."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from service.notify.alerts import Alert, Severity
from service.notify.config import QuietHours, Target

MINUTES_PER_DAY = 24 * 60
_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=6)


def wants(target: Target, alert: Alert) -> bool:
    """True when ``target`` is to hear of ``alert`` at all."""
    return alert.kind in target.kinds and alert.severity.rank >= target.least.rank


def due_at(target: Target, alert: Alert, now: datetime) -> datetime:
    """When ``alert`` is to be sent to ``target``; ``now`` for what cannot wait."""
    if alert.severity is Severity.CRITICAL:
        return now
    if target.digest is not None:
        return _next(now, target.digest.at, target.digest.timezone)
    if target.quiet_hours is not None and _is_quiet(target.quiet_hours, now):
        return _next(now, target.quiet_hours.end, target.quiet_hours.timezone)
    return now


def next_attempt_at(attempts: int, now: datetime) -> datetime:
    """When to try again after ``attempts`` failures: doubling from a minute up to six hours."""
    wait: timedelta = min(_FIRST_WAIT * 2 ** min(attempts - 1, 20), _LONGEST_WAIT)
    return now + wait


def _is_quiet(quiet: QuietHours, now: datetime) -> bool:
    local = now.astimezone(ZoneInfo(quiet.timezone))
    minute = local.hour * 60 + local.minute
    if quiet.start <= quiet.end:
        return quiet.start <= minute < quiet.end
    return minute >= quiet.start or minute < quiet.end


def _next(now: datetime, minutes: int, zone: str) -> datetime:
    """The next instant at which a clock in ``zone`` shows ``minutes`` after midnight."""
    local = now.astimezone(ZoneInfo(zone))
    hour, minute = divmod(minutes % MINUTES_PER_DAY, 60)
    at = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if at <= local:
        at = (local + timedelta(days=1)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return at.astimezone(now.tzinfo)
