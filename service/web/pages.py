"""The pages that only read: overview, proposals, cycles and plans. Puts all pages together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from service.api import reads, reads_plans
from service.api.context import app_context
from service.api.cursor import next_link
from service.api.deciding import people_for
from service.api.listing import Identifier
from service.api.problems import Kind, ProblemError
from service.api.reads_plans import ProposalFilter
from service.api.status import read_status
from service.api.status_models import JobState
from service.domain.purchases import ProposalState
from service.store import alerts as kept_alerts
from service.store import demotion
from service.store.engine import reading
from service.web import (
    altering,
    chronicle,
    estate,
    forms,
    live,
    policy_page,
    proposal_page,
    sign_in,
)
from service.web.frame import ReadingVisitor, WholeVisitor, error_page, keep_templates
from service.web.render import STATIC, environment

ROWS = 50
ALERTS_ON_OVERVIEW = 5
Cursor = Annotated[str | None, Query(max_length=1000)]


def overview(visitor: ReadingVisitor) -> HTMLResponse:
    """What Tenor does, may do, did, and owns."""
    context = visitor.context
    with reading(context.engine) as connection:
        status = read_status(connection, context, accounts=visitor.accounts)
        owned = estate.owned_rows(connection, visitor.accounts)
        changes = estate.visible_alterations(connection, visitor)
        # What is about all accounts together is not for who may see some of them only.
        whole = visitor.accounts is None
        given_up = demotion.demotions_now(connection) if whole else ()
        raised = kept_alerts.list_alerts(connection, limit=ALERTS_ON_OVERVIEW) if whole else ()
    return visitor.page(
        "overview.html",
        {
            "status": status,
            "ladder": [(row.end_at, row.commit_usd_per_hour) for row in owned],
            "next_cycle": _next_cycle(status.jobs),
            "demotions": given_up,
            "alterations": changes,
            "alerts": raised,
        },
        live=True,
    )


def _next_cycle(jobs: Sequence[JobState]) -> JobState | None:
    """The decision that is due first, of all clouds."""
    cycles_of = [job for job in jobs if job.name.startswith(proposal_page.CYCLE_JOBS)]
    due = [job for job in cycles_of if job.next_due_at is not None]
    return min(due, key=lambda job: str(job.next_due_at), default=None)


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
        {
            "page": page,
            "wanted": wanted,
            "states": [one.value for one in ProposalState],
            "older": _older("/proposals", page.cursor, state=wanted),
        },
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
        ("/proposals/{proposal_id}", proposal_page.proposal),
        ("/commitments", estate.commitments),
        ("/cycles", cycles),
        ("/plans/{plan_id}", plan),
        ("/audit", chronicle.audit),
        ("/alerts", chronicle.alerts),
        ("/docs", api_docs),
        ("/live", live.live),
    ):
        routes.add_api_route(path, handler, methods=["GET"], response_model=None)
    app.include_router(routes)
    for part in (policy_page, altering, forms, sign_in):
        app.include_router(part.router())
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


def page_for(request: Request, error: Exception) -> Response | None:
    """The error as a page for a browser, a redirect to sign in, or ``None`` for a program."""
    return error_page(app_context, request, error)
