"""A plan for a dataset as if now were its end, and what a policy says of it.

Decides how a dataset on its own becomes a decision: everything in it is taken as just read,
nothing is halted, no purchase is in flight beyond its holdings. Nothing is bought here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from service import __version__
from service.billing.sharing import ORGANISATION
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.hours import iso
from service.domain.ids import AccountId, CycleId, LineId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Decision, Plan, PlanInputs, PlanLine, Refusal, Verdict
from service.domain.purchases import InventoryItem
from service.domain.usage import Dataset
from service.forecast.changes import PlannedChange
from service.forecast.holidays import Holiday
from service.guard.caps import Sum
from service.guard.context import GuardContext, PoolSize, Spend, spent_so_far, target_of
from service.guard.menu import permitted, purchase_account, room_for, target_for
from service.guard.policy import Policy
from service.guard.rules import judge, would_be
from service.guard.starts import with_starts
from service.plan.decide import DecisionRequest, decide, pool_sizes
from service.plan.explain import commit_usd_per_hour
from service.plan.lines import Room
from service.plan.optimise import buying_account, flat_market
from service.plan.problem import candidate
from service.plan.repaying import repaying
from service.plan.risk import RiskBudget
from service.plan.worth import Worth, replay

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A plan whose refused lines are gone, what was refused, and what needs a signature.

    ``all_refused``: something was worth buying and guardrails refused all of it. ``worth`` is
    over all of the dataset's hours, as if what is left of the plan had been bought in the first.
    """

    plan: Plan
    worth: Worth
    refusals: tuple[Refusal, ...]
    sign_off: frozenset[LineId]
    all_refused: bool


def plan_dataset(
    dataset: Dataset,
    *,
    policy: Policy | None,
    account: AccountId | None = None,
    changes: tuple[PlannedChange, ...] = (),
    holidays: tuple[Holiday, ...] = (),
    expired: Callable[[], bool] = lambda: False,
) -> Guarded:
    """Decide for ``dataset`` and judge by ``policy``; without one nothing is refused."""
    accounts = _accounts(dataset, policy, account)
    menu, barred = _menu(dataset, policy, accounts)
    request = DecisionRequest(
        cycle=CycleId(f"dataset@{iso(dataset.usage.hours.end)}"),
        decided_at=dataset.usage.hours.end,
        dataset=dataset,
        menu=menu,
        accounts=accounts,
        inputs=_inputs(dataset, policy),
        changes=changes,
        holidays=holidays,
        expired=expired,
    )
    if policy is None:
        plan = decide(request)
        worth = _worth(dataset, plan.lines)
        return Guarded(plan, worth, plan.refusals, frozenset(), all_refused=False)
    context = _context(dataset)
    request = replace(
        request,
        lead_time_hours=int(policy.timing.lead_time_hours),
        capital_annual_ratio=float(policy.finance.cost_of_capital_annual_ratio),
        gap_tolerance_ratio=Decimal(policy.finance.solver_gap_tolerance_ratio),
        risk=risk_budget(policy),
        room=_room(policy, context, accounts),
    )
    menu, slow = repaying(request, Decimal(policy.worth.max_break_even_months))
    request, barred = replace(request, menu=menu), (*barred, *slow)
    plan = with_starts(decide(request), policy)
    context = replace(
        context,
        gap_ratio=plan.gap_ratio,
        coverage_ratio_after=plan.coverage_ratio,
        utilization_ratio_after=plan.utilization_ratio,
        pools=_pools(request, plan.lines),
    )
    verdicts = judge(plan.lines, policy=policy, context=context)
    barred_all = bool(dataset.offerings and not menu)
    return _judged(dataset, plan, verdicts, barred, nothing_allowed=barred_all)


def risk_budget(policy: Policy) -> RiskBudget:
    """What a policy says of expected shortfall, for the decision."""
    risk = policy.risk
    per_pool, total = risk.expected_shortfall_usd_per_pool, risk.expected_shortfall_usd_total
    return RiskBudget(
        per_pool_usd=None if per_pool is None else float(per_pool),
        total_usd=None if total is None else float(total),
        tail_ratio=float(risk.expected_shortfall_tail_ratio),
    )


def _judged(
    dataset: Dataset,
    plan: Plan,
    verdicts: Sequence[Verdict],
    barred: Sequence[Refusal],
    *,
    nothing_allowed: bool,
) -> Guarded:
    """Refused lines taken out; the mode does not count, since nothing is bought here."""
    refused = {one.line: one for one in verdicts if would_be(one) is Decision.REFUSE}
    kept = tuple(line for line in plan.lines if line.line not in refused)
    refusals = [
        Refusal(result.rule, line.offering, f"{result.actual} against {result.limit}")
        for line in plan.lines
        if line.line in refused
        for result in refused[line.line].results
        if result.decision is Decision.REFUSE and result.rule != "mode"
    ]
    sign_off = frozenset(one.line for one in verdicts if would_be(one) is Decision.NEEDS_SIGN_OFF)
    return Guarded(
        plan=replace(plan, lines=kept),
        worth=_worth(dataset, kept),
        refusals=(*plan.refusals, *barred, *refusals),
        sign_off=sign_off,
        all_refused=nothing_allowed or (bool(plan.lines) and not kept),
    )


