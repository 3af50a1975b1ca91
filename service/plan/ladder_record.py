"""What a pool's own past made of caution: how much of the learnt share to believe here.

Demand does not depend on what is owned, so what two rules would have saved on the hours seen is
known, whichever was followed: buying up to the learnt share of today's best level, and up to that
level itself. The more the first is ahead, the more it weighs: the method of exponential weights
with full information (Littlestone and Warmuth, "The weighted majority algorithm", 1994).
"""

from __future__ import annotations

import numpy as np

from service.domain.hours import WEEK_HOURS
from service.forecast.level import Series
from service.plan.ladder_learnt import judged
from service.plan.ladder_signs import held, newest_level, week_means
from service.plan.ladder_terms import Term

PRIOR_RATIO = 0.9
"""The learnt share's weight before a pool has a past to judge by."""

_FIRST_WEEK = 13
_STEP_WEEKS = 4
_STEEPEST = 50.0


def belief(used: Series, term: Term, *, blind: tuple[str, ...] = ()) -> float:
    """The weight (0-1) of the learnt share against today's best level, as logarithms.

    ``used``: hourly on-demand dollars since the first use. Both rules buy every fourth week, from
    a quarter of a year on; a lead of a week's mean spend moves the odds by a factor of e.
    """
    weeks = used.size // WEEK_HOURS
    hours = used[used.size - weeks * WEEK_HOURS :].reshape(weeks, WEEK_HOURS)
    means, days = week_means(used)
    bold, wary = np.zeros(weeks), np.zeros(weeks)
    for week in range(weeks - _STEP_WEEKS, _FIRST_WEEK - 1, -_STEP_WEEKS):
        newest = newest_level(used[: used.size - (weeks - week) * WEEK_HOURS], term.discount_ratio)
        if newest > 0:
            bold[week] = newest
            wary[week] = newest * judged(held(means[:week], days[:week]), blind=blind).share
    spend = float(hours[_FIRST_WEEK:].sum())
    if not bold.any() or spend <= 0:
        return PRIOR_RATIO
    lead = _saved(hours, wary, term) - _saved(hours, bold, term)
    odds = np.log(PRIOR_RATIO / (1 - PRIOR_RATIO)) + lead * (weeks - _FIRST_WEEK) / spend
    return float(1 / (1 + np.exp(-np.clip(odds, -_STEEPEST, _STEEPEST))))


def _saved(hours: Series, levels: Series, term: Term) -> float:
    """Dollars saved by filling what is owned up to each week's level; ``hours[week, hour]``."""
    lasts = -(-term.hours // WEEK_HOURS)
    bought, owned = np.zeros(levels.size), np.zeros(levels.size)
    now = 0.0
    for week, level in enumerate(levels.tolist()):
        if week >= lasts:
            now -= bought[week - lasts]
        if level > now:
            bought[week], now = level - now, level
        owned[week] = now
    covered = np.minimum(hours, owned[:, None]).sum()
    return float(covered - term.rate_ratio * WEEK_HOURS * owned.sum())
