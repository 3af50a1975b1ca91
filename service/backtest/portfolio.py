"""The walk forward over a dataset folder: every SKU, offer and term, billed as providers bill.

At each instant the live cycle's own ``decide`` sees usage up to the lag and the commitments
known by then; what it plans is bought at once. At the end the whole window is billed with all
commitments. Beside it stand: buying nothing, the unpaced optimum of the last 30 days, and the
best mix for someone who knew the window and owned it throughout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from service import __version__
from service.backtest.market import Walk
from service.billing.bill import Bill, bill
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.errors import InputError
from service.domain.hours import DAY_HOURS, HOUR, TERM_HOURS, HourRange, iso
from service.domain.ids import AccountId, CommitmentId, CycleId, OfferingId
from service.domain.plans import PlanInputs
from service.domain.usage import Dataset, Usage
from service.forecast.changes import PlannedChange
from service.forecast.holidays import Holiday
from service.plan.decide import DecisionRequest, decide
from service.plan.explain import commit_usd_per_hour
from service.plan.optimise import buying_account, optimise
from service.plan.pools import over
from service.plan.quantise import quantise

_LOOKBACK_HOURS = 30 * DAY_HOURS

Buyer = Callable[[Dataset, datetime], Sequence[tuple[OfferingId, Decimal]]]
"""Offerings and quantities to buy, from what is seen and owned, at an instant."""


@dataclass(frozen=True, slots=True)
class PortfolioRun:
    """One strategy over the window: its bill and what it bought, in order.

    ``obligation_after_usd``: what the purchases still cost after the window's end, which no
    bill of the window shows: long terms look better in a short window than they are.
    """

    strategy: str
    bill: Bill
    purchases: tuple[Commitment, ...]
    obligation_after_usd: Decimal


def walk_portfolio(
    dataset: Dataset,
    *,
    walk: Walk,
    changes: tuple[PlannedChange, ...] = (),
    holidays: tuple[Holiday, ...] = (),
    advance: Callable[[], object] = lambda: None,
) -> tuple[PortfolioRun, ...]:
    """Every portfolio strategy over ``dataset``, billed after the warm-up.

    Raises ``InputError`` when the usage does not outlast the warm-up.
    """
    account = buying_account(dataset)
    buyers: Mapping[str, Buyer] = {
        "tenor": _tenor(account, walk, changes, holidays),
        "provider-30d": _provider(account),
        "nothing": lambda _seen, _now: (),
    }
    runs = tuple(
        _walked(dataset, name, buyer, account=account, walk=walk, advance=advance)
        for name, buyer in buyers.items()
    )
    return (*runs, _known(dataset, account, walk))


def instants(dataset: Dataset, walk: Walk) -> tuple[int, ...]:
    """Hours of the decisions; raises ``InputError`` when there is none."""
    count = dataset.usage.hours.count
    if count <= walk.warmup_hours:
        raise InputError(
            f"{count} hours do not outlast a warm-up of {walk.warmup_hours}",
            file="usage",
            remedy="Give a longer history or a shorter --warmup-hours.",
        )
    return walk.instants(count)


def _walked(
    dataset: Dataset,
    name: str,
    buyer: Buyer,
    *,
    account: AccountId,
    walk: Walk,
    advance: Callable[[], object],
) -> PortfolioRun:
    bought: list[Commitment] = []
    for now in instants(dataset, walk):
        at = dataset.usage.hours.hour(now)
        known = [one for one in (*dataset.commitments, *bought) if one.start <= at]
        seen = replace(
            dataset,
            usage=_cut(dataset.usage, 0, max(now - walk.lag_hours, 0)),
            commitments=tuple(known),
        )
        for offering, quantity in buyer(seen, at):
            number = len(bought)
            bought.append(_owned(dataset.offerings[offering], account, quantity, at, number))
        advance()
    return _run(dataset, name, bought, walk)


def _tenor(
    account: AccountId,
    walk: Walk,
    changes: tuple[PlannedChange, ...],
    holidays: tuple[Holiday, ...],
) -> Buyer:
    def buy(seen: Dataset, at: datetime) -> Sequence[tuple[OfferingId, Decimal]]:
        if not seen.usage.hours.count:
            return ()
        plan = decide(
            DecisionRequest(
                cycle=CycleId(f"backtest@{iso(at)}"),
                decided_at=at,
                dataset=seen,
                menu=tuple(sorted(seen.offerings)),
                accounts=dict.fromkeys((one.provider for one in seen.offerings.values()), account),
                inputs=_inputs(seen),
                step_hours=walk.step_hours,
                changes=changes,
                holidays=holidays,
            )
        )
        return [(line.offering, line.quantity) for line in plan.lines]

    return buy


def _provider(account: AccountId) -> Buyer:
    def buy(seen: Dataset, at: datetime) -> Sequence[tuple[OfferingId, Decimal]]:
        count = seen.usage.hours.count
        if not count:
            return ()
        recent = _cut(seen.usage, max(count - _LOOKBACK_HOURS, 0), count)
        owned = [
            over(one, recent.hours)
            for one in seen.commitments
            if one.state.is_owned and one.end > at
        ]
        wanted = optimise(
            replace(seen, usage=recent, commitments=tuple(owned)), purchase_account=account
        )
        rounded = [
            (
                one.offering,
                quantise(
                    float(one.quantity),
                    step=seen.offerings[one.offering].step,
                    min_quantity=seen.offerings[one.offering].min_quantity,
                ),
            )
            for one in wanted.purchases
        ]
        return [(offering, quantity) for offering, quantity in rounded if quantity > 0]

    return buy


def _known(dataset: Dataset, account: AccountId, walk: Walk) -> PortfolioRun:
    """The best mix for the window as it came, owned from its first hour to its last."""
    window = _cut(dataset.usage, walk.warmup_hours, dataset.usage.hours.count)
    best = optimise(replace(dataset, usage=window), purchase_account=account)
    owned = [
        over(
            _owned(dataset.offerings[one.offering], account, one.quantity, window.hours.start, n),
            window.hours,
        )
        for n, one in enumerate(best.purchases)
    ]
    return _run(dataset, "known-future", owned, walk)


def _run(dataset: Dataset, name: str, bought: Sequence[Commitment], walk: Walk) -> PortfolioRun:
    window = _cut(dataset.usage, walk.warmup_hours, dataset.usage.hours.count)
    everything = (*dataset.commitments, *bought)
    billed = bill(replace(dataset, usage=window, commitments=everything))
    end = window.hours.end
    after = sum(
        (
            commit_usd_per_hour(dataset.offerings[one.offering], one.quantity)
            * Decimal((one.end - max(one.start, end)) // HOUR)
            for one in bought
            if one.end > end
        ),
        Decimal(0),
    )
    return PortfolioRun(name, billed, tuple(bought), after)


def _owned(
    offering: Offering, account: AccountId, quantity: Decimal, at: datetime, number: int
) -> Commitment:
    return Commitment(
        commitment=CommitmentId(f"backtest-{number}"),
        offering=offering.offering,
        account=account,
        scope=None,
        zone=offering.zone,
        quantity=quantity,
        start=at,
        end=at + TERM_HOURS[offering.term_months] * HOUR,
        state=CommitmentState.ACTIVE,
    )


def _cut(usage: Usage, first: int, last: int) -> Usage:
    hours = HourRange(usage.hours.hour(first), last - first)
    return Usage(hours, usage.lines, usage.quantity[first:last])


def _inputs(seen: Dataset) -> PlanInputs:
    through = seen.usage.hours.end
    digest = hashlib.sha256(iso(through).encode()).hexdigest()
    return PlanInputs(
        usage_digest=digest,
        prices_digest="",
        commitments_digest="",
        policy_digest="",
        usage_through=through,
        seed=0,
        code_version=__version__,
    )
