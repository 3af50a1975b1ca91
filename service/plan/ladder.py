"""How much of a pool to own now, and over which terms: buy only what waiting would not better.

The level to own is the least of several bounds (``ladder_bounds``), each in on-demand dollars
per hour. What is owned, queued or pending fills it from below; a longer term is bought only up
to the level that it bears itself, a shorter one above that. What is not worth owning lapses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.plan.ladder_bounds import LEARNT, LONGEST_LEARNT_HOURS, Caution, bounds
from service.plan.ladder_reasons import Step, explain
from service.plan.ladder_terms import PoolState, Term, TermTranche, Tranche

_NEGLIGIBLE = 1e-6

DEFAULT_CAUTION = Caution()


def tranche(
    pool: PoolState,
    terms: Sequence[Term],
    *,
    seed: int = 0,
    reasons: bool = True,
    caution: Caution = DEFAULT_CAUTION,
) -> Tranche:
    """What to buy for ``pool`` now from ``terms``. Deterministic in its arguments.

    Buys nothing where no term has a discount, less than a week of use has been seen, or enough
    is owned. ``reasons=False`` skips the explanation, which backtests do not read. The learnt
    share knows terms of a year alone; beside a longer one the single bounds decide on all.
    """
    useful = ladder(terms)
    if any(term.hours > LONGEST_LEARNT_HOURS for term in useful):
        caution = replace(caution, without=caution.without | {LEARNT})
    owned = level = pool.owned_now
    steps: list[Step] = []
    wanted = 0.0
    for term in useful:
        found = bounds(pool, term, caution)
        if not found:
            break
        limit = min(found, key=lambda name: found[name])
        wanted = max(wanted, found[limit])
        if found[limit] - level > _NEGLIGIBLE:
            steps.append(Step(term, level, found[limit], limit))
            level = found[limit]
    if not steps:
        return Tranche(wanted, owned, (), None)
    buys = tuple(TermTranche(step.term.offer, step.quantity) for step in steps)
    return Tranche(wanted, owned, buys, explain(pool, steps, seed=seed) if reasons else None)


def ladder(terms: Sequence[Term]) -> list[Term]:
    """The terms worth considering, longest first.

    The cheapest of each length that has a discount, and none that a shorter one undercuts.
    """
    useful: list[Term] = []
    for term in sorted(terms, key=lambda one: (one.hours, one.rate_ratio)):
        cheaper = all(term.rate_ratio < other.rate_ratio for other in useful)
        if term.discount_ratio > 0 and cheaper:
            useful.append(term)
    return useful[::-1]
