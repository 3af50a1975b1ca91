"""What to buy now, for the future behind the usage seen: mix, ladder, caps, rounding, replay.

Decides a plan, purely: the same request gives the identical plan. The mix of offerings comes
from the portfolio optimum over the newest hours, beside all that is owned and not about to
expire; how much of it to own already now comes from the ladder, pool by pool, the narrowest
first. Amounts leave through ``quantise``, rounded down, and what is reported is the bill
replayed with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from service.billing.market import Market
from service.billing.sharing import ORGANISATION, Sharing
from service.domain.commitments import Commitment
from service.domain.errors import InvariantError
from service.domain.hours import HOUR, WEEK_HOURS, HourRange, iso
from service.domain.ids import AccountId, CycleId, OfferingId, PlanId
from service.domain.plans import Plan, PlanInputs, PlanLine, PlanStatus, Refusal
from service.domain.usage import Dataset, Usage
from service.forecast.changes import PlannedChange
from service.forecast.holidays import Holiday
from service.plan.estimated import decidable, with_warning
from service.plan.explain import Sized, limits_of
from service.plan.joint import within_ratio
from service.plan.kin import Types
from service.plan.ladder import tranche
from service.plan.ladder_terms import PoolState, Tranche
from service.plan.lines import Drafting, Room, lines_of
from service.plan.optimise import flat_market, optimise
from service.plan.pools import (
    Owned,
    Pool,
    counted,
    over,
    owned_now,
    pools_of,
    reaches,
    state_of,
    terms_of,
)
from service.plan.problem import candidate
from service.plan.quantise import usd
from service.plan.risk import ANY_RISK, Exposure, Risk, RiskBudget, Slice, within
from service.plan.sizable import sizable
from service.plan.worth import replay

Floats = NDArray[np.float64]

EXPECTED_HOURS = 28 * 24
"""The newest hours, on which the mix of offerings is optimised and the plan replayed."""

_MIX_EVALUATIONS = 30  # the ladder decides how much; the mix need not be polished further


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """All that a decision depends on.

    ``dataset``: usage seen up to its end, price list, every offering that is owned or may be
    bought, and all commitments in whatever state. ``menu``: the offerings that may be bought.
    ``accounts``: the purchase account by provider. ``lead_time_hours``: what ends this soon
    counts as gone. ``step_hours``: time to the next decision. ``changes``, ``holidays``: what
    people know of demand to come. ``capital_annual_ratio``: the
    price of money paid early. ``room``: what caps leave for one more line; ``None``: no caps.
    ``risk``: what the purchases may lose in bad scenarios.
    """

    cycle: CycleId
    decided_at: datetime
    dataset: Dataset
    menu: tuple[OfferingId, ...]
    accounts: Mapping[str, AccountId]
    inputs: PlanInputs
    lead_time_hours: int = 0
    step_hours: int = WEEK_HOURS
    changes: tuple[PlannedChange, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    capital_annual_ratio: float = 0.0
    gap_tolerance_ratio: Decimal = Decimal("0.001")
    sharing: Sharing = ORGANISATION
    room: Room | None = None
    risk: RiskBudget = ANY_RISK
    expired: Callable[[], bool] = lambda: False


def decide(request: DecisionRequest) -> Plan:
    """The plan for ``request``. Raises ``InvariantError`` when usage lies after the decision."""
    menu, odd = sizable(request.dataset.offerings, request.menu)
    dataset, declined = decidable(request.dataset, menu, request.inputs)
    desk = _Desk(replace(request, menu=menu, dataset=dataset))
    sized, refusals = _size(desk)
    sized, risky = _within_risk(desk, sized)
    drafting = Drafting(
        offerings=desk.offerings,
        menu=menu,
        accounts=request.accounts,
        cycle=request.cycle,
        pools=desk.pools,
        room=request.room,
    )
    lines, more = lines_of(sized, drafting)
    told = (*odd, *declined, *_unseen(desk), *_leaving(desk), *refusals, *risky, *more)
    return _plan(desk, with_warning(lines, request.inputs), told)


def pool_sizes(request: DecisionRequest) -> dict[OfferingId, tuple[str, Decimal]]:
    """For each offering of the menu its pool's name and on-demand cost now, in USD/h."""
    dataset, _ = decidable(request.dataset, request.menu, request.inputs)
    hours = last_hours(dataset.usage, EXPECTED_HOURS)
    market = flat_market(replace(dataset, usage=hours, commitments=()), request.sharing)
    spend = market.on_demand_usd * hours.quantity.mean(axis=0)
    sizes: dict[OfferingId, tuple[str, Decimal]] = {}
    for pool in pools_of(market, request.menu, request.accounts, spend):
        size = usd(float(spend[list(pool.lines)].sum()))
        sizes.update(dict.fromkeys(pool.offerings, (pool.name, size)))
    return sizes


