"""The API's own reads of decisions: plans with their verdicts, proposals with what became of them.

Documents in the store are the domain's values, written by ``store.codec``; they are shown as they
stand, never computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from service.api import models
from service.api.reads import Slice, ordering, page_of, within_accounts
from service.domain.plans import PlanLine
from service.guard.context import term_hours
from service.store import api_tables, schema
from service.store.codec import from_document
from service.store.states import VerdictStage

People = Callable[[PlanLine], int]
"""How many people must approve a line."""


def plans(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    cycle: str | None = None,
    status: str | None = None,
    sort: str = "-decided_at",
) -> Slice[models.PlanSummary]:
    """Plans by the instant that they were decided."""
    lines = (
        select(func.count())
        .where(schema.plan_lines.c.plan_id == schema.plans.c.plan_id)
        .scalar_subquery()
    )
    query = select(schema.plans, lines.label("line_count"))
    if cycle is not None:
        query = query.where(schema.plans.c.cycle_id == cycle)
    if status is not None:
        query = query.where(schema.plans.c.status == status)
    order = ordering("plans", sort, [schema.plans.c.decided_at], "plan_id")
    found = page_of(connection, query, order, limit=limit, cursor=cursor)
    return Slice(tuple(_summary(row) for row in found.items), found.cursor)


def _summary(row: Row[Any]) -> models.PlanSummary:
    return models.PlanSummary(
        id=row.plan_id,
        cycle=row.cycle_id,
        decided_at=row.decided_at,
        status=row.status,
        before_usd=row.before_usd,
        after_usd=row.after_usd,
        lower_bound_usd=row.lower_bound_usd,
        lines=row.line_count,
    )


def plan(connection: Connection, plan_id: str) -> models.PlanDetail | None:
    """One plan, with the verdicts that its lines were given when they were proposed."""
    row = connection.execute(
        select(schema.plans.c.document).where(schema.plans.c.plan_id == plan_id)
    ).one_or_none()
    if row is None:
        return None
    judged = connection.execute(
        select(schema.verdicts.c.document)
        .where(
            schema.verdicts.c.plan_id == plan_id,
            schema.verdicts.c.stage == VerdictStage.PROPOSAL.value,
        )
        .order_by(schema.verdicts.c.verdict_id)
    )
    return models.PlanDetail.model_validate(
        {
            **row.document,
            "id": row.document["plan"],
            "verdicts": [verdict.document for verdict in judged],
        }
    )


def _proposal_query() -> Select[Any]:
    line = schema.plan_lines
    intent = schema.intents
    return (
        select(
            schema.proposals,
            line.c.document.label("line_document"),
            line.c.commit_usd_per_hour,
            api_tables.holds.c.held_until,
            intent.c.intent_id,
            intent.c.state.label("intent_state"),
            intent.c.commitment_id,
            intent.c.recorded_at,
            intent.c.updated_at,
            intent.c.detail.label("intent_detail"),
        )
        .join(
            line,
            (line.c.plan_id == schema.proposals.c.plan_id)
            & (line.c.line_id == schema.proposals.c.line_id),
        )
        .outerjoin(intent, intent.c.proposal_id == schema.proposals.c.proposal_id)
        .outerjoin(
            api_tables.holds, api_tables.holds.c.proposal_id == schema.proposals.c.proposal_id
        )
    )


@dataclass(frozen=True, slots=True)
class ProposalFilter:
    """Which proposals are wanted; ``None`` for any. ``accounts`` is what the caller may see."""

    state: str | None = None
    plan: str | None = None
    provider: str | None = None
    account: str | None = None
    kind: str | None = None
    expires_before: datetime | None = None
    accounts: frozenset[str] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as conditions on proposals and their lines."""
        table, line = schema.proposals.c, schema.plan_lines.c
        named = (
            (table.state, self.state),
            (table.plan_id, self.plan),
            (line.provider, self.provider),
            (line.account, self.account),
            (line.kind, self.kind),
        )
        found = [column == value for column, value in named if value is not None]
        if self.expires_before is not None:
            found.append(table.expires_at < self.expires_before)
        return [*found, *within_accounts(line.account, self.accounts)]


def proposals(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    wanted: ProposalFilter | None = None,
    sort: str = "-created_at",
    people: People | None = None,
) -> Slice[models.Proposal]:
    """Proposals by the instant that they were made; ``people`` as in ``proposal``."""
    query = _proposal_query().where(*(wanted or ProposalFilter()).conditions())
    table, line = schema.proposals.c, schema.plan_lines.c
    columns = [table.created_at, table.expires_at]
    order = ordering("proposals", sort, [*columns, line.commit_usd_per_hour], "proposal_id")
    found = page_of(connection, query, order, limit=limit, cursor=cursor)
    given = _approvals(connection, [row.proposal_id for row in found.items])
    return Slice(
        tuple(_proposal(row, given.get(row.proposal_id, []), people) for row in found.items),
        found.cursor,
    )


