"""Decides what one owned commitment is worth on the newest evidence: billed with and without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from service.billing.market import compile_market
from service.domain.commitments import Commitment
from service.domain.ids import CommitmentId
from service.operate.guarding import REPLAY_HOURS, over_window
from service.operate.situation import Situation

__all__ = ["REPLAY_HOURS", "as_proven", "live", "saving_usd_per_hour"]


def saving_usd_per_hour(situation: Situation, name: CommitmentId) -> Decimal:
    """What one owned commitment saves over the newest weeks, beside all else; below 0: loses.

    All else without terms that are only assumed: beside one of those it would seem to lose.
    """
    dataset = situation.dataset(REPLAY_HOURS)
    market = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    owned = live(as_proven(situation))
    rest = [one for one in owned if one.commitment != name]
    with_it, without_it = market.bill(tuple(owned)), market.bill(tuple(rest))
    return (without_it.total_usd - with_it.total_usd) / dataset.usage.hours.count


def as_proven(situation: Situation) -> Situation:
    """The same facts without the terms that are only assumed, for what would be given up.

    To buy, too much may be counted as owned, and too little may not. To give up it is the other
    way around: beside a term that was never begun a good commitment seems to lose.
    """
    assumed = situation.assumed
    return replace(
        situation,
        commitments=tuple(
            replace(one, end=assumed.get(one.commitment, one.end)) for one in situation.commitments
        ),
        set_aside=situation.set_aside | assumed.keys(),
        assumed={},
    )


def live(situation: Situation) -> list[Commitment]:
    """All that is owned and lasts, as if it had been active over the replayed hours."""
    return [
        over_window(one, situation) for one in situation.commitments if _is_live(one, situation)
    ]


def _is_live(one: Commitment, situation: Situation) -> bool:
    lead = timedelta(hours=int(situation.policy.timing.lead_time_hours))
    return one.state.is_owned and one.end > situation.now + lead
