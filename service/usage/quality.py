"""Decides which hours of usage are fit for decisions, and refuses when none are.

Young data is restated for a day or two, an export can lack hours, and a broken one shows a fleet
that vanished overnight: each would buy the wrong amount for years. Every refusal names its rule and
both numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import RefusedError
from service.domain.hours import DAY_HOURS, HOUR, WEEK_HOURS, HourRange, floor_hour, iso
from service.usage.days import UsageDay

LAG_HOURS = 48
"""AWS restates usage for 24 to 48 hours (pitfalls of Cost Explorer and CUR alike)."""

AGE_HOURS_MAX = 96
FALL_RATIO = 0.05
RISE_RATIO = 20.0
JUMP_CHECK_HOURS = WEEK_HOURS
JUMP_LOOKBACK_DAYS = 28
JUMP_SAMPLES_MIN = 7


def decision_window(
    manifest: Iterable[UsageDay],
    *,
    now: datetime,
    lag_hours: int = LAG_HOURS,
    want_hours: int,
    least_hours: int = WEEK_HOURS,
    age_hours_max: int | None = None,
    provider: str | None = None,
) -> HourRange:
    """The newest hours fit for decisions: at most ``want_hours``, at least ``least_hours``.

    The range ends with the newest hour that every provider has, and older than ``lag_hours``.
    ``provider`` looks at one provider only. Raises ``RefusedError``, rule

    - ``data_age``: nothing is known, or the range would end more than ``age_hours_max`` (by default
      twice the lag, at least 96) before ``now``;
    - ``usage_history``: fewer hours than ``least_hours`` are known;
    - ``usage_gap``: a provider has no row at all in an hour of the range;
    - ``usage_negative``, ``usage_all_zero``: eligible usage is so in some or every hour;
    - ``usage_jump``: an hour of the last week holds under 5 % or over 20 times the median of the
      same hours of the 28 days before. A lasting change is accepted once it is the median.
    """
    days = [entry for entry in manifest if provider in {None, entry.provider}]
    if not days:
        raise RefusedError(rule="data_age", detail="no usage is known at all")
    providers = sorted({entry.provider for entry in days})
    newest = min(max(e.last_hour for e in days if e.provider == name) for name in providers)
    oldest = max(min(e.first_hour for e in days if e.provider == name) for name in providers)
    end = min(floor_hour(now) - lag_hours * HOUR, newest + HOUR)
    age_max = max(AGE_HOURS_MAX, 2 * lag_hours) if age_hours_max is None else age_hours_max
    _refuse_stale(now - end, age_max)
    start = max(oldest, end - want_hours * HOUR)
    window = HourRange(start, max((end - start) // HOUR, 0))
    if window.count < max(least_hours, 1):
        raise RefusedError(
            rule="usage_history",
            detail=f"{window.count} decidable hours are known, at least {least_hours} are needed",
        )
    for name in providers:
        weights = _hourly_weights([e for e in days if e.provider == name], window, name)
        _refuse_implausible(weights, window, name)
    return window


def _refuse_stale(age: timedelta, age_hours_max: int) -> None:
    age_hours = age / HOUR
    if age_hours > age_hours_max:
        raise RefusedError(
            rule="data_age",
            detail=f"the newest decidable usage is {age_hours:.0f} hours old, "
            f"at most {age_hours_max} are allowed",
        )


def _hourly_weights(
    days: Sequence[UsageDay], window: HourRange, provider: str
) -> NDArray[np.float64]:
    """The weight of each hour of the window; refuses an hour without one."""
    by_day: dict[date, tuple[Decimal | None, ...]] = {e.day: e.hour_weights for e in days}
    nothing: tuple[Decimal | None, ...] = (None,) * DAY_HOURS
    hours = [window.hour(index) for index in range(window.count)]
    found = [by_day.get(hour.date(), nothing)[hour.hour] for hour in hours]
    missing = [hour for hour, weight in zip(hours, found, strict=True) if weight is None]
    if missing:
        raise RefusedError(
            rule="usage_gap",
            detail=f"{provider} has no usage in {len(missing)} of {window.count} hours, "
            f"first in {iso(missing[0])}",
        )
    return np.array([float(weight) for weight in found if weight is not None])


def _refuse_implausible(weights: NDArray[np.float64], window: HourRange, provider: str) -> None:
    if (weights < 0).any():
        at = int(np.argmax(weights < 0))
        raise RefusedError(
            rule="usage_negative",
            detail=f"{provider} shows {weights[at]:.6g} in {iso(window.hour(at))}, below 0",
        )
    if not weights.any():
        raise RefusedError(
            rule="usage_all_zero",
            detail=f"{provider} shows eligible usage in 0 of {window.count} hours",
        )
    for at in range(max(window.count - JUMP_CHECK_HOURS, 0), window.count):
        before = weights[at % DAY_HOURS : at : DAY_HOURS][-JUMP_LOOKBACK_DAYS:]
        if before.size < JUMP_SAMPLES_MIN:
            continue
        usual = float(np.median(before))
        if usual > 0 and not FALL_RATIO * usual <= weights[at] <= RISE_RATIO * usual:
            raise RefusedError(
                rule="usage_jump",
                detail=f"{provider} shows {weights[at]:.6g} in {iso(window.hour(at))}, "
                f"{weights[at] / usual:.3g} times the usual {usual:.6g}; allowed are "
                f"{FALL_RATIO} to {RISE_RATIO:.0f} times",
            )
