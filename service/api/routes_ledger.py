"""Read-only routes over what the store holds: cycles, plans, commitments, audit, policies."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import select

from service.api import models, reads, reads_plans
from service.api.context import Context, Reader
from service.api.cursor import next_link
from service.api.problems import Kind, ProblemError, documented
from service.api.reads import Slice
from service.api.shapes import LIMIT, STORABLE, Answer, Instant, Item, Limit, Page
from service.domain.commitments import CommitmentState
from service.store import schema
from service.store.engine import reading

LimitQuery = Annotated[Limit, Query()]
CursorQuery = Annotated[
    str | None, Query(max_length=1000, description="from the `next` of the page before")
]
Identifier = Annotated[str, Path(min_length=1, max_length=200, pattern=STORABLE)]

READ_PROBLEMS = documented(Kind.UNAUTHENTICATED, Kind.INVALID, Kind.INTERNAL)
READ_ONE_PROBLEMS = documented(Kind.UNAUTHENTICATED, Kind.NOT_FOUND, Kind.INVALID, Kind.INTERNAL)


def paged(
    request: Request,
    response: Response,
    found: Slice[Item],
    limit: int,
    **filters: str | None,
) -> Page[Item]:
    """A slice as the API's page, its ``next`` also as a ``Link`` header."""
    if found.cursor is None:
        return Page(items=list(found.items), next=None)
    link = next_link(request.url.path, limit=limit, cursor=found.cursor, filters=filters)
    response.headers["Link"] = f'<{link}>; rel="next"'
    return Page(items=list(found.items), next=link)


def list_cycles(
    *,
    request: Request,
    response: Response,
    context: Context,
    _caller: Reader,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
) -> Page[models.Cycle]:
    """Decision cycles, newest first."""
    with reading(context.engine) as connection:
        found = reads.cycles(connection, limit=limit, cursor=cursor)
    return paged(request, response, found, limit)


def read_cycle(context: Context, _caller: Reader, cycle_id: Identifier) -> models.Cycle:
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
    _caller: Reader,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
    cycle: Annotated[str | None, Query(max_length=200, pattern=STORABLE)] = None,
) -> Page[models.PlanSummary]:
    """Plans in short, newest first; those of one cycle where `cycle` is given."""
    with reading(context.engine) as connection:
        found = reads_plans.plans(connection, limit=limit, cursor=cursor, cycle=cycle)
    return paged(request, response, found, limit, cycle=cycle)


def read_plan(context: Context, _caller: Reader, plan_id: Identifier) -> models.PlanDetail:
    """One plan, whole, with the policy's verdict on each line."""
    with reading(context.engine) as connection:
        found = reads_plans.plan(connection, plan_id)
    if found is None:
        raise ProblemError(Kind.NOT_FOUND, f"There is no plan {plan_id}.")
    return found


def list_commitments(
    *,
    request: Request,
    response: Response,
    context: Context,
    _caller: Reader,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
    state: CommitmentState | None = None,
) -> Page[models.Commitment]:
    """Commitments as the provider listed them last, those that appeared last first."""
    wanted = state.value if state is not None else None
    with reading(context.engine) as connection:
        found = reads.commitments(connection, limit=limit, cursor=cursor, state=wanted)
    return paged(request, response, found, limit, state=wanted)


def list_audit(
    *,
    request: Request,
    response: Response,
    context: Context,
    _caller: Reader,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
    kind: Annotated[
        str | None, Query(max_length=60, pattern=STORABLE, examples=["purchase.bought"])
    ] = None,
) -> Page[models.AuditEvent]:
    """What happened, newest first: the append-only, hash-chained ledger."""
    with reading(context.engine) as connection:
        found = reads.audit(connection, limit=limit, cursor=cursor, kind=kind)
    return paged(request, response, found, limit, kind=kind)


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


def read_policies(context: Context, _caller: Reader) -> Policies:
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
        responses=documented(Kind.UNAUTHENTICATED, Kind.NOT_READY, Kind.INTERNAL),
    )
    return routes