class _Desk:
    """What is worked out once for a decision."""

    def __init__(self, request: DecisionRequest) -> None:
        usage = request.dataset.usage
        if request.decided_at < usage.hours.end - HOUR:
            msg = f"usage through {iso(usage.hours.end)} is not yet seen at the decision"
            raise InvariantError(msg)
        self.request = request
        self.hours = last_hours(usage, EXPECTED_HOURS)
        self.offerings = request.dataset.offerings
        self.market: Market = flat_market(
            replace(request.dataset, usage=self.hours, commitments=()), request.sharing
        )
        self.spend: Floats = self.market.on_demand_usd * self.hours.quantity.mean(axis=0)
        kept = counted(request.dataset.commitments, request.decided_at, request.lead_time_hours)
        self.owned = Owned(kept, tuple(reaches(self.market, kept, self.spend)))
        now = owned_now(self.owned, request.decided_at, request.lead_time_hours)
        self.base = tuple(over(one, self.hours.hours) for one in now)
        self.pools = pools_of(self.market, request.menu, request.accounts, self.spend)
        self.types = Types(usage, request.dataset.skus, self.market.on_demand_usd)
        self.states = [self._state(pool) for pool in self.pools]
        self.tranches = [
            self._tranche(pool, state) for pool, state in zip(self.pools, self.states, strict=True)
        ]

    def _state(self, pool: Pool) -> PoolState:
        request = self.request
        return state_of(
            pool,
            self.market,
            request.dataset.usage,
            self.owned,
            self.spend,
            types=self.types,
            decided_at=request.decided_at,
            step_hours=request.step_hours,
            changes=request.changes,
            holidays=request.holidays,
        )

    def _tranche(self, pool: Pool, state: PoolState) -> Tranche:
        terms = terms_of(pool, self.offerings, self.request.capital_annual_ratio)
        return tranche(state, terms, seed=self.request.inputs.seed)

    def mix(
        self, menu: Sequence[OfferingId], held: Sequence[Commitment]
    ) -> dict[OfferingId, float]:
        """Quantities that the optimum over the expected hours buys from ``menu``."""
        if not menu:
            return {}
        portfolio = optimise(
            replace(self.market.dataset, commitments=tuple(held)),
            menu=menu,
            purchase_account=min(self.request.accounts.values()),
            sharing=self.request.sharing,
            evaluations=_MIX_EVALUATIONS,
            closely=False,
            expired=self.request.expired,
        )
        return {one.offering: float(one.quantity) for one in portfolio.purchases}

    def as_owned(self, name: OfferingId, quantity: Decimal) -> Commitment:
        """``quantity`` of an offering as it would be owned over the expected hours."""
        offering = self.offerings[name]
        account = self.request.accounts[offering.provider]
        return over(candidate(offering, self.hours.hours, account, quantity), self.hours.hours)


def last_hours(usage: Usage, hours: int) -> Usage:
    """The newest ``hours`` of ``usage``, or all where there are fewer."""
    count = min(hours, usage.hours.count)
    first = usage.hours.count - count
    return Usage(HourRange(usage.hours.hour(first), count), usage.lines, usage.quantity[first:])


def _unseen(desk: _Desk) -> list[Refusal]:
    """Pools that have been seen too short to buy anything for, and that nothing can be sized on."""
    refusals = []
    for pool, state in zip(desk.pools, desk.states, strict=True):
        seen = int(state.seen.size - np.argmax(state.seen > 0)) if state.seen.any() else 0
        if seen < WEEK_HOURS:
            detail = (
                f"{pool.name}: {seen} hours of use have been seen and nothing is bought on less "
                f"than {WEEK_HOURS}"
            )
            refusals.append(Refusal("short_history", pool.offerings[0], detail))
    return refusals