def _worth(dataset: Dataset, lines: Sequence[PlanLine]) -> Worth:
    market = flat_market(replace(dataset, commitments=()), ORGANISATION)
    hours = dataset.usage.hours
    active = [one for one in dataset.commitments if one.state is CommitmentState.ACTIVE]
    bought = [
        candidate(dataset.offerings[name], hours, line.account, quantity)
        for line in lines
        for name, quantity in line.contents
    ]
    return replay(market, active, bought)


def _accounts(
    dataset: Dataset, policy: Policy | None, account: AccountId | None
) -> dict[str, AccountId]:
    providers = sorted({one.provider for one in dataset.offerings.values()})
    fallback = account or buying_account(dataset)
    return {
        one: (purchase_account(policy, one) if policy else None) or fallback
        for one in providers or ["aws"]
    }


def _menu(
    dataset: Dataset, policy: Policy | None, accounts: dict[str, AccountId]
) -> tuple[tuple[OfferingId, ...], tuple[Refusal, ...]]:
    names = tuple(sorted(dataset.offerings))
    if policy is None:
        return names, ()
    kept: list[OfferingId] = []
    refusals: list[Refusal] = []
    for provider, account in accounts.items():
        theirs = [
            dataset.offerings[one] for one in names if dataset.offerings[one].provider == provider
        ]
        allowed, refused = permitted(theirs, policy=policy, account=account)
        kept += [one.offering for one in allowed]
        refusals += refused
    return tuple(sorted(kept)), tuple(refusals)


def _room(policy: Policy, context: GuardContext, accounts: dict[str, AccountId]) -> Room:
    def room(
        offering: Offering, lines: Sequence[PlanLine], begun: PlanLine | None = None
    ) -> Decimal:
        target = target_for(offering, accounts[offering.provider])
        left = room_for(
            target,
            policy=policy,
            context=context,
            asked=[(target_of(line), _sum(line)) for line in lines],
            begun=None if begun is None else _sum(begun),
        )
        one_usd = commit_usd_per_hour(offering, Decimal(1))
        most = left.most_usd_per_hour(offering.term_months, offering.upfront_usd / one_usd)
        return most / one_usd

    return room


def _sum(line: PlanLine) -> Sum:
    return Sum(line.commit_usd_per_hour, line.upfront_usd, line.total_usd)


def _context(dataset: Dataset) -> GuardContext:
    """A dataset's end is its now, and everything in it has just been read."""
    return GuardContext(
        now=dataset.usage.hours.end,
        halted=False,
        holds_lease=True,
        data_age_hours=_ZERO,
        prices_age_hours=_ZERO,
        inventory_age_hours=_ZERO,
        gap_ratio=None,
        coverage_ratio_after=None,
        utilization_ratio_after=None,
        spent=_spent(dataset),
        open_unknown=(),
    )


def _spent(dataset: Dataset) -> tuple[Spend, ...]:
    items = [
        _item(one, dataset.offerings[one.offering])
        for one in dataset.commitments
        if one.state.is_owned
    ]
    return spent_so_far((), items, now=dataset.usage.hours.end, run=None)


def _item(one: Commitment, offering: Offering) -> InventoryItem:
    return InventoryItem(
        commitment=one,
        kind=offering.kind,
        term_months=offering.term_months,
        payment=offering.payment,
        region=offering.region,
        family=offering.family,
        commit_usd_per_hour=CommitUsdPerHour(commit_usd_per_hour(offering, one.quantity)),
        upfront_usd=one.quantity * offering.upfront_usd,
        intent=None,
        returnable_until=None,
    )


def _pools(request: DecisionRequest, lines: Sequence[PlanLine]) -> dict[LineId, PoolSize]:
    """Each line's pool, as large as all that its purchase covers."""
    sizes = pool_sizes(request)
    found = {}
    for line in lines:
        name, size = sizes[line.offering]
        if line.companion is not None and line.companion.offering in sizes:
            size += sizes[line.companion.offering][1]
        found[line.line] = PoolSize(name, size)
    return found


def _inputs(dataset: Dataset, policy: Policy | None) -> PlanInputs:
    usage = hashlib.sha256(repr((dataset.usage.hours, dataset.usage.lines)).encode())
    usage.update(dataset.usage.quantity.tobytes())
    prices = sorted(dataset.skus.items()), sorted(dataset.offerings.items())
    return PlanInputs(
        usage_digest=usage.hexdigest(),
        prices_digest=hashlib.sha256(repr(prices).encode()).hexdigest(),
        commitments_digest=hashlib.sha256(repr(_stable(dataset.commitments)).encode()).hexdigest(),
        policy_digest=policy.digest if policy else "",
        usage_through=dataset.usage.hours.end,
        seed=0,
        code_version=__version__,
    )


def _stable(commitments: Sequence[Commitment]) -> list[tuple[object, ...]]:
    """The commitments without sets, whose order differs from run to run."""
    return [
        (*_fields(one), None if one.scope is None else sorted(one.scope)) for one in commitments
    ]


def _fields(one: Commitment) -> tuple[object, ...]:
    return (
        one.commitment, one.offering, one.account, one.zone,
        one.quantity, one.start, one.end, one.state,
    )  # fmt: skip
