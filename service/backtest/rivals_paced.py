"""Baselines that remember: a public autopilot's monthly split purchases, and ski rental."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from service.backtest.walk import Buy, Series, View
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, HOUR, MONTH_HOURS
from service.forecast.level import quantile

_SPLIT_HOURS = 336
_BUYING_DAY = 10
_BLOCK_RATIO = 0.2


class Split:
    """Decides at the first instant of a month, buys at the first from the 10th on.

    ``target``: ``min85`` 0.85·min, ``min``, ``optimal`` max(min, Q_s), ``knee`` Q_{0.6 s} of
    336 hours. ``pace``: ``one-shot`` the gap, ``fixed`` at most 10 points of the minimum,
    ``halving`` half the gap but at least 100/term-months points.
    """

    def __init__(self, target: str, pace: str) -> None:
        self._target, self._pace = target, pace
        self._decided: tuple[int, int] | None = None
        self._wanted: tuple[float, float] | None = None
        self._bought_at: int | None = None

    def __call__(self, view: View) -> Sequence[Buy]:
        """What was decided this month, once its day has come and nothing blocks it."""
        instant = view.begin + view.now * HOUR
        place = min(range(len(view.menu)), key=lambda one: view.menu[one].rate_ratio)
        if self._decided != (instant.year, instant.month):
            self._decide(view, instant, view.menu[place].hours, view.menu[place].discount_ratio)
        if self._wanted is None or instant.day < _BUYING_DAY:
            return ()
        quantity, mean_then = self._wanted
        self._wanted = None
        if self._blocked(view, mean_then) or quantity <= 0:
            return ()
        self._bought_at = view.now
        return (Buy(place, quantity),)

    def _decide(self, view: View, instant: datetime, term: int, discount_ratio: float) -> None:
        self._decided = (instant.year, instant.month)
        self._wanted = None
        spend = view.seen[-_SPLIT_HOURS:]
        least = float(spend.min()) if spend.size else 0.0
        if least <= 0:
            return
        wanted = _split_target(self._target, spend, least, discount_ratio)
        current = 100 * float(np.minimum(spend, view.owned_now).mean()) / least
        gap = 100 * wanted / least - current
        points = _split_points(self._pace, gap, term / MONTH_HOURS)
        self._wanted = (least * max(points, 0.0) / 100, float(spend.mean()))

    def _blocked(self, view: View, mean_then: float) -> bool:
        recent = float(view.seen[-_SPLIT_HOURS:].mean())
        quarter = float(view.seen[-90 * DAY_HOURS :].mean())
        return (
            recent > (1 + _BLOCK_RATIO) * quarter
            or recent < (1 - _BLOCK_RATIO) * mean_then
            or (self._bought_at is not None and view.now - self._bought_at < 7 * DAY_HOURS)
        )


def _split_target(target: str, spend: Series, least: float, discount_ratio: float) -> float:
    match target:
        case "min85":
            return 0.85 * least
        case "min":
            return least
        case "optimal":
            return max(least, quantile(spend, discount_ratio))
        case "knee":
            return quantile(spend, 0.6 * discount_ratio)
    msg = f"no split target is called {target}"
    raise InvariantError(msg)


def _split_points(pace: str, gap: float, term_months: float) -> float:
    match pace:
        case "one-shot":
            return gap
        case "fixed":
            return min(gap, 10.0)
        case "halving":
            return min(gap, max(gap / 2, 100 / term_months))
    msg = f"no split pace is called {pace}"
    raise InvariantError(msg)


class BreakEven:
    """Ski rental per demand level (Wang, Li, Liang, ICAC 2013).

    A unit is bought once its on-demand spend within the last term exceeds ``patience`` times
    the commitment's whole cost. A purchase also counts as owned in the hours looked back on,
    so that no hour pays for two units.
    """

    def __init__(self, patience_ratio: float = 1.0) -> None:
        self._patience_ratio = patience_ratio
        self._bought: list[tuple[int, float]] = []

    def __call__(self, view: View) -> Sequence[Buy]:
        """The depth to which enough of the last term's hours were uncovered."""
        place = min(range(len(view.menu)), key=lambda one: view.menu[one].rate_ratio)
        term = view.menu[place]
        first = max(view.seen.size - term.hours, 0)
        uncovered = view.seen[first:].copy()
        for hour, quantity in self._bought:
            # owned [hour, hour + term), and counted so over the term before it was bought
            begin, end = max(hour - term.hours - first, 0), max(hour + term.hours - first, 0)
            uncovered[begin:end] -= quantity
        needed = int(self._patience_ratio * term.rate_ratio * term.hours) + 1
        if uncovered.size < needed:
            return ()
        depth = float(np.sort(uncovered)[-needed])
        if depth <= 0:
            return ()
        self._bought.append((view.now, depth))
        return (Buy(place, depth),)


class RandomisedBreakEven:
    """The e/(e − 1) version: patience drawn with density e^z/(e − 1) on [0, 1].

    Sixteen equal strata of that law each steer a sixteenth of every level: the expectation
    without the luck of one draw.
    """

    def __init__(self, strata: int = 16) -> None:
        chances = (np.arange(strata) + 0.5) / strata
        self._parts = [BreakEven(float(z)) for z in np.log1p(chances * (np.e - 1))]

    def __call__(self, view: View) -> Sequence[Buy]:
        """The parts' purchases, each in its share."""
        bought = [buy for part in self._parts for buy in part(view)]
        if not bought:
            return ()
        return (Buy(bought[0].place, sum(buy.quantity for buy in bought) / len(self._parts)),)
