"""The API's own reads of decisions: plans with their verdicts, proposals with what became of them.

Documents in the store are the domain's values, written by ``store.codec``; they are shown as they
stand, never computed again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from service.api import models
from service.api.reads import Ordering, Slice, page_of
from service.domain.purchases import ProposalState
from service.store import schema
from service.store.states import VerdictStage

PLANS = Ordering("plans", "decided_at", "plan_id")
PROPOSALS = Ordering("proposals", "created_at", "proposal_id")


def plans(
    connection: Connection, *, limit: int, cursor: str | None = None, cycle: str | None = None
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
    found = page_of(connection, query, schema.plans, PLANS, limit=limit, cursor=cursor)
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
    )


def proposals(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    state: ProposalState | None = None,
    plan_id: str | None = None,
) -> Slice[models.Proposal]:
    """Proposals by the instant that they were made."""
    query = _proposal_query()
    if state is not None:
        query = query.where(schema.proposals.c.state == state.value)
    if plan_id is not None:
        query = query.where(schema.proposals.c.plan_id == plan_id)
    found = page_of(connection, query, schema.proposals, PROPOSALS, limit=limit, cursor=cursor)
    return Slice(tuple(_proposal(row) for row in found.items), found.cursor)


def proposal(connection: Connection, proposal_id: str) -> models.Proposal | None:
    """One proposal."""
    row = connection.execute(
        _proposal_query().where(schema.proposals.c.proposal_id == proposal_id)
    ).one_or_none()
    return None if row is None else _proposal(row)


def _proposal(row: Row[Any]) -> models.Proposal:
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
        line=models.Line.model_validate(row.line_document),
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
