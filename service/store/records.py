"""Decides how cycles, plans, verdicts, policies and prices are written down and read back.

Small explicit functions on a connection; the transaction is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.domain.errors import InvariantError
from service.domain.ids import CycleId, LineId, PlanId
from service.domain.plans import Plan, PlanLine, Verdict
from service.store.codec import from_document, to_document
from service.store.schema import cycles, plan_lines, plans, policies, prices, reports, verdicts
from service.store.states import RunState, VerdictStage


def start_cycle(
    connection: Connection, cycle: CycleId, *, schedule: str, due_at: datetime, now: datetime
) -> None:
    """Write that a decision cycle began. One that is resumed or retried keeps its first start."""
    known = connection.execute(
        select(cycles.c.state).where(cycles.c.cycle_id == cycle)
    ).scalar_one_or_none()
    if known is not None:
        if known == RunState.DONE.value:
            msg = f"cycle {cycle} is {known} and cannot start again"
            raise InvariantError(msg)
        connection.execute(
            update(cycles)
            .where(cycles.c.cycle_id == cycle)
            .values(state=RunState.STARTED.value, finished_at=None, summary={})
        )
        return
    connection.execute(
        insert(cycles).values(
            cycle_id=cycle,
            schedule=schedule,
            due_at=due_at,
            state=RunState.STARTED.value,
            started_at=now,
            summary={},
        )
    )


def finish_cycle(
    connection: Connection,
    cycle: CycleId,
    *,
    state: RunState,
    summary: Mapping[str, object],
    now: datetime,
) -> None:
    """Write how a cycle ended. ``summary`` holds no floats; amounts are decimal text."""
    changed = connection.execute(
        update(cycles)
        .where(cycles.c.cycle_id == cycle, cycles.c.state == RunState.STARTED.value)
        .values(state=state.value, finished_at=now, summary=summary)
    ).rowcount
    if changed != 1:
        msg = f"cycle {cycle} is not running and cannot become {state}"
        raise InvariantError(msg)


def record_plan(connection: Connection, plan: Plan) -> None:
    """Write a plan and its lines; its cycle must be written already."""
    connection.execute(
        insert(plans).values(
            plan_id=plan.plan,
            cycle_id=plan.cycle,
            decided_at=plan.decided_at,
            status=plan.status.value,
            before_usd=plan.before_usd,
            after_usd=plan.after_usd,
            lower_bound_usd=plan.lower_bound_usd,
            usage_digest=plan.inputs.usage_digest,
            prices_digest=plan.inputs.prices_digest,
            commitments_digest=plan.inputs.commitments_digest,
            policy_digest=plan.inputs.policy_digest,
            document=to_document(plan),
        )
    )
    rows = [
        {
            "plan_id": plan.plan,
            "line_id": line.line,
            "position": position,
            "provider": line.provider,
            "account": line.account,
            "kind": line.kind.value,
            "offering": line.offering,
            "quantity": line.quantity,
            "commit_usd_per_hour": line.commit_usd_per_hour,
            "upfront_usd": line.upfront_usd,
            "total_usd": line.total_usd,
            "document": to_document(line),
        }
        for position, line in enumerate(plan.lines)
    ]
    if rows:
        connection.execute(insert(plan_lines), rows)


def find_plan(connection: Connection, plan: PlanId) -> Plan | None:
    """One plan, whole, or ``None``."""
    document = connection.execute(
        select(plans.c.document).where(plans.c.plan_id == plan)
    ).scalar_one_or_none()
    return None if document is None else from_document(Plan, document)


def planned_line(connection: Connection, plan: PlanId, line: LineId) -> PlanLine | None:
    """One line of a plan as it was decided, or ``None``."""
    document = connection.execute(
        select(plan_lines.c.document).where(
            plan_lines.c.plan_id == plan, plan_lines.c.line_id == line
        )
    ).scalar_one_or_none()
    return None if document is None else from_document(PlanLine, document)


def plan_of_cycle(connection: Connection, cycle: CycleId) -> Plan | None:
    """The newest plan of a cycle: what a resumed cycle goes on with."""
    document = connection.execute(
        select(plans.c.document)
        .where(plans.c.cycle_id == cycle)
        .order_by(plans.c.decided_at.desc(), plans.c.plan_id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return None if document is None else from_document(Plan, document)


def plans_of_run(connection: Connection, cycle: CycleId) -> frozenset[PlanId]:
    """The plans of every provider's cycle that was due at the same instant: one run, for caps."""
    due_at = select(cycles.c.due_at).where(cycles.c.cycle_id == cycle).scalar_subquery()
    query = (
        select(plans.c.plan_id)
        .join(cycles, cycles.c.cycle_id == plans.c.cycle_id)
        .where(cycles.c.due_at == due_at)
    )
    return frozenset(PlanId(one) for one in connection.execute(query).scalars())


