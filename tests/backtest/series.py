"""Small made demand for the backtest's tests."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from service.backtest.market import Walk
from service.backtest.walk import Series
from service.plan.ladder_terms import Term

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = 168
SHORT_WALK = Walk(step_hours=WEEK, lag_hours=24, warmup_hours=4 * WEEK)
SHORT_MENU = (Term("short", 8 * WEEK, 0.7),)


def wavy(weeks: int, *, level: float = 100.0, growth: float = 0.0, seed: int = 0) -> Series:
    """Hourly demand with a daily wave, a weekend and noise, growing by ``growth`` a week."""
    hour = np.arange(weeks * WEEK)
    day = 1 + 0.2 * np.sin(2 * np.pi * hour / 24)
    week = np.where(hour // 24 % 7 >= 5, 0.8, 1.0)
    noise = np.random.default_rng(seed).normal(1.0, 0.03, hour.size).clip(0.5)
    return np.asarray(level * np.exp(growth * hour / WEEK) * day * week * noise)
