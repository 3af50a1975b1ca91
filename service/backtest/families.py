"""Stress families made from any demand: what the same pools could have done instead.

Each family changes the pools' hourly spend in one way, at dates spread over the history and
not chosen for it. A strategy is judged by the mean over families and by its worst one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.backtest.demand import PoolDemand
from service.backtest.walk import Series
from service.domain.hours import DAY_HOURS, WEEK_HOURS
from service.forecast.phase_out import Kin

GOAL_FAMILIES = ("grow", "decline", "drop", "surge", "seasonal")
"""The families whose mean and worst are the goals; the others are reported beside them."""

_DATES = (0.3, 0.45, 0.6, 0.75)


@dataclass(frozen=True, slots=True)
class Case:
    """One series of a family: its name, the region it was made from, hourly on-demand dollars.

    ``kin``: where it is one machine type, the types of all regions, of which it is ``mine``-th.
    """

    family: str
    name: str
    usd_per_hour: Series
    region: str = ""
    kin: tuple[Kin, ...] = ()
    mine: int = 0


def stress(pools: Sequence[PoolDemand]) -> tuple[Case, ...]:
    """Every case of every family made from ``pools``, in a fixed order."""
    cases: list[Case] = []
    kin = tuple(one for pool in pools for one in _kin(pool))
    for pool in pools:
        spend = pool.usd_per_hour
        for family, variant, series in _variants(spend):
            cases.append(Case(family, f"{pool.region}{variant}", series, pool.region))
        cases.extend(_types(pool, kin))
    if len(pools) > 1:
        pooled = np.sum([pool.usd_per_hour for pool in pools], axis=0)
        cases.append(Case("pooled", "all pools", pooled))
    return tuple(cases)


def _variants(spend: Series) -> Iterator[tuple[str, str, Series]]:
    yield "grow", "", spend
    yield "decline", "", spend[::-1].copy()
    for place, date in enumerate(_DATES):
        at = int(date * spend.size)
        low, weeks = (0.5, 0.65, 0.55, 0.6)[place], (2, 12, 6, 4)[place]
        yield "drop", f" to {low} at {date}", spend * _ramp(spend.size, at, weeks, low)
        high, long = (1.6, 1.8, 1.7, 1.6)[place], (8, 10, 9, 8)[place]
        surge = np.ones(spend.size)
        surge[at : at + long * WEEK_HOURS] = high
        yield "surge", f" {high} at {date}", spend * surge
    for swing, phase in ((0.15, 0.15), (0.2, 0.5), (0.25, 0.85)):
        yield "seasonal", f" swing {swing}", _seasonal(spend, swing, phase)
    yield "step", " 1.5 at 0.45", spend * _ramp(spend.size, int(0.45 * spend.size), 0, 1.5)
    yield "cycles", "", spend * _cycles(spend.size)
    stop = spend.copy()
    stop[int(0.6 * spend.size) :] = 0.0
    yield "stop", " at 0.6", stop
    yield "gaps", "", _gaps(spend)


def _ramp(hours: int, at: int, weeks: int, to: float) -> Series:
    steps = np.clip((np.arange(hours) - at) / max(weeks * WEEK_HOURS, 1), 0.0, 1.0)
    return 1.0 + (to - 1.0) * steps


def _seasonal(spend: Series, swing: float, phase: float) -> Series:
    """A yearly swing on a level without growth: the spend over its own year-wide mean."""
    hours = np.arange(spend.size)
    trend = np.exp(np.polyval(np.polyfit(hours, np.log(spend + spend.mean() / 100), 2), hours))
    level = spend / trend * spend.mean()
    return np.asarray(
        level * (1 + swing * np.sin(2 * np.pi * (hours / (365.25 * DAY_HOURS) + phase)))
    )


def _cycles(hours: int) -> Series:
    hour = np.arange(hours)
    day = 1 + 0.35 * np.sin(2 * np.pi * hour / DAY_HOURS)
    return np.where(hour // DAY_HOURS % 7 >= 5, 0.6, 1.0) * day  # noqa: PLR2004 - the weekend


def _gaps(spend: Series) -> Series:
    """Three holes of one, three and ten days, as an export with lost hours shows them."""
    holed = spend.copy()
    for date, days in ((0.35, 1), (0.5, 3), (0.7, 10)):
        at = int(date * spend.size)
        holed[at : at + days * DAY_HOURS] = 0.0
    return holed


def _kin(pool: PoolDemand) -> Iterator[Kin]:
    for place, sku in enumerate(pool.skus):
        yield Kin(pool.region, sku, np.ascontiguousarray(pool.quantity[:, place]))


def _types(pool: PoolDemand, kin: tuple[Kin, ...]) -> Iterator[Case]:
    """Each machine type alone, where it is more than a hundredth of its pool."""
    whole = pool.quantity.sum()
    for mine, one in enumerate(kin):
        is_large = one.seen.sum() >= 0.01 * whole
        if one.region == pool.region and len(pool.skus) > 1 and is_large:
            yield Case("types", f"{one.region} {one.name}", one.seen, one.region, kin, mine)
