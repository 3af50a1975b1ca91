"""The pools that a decision is taken on: usage that the same offerings can cover.

Decides what belongs together. A pool's demand and the capacity owned for it are in on-demand
dollars per hour; ``rate_ratio`` turns them into dollars of commitment. Never mix the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from service.billing.market import Market
from service.domain.commitments import Commitment, CommitmentState, Kind, Offering
from service.domain.hours import HOUR, TERM_HOURS, HourRange
from service.domain.ids import AccountId, OfferingId
from service.domain.usage import Usage
from service.forecast.changes import PlannedChange, changes_for
from service.forecast.holidays import Holiday, holidays_for
from service.plan.kin import Types
from service.plan.ladder_terms import PoolState, Term, with_kin
from service.plan.problem import candidate

Floats = NDArray[np.float64]

YEAR_HOURS = TERM_HOURS[12]


@dataclass(frozen=True, slots=True)
class Reach:
    """What one commitment covers: lines, and the average share of on demand that it costs.

    ``is_spend``: it is of dollars, not of capacity.
    """

    lines: tuple[int, ...]
    rate_ratio: float
    usd_per_quantity: float
    is_spend: bool = True


@dataclass(frozen=True, slots=True)
class Pool:
    """Offerings of one kind that cover the same lines, and their reach.

    ``name`` is ``provider/region/family/kind``; a dash stands for any.
    """

    name: str
    kind: Kind
    lines: tuple[int, ...]
    offerings: tuple[OfferingId, ...]
    reach: Mapping[OfferingId, Reach]


def reaches(
    market: Market, commitments: Sequence[Commitment], spend_usd_per_hour: Floats
) -> list[Reach]:
    """The reach of each commitment, wherever it starts and however it stands.

    ``spend_usd_per_hour``: mean on-demand dollars by line, the weights of the average.
    """
    hours = market.dataset.usage.hours
    plan = market.stack([over(one, hours) for one in commitments]).plan
    lines: list[dict[int, float]] = [{} for _ in commitments]
    for move in plan.moves:
        usd = float(plan.rooms[move.room].usd_per_room)
        for line, rate in zip(move.lines, move.rates, strict=True):
            if market.on_demand_usd[line] > 0:
                lines[move.room][line] = float(rate) * usd / float(market.on_demand_usd[line])
    return [
        Reach(
            lines=tuple(sorted(of)),
            rate_ratio=_average(of, spend_usd_per_hour),
            usd_per_quantity=float(room.usd_per_room) * float(room.per_quantity),
            is_spend=room.offering.kind.is_spend,
        )
        for of, room in zip(lines, plan.rooms, strict=True)
    ]


def pools_of(
    market: Market,
    names: Sequence[OfferingId],
    accounts: Mapping[str, AccountId],
    spend_usd_per_hour: Floats,
) -> list[Pool]:
    """Pools of the offerings in ``names``, the narrowest first."""
    offerings = market.dataset.offerings
    hours = market.dataset.usage.hours
    offers = [candidate(offerings[one], hours, accounts[offerings[one].provider]) for one in names]
    found: dict[tuple[Kind, tuple[int, ...]], dict[OfferingId, Reach]] = {}
    for name, reach in zip(names, reaches(market, offers, spend_usd_per_hour), strict=True):
        if reach.lines and any(spend_usd_per_hour[line] > 0 for line in reach.lines):
            found.setdefault((offerings[name].kind, reach.lines), {})[name] = reach
    pools = [
        Pool(pool_name(offerings[min(of)]), kind, lines, tuple(sorted(of)), of)
        for (kind, lines), of in found.items()
    ]
    return sorted(pools, key=lambda pool: (len(pool.lines), pool.name, pool.offerings))


def pool_name(offering: Offering) -> str:
    """``provider/region/family/kind`` of the offering's scope."""
    scope = (offering.provider, offering.region or "-", offering.family or "-", offering.kind)
    return "/".join(scope)


BEGINS_SOON = timedelta(days=32)
"""The longest delay that a policy can want, thirty days, and the day that a month's end may add."""


def terms_of(
    pool: Pool, offerings: Mapping[OfferingId, Offering], capital_annual_ratio: float
) -> list[Term]:
    """The pool's offerings as the ladder wants them, the price of early payment included.

    Money paid upfront is used up evenly over the term, so half of it is lent on average:
    interest per hour = upfront × annual rate ÷ 2 ÷ hours of a year.
    """
    terms = []
    for name in pool.offerings:
        offering, reach = offerings[name], pool.reach[name]
        upfront = float(offering.upfront_usd) / reach.usd_per_quantity
        interest = upfront * capital_annual_ratio / 2 / YEAR_HOURS
        ratio = reach.rate_ratio * (1.0 + interest)
        terms.append(Term(name, TERM_HOURS[offering.term_months], ratio))
    return terms


