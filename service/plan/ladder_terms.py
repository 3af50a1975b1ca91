"""What the ladder is asked and what it answers: a pool's state, the terms on offer, a tranche.

Capacity is in on-demand dollars per hour throughout: one unit covers $1/h of on-demand spend.
Multiply by the term's ``rate_ratio`` for the dollars of commitment; never mix the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InvariantError
from service.domain.hours import WEEK_HOURS
from service.forecast.changes import PlannedChange
from service.forecast.holidays import Holiday
from service.forecast.phase_out import Kin, Kindred, inherited, suspected

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """One offer: an hour costs ``rate_ratio`` of on demand for ``hours`` hours from purchase.

    ``rate_ratio`` has upfront payments amortised in, cost of capital included.
    """

    offer: str
    hours: int
    rate_ratio: float

    def __post_init__(self) -> None:
        if self.hours <= 0 or not self.rate_ratio > 0:
            msg = f"not a term: {self.offer}, {self.hours} hours at {self.rate_ratio}"
            raise InvariantError(msg)

    @property
    def discount_ratio(self) -> float:
        """The share of on demand that a fully used hour saves; at or below 0 it never pays."""
        return 1.0 - self.rate_ratio


@dataclass(frozen=True, slots=True)
class PoolState:
    """What is known of one pool at a decision.

    ``seen``: hourly on-demand-equivalent dollars from the instant ``begin`` up to what may be
    seen, without holes; finite, ≥ 0. ``now``: hours from ``begin`` to the decision, at least
    ``seen.size``. ``owned``: capacity owned in each hour from the decision on (active, queued
    and payment-pending, as it expires), taken as 0 after its end. ``step_hours``: time to the
    next decision. ``changes``: planned changes that touch this pool. ``holidays``: the pool's
    calendar, past and coming.
    """

    seen: Series
    begin: datetime
    now: int
    owned: Series
    step_hours: int = WEEK_HOURS
    changes: tuple[PlannedChange, ...] = ()
    holidays: tuple[Holiday, ...] = ()

    def __post_init__(self) -> None:
        if self.now < self.seen.size:
            msg = f"a decision at hour {self.now} sees {self.seen.size} hours"
            raise InvariantError(msg)
        for name, series in (("seen", self.seen), ("owned", self.owned)):
            if not np.isfinite(series).all() or (series < 0).any():
                msg = f"{name} holds a negative or non-finite amount"
                raise InvariantError(msg)

    @property
    def owned_now(self) -> float:
        """Capacity owned in the hour that begins now."""
        return float(self.owned[0]) if self.owned.size else 0.0


def with_kin(pool: PoolState, mine: Kin, kindred: Kindred) -> PoolState:
    """``pool``, which is the machine type ``mine``, with what its kin tell of it.

    The phase-out to expect joins the planned changes, and the history of the type that it took
    over from comes before its own. All are seen over the same hours as ``pool``.
    """
    coming = suspected(mine, kindred, begin=pool.begin, now=pool.now)
    return replace(pool, seen=inherited(mine, kindred), changes=(*pool.changes, *coming))


@dataclass(frozen=True, slots=True)
class TermTranche:
    """Buy ``quantity_usd_per_hour`` of on-demand spend's worth of ``offer`` now."""

    offer: str
    quantity_usd_per_hour: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why this much. Levels in on-demand $/h, ratios 0–1, savings in $ over the term.

    ``marginal_usd_per_hour``: the height of the last unit owned after buying.
    ``use_probability_ratio``: the share of the term's hours in which the forecast uses that
    unit. ``break_even_ratio``: the share it needs. ``waiting_usd``: what deciding a
    step later instead is worth for the whole tranche (negative: waiting loses).
    ``expected_savings_usd``, ``low_savings_usd``, ``high_savings_usd``: the tranche's mean, 10%
    and 90% saving over its term; ``worst_savings_usd`` its worst case in twenty.
    ``limit``: which consideration bounds the level. ``rejected``: the alternative refused, in
    words, and ``rejected_by_usd`` by how much expected saving.
    """

    marginal_usd_per_hour: float
    use_probability_ratio: float
    break_even_ratio: float
    waiting_usd: float
    expected_savings_usd: float
    low_savings_usd: float
    high_savings_usd: float
    worst_savings_usd: float
    limit: str
    rejected: str
    rejected_by_usd: float


@dataclass(frozen=True, slots=True)
class Tranche:
    """How much to own now and what to buy for it. ``reasons`` is ``None`` when nothing is."""

    level_usd_per_hour: float
    owned_usd_per_hour: float
    buys: tuple[TermTranche, ...]
    reasons: Reasons | None
