"""One proposal: what it would buy, why, what is known of it, and the forms to decide it."""

from __future__ import annotations

from datetime import datetime

from fastapi.responses import HTMLResponse
from sqlalchemy import func, select

from service.api import models, reads_plans
from service.api.context import AppContext
from service.api.deciding import people_for
from service.api.listing import Identifier
from service.api.problems import Kind, ProblemError
from service.api.routes_exports import HourlyPicture, picture_of
from service.api.status import next_due
from service.domain.ids import ProposalId
from service.domain.purchases import Approval, IntentState, ProposalState
from service.purchase.people import has_approved, identity_of
from service.store import proposals as kept_proposals
from service.store.engine import reading
from service.store.schema import job_runs
from service.store.states import Role
from service.web.entered import Entered
from service.web.frame import ReadingVisitor, Visitor

CYCLE_JOBS = "cycle"
PICTURE_KEPT_SECONDS = 60.0


def proposal(visitor: ReadingVisitor, proposal_id: Identifier) -> HTMLResponse:
    """One proposal, its hours, and the forms to decide it."""
    return shown(visitor, proposal_id)


def shown(
    visitor: Visitor, proposal_id: str, *, entered: Entered | None = None, status: int = 200
) -> HTMLResponse:
    """The page of a proposal, with what was ``entered`` into one of its forms before."""
    with reading(visitor.context.engine) as connection:
        found = reads_plans.proposal_detail(
            connection, proposal_id, people=people_for(visitor.context)
        )
        approvals = kept_proposals.approvals_of(connection, ProposalId(proposal_id))
    if found is None or not visitor.sees(found.line.account):
        raise ProblemError(Kind.NOT_FOUND, f"There is no proposal {proposal_id}.")
    now = visitor.context.clock.now()
    waits = found.state is ProposalState.WAITING and found.expires_at > now
    seen, problem = None, "it is of the usage of all accounts, and you are limited to some"
    if visitor.accounts is None:
        seen, problem = _picture(visitor.context, proposal_id)
    return visitor.page(
        "proposal.html",
        {
            "proposal": found,
            "waits": waits,
            "waiting_costs_usd": found.waiting_costs_usd_per_day
            * max(0, round((found.expires_at - now).total_seconds()))
            / 86_400,
            "may_decide": visitor.may(Role.APPROVER),
            "may_withdraw": _is_open(found) and _may_withdraw(visitor, approvals),
            "approved_by_me": _said_yes(visitor, approvals),
            "picture": seen,
            "picture_problem": problem,
            "next_decision_at": _next_decision_at(visitor, found.line.provider),
            "entered": entered or Entered(),
        },
        status=status,
        # A page with a form that somebody fills in stays as it is.
        live=not waits and entered is None,
    )


def _said_yes(visitor: Visitor, approvals: tuple[Approval, ...]) -> bool:
    """True when whoever looks has approved it, with whichever of their tokens."""
    if visitor.signed_in is None:
        return False
    caller = visitor.signed_in.caller
    return has_approved(approvals, person=caller.person, label=caller.label)


def _may_withdraw(visitor: Visitor, approvals: tuple[Approval, ...]) -> bool:
    """Operators take anything back, approvers only what they approved themselves."""
    if visitor.signed_in is None or not visitor.may(Role.APPROVER):
        return False
    me = identity_of(visitor.signed_in.caller.person)
    return visitor.may(Role.OPERATOR) or any(identity_of(one.person) == me for one in approvals)


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