@dataclass(frozen=True, slots=True)
class Owned:
    """Commitments that count as owned, and their reach."""

    commitments: tuple[Commitment, ...]
    reaches: tuple[Reach, ...]


def counted(
    commitments: Sequence[Commitment], decided_at: datetime, lead_hours: int
) -> tuple[Commitment, ...]:
    """What counts as owned: queued and payment-pending too, not what ends in the lead time.

    What starts within ``BEGINS_SOON`` counts from now on: sized on what it will cover, another
    purchase meanwhile would cover it twice.
    """
    until = decided_at + timedelta(hours=lead_hours)
    return tuple(
        replace(one, start=min(one.start, decided_at))
        if one.start <= decided_at + BEGINS_SOON
        else one
        for one in commitments
        if one.state.is_owned and one.end > until
    )


def owned_now(owned: Owned, decided_at: datetime, lead_hours: int) -> tuple[Commitment, ...]:
    """Those that will have begun when a purchase made now could have effect."""
    until = decided_at + timedelta(hours=max(lead_hours, 1))
    return tuple(one for one in owned.commitments if one.start <= until)


def state_of(
    pool: Pool,
    market: Market,
    usage: Usage,
    owned: Owned,
    spend_usd_per_hour: Floats,
    *,
    types: Types,
    decided_at: datetime,
    step_hours: int,
    changes: Sequence[PlannedChange],
    holidays: Sequence[Holiday] = (),
) -> PoolState:
    """What the ladder is told of ``pool``: its history and the capacity owned for it.

    ``types``: the machine types of ``usage``; a pool of one of them learns from its kin.
    """
    lines = list(pool.lines)
    seen = np.asarray(usage.quantity[:, lines] @ market.on_demand_usd[lines], dtype=np.float64)
    state = PoolState(
        seen=seen,
        begin=usage.hours.start,
        now=max(usage.hours.index(decided_at), usage.hours.count),
        owned=_owned_schedule(pool, owned, _proven(usage, spend_usd_per_hour), decided_at),
        step_hours=step_hours,
        changes=changes_for(changes, pool.name),
        holidays=holidays_for(holidays, pool.name),
    )
    mine = types.of(lines, seen)
    return state if mine is None else with_kin(state, mine, types.kindred)


@dataclass(frozen=True, slots=True)
class _Proven:
    """Mean on-demand dollars an hour by line, and which lines are level usage."""

    spend_usd_per_hour: Floats
    level: frozenset[int]

    def counted(self, pool: Pool, lines: Sequence[int], *, is_spend: bool) -> Sequence[int]:
        """Those of ``lines`` that say how much of a commitment is owned for ``pool``.

        Of capacity, a pool of level usage counts all that could cover level usage at all: that is
        what it takes first.
        """
        if is_spend or not self.level.issuperset(pool.lines):
            return lines
        return [line for line in lines if line in self.level]


def _proven(usage: Usage, spend_usd_per_hour: Floats) -> _Proven:
    level = (number for number, line in enumerate(usage.lines) if line.level)
    return _Proven(spend_usd_per_hour, frozenset(level))


def _owned_schedule(pool: Pool, owned: Owned, proven: _Proven, decided_at: datetime) -> Floats:
    """On-demand dollars per hour owned for the pool, hour by hour until the last has ended.

    A commitment that also reaches elsewhere counts by the share of its usage in the pool.
    """
    spend_usd_per_hour = proven.spend_usd_per_hour
    ends = [(one.end - decided_at) / HOUR for one in owned.commitments]
    schedule = np.zeros(max((int(end) + 1 for end in ends), default=0))
    inside = set(pool.lines)
    for one, reach in zip(owned.commitments, owned.reaches, strict=True):
        counted = proven.counted(pool, reach.lines, is_spend=reach.is_spend)
        spend = sum(spend_usd_per_hour[line] for line in counted)
        shared = sum(spend_usd_per_hour[line] for line in counted if line in inside)
        if spend <= 0 or shared <= 0:
            continue
        capacity = float(one.quantity) * reach.usd_per_quantity / reach.rate_ratio
        first = max(int((one.start - decided_at) / HOUR), 0)
        schedule[first : int((one.end - decided_at) / HOUR)] += capacity * shared / spend
    return schedule


def over(one: Commitment, hours: HourRange) -> Commitment:
    """``one`` as if it had been active over ``hours``: owned counts from now on."""
    return replace(one, start=hours.start, end=hours.end, state=CommitmentState.ACTIVE)


def _average(of: Mapping[int, float], spend_usd_per_hour: Floats) -> float:
    """Commitment dollars per on-demand dollar over the lines' usage; over the lines if unused."""
    if not of:
        return 1.0
    weights = np.array([spend_usd_per_hour[line] for line in of])
    ratios = np.array(list(of.values()))
    ratio = float(weights @ ratios / weights.sum()) if weights.sum() > 0 else float(ratios.mean())
    return max(ratio, 1e-9)
