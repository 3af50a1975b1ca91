"""The pages that only read: overview, proposals, cycles and plans. Puts all pages together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import func, select
from starlette.staticfiles import StaticFiles

from service.api import models, reads, reads_plans
from service.api.context import AppContext, app_context
from service.api.cursor import next_link
from service.api.deciding import people_for
from service.api.listing import Identifier
from service.api.problems import Kind, ProblemError
from service.api.reads_plans import ProposalFilter
from service.api.routes_exports import HourlyPicture, picture_of
from service.api.status import next_due, read_status
from service.api.status_models import JobState
from service.domain.ids import ProposalId
from service.domain.purchases import IntentState, ProposalState
from service.store import alerts as kept_alerts
from service.store import demotion
from service.store import proposals as kept_proposals
from service.store.engine import reading
from service.store.schema import job_runs
from service.store.states import Role
from service.web import altering, chronicle, estate, forms, live, policy_page, sign_in
from service.web.frame import ReadingVisitor, Visitor, WholeVisitor, error_page, keep_templates
from service.web.render import STATIC, environment

ROWS = 50
ALERTS_ON_OVERVIEW = 5
CYCLE_JOBS = "cycle"
PICTURE_KEPT_SECONDS = 60.0
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
    due = [job for job in jobs if job.name.startswith(CYCLE_JOBS) and job.next_due_at is not None]
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


def proposal(visitor: ReadingVisitor, proposal_id: Identifier) -> HTMLResponse:
    """One proposal, its hours, and the forms to decide it."""
    with reading(visitor.context.engine) as connection:
        found = reads_plans.proposal_detail(
            connection, proposal_id, people=people_for(visitor.context)
        )
    if found is None or not visitor.sees(found.line.account):
        raise ProblemError(Kind.NOT_FOUND, f"There is no proposal {proposal_id}.")
    now = visitor.context.clock.now()
    waits = found.state is ProposalState.WAITING and found.expires_at > now
    seen, problem = _picture(visitor.context, proposal_id)
    me = "" if visitor.signed_in is None else visitor.signed_in.caller.actor
    approved_by_me = any(one.by == me for one in found.approvals)
    return visitor.page(
        "proposal.html",
        {
            "proposal": found,
            "waits": waits,
            "waiting_costs_usd": found.waiting_costs_usd_per_day
            * max(0, round((found.expires_at - now).total_seconds()))
            / 86_400,
            "may_decide": visitor.may(Role.APPROVER),
            "may_withdraw": _is_open(found)
            and (visitor.may(Role.OPERATOR) or (visitor.may(Role.APPROVER) and approved_by_me)),
            "approved_by_me": approved_by_me,
            "picture": seen,
            "picture_problem": problem,
            "next_decision_at": _next_decision_at(visitor, found.line.provider),
        },
        # A page with a form that somebody fills in stays as it is.
        live=not waits,
    )


def _is_open(found: models.Proposal) -> bool:
    """Nothing of it has been bought, or is being bought."""
    begun = found.purchase is not None and found.purchase.state is not IntentState.REFUSED
    return found.state in {ProposalState.WAITING, ProposalState.APPROVED} and not begun


def _picture(context: AppContext, proposal_id: str) -> tuple[HourlyPicture | None, str]:
    """The hours behind a proposal, or why they cannot be drawn.

    A no is remembered for a while too: a cloud that cannot be reached must not hold up the page.
    """
    with reading(context.engine) as connection:
        found = kept_proposals.find(connection, ProposalId(proposal_id))
    if found is None:
        return None, "the proposal is not there any more"

    def look() -> tuple[HourlyPicture | None, str]:
        try:
            return picture_of(context, found), ""
        except ProblemError as error:
            why = ", ".join(str(reason) for reason in (error.reasons or {}).values())
            return None, f"{error.detail} {why}".strip()

    key = ("picture on a page", id(context.engine), proposal_id)
    return context.kept.value(key, found.version, seconds=PICTURE_KEPT_SECONDS, make=look)


def _next_decision_at(visitor: Visitor, provider: str) -> datetime | None:
    """When the next decision on ``provider``'s usage is due; ``None`` without a schedule."""
    wanted = {CYCLE_JOBS, f"{CYCLE_JOBS}-{provider}"}
    jobs = [job for job in visitor.context.jobs if job.name in wanted]
    table = job_runs.c
    with reading(visitor.context.engine) as connection:
        rows = connection.execute(
            select(table.schedule, func.max(table.due_at))
            .where(table.schedule.in_(sorted(wanted)))
            .group_by(table.schedule)
        )
        last = {row[0]: row[1] for row in rows}
    now = visitor.context.clock.now()
    return min((next_due(job, last.get(job.name), now) for job in jobs), default=None)


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
        ("/proposals/{proposal_id}", proposal),
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
