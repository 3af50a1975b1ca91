"""Read-only routes over what the store holds: cycles, plans, commitments, audit, policies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime
from sqlalchemy import select

from service.api import models, reads, reads_plans
from service.api.context import Allowed, Context
from service.api.cursor import next_link
from service.api.problems import Kind, ProblemError, documented
from service.api.reads import AuditFilter, CommitmentFilter, Slice
from service.api.shapes import LIMIT, STORABLE, Answer, Instant, Item, Limit, Page
from service.domain.commitments import CommitmentState
from service.domain.commitments import Kind as CommitmentKind
from service.domain.plans import PlanStatus
from service.store import schema
from service.store.engine import reading
from service.store.states import Origin, RunState

LimitQuery = Annotated[Limit, Query()]
CursorQuery = Annotated[
    str | None, Query(max_length=1000, description="from the `next` of the page before")
]
Identifier = Annotated[str, Path(min_length=1, max_length=200, pattern=STORABLE)]

Named = Annotated[str | None, Query(max_length=200, pattern=STORABLE)]
"""A filter by a name or id, exactly as it is."""
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Until = Annotated[
    AwareDatetime | None,
    Query(ge=_FIRST, lt=_LAST, examples=["2026-03-02T06:00:00Z"], description="ISO 8601, zoned"),
]

READ_PROBLEMS = documented(
    Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.INVALID, Kind.NOT_READY, Kind.INTERNAL
)
READ_ONE_PROBLEMS = documented(
    Kind.UNAUTHENTICATED,
    Kind.FORBIDDEN,
    Kind.NOT_FOUND,
    Kind.INVALID,
    Kind.NOT_READY,
    Kind.INTERNAL,
)


def paged(request: Request, response: Response, found: Slice[Item], limit: int) -> Page[Item]:
    """A slice as the API's page, its ``next`` (same filters and order) also as a ``Link``."""
    if found.cursor is None:
        return Page(items=list(found.items), next=None)
    filters = {
        name: value
        for name, value in request.query_params.items()
        if name not in {"limit", "cursor"}
    }
    link = next_link(request.url.path, limit=limit, cursor=found.cursor, filters=filters)
    response.headers["Link"] = f'<{link}>; rel="next"'
    return Page(items=list(found.items), next=link)


def list_cycles(
    *,
    request: Request,
    response: Response,
    context: Context,
    _caller: Allowed,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
    sort: Literal["-due_at", "due_at"] = "-due_at",
    state: RunState | None = None,
) -> Page[models.Cycle]:
    """Decision cycles, newest first unless sorted otherwise."""
    wanted = None if state is None else state.value
    with reading(context.engine) as connection:
        found = reads.cycles(connection, limit=limit, cursor=cursor, state=wanted, sort=sort)
    return paged(request, response, found, limit)


def read_cycle(context: Context, _caller: Allowed, cycle_id: Identifier) -> models.Cycle:
    """One decision cycle."""
    with reading(context.engine) as connection:
        found = reads.cycle(connection, cycle_id)
    if found is None:
        raise ProblemError(Kind.NOT_FOUND, f"There is no cycle {cycle_id}.")
    return found


def list_plans(
    *,
    request: Request,
    response: Response,
    context: Context,
    _caller: Allowed,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
    sort: Literal["-decided_at", "decided_at"] = "-decided_at",
    cycle: Named = None,
    status: PlanStatus | None = None,
) -> Page[models.PlanSummary]:
    """Plans in short, newest first unless sorted otherwise; of one cycle or status where given."""
    wanted = None if status is None else status.value
    with reading(context.engine) as connection:
        found = reads_plans.plans(
            connection, limit=limit, cursor=cursor, cycle=cycle, status=wanted, sort=sort
        )
    return paged(request, response, found, limit)


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
    request: Request,
    response: Response,
    context: Context,
    caller: Allowed,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
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
        accounts=caller.accounts,
    )
    with reading(context.engine) as connection:
        found = reads.commitments(connection, limit=limit, cursor=cursor, wanted=wanted, sort=sort)
    return paged(request, response, found, limit)


def list_audit(
    *,
    request: Request,
    response: Response,
    context: Context,
    _caller: Allowed,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
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
    with reading(context.engine) as connection:
        found = reads.audit(connection, limit=limit, cursor=cursor, wanted=wanted, sort=sort)
    return paged(request, response, found, limit)


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
