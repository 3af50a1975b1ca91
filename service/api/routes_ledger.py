"""Read-only routes over what the store holds: cycles, plans, commitments, audit, policies."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from sqlalchemy import select

from service.api import models, reads, reads_plans
from service.api.context import Allowed, Context
from service.api.listing import (
    READ_ONE_PROBLEMS,
    READ_PROBLEMS,
    Identifier,
    Listing,
    Named,
    Until,
)
from service.api.problems import Kind, ProblemError
from service.api.reads import AuditFilter, CommitmentFilter
from service.api.shapes import STORABLE, Answer, Instant, Page
from service.domain.commitments import CommitmentState
from service.domain.commitments import Kind as CommitmentKind
from service.domain.plans import PlanStatus
from service.store import schema
from service.store.engine import reading
from service.store.states import Origin, RunState


def list_cycles(
    *,
    listing: Listing,
    sort: Literal["-due_at", "due_at"] = "-due_at",
    state: RunState | None = None,
) -> Page[models.Cycle]:
    """Decision cycles, newest first unless sorted otherwise."""
    wanted = None if state is None else state.value
    return listing.page(partial(reads.cycles, state=wanted, sort=sort))


def read_cycle(context: Context, _caller: Allowed, cycle_id: Identifier) -> models.Cycle:
    """One decision cycle."""
    with reading(context.engine) as connection:
        found = reads.cycle(connection, cycle_id)
    if found is None:
        raise ProblemError(Kind.NOT_FOUND, f"There is no cycle {cycle_id}.")
    return found


def list_plans(
    *,
    listing: Listing,
    sort: Literal["-decided_at", "decided_at"] = "-decided_at",
    cycle: Named = None,
    status: PlanStatus | None = None,
) -> Page[models.PlanSummary]:
    """Plans in short, newest first unless sorted otherwise; of one cycle or status where given."""
    wanted = None if status is None else status.value
    return listing.page(partial(reads_plans.plans, cycle=cycle, status=wanted, sort=sort))


def read_plan(context: Context, _caller: Allowed, plan_id: Identifier) -> models.PlanDetail:
    """One plan, whole, with the policy's verdict on each line."""
    with reading(context.engine) as connection:
        found = reads_plans.plan(connection, plan_id)
    if found is None:
        raise ProblemError(Kind.NOT_FOUND, f"There is no plan {plan_id}.")
    return found


CommitmentSort = Literal[
    "-first_seen_at",
    "first_seen_at",
    "start_at",
    "-start_at",
    "end_at",
    "-end_at",
    "commit_usd_per_hour",
    "-commit_usd_per_hour",
]


def list_commitments(
    *,
    listing: Listing,
    sort: CommitmentSort = "-first_seen_at",
    state: CommitmentState | None = None,
    provider: Named = None,
    account: Named = None,
    kind: CommitmentKind | None = None,
    region: Named = None,
    family: Named = None,
    origin: Origin | None = None,
    ends_before: Until = None,
) -> Page[models.Commitment]:
    """Commitments as the provider listed them last; by default those that appeared last first."""
    wanted = CommitmentFilter(
        state=None if state is None else state.value,
        provider=provider,
        account=account,
        kind=None if kind is None else kind.value,
        region=region,
        family=family,
        origin=None if origin is None else origin.value,
        ends_before=ends_before,
        accounts=listing.caller.accounts,
    )
    return listing.page(partial(reads.commitments, wanted=wanted, sort=sort))


def list_audit(
    *,
    listing: Listing,
    sort: Literal["-sequence", "sequence"] = "-sequence",
    kind: Annotated[
        str | None, Query(max_length=60, pattern=STORABLE, examples=["purchase.bought"])
    ] = None,
    actor: Named = None,
    proposal: Named = None,
    intent: Named = None,
    since: Until = None,
    until: Until = None,
) -> Page[models.AuditEvent]:
    """What happened, newest first: the append-only, hash-chained ledger."""
    wanted = AuditFilter(kind, actor, proposal, intent, since, until)
    return listing.page(partial(reads.audit, wanted=wanted, sort=sort))


class PolicySeen(Answer):
    """A policy that was in force at some time."""

    digest: str
    first_seen_at: Instant
    last_seen_at: Instant


class Policies(Answer):
    """The policy in force, and those before it, newest first."""

    name: str
    digest: str
    mode: str
    text: str
    seen: list[PolicySeen]


def read_policies(context: Context, _caller: Allowed) -> Policies:
    """The policy in force as its file says it, and the digests of those seen before."""
    current = context.policy_source()
    table = schema.policies
    with reading(context.engine) as connection:
        rows = connection.execute(
            select(table.c.digest, table.c.first_seen_at, table.c.last_seen_at)
            .order_by(table.c.last_seen_at.desc())
            .limit(50)
        ).all()
    return Policies(
        name=current.policy.name,
        digest=current.policy.digest,
        mode=current.policy.mode.value,
        text=current.text,
        seen=[
            PolicySeen(
                digest=row.digest,
                first_seen_at=row.first_seen_at,
                last_seen_at=row.last_seen_at,
            )
            for row in rows
        ],
    )


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter()
    add = routes.add_api_route
    add("/v1/cycles", list_cycles, tags=["decisions"], responses=READ_PROBLEMS)
    add("/v1/cycles/{cycle_id}", read_cycle, tags=["decisions"], responses=READ_ONE_PROBLEMS)
    add("/v1/plans", list_plans, tags=["decisions"], responses=READ_PROBLEMS)
    add("/v1/plans/{plan_id}", read_plan, tags=["decisions"], responses=READ_ONE_PROBLEMS)
    add("/v1/commitments", list_commitments, tags=["estate"], responses=READ_PROBLEMS)
    add("/v1/audit", list_audit, tags=["audit"], responses=READ_PROBLEMS)
    add(
        "/v1/policies",
        read_policies,
        tags=["policy"],
        responses=READ_PROBLEMS,
    )
    return routes