def proposal(
    connection: Connection, proposal_id: str, *, people: People | None = None
) -> models.Proposal | None:
    """One proposal; ``people`` says how many must approve it, where a policy does."""
    row = _row(connection, proposal_id)
    if row is None:
        return None
    given = _approvals(connection, [proposal_id])
    return _proposal(row, given.get(proposal_id, []), people)


def proposal_detail(
    connection: Connection, proposal_id: str, *, people: People | None = None
) -> models.ProposalDetail | None:
    """One proposal with its explanation, its futures, and every verdict on it."""
    found = proposal(connection, proposal_id, people=people)
    if found is None:
        return None
    table = schema.plans.c
    inputs = connection.execute(
        select(table.document, table.policy_digest).where(table.plan_id == found.plan)
    ).one()
    spoken = connection.execute(
        select(schema.verdicts.c.document)
        .where(
            schema.verdicts.c.plan_id == found.plan,
            schema.verdicts.c.line_id == found.line.line,
            schema.verdicts.c.stage == VerdictStage.EXECUTION.value,
        )
        .order_by(schema.verdicts.c.verdict_id)
    ).scalars()
    line = found.line
    hours = term_hours(line.term_months)
    return models.ProposalDetail(
        **{name: getattr(found, name) for name in models.Proposal.model_fields},
        explanation=[part.strip() for part in line.reason.split("; ") if part.strip()],
        scenarios=[
            models.Scenario(
                name=name, chance=chance, savings_usd_per_hour=hourly, savings_usd=hourly * hours
            )
            for name, chance, hourly in (
                ("bad", "one in ten is worse", line.expected_savings_low_usd_per_hour),
                ("expected", "the mean of all", line.expected_savings_usd_per_hour),
                ("good", "one in ten is better", line.expected_savings_high_usd_per_hour),
            )
        ],
        loss_usd=max(Decimal(0), -line.expected_savings_low_usd_per_hour * hours),
        waiting_costs_usd_per_day=max(Decimal(0), line.expected_savings_usd_per_hour * 24),
        usage_through=inputs.document["inputs"]["usage_through"],
        policy_digest=inputs.policy_digest,
        execution_verdicts=[models.Verdict.model_validate(one) for one in spoken],
        picture=f"/v1/proposals/{found.id}/picture",
    )


def _row(connection: Connection, proposal_id: str) -> Row[Any] | None:
    query = _proposal_query().where(schema.proposals.c.proposal_id == proposal_id)
    return connection.execute(query).one_or_none()


def _approvals(
    connection: Connection, proposal_ids: Sequence[str]
) -> Mapping[str, list[models.Approval]]:
    table = api_tables.approvals
    query = (
        select(table)
        .where(table.c.proposal_id.in_(proposal_ids))
        .order_by(table.c.approved_at, table.c.person)
    )
    found: dict[str, list[models.Approval]] = {}
    for row in connection.execute(query):
        approval = models.Approval(
            by=row.approved_by,
            at=row.approved_at,
            comment=row.comment,
            version=row.version,
            quantity=row.quantity,
        )
        found.setdefault(row.proposal_id, []).append(approval)
    return found


def _proposal(
    row: Row[Any], approvals: list[models.Approval], people: People | None
) -> models.Proposal:
    document = row.approved_line or row.line_document
    # By the whole that was planned: a part is no way round the second person.
    needed = None if people is None else people(from_document(PlanLine, row.line_document))
    return models.Proposal(
        id=row.proposal_id,
        plan=row.plan_id,
        state=row.state,
        version=row.version,
        created_at=row.created_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        comment=row.comment,
        line=models.Line.model_validate(document),
        planned_quantity=None if row.approved_line is None else row.line_document["quantity"],
        approvals=approvals,
        approvals_needed=needed,
        held_until=row.held_until,
        verdict=models.Verdict.model_validate(row.verdict),
        purchase=_purchase(row),
    )


def _purchase(row: Row[Any]) -> models.Purchase | None:
    if row.intent_id is None:
        return None
    return models.Purchase(
        intent=row.intent_id,
        state=row.intent_state,
        commitment=row.commitment_id,
        recorded_at=row.recorded_at,
        updated_at=row.updated_at,
        detail=row.intent_detail,
    )
