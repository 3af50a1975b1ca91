"""Sign-off: list and read proposals; approve (in part), reject, expire and withdraw them."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Response
from pydantic import BeforeValidator, Field, WithJsonSchema

from service.api import models, reads_plans
from service.api.context import Allowed, Context
from service.api.deciding import Verb, decide, holds_now, people_for
from service.api.listing import (
    READ_ONE_PROBLEMS,
    READ_PROBLEMS,
    Identifier,
    Listing,
    Named,
    Until,
)
from service.api.once import Once
from service.api.problems import Kind, ProblemError
from service.api.reads_plans import ProposalFilter
from service.api.routes_deciding import (
    COMMENT_LENGTH_MAX,
    Change,
    Reject,
    Remark,
    add_decisions,
    answered,
    body_like,
)
from service.api.shapes import STORABLE, Page
from service.api.shapes import Body as StrictBody
from service.api.versions import IfMatch, etag
from service.domain.commitments import Kind as CommitmentKind
from service.domain.purchases import ProposalState
from service.store.engine import reading

QUANTITY = r"^\d{1,15}(\.\d{1,12})?$"


def _exact(value: object) -> object:
    if not isinstance(value, str) or re.fullmatch(QUANTITY, value) is None:
        msg = "a quantity is plain decimal text, such as 1.25"
        raise ValueError(msg)
    try:
        return Decimal(value)
    except InvalidOperation as error:
        msg = "a quantity is plain decimal text, such as 1.25"
        raise ValueError(msg) from error


Quantity = Annotated[
    Decimal,
    BeforeValidator(_exact),
    WithJsonSchema({"type": "string", "pattern": QUANTITY, "examples": ["1.25"]}),
]


class Approve(StrictBody):
    """A yes, to all of it or to ``quantity`` of it; the ledger keeps the comment."""

    model_config = body_like(
        {"comment": "agreed with the platform team"},
        {"comment": "half for now", "quantity": "0.6"},
    )

    comment: str = Field(default="", max_length=COMMENT_LENGTH_MAX, pattern=STORABLE)
    quantity: Quantity | None = Field(
        default=None,
        description="at most what is proposed, rounded down to the step that is sold; all of it "
        "when left out",
    )


Sort = Literal[
    "-created_at",
    "created_at",
    "expires_at",
    "-expires_at",
    "commit_usd_per_hour",
    "-commit_usd_per_hour",
]


def list_proposals(
    *,
    listing: Listing,
    sort: Sort = "-created_at",
    state: ProposalState | None = None,
    plan: Named = None,
    provider: Named = None,
    account: Named = None,
    kind: CommitmentKind | None = None,
    expires_before: Until = None,
) -> Page[models.Proposal]:
    """Proposals, newest first unless sorted otherwise; `-` before a column: largest first."""
    wanted = ProposalFilter(
        state=None if state is None else state.value,
        plan=plan,
        provider=provider,
        account=account,
        kind=None if kind is None else kind.value,
        expires_before=expires_before,
        accounts=listing.caller.accounts,
    )
    people = people_for(listing.context)
    return listing.page(partial(reads_plans.proposals, wanted=wanted, sort=sort, people=people))


def read_proposal(
    response: Response, context: Context, caller: Allowed, proposal_id: Identifier
) -> models.ProposalDetail:
    """One proposal: what, why, what may come of it, the policy's verdicts, what became of it."""
    with reading(context.engine) as connection:
        found = reads_plans.proposal_detail(connection, proposal_id, people=people_for(context))
    if found is None or not caller.sees(found.line.account):
        raise ProblemError(Kind.NOT_FOUND, f"There is no proposal {proposal_id}.")
    response.headers["ETag"] = etag(found.version)
    return found


def approve_proposal(
    *,
    change: Change,
    proposal_id: Identifier,
    if_match: IfMatch = None,
    order: Annotated[Approve | None, Body()] = None,
) -> Response:
    """Say yes, to all of it or to a part. It is priced and guarded once more before it is bought.

    Above the policy's amount two people must: the first yes leaves it waiting.
    """
    said = order or Approve()
    say = partial(
        decide,
        change.context,
        change.caller,
        proposal_id,
        Verb.APPROVE,
        comment=said.comment,
        quantity=said.quantity,
    )
    return answered(change, said, if_match, say)


def reject_proposal(
    *,
    change: Change,
    proposal_id: Identifier,
    order: Annotated[Reject, Body()],
    if_match: IfMatch = None,
) -> Response:
    """Say no. Nothing of it is bought, and the like of it is not proposed again for a while."""
    say = partial(
        decide,
        change.context,
        change.caller,
        proposal_id,
        Verb.REJECT,
        comment=order.reason.strip(),
    )
    return answered(change, order, if_match, say)


def expire_proposal(
    *,
    change: Change,
    proposal_id: Identifier,
    if_match: IfMatch = None,
    order: Annotated[Remark | None, Body()] = None,
) -> Response:
    """End its lifetime now, without a word for or against it."""
    return _end(change, proposal_id, Verb.EXPIRE, if_match, order)


def withdraw_proposal(
    *,
    change: Change,
    proposal_id: Identifier,
    if_match: IfMatch = None,
    order: Annotated[Remark | None, Body()] = None,
) -> Response:
    """Take it back, waiting or approved, before anything of it is bought.

    Who approved it may, and any operator.
    """
    return _end(change, proposal_id, Verb.WITHDRAW, if_match, order)


def _end(
    change: Once, proposal_id: str, verb: Verb, if_match: str | None, order: Remark | None
) -> Response:
    said = order or Remark()
    say = partial(decide, change.context, change.caller, proposal_id, verb, comment=said.comment)
    return answered(change, said, if_match, say)


def list_holds(context: Context, caller: Allowed) -> Page[models.Hold]:
    """What people rejected and that still holds, those that end first first."""
    with reading(context.engine) as connection:
        found = holds_now(connection, caller, context.clock.now())
    return Page(items=found, next=None)


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["sign-off"])
    add = routes.add_api_route
    add("/v1/proposals", list_proposals, responses=READ_PROBLEMS)
    add("/v1/proposals/{proposal_id}", read_proposal, responses=READ_ONE_PROBLEMS)
    add("/v1/holds", list_holds, responses=READ_PROBLEMS)
    verbs: dict[str, Callable[..., Response]] = {
        "approve": approve_proposal,
        "reject": reject_proposal,
        "expire": expire_proposal,
        "withdraw": withdraw_proposal,
    }
    add_decisions(routes, "/v1/proposals/{proposal_id}", verbs, models.Proposal)
    return routes
