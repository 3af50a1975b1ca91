"""Baselines by name: what providers recommend and what public tools do, as formulas.

``h`` is the hourly on-demand-equivalent spend that may be seen, ``s`` the discount, ``C`` the
capacity owned now. The best single level over any window is the ``s``-quantile of ``h``: the
level exceeded in a share 1 − s of hours. Spend is "uncovered" above the capacity owned *now*;
netting by the cover of past hours instead would buy the same gap again every week. On a menu of
several offers a rival buys the one with the lowest rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from service.backtest.rivals_paced import BreakEven, RandomisedBreakEven, Split
from service.backtest.walk import Buy, Series, Strategy, StrategyFactory, View
from service.domain.hours import DAY_HOURS, WEEK_HOURS
from service.forecast.level import quantile

Level = Callable[[Series, float], float]
"""A rule for the capacity to own, from the spend seen and the discount."""


def best_level(spend: Series, discount_ratio: float) -> float:
    """The cheapest single level over these hours: their ``discount_ratio`` quantile; 0 if none."""
    return quantile(spend, discount_ratio) if spend.size else 0.0


def cheapest(view: View) -> int:
    """The place of the offer with the lowest rate."""
    return min(range(len(view.menu)), key=lambda place: view.menu[place].rate_ratio)


class FillTo:
    """Buys the gap (or a share of it) between a level and what is owned, every few weeks."""

    def __init__(
        self, level: Level, *, weeks: int = 1, level_share: float = 1.0, gap_share: float = 1.0
    ) -> None:
        self._level = level
        self._hours = weeks * WEEK_HOURS
        self._level_share, self._gap_share = level_share, gap_share
        self._last: int | None = None

    def __call__(self, view: View) -> Sequence[Buy]:
        """The gap now, unless it is too early since the last time."""
        if self._last is not None and view.now - self._last < self._hours:
            return ()
        self._last = view.now
        place = cheapest(view)
        level = self._level(view.seen, view.menu[place].discount_ratio) * self._level_share
        gap = max(level - view.owned_now, 0.0) * self._gap_share
        return (Buy(place, gap),)


def lookback(days: int) -> Level:
    """The best commitment of the last ``days``: a provider's recommendation."""

    def level(seen: Series, discount_ratio: float) -> float:
        return best_level(seen[-days * DAY_HOURS :], discount_ratio)

    return level


def least_of(*days: int) -> Level:
    """The least of the optima of several lookbacks."""
    levels = [lookback(one) for one in days]

    def level(seen: Series, discount_ratio: float) -> float:
        return min(one(seen, discount_ratio) for one in levels)

    return level


def coverage(target_ratio: float, days: int = 30) -> Level:
    """Bisection on the level until the lookback's mean hourly coverage is the target."""

    def level(seen: Series, _: float) -> float:
        spend = seen[-days * DAY_HOURS :]
        spend = spend[spend > 0]
        if not spend.size:
            return 0.0
        low, high = 0.0, float(spend.max())
        for _step in range(60):
            middle = (low + high) / 2
            reached = float((np.minimum(spend, middle) / spend).mean()) >= target_ratio
            low, high = (low, middle) if reached else (middle, high)
        return low

    return level


def lowest_hour(seen: Series, _: float) -> float:
    """The least hour of 30 days."""
    return float(seen[-30 * DAY_HOURS :].min(initial=np.inf)) if seen.size else 0.0


def candidates_cheapest(seen: Series, discount_ratio: float) -> float:
    """Cheapest of the hourly spends of 60 days, over 3 and over 30 days; the lower answer."""
    candidates = np.unique(seen[-60 * DAY_HOURS :])
    if not candidates.size:
        return 0.0
    answers = []
    for days in (3, 30):
        window = np.sort(seen[-days * DAY_HOURS :])
        sums = np.concatenate([[0.0], np.cumsum(window)])
        below = np.searchsorted(window, candidates, side="right")
        over = sums[-1] - sums[below] - candidates * (window.size - below)
        costs = (1 - discount_ratio) * candidates * window.size + over
        answers.append(float(candidates[int(np.argmin(costs))]))
    return min(answers)


