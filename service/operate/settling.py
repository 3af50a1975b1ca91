"""Decides in which order loose ends are tied.

Inventory first, then what was left half done, then what a person has approved since. Approved
lines are priced and guarded again on fresh facts.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from service.domain.errors import ProviderError, RefusedError
from service.domain.ids import PlanId
from service.domain.plans import Decision, PlanLine, RuleResult, Verdict
from service.domain.purchases import IntentState, ProposalState
from service.observe.log import get_logger
from service.operate.acting import count, desk_of
from service.operate.situation import read_situation
from service.purchase.desk import Desk, Executed, Facts
from service.purchase.execute import execute_approved
from service.purchase.propose import expire_due
from service.purchase.resume import resume
from service.reconcile import settle
from service.reconcile.settle import Reconciliation
from service.store import intents, proposals, records
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.wiring import Parts

log = get_logger(__name__)


class NoFacts:
    """The guard when the facts cannot be had: it refuses, and says what is missing."""

    def __init__(self, rule: str, detail: str) -> None:
        self._rule = rule
        self._detail = detail

    def __call__(self, line: PlanLine, facts: Facts) -> Verdict:
        """A refusal of ``line``; ``facts`` cannot make up for what is missing."""
        result = RuleResult(
            rule=self._rule,
            decision=Decision.REFUSE,
            limit="known",
            actual="not known",
            detail=f"{self._detail} ({facts.plan})",
        )
        return Verdict(line.line, Decision.REFUSE, (result,))


def reconcile(parts: Parts, *, lease: Lease) -> Reconciliation:
    """Compare the provider's inventory with the ledger, and settle what it proves."""
    done = settle.reconcile(
        provider=parts.cloud.provider,
        engine=parts.engine,
        reader=parts.cloud.reader,
        buyer=parts.cloud.buyer,
        clock=parts.clock,
        held=lease,
        grace=timedelta(hours=parts.settings.listing_lag_hours),
    )
    for finding in done.alarms:
        log.warning("reconcile.alarm", finding=type(finding).__name__, detail=str(finding))
    return done


def tie_loose_ends(parts: Parts, *, lease: Lease) -> str:
    """Reconcile, resume interrupted purchases, buy what was approved; returns a sentence."""
    done = reconcile(parts, lease=lease)
    with reading(parts.engine) as connection:
        left = intents.list_intents(connection, states=(IntentState.RECORDED, IntentState.CALLING))
        approved = proposals.list_proposals(connection, states=(ProposalState.APPROVED,))
    resumed: tuple[Executed, ...] = ()
    bought = 0
    if left or approved:
        plans = {one.plan for one in left} | {one.plan for one in approved}
        desk = _desk(parts, done, lease, plans)
        resumed = resume(desk)
        results = [execution for _, execution in execute_approved(desk)]
        bought = count(results).bought
        reconcile(parts, lease=lease)
    return (
        f"{done.matched} matched, {len(done.findings)} findings, {len(resumed)} resumed, "
        f"{bought} approved bought"
    )


def expire(parts: Parts) -> str:
    """End the proposals whose lifetime is over; returns a sentence."""
    with writing(parts.engine) as connection:
        ended = expire_due(connection, now=parts.clock.now())
    return f"{len(ended)} expired"


def _desk(parts: Parts, done: Reconciliation, lease: Lease, plans: Collection[PlanId]) -> Desk:
    with reading(parts.engine) as connection:
        found = (records.find_plan(connection, plan) for plan in sorted(plans))
        gaps = {plan.plan: plan.gap_ratio for plan in found if plan is not None}
    try:
        situation = read_situation(parts, inventory_read_at=done.read_at)
    except (RefusedError, ProviderError) as error:
        rule = error.rule if isinstance(error, RefusedError) else "prices"
        return Desk(
            provider=parts.cloud.provider,
            engine=parts.engine,
            reader=parts.cloud.reader,
            buyer=parts.cloud.buyer,
            clock=parts.clock,
            lease=lease,
            judge=NoFacts(rule, str(error)),
        )
    return desk_of(parts, situation, lease, gaps=gaps)
