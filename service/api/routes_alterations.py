"""Sign-off of what changes something owned: list and read alterations, approve and reject them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request, Response

from service.api import models, reads_alterations
from service.api.context import Allowed, Context
from service.api.deciding_alterations import AlterationVerb, decide_alteration
from service.api.problems import Kind, ProblemError
from service.api.reads_alterations import AlterationFilter
from service.api.routes_ledger import (
    READ_ONE_PROBLEMS,
    READ_PROBLEMS,
    CursorQuery,
    Identifier,
    LimitQuery,
    Named,
    paged,
)
from service.api.routes_proposals import DECIDING_PROBLEMS, Change, Reject, Remark
from service.api.shapes import LIMIT, Page
from service.api.versions import IfMatch, etag, etag_of, version_named
from service.domain.alterations import AlterationKind, AlterationState
from service.store.engine import reading


def list_alterations(
    *,
    request: Request,
    response: Response,
    context: Context,
    caller: Allowed,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
    sort: Literal["-asked_at", "asked_at", "expires_at", "-expires_at"] = "-asked_at",
    state: AlterationState | None = None,
    alteration: AlterationKind | None = None,
    provider: Named = None,
    account: Named = None,
) -> Page[models.Alteration]:
    """Returns, exchanges and other changes of what is owned, newest first unless sorted."""
    wanted = AlterationFilter(
        state=None if state is None else state.value,
        alteration=None if alteration is None else alteration.value,
        provider=provider,
        account=account,
        accounts=caller.accounts,
    )
    with reading(context.engine) as connection:
        found = reads_alterations.alterations(
            connection, limit=limit, cursor=cursor, wanted=wanted, sort=sort
        )
    return paged(request, response, found, limit)


def read_alteration(
    response: Response, context: Context, caller: Allowed, alteration_id: Identifier
) -> models.Alteration:
    """One alteration: of what, why, for how much, and what became of it."""
    with reading(context.engine) as connection:
        found = reads_alterations.alteration(connection, alteration_id)
    if found is None or not caller.sees(found.account):
        raise ProblemError(Kind.NOT_FOUND, f"There is no alteration {alteration_id}.")
    response.headers["ETag"] = etag(found.version)
    return found


def approve_alteration(
    *,
    change: Change,
    alteration_id: Identifier,
    if_match: IfMatch = None,
    order: Annotated[Remark | None, Body()] = None,
) -> Response:
    """Say yes. It is quoted and guarded once more before anything is changed.

    Where the quote obliges to more than one person may approve, it waits again, for another.
    """
    said = order or Remark()
    return _decide(change, alteration_id, AlterationVerb.APPROVE, if_match, said, said=said.comment)


def reject_alteration(
    *,
    change: Change,
    alteration_id: Identifier,
    order: Annotated[Reject, Body()],
    if_match: IfMatch = None,
) -> Response:
    """Say no, while nothing has been written down to be done: it is withdrawn."""
    return _decide(
        change, alteration_id, AlterationVerb.REJECT, if_match, order, said=order.reason.strip()
    )


def _decide(
    change: Change,
    alteration_id: str,
    verb: AlterationVerb,
    if_match: str | None,
    order: Remark | Reject,
    *,
    said: str,
) -> Response:
    return change.reply(
        order,
        lambda: decide_alteration(
            change.context,
            change.caller,
            alteration_id,
            verb,
            version=version_named(if_match),
            said=said,
        ),
        etag=etag_of,
    )


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["sign-off"])
    one = "/v1/alterations/{alteration_id}"
    routes.add_api_route("/v1/alterations", list_alterations, responses=READ_PROBLEMS)
    routes.add_api_route(one, read_alteration, responses=READ_ONE_PROBLEMS)
    for verb, handler in (("approve", approve_alteration), ("reject", reject_alteration)):
        routes.add_api_route(
            f"{one}/{verb}",
            handler,
            methods=["POST"],
            response_model=models.Alteration,
            responses=DECIDING_PROBLEMS,
        )
    return routes