def _leaving(desk: _Desk) -> list[Refusal]:
    """Pools of a machine type for which nothing is bought since other regions gave it up."""
    refusals = []
    for pool, state, allowed in zip(desk.pools, desk.states, desk.tranches, strict=True):
        change = next((one for one in state.changes if one.suspected), None)
        if change is not None and not allowed.buys:
            detail = (
                f"{pool.name}: {change.what}, so it may go here within a year too (chance "
                f"{change.probability:.2f}); {allowed.level_usd_per_hour:.4f} USD/h of on-demand "
                f"use is worth owning now and {allowed.owned_usd_per_hour:.4f} is owned"
            )
            refusals.append(Refusal("phase_out", pool.offerings[0], detail))
    return refusals


def _size(desk: _Desk) -> tuple[list[Sized], list[Refusal]]:
    """On-demand dollars per hour to buy of each offering: the mix, capped by the ladder."""
    chosen = [buy.offer for one in desk.tranches for buy in one.buys]
    mix = desk.mix([OfferingId(one) for one in chosen], desk.base)
    sized: list[Sized] = []
    refusals: list[Refusal] = []
    wide = _wide(desk.pools)
    again = False
    decided: set[OfferingId] = set()
    for index, (pool, allowed) in enumerate(zip(desk.pools, desk.tranches, strict=True)):
        if index in wide:
            # What cannot be bought beside the narrower pools' purchases is left for the wider.
            sized, cut = within_ratio(sized, desk.offerings, decided)
            refusals += cut
            again = again or bool(cut)
        if index in wide and again:
            mix = _mix_again(desk, index, sized)
            again = False
        decided.update(pool.offerings)
        wanted = sum(_on_demand(pool, name, mix.get(name, 0.0)) for name in pool.offerings)
        inside = _bought_inside(desk, pool, sized)
        amount = max(min(wanted, _room(allowed) - inside), 0.0)
        if amount < wanted * (1 - 1e-9):
            again = True
        if amount > 0:
            sized += _split(pool, allowed, amount, wanted)
        elif wanted > 0:
            refusals.append(_held_back(pool, allowed, wanted, inside))
    sized, cut = within_ratio(sized, desk.offerings, decided)
    return sized, [*refusals, *cut]


def _wide(pools: Sequence[Pool]) -> set[int]:
    """Pools whose lines contain another pool's and more."""
    lines = [frozenset(pool.lines) for pool in pools]
    return {index for index, mine in enumerate(lines) if any(theirs < mine for theirs in lines)}


def _mix_again(desk: _Desk, first: int, sized: Sequence[Sized]) -> dict[OfferingId, float]:
    """The wider pools' mix beside what the ladder left of the narrower ones."""
    held = [desk.as_owned(one.offering, Decimal(repr(one.quantity))) for one in sized]
    menu = [OfferingId(buy.offer) for allowed in desk.tranches[first:] for buy in allowed.buys]
    return desk.mix(menu, (*desk.base, *held))


def _on_demand(pool: Pool, name: OfferingId, quantity: float) -> float:
    reach = pool.reach[name]
    return quantity * reach.usd_per_quantity / reach.rate_ratio


def _bought_inside(desk: _Desk, pool: Pool, sized: Sequence[Sized]) -> float:
    """On-demand dollars of this plan's purchases so far that fall on the pool's usage."""
    return sum(one.on_demand_usd_per_hour * _shared(desk, pool, one) for one in sized)


def _shared(desk: _Desk, pool: Pool, one: Sized) -> float:
    """The share of a purchase's usage that lies in ``pool``."""
    inside = set(pool.lines)
    spend = sum(desk.spend[line] for line in one.pool.lines)
    shared = sum(desk.spend[line] for line in one.pool.lines if line in inside)
    return float(shared / spend)


def _room(allowed: Tranche) -> float:
    """On-demand dollars per hour that the ladder lets be bought now."""
    return sum(buy.quantity_usd_per_hour for buy in allowed.buys)


