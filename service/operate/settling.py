"""Decides in which order loose ends are tied.

Inventory first, then what was left half done, then what a person has approved since. Approved
lines are priced and guarded again on fresh facts.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from service.domain.errors import InputError, ProviderError, RefusedError
from service.domain.ids import PlanId
from service.domain.plans import Decision, PlanLine, RuleResult, Verdict
from service.domain.purchases import IntentState, ProposalState
from service.operate import altering
from service.operate.acting import buy, count, desk_of, left_over
from service.operate.altering import do_decided
from service.operate.demoting import demote_on_stale_data
from service.operate.reconciling import read_elsewhere, reconcile
from service.operate.situation import read_situation
from service.operate.undoing import standing
from service.purchase.checks import NO_FACTS
from service.purchase.desk import Desk, Facts
from service.purchase.execute import execute_approved
from service.purchase.propose import expire_due
from service.purchase.resume import resume
from service.purchase.written_alterations import expire_alterations
from service.reconcile.settle import Reconciliation
from service.store import intents, proposals, records
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.wiring import Parts

DEFERRED_FOR = timedelta(hours=24)
"""How long after a plan its allowed lines are still tried again; later they are planned anew."""


class NoFacts:
    """The guard when the facts cannot be had: it refuses for now, and says what is missing."""

    def __init__(self, detail: str) -> None:
        self._detail = detail

    def __call__(self, line: PlanLine, facts: Facts) -> Verdict:
        """A refusal of ``line``; ``facts`` cannot make up for what is missing."""
        result = RuleResult(
            rule=NO_FACTS,
            decision=Decision.REFUSE,
            limit="known",
            actual="not known",
            detail=f"{self._detail} ({facts.plan})",
        )
        return Verdict(line.line, Decision.REFUSE, (result,))


def tie_loose_ends(parts: Parts, *, lease: Lease) -> str:
    """Reconcile, then go on with what was left half done, approved, or kept from being bought."""
    provider = parts.cloud.provider
    done = reconcile(parts, lease=lease)
    altered = do_decided(
        parts,
        lease=lease,
        inventory_read_at=done.read_at,
        stands=standing(parts, inventory_read_at=done.read_at),
    )
    if altered:
        # Until what was altered is listed, nothing more is bought beside it.
        done = reconcile(parts, lease=lease)
    with reading(parts.engine) as connection:
        left = intents.list_intents(
            connection, states=(IntentState.RECORDED, IntentState.CALLING), provider=provider
        )
        approved = proposals.list_proposals(connection, states=(ProposalState.APPROVED,))
        approved = tuple(one for one in approved if one.line.provider == provider)
        plan = records.newest_plan(
            connection, since=parts.clock.now() - DEFERRED_FOR, provider=provider
        )
        deferred = [] if plan is None else left_over(connection, plan)
    said = f"{done.matched} matched, {len(done.findings)} findings{altering.said(altered)}"
    if not (left or approved or deferred):
        return said
    plans = {one.plan for one in left} | {one.plan for one in approved}
    desk = _desk(parts, done, lease, plans | ({plan.plan} if plan else set()))
    resumed = resume(desk)
    if isinstance(desk.judge, NoFacts):
        # A refusal at execution is final. What a person approved stays so until facts are back.
        return f"{said}, {len(resumed)} resumed, the rest waits"
    results = [execution for _, execution in execute_approved(desk)]
    if plan is not None:
        results += buy(parts, desk, plan, deferred, cycle=plan.cycle)
    reconcile(parts, lease=lease)
    return f"{said}, {len(resumed)} resumed, {count(results).bought} bought"


def expire(parts: Parts) -> str:
    """End the proposals whose lifetime is over; returns a sentence."""
    with writing(parts.engine) as connection:
        now = parts.clock.now()
        ended = len(expire_due(connection, now=now)) + expire_alterations(connection, now=now)
    return f"{ended} expired"


def _desk(parts: Parts, done: Reconciliation, lease: Lease, plans: Collection[PlanId]) -> Desk:
    with reading(parts.engine) as connection:
        found = (records.find_plan(connection, plan) for plan in sorted(plans))
        known = [plan for plan in found if plan is not None]
    read_elsewhere(parts, lease=lease)
    try:
        situation = read_situation(parts, inventory_read_at=done.read_at)
    except (RefusedError, ProviderError, InputError) as error:
        if isinstance(error, RefusedError):
            demote_on_stale_data(parts, error)
        return Desk(
            provider=parts.cloud.provider,
            engine=parts.engine,
            reader=parts.cloud.reader,
            buyer=parts.cloud.buyer,
            clock=parts.clock,
            lease=lease,
            judge=NoFacts(str(error)),
            policy_halts=lambda: parts.policy().policy.halt,
        )
    return desk_of(parts, situation, lease, plans=known)
