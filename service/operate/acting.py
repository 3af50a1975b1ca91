"""Decides what becomes of each judged line: bought now, proposed to a person, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from service.domain.ids import CycleId
from service.domain.plans import Decision, Plan, PlanLine, Verdict
from service.domain.purchases import Bought, Unknown
from service.guard.rules import reasons
from service.guard.starts import start_now
from service.observe.events import LineRefused
from service.observe.tracing import traced
from service.operate.demoting import may_act_alone
from service.operate.guarding import FreshJudge, Planned
from service.operate.reconciling import reconcile
from service.operate.situation import Situation, with_fresh_prices
from service.purchase.desk import Desk, Executed, Execution
from service.purchase.execute import execute
from service.purchase.propose import record_proposals
from service.store import intents, ledger, price_snapshots, records
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.states import VerdictStage
from service.wiring import Parts

PRICES_HOLD_FOR = timedelta(minutes=5)
"""How old prices may be when a purchase is checked against them."""


@dataclass(frozen=True, slots=True)
class Acted:
    """How many lines ended how. ``declined``: allowed by the plan, stopped at execution."""

    bought: int
    proposed: int
    refused: int
    declined: int
    unknown: int


def desk_of(parts: Parts, situation: Situation, lease: Lease, *, plans: Sequence[Plan]) -> Desk:
    """The till for purchases of ``plans``, its guard on ``situation`` and the policy as it is."""
    with reading(parts.engine) as connection:
        planned = {plan.plan: _planned(connection, plan) for plan in plans}
    return Desk(
        provider=parts.cloud.provider,
        engine=parts.engine,
        reader=parts.cloud.reader,
        buyer=parts.cloud.buyer,
        clock=parts.clock,
        lease=lease,
        judge=FreshJudge(situation, planned, lambda: parts.policy().policy),
        policy_digest=lambda: parts.policy().policy.digest,
        new_key=parts.new_key,
        policy_halts=lambda: parts.policy().policy.halt,
        start_at=lambda line, now: start_now(parts.policy().policy, line, now),
        acts_alone=partial(may_act_alone, parts),
    )


def _planned(connection: Connection, plan: Plan) -> Planned:
    prices = price_snapshots.find(connection, plan.inputs.prices_digest)
    return Planned(plan.gap_ratio, {} if prices is None else prices.offerings)


def record_verdicts(parts: Parts, plan: Plan, verdicts: Sequence[Verdict]) -> None:
    """Write the guard's words beside the plan; each refused line is an event with its rule."""
    now = parts.clock.now()
    with writing(parts.engine) as connection:
        for verdict in verdicts:
            records.record_verdict(
                connection, plan.plan, verdict, stage=VerdictStage.PROPOSAL, now=now
            )
            if verdict.decision is Decision.REFUSE:
                first = reasons(verdict)[0]
                detail = f"{first.actual} against {first.limit}"
                event = LineRefused(
                    plan=plan.plan, line=verdict.line, rule=first.rule, detail=detail
                )
                ledger.append(connection, event, now=now)


@traced("purchase")
def act(
    parts: Parts,
    situation: Situation,
    plan: Plan,
    verdicts: Sequence[Verdict],
    *,
    cycle: CycleId,
    lease: Lease,
) -> Acted:
    """Buy what the guard allows, one line after the other, and propose what needs a person."""
    decided = {verdict.line: verdict.decision for verdict in verdicts}
    waiting = [line for line in plan.lines if decided[line.line] is Decision.NEEDS_SIGN_OFF]
    lifetime = timedelta(hours=int(situation.policy.timing.proposal_lifetime_hours))
    with writing(parts.engine) as connection:
        recorded = record_proposals(
            connection,
            plan=plan.plan,
            lines=waiting,
            verdicts=verdicts,
            lifetime=lifetime,
            now=parts.clock.now(),
        )
    allowed = [line for line in plan.lines if decided[line.line] is Decision.ALLOW]
    if allowed:
        # What the plan was decided on cannot show that prices have moved since.
        situation = with_fresh_prices(parts, situation, reused_for=PRICES_HOLD_FOR)
    desk = desk_of(parts, situation, lease, plans=[plan])
    results = buy(parts, desk, plan, allowed, cycle=cycle)
    refused = sum(one is Decision.REFUSE for one in decided.values())
    return replace(count(results), proposed=len(recorded), refused=refused)


def buy(
    parts: Parts, desk: Desk, plan: Plan, lines: Sequence[PlanLine], *, cycle: CycleId
) -> list[Execution]:
    """Execute ``lines`` in order. An unknown outcome is looked for in the inventory at once.

    While it stays unknown, what follows in its scope is declined and stays to be tried again.
    """
    results: list[Execution] = []
    for line in lines:
        result = execute(desk, line=line, plan=plan.plan, cycle=cycle)
        results.append(result)
        if isinstance(result, Executed) and isinstance(result.outcome, Unknown):
            reconcile(parts, lease=desk.lease)
    return results


def left_over(connection: Connection, plan: Plan) -> list[PlanLine]:
    """Lines that the guard allowed and that nothing has been decided on since.

    Those are the ones that a passing obstacle kept from being bought: halt, an open outcome, a
    provider that did not answer. A line that was bought or judged at execution is not among them.
    """
    # A cycle that was taken up again judged its lines once more: the last word counts.
    proposed = {
        verdict.line: verdict.decision
        for verdict in records.verdicts_of(connection, plan.plan, stage=VerdictStage.PROPOSAL)
    }
    allowed = {line for line, decision in proposed.items() if decision is Decision.ALLOW}
    judged = {
        verdict.line
        for verdict in records.verdicts_of(connection, plan.plan, stage=VerdictStage.EXECUTION)
    }
    return [
        line
        for line in plan.lines
        if line.line in allowed - judged
        and intents.find_for_line(connection, plan.plan, line.line) is None
    ]


def count(results: Sequence[Execution]) -> Acted:
    """How a row of executions ended."""
    outcomes = [one.outcome for one in results if isinstance(one, Executed)]
    bought = sum(isinstance(one, Bought) for one in outcomes)
    unknown = sum(isinstance(one, Unknown) for one in outcomes)
    return Acted(bought, 0, 0, len(results) - bought - unknown, unknown)
