"""Sign-off of what changes something owned: list and read alterations, approve and reject them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Response

from service.api import models, reads_alterations
from service.api.context import Allowed, Context
from service.api.deciding_alterations import (
    AlterationVerb,
    decide_alteration,
    people_for_alterations,
)
from service.api.listing import READ_ONE_PROBLEMS, READ_PROBLEMS, Identifier, Listing, Named
from service.api.problems import Kind, ProblemError
from service.api.reads_alterations import AlterationFilter
from service.api.routes_deciding import Change, Reject, Remark, add_decisions, answered
from service.api.shapes import Page
from service.api.versions import IfMatch, etag
from service.domain.alterations import AlterationKind, AlterationState
from service.store.engine import reading


def list_alterations(
    *,
    listing: Listing,
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
        accounts=listing.caller.accounts,
    )
    people = people_for_alterations(listing.context)
    read = partial(reads_alterations.alterations, wanted=wanted, sort=sort, people=people)
    return listing.page(read)


def read_alteration(
    response: Response, context: Context, caller: Allowed, alteration_id: Identifier
) -> models.Alteration:
    """One alteration: of what, why, for how much, and what became of it."""
    with reading(context.engine) as connection:
        found = reads_alterations.alteration(
            connection, alteration_id, people=people_for_alterations(context)
        )
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
    say = partial(
        decide_alteration,
        change.context,
        change.caller,
        alteration_id,
        AlterationVerb.APPROVE,
        said=said.comment,
    )
    return answered(change, said, if_match, say)


def reject_alteration(
    *,
    change: Change,
    alteration_id: Identifier,
    order: Annotated[Reject, Body()],
    if_match: IfMatch = None,
) -> Response:
    """Say no, while nothing has been written down to be done: it is withdrawn."""
    say = partial(
        decide_alteration,
        change.context,
        change.caller,
        alteration_id,
        AlterationVerb.REJECT,
        said=order.reason.strip(),
    )
    return answered(change, order, if_match, say)


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["sign-off"])
    one = "/v1/alterations/{alteration_id}"
    routes.add_api_route("/v1/alterations", list_alterations, responses=READ_PROBLEMS)
    routes.add_api_route(one, read_alteration, responses=READ_ONE_PROBLEMS)
    verbs: dict[str, Callable[..., Response]] = {
        "approve": approve_alteration,
        "reject": reject_alteration,
    }
    add_decisions(routes, one, verbs, models.Alteration)
    return routes