def decided_at(connection: Connection, plan: PlanId) -> datetime:
    """When a stored plan was decided."""
    instant: datetime = connection.execute(
        select(plans.c.decided_at).where(plans.c.plan_id == plan)
    ).scalar_one()
    return instant


def newest_plan(connection: Connection, *, since: datetime, provider: str) -> Plan | None:
    """The plan decided last on ``provider``'s usage, if that was at or after ``since``."""
    documents = connection.execute(
        select(plans.c.document)
        .where(plans.c.decided_at >= since)
        .order_by(plans.c.decided_at.desc(), plans.c.plan_id.desc())
    ).scalars()
    found = (from_document(Plan, document) for document in documents)
    return next((plan for plan in found if plan.inputs.provider == provider), None)


def record_verdict(
    connection: Connection, plan: PlanId, verdict: Verdict, *, stage: VerdictStage, now: datetime
) -> None:
    """Write what the guard said of one line, and when in the line's life it was asked."""
    connection.execute(
        insert(verdicts).values(
            plan_id=plan,
            line_id=verdict.line,
            stage=stage.value,
            decision=verdict.decision.value,
            judged_at=now,
            document=to_document(verdict),
        )
    )


def verdicts_of(
    connection: Connection, plan: PlanId, *, stage: VerdictStage
) -> tuple[Verdict, ...]:
    """The guard's words on a plan's lines at ``stage``, oldest first."""
    query = (
        select(verdicts.c.document)
        .where(verdicts.c.plan_id == plan, verdicts.c.stage == stage.value)
        .order_by(verdicts.c.verdict_id)
    )
    return tuple(from_document(Verdict, row) for row in connection.execute(query).scalars())


def see_policy(connection: Connection, *, digest: str, body: str, now: datetime) -> str | None:
    """Keep a policy's text under its digest; returns the digest in force before, if another."""
    newest = select(policies.c.digest).order_by(policies.c.last_seen_at.desc()).limit(1)
    previous = connection.execute(newest).scalar_one_or_none()
    changed = connection.execute(
        update(policies).where(policies.c.digest == digest).values(last_seen_at=now)
    ).rowcount
    if changed == 0:
        connection.execute(
            insert(policies).values(digest=digest, body=body, first_seen_at=now, last_seen_at=now)
        )
    return None if previous == digest else previous


def policy_text(connection: Connection, digest: str) -> str | None:
    """The text of a policy that was in force, or ``None``."""
    query = select(policies.c.body).where(policies.c.digest == digest)
    return connection.execute(query).scalar_one_or_none()


def keep_prices(
    connection: Connection,
    *,
    digest: str,
    provider: str,
    taken_at: datetime,
    document: Mapping[str, object],
) -> bool:
    """Keep a price snapshot under its digest; ``False`` when it is there already."""
    query = select(prices.c.digest).where(prices.c.digest == digest)
    if connection.execute(query).scalar_one_or_none() is not None:
        return False
    connection.execute(
        insert(prices).values(
            digest=digest, provider=provider, taken_at=taken_at, document=document
        )
    )
    return True


def find_prices(connection: Connection, digest: str) -> dict[str, Any] | None:
    """A price snapshot, or ``None``."""
    query = select(prices.c.document).where(prices.c.digest == digest)
    return connection.execute(query).scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class ReportRow:
    """What a subject (a plan, or ``all``) was promised to save in a period, and what it saved.

    Dollars over ``[period_start, period_end)``, net of waste, against on demand.
    """

    report: str
    subject: str
    period_start: datetime
    period_end: datetime
    promised_usd: Decimal
    promised_low_usd: Decimal
    promised_high_usd: Decimal
    realised_usd: Decimal
    made_at: datetime
    document: Mapping[str, Any]


def record_report(connection: Connection, report: ReportRow) -> None:
    """Write a report; a later one on the same subject and period takes its place."""
    values = {field: getattr(report, field) for field in ReportRow.__slots__ if field != "report"}
    same = (
        (reports.c.subject == report.subject)
        & (reports.c.period_start == report.period_start)
        & (reports.c.period_end == report.period_end)
    )
    if connection.execute(update(reports).where(same).values(**values)).rowcount == 0:
        connection.execute(insert(reports).values(report_id=report.report, **values))


def reports_since(connection: Connection, start: datetime) -> tuple[ReportRow, ...]:
    """Reports on periods that begin at or after ``start``, oldest first."""
    query = (
        select(reports)
        .where(reports.c.period_start >= start)
        .order_by(reports.c.period_start, reports.c.report_id)
    )
    return tuple(
        ReportRow(
            report=row["report_id"],
            **{field: row[field] for field in ReportRow.__slots__ if field != "report"},
        )
        for row in connection.execute(query).mappings()
    )
