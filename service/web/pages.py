"""The pages that only read: overview, proposals, commitments, cycles and plans, policy, audit."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import select
from starlette.staticfiles import StaticFiles

from service.api import reads, reads_plans
from service.api.context import app_context
from service.api.cursor import next_link
from service.api.deciding import people_for
from service.api.problems import Kind, ProblemError
from service.api.reads import AuditFilter, CommitmentFilter
from service.api.reads_plans import ProposalFilter
from service.api.routes_ledger import Identifier
from service.api.shapes import STORABLE
from service.api.status import OWNED, policy_state, read_status
from service.domain.errors import InputError
from service.domain.purchases import ProposalState
from service.observe.events import CATALOGUE
from service.store import schema
from service.store.engine import reading
from service.store.states import Role
from service.web import forms, sign_in
from service.web.frame import ReadingVisitor, WholeVisitor, error_page, keep_templates
from service.web.render import STATIC, environment

ROWS = 50
CYCLE_JOBS = "cycle"
Cursor = Annotated[str | None, Query(max_length=1000)]


def overview(visitor: ReadingVisitor) -> HTMLResponse:
    """What Tenor does, may do, did, and owns."""
    context = visitor.context
    with reading(context.engine) as connection:
        status = read_status(connection, context, accounts=visitor.accounts)
        table = schema.commitments
        ladder = connection.execute(
            select(table.c.end_at, table.c.commit_usd_per_hour).where(
                table.c.state.in_(OWNED),
                table.c.vanished_at.is_(None),
                *reads.within_accounts(table.c.account, visitor.accounts),
            )
        ).all()
    cycles = [job for job in status.jobs if job.name.startswith(CYCLE_JOBS)]
    next_cycle = min(cycles, key=lambda job: str(job.next_due_at or ""), default=None)
    return visitor.page(
        "overview.html",
        {
            "status": status,
            "ladder": [(end, commit) for end, commit in ladder],
            "next_cycle": next_cycle,
        },
        live=True,
    )


def proposals(
    visitor: ReadingVisitor, state: ProposalState | None = None, cursor: Cursor = None
) -> HTMLResponse:
    """Proposals, newest first."""
    wanted = state.value if state is not None else None
    with reading(visitor.context.engine) as connection:
        page = reads_plans.proposals(
            connection,
            limit=ROWS,
            cursor=cursor,
            wanted=ProposalFilter(state=wanted, accounts=visitor.accounts),
            people=people_for(visitor.context),
        )
    return visitor.page(
        "proposals.html",
        {"page": page, "wanted": wanted, "older": _older("/proposals", page.cursor, state=wanted)},
        live=cursor is None,
    )


def proposal(visitor: ReadingVisitor, proposal_id: Identifier) -> HTMLResponse:
    """One proposal, and the forms to decide it."""
    with reading(visitor.context.engine) as connection:
        found = reads_plans.proposal_detail(
            connection, proposal_id, people=people_for(visitor.context)
        )
    if found is None or not visitor.sees(found.line.account):
        raise ProblemError(Kind.NOT_FOUND, f"There is no proposal {proposal_id}.")
    return visitor.page(
        "proposal.html", {"proposal": found, "may_decide": visitor.may(Role.APPROVER)}
    )


def commitments(visitor: ReadingVisitor, cursor: Cursor = None) -> HTMLResponse:
    """What is owned, or was."""
    with reading(visitor.context.engine) as connection:
        page = reads.commitments(
            connection,
            limit=ROWS,
            cursor=cursor,
            wanted=CommitmentFilter(accounts=visitor.accounts),
        )
    return visitor.page(
        "commitments.html",
        {"page": page, "older": _older("/commitments", page.cursor)},
        live=cursor is None,
    )


def cycles(
    visitor: WholeVisitor, cursor: Cursor = None, plans_cursor: Cursor = None
) -> HTMLResponse:
    """Decision cycles and the plans that they came to."""
    with reading(visitor.context.engine) as connection:
        plans = reads_plans.plans(connection, limit=ROWS, cursor=plans_cursor)
        found = reads.cycles(connection, limit=ROWS, cursor=cursor)
    older_plans = None
    if plans.cursor is not None:
        older_plans = "/cycles?plans_cursor=" + plans.cursor
    return visitor.page(
        "cycles.html",
        {
            "plans": plans,
            "cycles": found,
            "older_plans": older_plans,
            "older_cycles": _older("/cycles", found.cursor),
        },
        live=cursor is None and plans_cursor is None,
    )


def plan(visitor: WholeVisitor, plan_id: Identifier) -> HTMLResponse:
    """One plan, whole."""
    with reading(visitor.context.engine) as connection:
        found = reads_plans.plan(connection, plan_id)
    if found is None:
        raise ProblemError(Kind.NOT_FOUND, f"There is no plan {plan_id}.")
    return visitor.page("plan.html", {"plan": found})


def policy(visitor: WholeVisitor) -> HTMLResponse:
    """The policy in force, as its file says it."""
    try:
        text = visitor.context.policy_source().text
    except InputError:
        text = ""
    return visitor.page("policy.html", {"policy": policy_state(visitor.context), "text": text})


def audit(
    visitor: WholeVisitor,
    kind: Annotated[str | None, Query(max_length=60, pattern=STORABLE)] = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """The ledger of what happened."""
    wanted = kind or None
    with reading(visitor.context.engine) as connection:
        page = reads.audit(connection, limit=ROWS, cursor=cursor, wanted=AuditFilter(kind=wanted))
    return visitor.page(
        "audit.html",
        {
            "page": page,
            "wanted": wanted,
            "kinds": sorted(CATALOGUE),
            "older": _older("/audit", page.cursor, kind=wanted),
        },
    )


def api_docs(visitor: ReadingVisitor) -> HTMLResponse:
    """The API's routes, from its own description; no script, nothing from elsewhere."""
    return visitor.page("docs.html", {"document": visitor.request.app.openapi()})


def _older(path: str, cursor: str | None, **filters: str | None) -> str | None:
    if cursor is None:
        return None
    kept = {name: value for name, value in filters.items() if value is not None}
    return next_link(path, limit=ROWS, cursor=cursor, filters=kept)


def mount_pages(app: FastAPI) -> None:
    """Add the pages, their forms and their static files to ``app``."""
    keep_templates(app.state, environment())
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    for path, handler in (
        ("/", overview),
        ("/proposals", proposals),
        ("/proposals/{proposal_id}", proposal),
        ("/commitments", commitments),
        ("/cycles", cycles),
        ("/plans/{plan_id}", plan),
        ("/policy", policy),
        ("/audit", audit),
        ("/docs", api_docs),
    ):
        routes.add_api_route(path, handler, methods=["GET"], response_model=None)
    app.include_router(routes)
    app.include_router(forms.router())
    app.include_router(sign_in.router())
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def page_for(request: Request, error: Exception) -> Response | None:
    """The error as a page for a browser, a redirect to sign in, or ``None`` for a program."""
    return error_page(app_context, request, error)