def mean_of_last_month(seen: Series, _: float) -> float:
    """The mean hour of the last 30 days."""
    return float(seen[-30 * DAY_HOURS :].mean()) if seen.size else 0.0


def most_of_all_history(seen: Series, _: float) -> float:
    """70% of the mean hour of all history."""
    return 0.7 * float(seen.mean()) if seen.size else 0.0


def least_forecast_week(seen: Series, discount_ratio: float) -> float:
    """The least of the next 26 weeks' optima: last four weeks' shape on 26 weeks' trend."""
    weeks = seen[seen.size % WEEK_HOURS :].reshape(-1, WEEK_HOURS)[-26:]
    if not weeks.size:
        return 0.0
    means = weeks.mean(axis=1)
    recent = weeks[-4:].ravel()
    if means.size < 4 or recent.mean() <= 0:  # noqa: PLR2004 - four weeks make a slope
        return best_level(recent, discount_ratio)
    slope = float(np.polyfit(np.arange(means.size), means, 1)[0]) / recent.mean()
    growth = np.maximum(1 + slope * np.arange(1, 27), 0.0)
    return best_level(recent, discount_ratio) * float(growth.min())


class FloorP5:
    """Nearest-rank 5th percentile of 30 daily means of uncovered spend; holds at ≤ $0.01."""

    def __call__(self, view: View) -> Sequence[Buy]:
        """The floor of what is uncovered."""
        days = min(view.seen.size // DAY_HOURS, 30)
        if not days:
            return ()
        spend = view.seen[-days * DAY_HOURS :]
        means = np.maximum(spend - view.owned_now, 0.0).reshape(days, DAY_HOURS).mean(axis=1)
        floor = float(np.sort(means)[max(int(np.ceil(0.05 * days)) - 1, 0)])
        return (Buy(cheapest(view), floor),) if floor > 0.01 else ()  # noqa: PLR2004 - its rule


def _fill(level: Level, **options: float) -> StrategyFactory:
    def make() -> Strategy:
        return FillTo(
            level,
            weeks=int(options.get("weeks", 1)),
            level_share=options.get("level_share", 1.0),
            gap_share=options.get("gap_share", 1.0),
        )

    return make


def _split(target: str, pace: str) -> StrategyFactory:
    def make() -> Strategy:
        return Split(target, pace)

    return make


def _rivals() -> Mapping[str, StrategyFactory]:
    named: dict[str, StrategyFactory] = {}
    for days in (7, 30, 60):
        named[f"provider-{days}d"] = _fill(lookback(days))
        named[f"provider-{days}d-x80"] = _fill(lookback(days), level_share=0.8)
        for weeks in (4, 13, 52):
            named[f"provider-{days}d-every-{weeks}w"] = _fill(lookback(days), weeks=weeks)
    named["provider-30d-gap25"] = _fill(lookback(30), gap_share=0.25)
    for percent in (70, 80, 90):
        named[f"provider-coverage-{percent / 100}"] = _fill(coverage(percent / 100))
    named["gcp-stable"] = _fill(lowest_hour)
    named["gcp-optimal"] = _fill(lookback(30))
    named["azure-sp"] = _fill(candidates_cheapest)
    for target in ("min85", "min", "optimal", "knee"):
        for pace in ("one-shot", "fixed", "halving"):
            named[f"split-{target}/{pace}"] = _split(target, pace)
    named["floor-p5"] = FloorP5
    named["coverage-80"] = _fill(lookback(7), level_share=0.8)
    named["last-month"] = _fill(mean_of_last_month)
    named["mean-70"] = _fill(most_of_all_history)
    named["least-7-28-91d"] = _fill(least_of(7, 28, 91))
    named["least-28-60d"] = _fill(least_of(28, 60))
    named["rolling-min-26w"] = _fill(least_forecast_week)
    named["break-even"] = BreakEven
    named["break-even-randomised"] = RandomisedBreakEven
    return named


RIVALS: Mapping[str, StrategyFactory] = _rivals()
"""Every baseline by its name; each value makes a fresh strategy for one run."""
