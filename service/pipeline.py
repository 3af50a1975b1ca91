"""One decision cycle, as the product's sentence.

Read what was used, forecast what will be, work out what would be worth owning, ask the policy,
buy or propose exactly that and exactly once, check that provider and ledger agree, and report
what was saved against what was promised.

Each line of ``run_cycle`` is a stage; the stage's package decides. A cycle that was interrupted
is resumed: a plan that was written down is not decided again within a day, and no line is bought
twice. After a day the facts behind it are others, and it is decided anew, beside what was bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from service.domain.errors import LeaseLostError
from service.domain.ids import CycleId
from service.domain.plans import Plan, Verdict
from service.observe.events import CycleFailed, CycleFinished, CycleStarted, PlanDecided
from service.observe.log import bound_ids
from service.operate.acting import Acted, act, record_verdicts
from service.operate.deciding import forecast_and_plan, guard
from service.operate.demoting import demote_on_broken_promises
from service.operate.reconciling import read_elsewhere, reconcile
from service.operate.reporting import Reported, report
from service.operate.situation import read_situation, with_inventory
from service.store import ledger, records
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.states import RunState
from service.wiring import Parts

KEPT_FOR = timedelta(hours=24)
"""How long after a plan was decided a resumed cycle still goes on with it."""


PRICES_REUSED_FOR = timedelta(hours=1)
"""A cycle that is retried does not read the whole price list again; the policy judges its age."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle: its id is its schedule and scheduled instant, whenever it really runs."""

    cycle: CycleId
    schedule: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What a cycle came to."""

    plan: Plan
    acted: Acted
    reported: Reported


def run_cycle(parts: Parts, cycle: Cycle, *, lease: Lease) -> CycleResult:
    """Run ``cycle`` to its end; whatever stops it is written down as its end, and raised."""
    with bound_ids(cycle_id=cycle.cycle):
        _start(parts, cycle)
        try:
            result = _stages(parts, cycle, lease)
        except LeaseLostError:
            # Whoever holds the lease now may be running this very cycle: its end is theirs to tell.
            raise
        except Exception as error:
            # Recorded whatever it is, then left to the scheduler's edge: nothing is swallowed.
            _fail(parts, cycle, error)
            raise
        _finish(parts, cycle, result)
        return result


def _stages(parts: Parts, cycle: Cycle, lease: Lease) -> CycleResult:
    owned = reconcile(parts, lease=lease)
    read_elsewhere(parts, lease=lease)
    situation = read_situation(  # 1. usage
        parts, inventory_read_at=owned.read_at, prices_reused_for=PRICES_REUSED_FOR
    )
    plan = _kept_plan(parts, cycle) or forecast_and_plan(parts, situation, cycle.cycle)  # 2., 3.
    verdicts = guard(parts, situation, plan)  # 4.
    _keep(parts, plan, verdicts)
    acted = act(parts, situation, plan, verdicts, cycle=cycle.cycle, lease=lease)  # 5. purchase
    seen = reconcile(parts, lease=lease)  # 6.
    after = with_inventory(parts, situation, seen.inventory, seen.read_at)
    reported = report(parts, after)  # 7.
    demote_on_broken_promises(parts, reported.since_restored)
    return CycleResult(plan, acted, reported)


def _start(parts: Parts, cycle: Cycle) -> None:
    now = parts.clock.now()
    event = CycleStarted(cycle=cycle.cycle, due_at=cycle.due_at)
    with writing(parts.engine) as connection:
        records.start_cycle(
            connection, cycle.cycle, schedule=cycle.schedule, due_at=cycle.due_at, now=now
        )
        ledger.append(connection, event, now=now)


def _kept_plan(parts: Parts, cycle: Cycle) -> Plan | None:
    with reading(parts.engine) as connection:
        plan = records.plan_of_cycle(connection, cycle.cycle)
    fresh = plan is not None and parts.clock.now() - plan.decided_at < KEPT_FOR
    return plan if fresh else None


def _keep(parts: Parts, plan: Plan, verdicts: Sequence[Verdict]) -> None:
    event = PlanDecided(
        plan=plan.plan,
        cycle=plan.cycle,
        status=plan.status.value,
        lines=len(plan.lines),
        before_usd=plan.before_usd,
        after_usd=plan.after_usd,
        gap_ratio=plan.gap_ratio,
    )
    with writing(parts.engine) as connection:
        if records.find_plan(connection, plan.plan) is None:
            records.record_plan(connection, plan)
            ledger.append(connection, event, now=parts.clock.now())
    record_verdicts(parts, plan, verdicts)


def _finish(parts: Parts, cycle: Cycle, result: CycleResult) -> None:
    acted, now = result.acted, parts.clock.now()
    event = CycleFinished(
        cycle=cycle.cycle,
        plan=result.plan.plan,
        lines=len(result.plan.lines),
        proposed=acted.proposed,
        bought=acted.bought,
        refused=acted.refused,
    )
    summary = {**asdict(acted), "plan": result.plan.plan, "lines": len(result.plan.lines)}
    with writing(parts.engine) as connection:
        records.finish_cycle(connection, cycle.cycle, state=RunState.DONE, summary=summary, now=now)
        ledger.append(connection, event, now=now)


def _fail(parts: Parts, cycle: Cycle, error: Exception) -> None:
    now = parts.clock.now()
    event = CycleFailed(cycle=cycle.cycle, error=type(error).__name__, detail=str(error))
    with writing(parts.engine) as connection:
        records.finish_cycle(
            connection,
            cycle.cycle,
            state=RunState.FAILED,
            summary={"error": event.error, "detail": event.detail},
            now=now,
        )
        ledger.append(connection, event, now=now)
