"""What a headless demo came to: Tenor's own books beside the sandbox's."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select

from service.domain.commitments import CommitmentState
from service.domain.plans import Decision
from service.domain.purchases import IntentState, is_part_of
from service.report.render import print_table
from service.sandbox.estate import Estate
from service.store import holdings, schema
from service.store.engine import reading
from service.store.states import RunState
from service.wiring import Parts


def result_of(parts: Parts, estate: Estate, *, days: int) -> dict[str, object]:
    """The object of ``tenor demo --once``; dollars and ratios are the sandbox's own bill.

    ``sandbox_commitments_active`` and ``double_purchases`` are the sandbox's count, everything
    about cycles, purchases and proposals is Tenor's ledger.
    """
    totals = estate.totals()
    with reading(parts.engine) as connection:
        counted = connection.execute(
            select(schema.intents.c.state, func.count()).group_by(schema.intents.c.state)
        )
        states = {str(state): int(count) for state, count in counted}
        listed = holdings.inventory(connection)
        refusals = connection.execute(
            select(func.count())
            .select_from(schema.verdicts)
            .where(schema.verdicts.c.decision == Decision.REFUSE.value)
        ).scalar_one()
        cycles = connection.execute(
            select(func.count())
            .select_from(schema.cycles)
            .where(schema.cycles.c.state == RunState.DONE.value)
        ).scalar_one()
        failed = connection.execute(
            select(func.count())
            .select_from(schema.job_runs)
            .where(schema.job_runs.c.state == RunState.FAILED.value)
        ).scalar_one()
        proposals = connection.execute(
            select(func.count()).select_from(schema.proposals)
        ).scalar_one()
    covered = totals.on_demand_equivalent_usd - totals.on_demand_usd
    return {
        "days": days,
        "cycles": cycles,
        "purchases": states.get(IntentState.BOUGHT.value, 0),
        "proposals": proposals,
        "double_purchases": estate.double_purchases(),
        "guardrail_refusals": refusals,
        "commitments_active": sum(
            item.commitment.state is CommitmentState.ACTIVE
            and not any(is_part_of(item, other) for other in listed)
            for item in listed
        ),
        "sandbox_commitments_active": estate.commitments_active(),
        "on_demand_equivalent_usd": totals.on_demand_equivalent_usd,
        "total_usd": totals.total_usd,
        "effective_savings_rate": round(totals.effective_savings_rate, 9),
        "coverage_ratio": round(covered / totals.on_demand_equivalent_usd, 9),
        "utilization_ratio": round(
            totals.used_usd / totals.commitment_usd if totals.commitment_usd else covered * 0, 9
        ),
        "unknown_outcomes_open": sum(
            states.get(state.value, 0) for state in (IntentState.UNKNOWN, IntentState.CALLING)
        ),
        "jobs_failed": failed,
        "answers_lost": sum(sum(script.struck.values()) for script in estate.faults.values()),
    }


def unsound(result: Mapping[str, object]) -> list[str]:
    """What must not be in a result, in words: nothing when the run is sound."""
    zeros = ("double_purchases", "unknown_outcomes_open", "jobs_failed")
    faults = [f"{name} is {result[name]}" for name in zeros if result[name]]
    ours, theirs = result["commitments_active"], result["sandbox_commitments_active"]
    if ours != theirs:
        faults.append(f"the ledger has {ours} active commitments, the sandbox {theirs}")
    if not result["cycles"]:
        faults.append("no cycle was finished")
    return faults


def print_result(result: Mapping[str, object]) -> None:
    """The result for people."""
    print_table(
        "The demo, in simulated days",
        ("what", "value"),
        [(name.replace("_", " "), value) for name, value in result.items()],
    )
