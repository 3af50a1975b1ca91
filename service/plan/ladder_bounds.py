"""The considerations that bound how much of a pool to own: the least of them decides.

Where no term is longer than a year, the share that pools with such signs came to bear
(``ladder_learnt``) takes the place of the single bounds: it weighs them, and what else the weeks
say, against each other. In a pool's first year, unless its weeks fall, it takes
their place little by little.

Each answers "own at most this much" in on-demand dollars per hour, from the hours seen. Next
week can buy more, so an upward drift never raises a bound above what pays today: waiting for it
costs a week's saving, buying ahead of it costs the term when it does not come. A fall cannot be
waited for in the same way, so a downward drift lowers the bound at once, on the pessimistic
side of its uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from service.domain.hours import DAY_HOURS, WEEK_HOURS
from service.forecast.changes import factors
from service.forecast.holidays import without_holidays
from service.forecast.level import (
    MIN_WEEKS,
    Series,
    log_levels,
    median_slope,
    quantile,
    recent_drift,
    whole_weeks,
)
from service.forecast.season import MIN_OVERLAP_WEEKS, YEAR_WEEKS, expected_year, suspected_year
from service.plan.ladder_learnt import judged
from service.plan.ladder_record import belief
from service.plan.ladder_signs import newest_level, week_levels
from service.plan.ladder_terms import PoolState, Term

RECENT = "the last 28 days"
NEWEST = "the last 7 days"
STEADY = "the level that is left when bursts are set aside"
DRIFT = "its drift, should it go on through the whole term"
YOUNG = "its last 70 days, as it is too young to show a yearly cycle"
YEAR = "the year to expect from its last two"
ALIKE = "the year to suspect from the same weeks of last year"
PLANNED = "the planned changes"
PHASE_OUT = "the phase-out of this type that other regions show"
LEARNT = "what usage that went like this one kept needing for a whole year"
RECORD = "what caution was worth in this pool so far"
FIRST_YEAR = "its first year of history, in which little is bought ahead"

_RECENT_DAYS = 28
_NEWEST_DAYS = 7
_YOUNG_DAYS = 70
LONGEST_LEARNT_HOURS = 366 * DAY_HOURS


@dataclass(frozen=True, slots=True)
class Caution:
    """How far the ladder trusts what it sees; the defaults are those of docs/model.md.

    ``deviations``: how many standard deviations below its mean the drift is taken.
    ``prior_drift``: deviation of the drift per week before any evidence. ``inflation``: factor
    on the residuals' deviation for their autocorrelation. ``short_weeks``, ``long_weeks``: the
    windows of the drift; the kinder of the two counts. ``least_share``: the share of today's
    best level below which no drift takes the bound, on a term of a year. ``steady_weeks``,
    ``steady_quantile``: window and quantile of the level that no burst moves.
    ``without``: names of bounds left out, for ablations. ``blind``: starts of the names of
    signs that the learnt share is not shown, likewise.
    """

    deviations: float = 2.0
    prior_drift: float = 0.01
    inflation: float = 2.0
    short_weeks: int = 13
    long_weeks: int = 52
    least_share: float = 0.8
    steady_weeks: int = 26
    steady_quantile: float = 0.3
    without: frozenset[str] = frozenset()
    blind: tuple[str, ...] = ()


def best_level(spend: Series, discount_ratio: float) -> float:
    """The cheapest single level over these hours: their ``discount_ratio`` quantile; 0 if none."""
    return quantile(spend, discount_ratio) if spend.size else 0.0


def bounds(pool: PoolState, term: Term, caution: Caution) -> Mapping[str, float]:
    """Every bound on the capacity to own through ``term``, by the consideration's name.

    Holidays count as the ordinary days they replace. Empty with less than a week of use.
    """
    seen = without_holidays(pool.seen, begin=pool.begin, holidays=pool.holidays)
    used = seen[int(np.argmax(seen > 0)) :] if seen.any() else seen[:0]
    if used.size < WEEK_HOURS:
        return {}
    if term.hours <= LONGEST_LEARNT_HOURS and LEARNT not in caution.without:
        found = _learnt(used, term, caution)
    else:
        found = _single(used, term, caution)
    if pool.changes and PLANNED not in caution.without:
        suspects = any(change.suspected for change in pool.changes)
        found[PHASE_OUT if suspects else PLANNED] = _planned(used, pool, term)
    return found


def _learnt(used: Series, term: Term, caution: Caution) -> dict[str, float]:
    """The learnt share; in a pool's first year the least single bound keeps a part in it.

    The part falls evenly to nothing, as the signs come to show something. None while the weeks
    fall: there the share, which has seen many falls, is believed at once. The pool's own record
    says how far the level moves from today's best one to the one found so.
    """
    newest = newest_level(used, term.discount_ratio)
    if newest <= 0:
        return {LEARNT: 0.0}
    found = judged(week_levels(used), blind=caution.blind)
    name, share = LEARNT, found.share
    part = 1.0 - used.size / (YEAR_WEEKS * WEEK_HOURS)
    if part > 0 and not found.is_falling and FIRST_YEAR not in caution.without:
        bound = min(_single(used, term, caution).values())
        name, share = FIRST_YEAR, (1 - part) * share + part * bound / newest
    if RECORD not in caution.without:
        share **= belief(used, term, blind=caution.blind)
    return {name: newest * share}


def _single(used: Series, term: Term, caution: Caution) -> dict[str, float]:
    """The bounds one by one.

    Where a yearly cycle is recognised, the year to expect takes the place of drift and burst,
    which would mistake a season for either. Before one could be seen, a rise may be the first
    half of one: the last 70 days bound too, and the past year wherever the newest weeks go its
    way.
    """
    discount = term.discount_ratio
    recent = best_level(used[-_RECENT_DAYS * DAY_HOURS :], discount)
    found: dict[str, Callable[[], float]] = {
        NEWEST: lambda: best_level(used[-_NEWEST_DAYS * DAY_HOURS :], discount)
    }
    weekly = whole_weeks(used, 260).mean(axis=1)
    year = expected_year(used, weekly) if YEAR not in caution.without else None
    if year is not None:
        expected = year
        found[YEAR] = lambda: best_level(expected, discount)
    else:
        if used.size < (YEAR_WEEKS + MIN_OVERLAP_WEEKS) * WEEK_HOURS:
            found[YOUNG] = lambda: best_level(used[-_YOUNG_DAYS * DAY_HOURS :], discount)
        alike = suspected_year(used, weekly)
        if alike is not None:
            found[ALIKE] = lambda: best_level(alike, discount)
        found[STEADY] = lambda: _steady(used, discount, caution)
        found[DRIFT] = lambda: _drifting(used, term, recent, caution)
    return {
        RECENT: recent,
        **{name: bound() for name, bound in found.items() if name not in caution.without},
    }


def _steady(used: Series, discount: float, caution: Caution) -> float:
    """A low quantile of the last weeks' best levels, each carried to today on the median slope.

    A burst shorter than the rest of the window moves neither slope nor quantile.
    """
    weeks = whole_weeks(used, caution.steady_weeks)
    levels = np.quantile(weeks, discount, axis=1)
    if weeks.shape[0] < MIN_WEEKS:
        return best_level(used, discount)
    if levels.max() <= 0:
        return 0.0
    logs = log_levels(levels)
    slope = min(max(median_slope(logs), 0.0), 0.02)
    carried = logs + slope * np.arange(logs.size - 1, -1, -1)
    return float(np.exp(quantile(carried, caution.steady_quantile)))


def _drifting(used: Series, term: Term, recent: float, caution: Caution) -> float:
    """The level that pays over the term if demand's drift goes on, pessimistically.

    Of a short and a long window the kinder answer counts: the end of a burst is no decline.
    """
    shape = np.quantile(used[-_RECENT_DAYS * DAY_HOURS :], np.linspace(0.02, 0.98, 25))
    weeks = np.arange(-(-term.hours // WEEK_HOURS))
    windows = [caution.short_weeks]
    if used.size >= caution.long_weeks * WEEK_HOURS:
        windows.append(caution.long_weeks)
    answers = []
    for window in windows:
        drift = recent_drift(
            whole_weeks(used, window).mean(axis=1),
            prior_deviation=caution.prior_drift,
            inflation=caution.inflation,
            steps=window == caution.long_weeks,
        )
        slope = drift.mean - caution.deviations * drift.deviation
        answers.append(
            quantile(np.outer(np.exp(slope * weeks), shape).ravel(), term.discount_ratio)
        )
    least = float(caution.least_share ** (weeks.size / YEAR_WEEKS))
    return max(*answers, least * recent)


def _planned(used: Series, pool: PoolState, term: Term) -> float:
    """The level that pays over the term if the planned changes come, each with its chance."""
    shape = np.quantile(used[-_RECENT_DAYS * DAY_HOURS :], np.linspace(0.02, 0.98, 25))
    weeks = -(-term.hours // WEEK_HOURS)
    chances, scales, shifts = factors(
        pool.changes, begin=pool.begin, seen_hours=pool.seen.size, now=pool.now, weeks=weeks
    )
    demand = np.maximum(shape[:, None, None] * scales + shifts, 0.0)
    weights = np.broadcast_to(chances[:, None] / weeks, demand.shape).ravel()
    order = np.argsort(demand, axis=None)
    reached = np.cumsum(weights[order])
    place = int(np.searchsorted(reached, term.discount_ratio * reached[-1]))
    return float(demand.ravel()[order[min(place, order.size - 1)]])
