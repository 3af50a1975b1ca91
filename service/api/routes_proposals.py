"""Sign-off: list and read proposals, approve and reject them.

A decision binds to what was seen: it names the version that was read (``If-Match``), and is
refused when the proposal has changed since.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import ConfigDict, Field

from service.api import models, reads_plans
from service.api.context import AppContext, Approver, Context, Reader
from service.api.problems import Kind, ProblemError, documented
from service.api.routes_ledger import (
    READ_ONE_PROBLEMS,
    READ_PROBLEMS,
    CursorQuery,
    Identifier,
    LimitQuery,
    paged,
)
from service.api.shapes import LIMIT, STORABLE, Page
from service.api.shapes import Body as StrictBody
from service.api.tokens import Caller
from service.domain.errors import InvariantError
from service.domain.ids import ProposalId
from service.domain.purchases import ProposalState
from service.observe.log import get_logger
from service.purchase.propose import NotDecided, Obstacle, approve, reject
from service.store.engine import reading, writing

COMMENT_LENGTH_MAX = 2_000
_ETAG = re.compile(r'"v(\d{1,9})"')
_KIND_OF_OBSTACLE = {
    Obstacle.NOT_FOUND: Kind.NOT_FOUND,
    Obstacle.CHANGED: Kind.STALE_VERSION,
    Obstacle.DECIDED: Kind.CONFLICT,
    Obstacle.EXPIRED: Kind.CONFLICT,
}

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="the ETag of the proposal as it was read",
        max_length=100,
        examples=['"v1"'],
    ),
]


class DecisionOrder(StrictBody):
    """What is said with a decision; the ledger keeps it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"comment": "agreed with the platform team"}]},
    )

    comment: str = Field(default="", max_length=COMMENT_LENGTH_MAX, pattern=STORABLE)


def etag(version: int) -> str:
    """The strong ETag of a proposal's version."""
    return f'"v{version}"'


def decide(
    context: AppContext,
    caller: Caller,
    proposal_id: str,
    *,
    yes: bool,
    version: int,
    comment: str,
) -> models.Proposal:
    """Take a person's decision on the version that they saw; a problem when it cannot be taken."""
    move = approve if yes else reject
    with writing(context.engine) as connection:
        answer = move(
            connection,
            ProposalId(proposal_id),
            version=version,
            by=caller.actor,
            comment=comment,
            now=context.clock.now(),
        )
        if isinstance(answer, NotDecided):
            raise ProblemError(_KIND_OF_OBSTACLE[answer.obstacle], answer.detail)
        decided = reads_plans.proposal(connection, proposal_id)
    if decided is None:
        msg = f"proposal {proposal_id} went away while it was decided"
        raise InvariantError(msg)
    get_logger("tenor.api").info(
        "proposal.decided", proposal=proposal_id, state=decided.state.value, by=caller.actor
    )
    return decided


def _version(if_match: str | None) -> int:
    if if_match is None:
        raise ProblemError(Kind.VERSION_NEEDED, Kind.VERSION_NEEDED.meaning)
    named = _ETAG.fullmatch(if_match.strip())
    if named is None:
        raise ProblemError(
            Kind.STALE_VERSION, f"{if_match} is not the ETag of any version of this proposal."
        )
    return int(named[1])


def list_proposals(
    *,
    request: Request,
    response: Response,
    context: Context,
    _caller: Reader,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
    state: ProposalState | None = None,
    plan: Annotated[str | None, Query(max_length=200, pattern=STORABLE)] = None,
) -> Page[models.Proposal]:
    """Proposals, newest first; in one state, or of one plan, where given."""
    with reading(context.engine) as connection:
        found = reads_plans.proposals(
            connection, limit=limit, cursor=cursor, state=state, plan_id=plan
        )
    wanted = state.value if state is not None else None
    return paged(request, response, found, limit, state=wanted, plan=plan)


def read_proposal(
    response: Response, context: Context, _caller: Reader, proposal_id: Identifier
) -> models.Proposal:
    """One proposal: what, why, the policy's verdict, and what became of it."""
    with reading(context.engine) as connection:
        found = reads_plans.proposal(connection, proposal_id)
    if found is None:
        raise ProblemError(Kind.NOT_FOUND, f"There is no proposal {proposal_id}.")
    response.headers["ETag"] = etag(found.version)
    return found


def approve_proposal(
    *,
    response: Response,
    context: Context,
    caller: Approver,
    proposal_id: Identifier,
    if_match: IfMatch = None,
    order: Annotated[DecisionOrder | None, Body()] = None,
) -> models.Proposal:
    """Say yes. It is priced and guarded once more before anything is bought."""
    decided = decide(
        context,
        caller,
        proposal_id,
        yes=True,
        version=_version(if_match),
        comment=order.comment if order else "",
    )
    response.headers["ETag"] = etag(decided.version)
    return decided


def reject_proposal(
    *,
    response: Response,
    context: Context,
    caller: Approver,
    proposal_id: Identifier,
    if_match: IfMatch = None,
    order: Annotated[DecisionOrder | None, Body()] = None,
) -> models.Proposal:
    """Say no. Nothing of it is bought."""
    decided = decide(
        context,
        caller,
        proposal_id,
        yes=False,
        version=_version(if_match),
        comment=order.comment if order else "",
    )
    response.headers["ETag"] = etag(decided.version)
    return decided


_DECIDING_PROBLEMS: dict[int | str, dict[str, Any]] = documented(
    Kind.UNAUTHENTICATED,
    Kind.FORBIDDEN,
    Kind.NOT_FOUND,
    Kind.CONFLICT,
    Kind.STALE_VERSION,
    Kind.TOO_LARGE,
    Kind.INVALID,
    Kind.VERSION_NEEDED,
    Kind.INTERNAL,
)


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["sign-off"])
    add = routes.add_api_route
    add("/v1/proposals", list_proposals, responses=READ_PROBLEMS)
    add("/v1/proposals/{proposal_id}", read_proposal, responses=READ_ONE_PROBLEMS)
    add(
        "/v1/proposals/{proposal_id}/approve",
        approve_proposal,
        methods=["POST"],
        responses=_DECIDING_PROBLEMS,
    )
    add(
        "/v1/proposals/{proposal_id}/reject",
        reject_proposal,
        methods=["POST"],
        responses=_DECIDING_PROBLEMS,
    )
    return routes