def _held_back(pool: Pool, allowed: Tranche, wanted: float, inside: float) -> Refusal:
    detail = (
        f"{pool.name}: the newest hours alone would pay for {wanted:.4f} USD/h of on-demand use "
        f"more; {allowed.level_usd_per_hour:.4f} is worth owning now and "
        f"{allowed.owned_usd_per_hour:.4f} is owned; of {_room(allowed):.4f} that may be bought at "
        f"this step, this plan's other purchases on the same usage take {inside:.4f}"
    )
    return Refusal("ladder", pool.offerings[0], detail)


def _split(pool: Pool, allowed: Tranche, amount: float, wanted: float) -> list[Sized]:
    """The pool's amount over the ladder's terms, in the ladder's proportions."""
    total = _room(allowed)
    return [
        Sized(
            pool=pool,
            offering=OfferingId(buy.offer),
            on_demand_usd_per_hour=amount * buy.quantity_usd_per_hour / total,
            wanted_usd_per_hour=wanted,
            tranche=allowed,
        )
        for buy in allowed.buys
        if buy.quantity_usd_per_hour > 0
    ]


def _within_risk(desk: _Desk, sized: Sequence[Sized]) -> tuple[list[Sized], list[Refusal]]:
    """What the risk budget leaves of each pool's purchases."""
    request = desk.request
    exposed: list[list[Sized]] = []  # narrowest pools first, longest terms first
    exposures: list[Exposure] = []
    for pool, state in zip(desk.pools, desk.states, strict=True):
        mine = [place for place, one in enumerate(sized) if one.pool is pool]
        if mine:
            below = [_slice(desk, one, _shared(desk, pool, one)) for one in sized[: mine[0]]]
            slices = [_slice(desk, sized[place]) for place in mine]
            exposed.append([sized[place] for place in mine])
            exposures.append(Exposure(state, slices, below, seed=request.inputs.seed))
    kept: list[Sized] = []
    refusals: list[Refusal] = []
    for of, risk in zip(exposed, within(exposures, request.risk), strict=True):
        for one in of:
            if risk.share_ratio > 0:
                amount = one.on_demand_usd_per_hour * risk.share_ratio
                kept.append(replace(one, on_demand_usd_per_hour=amount, risk=risk))
            else:
                refusals.append(Refusal("expected_shortfall", one.offering, _too_risky(one, risk)))
    return kept, refusals


def _slice(desk: _Desk, one: Sized, share: float = 1.0) -> Slice:
    term = next(
        term
        for term in terms_of(one.pool, desk.offerings, desk.request.capital_annual_ratio)
        if term.offer == one.offering
    )
    return Slice(one.on_demand_usd_per_hour * share, term.hours, term.rate_ratio)


def _too_risky(one: Sized, risk: Risk) -> str:
    return (
        f"{one.pool.name}: no part of {one.on_demand_usd_per_hour:.4f} USD/h of on-demand use is "
        f"within the expected shortfall allowed: {limits_of(risk.budget)}"
    )


def _plan(desk: _Desk, lines: Sequence[PlanLine], refusals: Sequence[Refusal]) -> Plan:
    request = desk.request
    bought = [desk.as_owned(name, amount) for line in lines for name, amount in line.contents]
    worth = replay(desk.market, desk.base, bought)
    gap = worth.gap_ratio
    optimal = gap <= request.gap_tolerance_ratio
    return Plan(
        plan=PlanId(digest("plan", request.cycle, request.inputs, [one.line for one in lines])),
        cycle=request.cycle,
        decided_at=request.decided_at,
        status=PlanStatus.OPTIMAL if optimal else PlanStatus.FEASIBLE,
        window_hours=desk.hours.hours.count,
        before_usd=worth.before.total_usd,
        after_usd=worth.after.total_usd,
        lower_bound_usd=worth.lower_bound_usd,
        gap_ratio=gap,
        coverage_ratio=worth.after.coverage_ratio,
        utilization_ratio=worth.after.utilization_ratio,
        lines=tuple(lines),
        refusals=tuple(refusals),
        inputs=request.inputs,
    )


def digest(*parts: object) -> str:
    """A short identifier that depends on nothing but ``parts``."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
