"""One alteration of something owned (a return, an exchange, a modification), and its sign-off.

It binds to the version that the form showed, as with a proposal.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.deciding_alterations import (
    DECIDABLE,
    AlterationVerb,
    decide_alteration,
    people_for_alterations,
    two_above_usd,
)
from service.api.listing import Identifier
from service.api.problems import Kind, ProblemError
from service.domain.alterations import Alteration, AlterationState
from service.domain.ids import IntentId
from service.purchase.propose import identity_of
from service.store import alterations, holdings
from service.store.engine import reading
from service.store.states import Role
from service.web.forms import Comment, Csrf, Why, signer
from service.web.frame import AnyVisitor, ReadingVisitor, Visitor


def alteration(visitor: ReadingVisitor, alteration_id: Identifier) -> HTMLResponse:
    """One alteration: of what, why, for how much, and the forms to decide it."""
    with reading(visitor.context.engine) as connection:
        found = alterations.find(connection, IntentId(alteration_id))
        listed = holdings.inventory(connection)
    if found is None or not visitor.sees(found.order.account):
        raise ProblemError(Kind.NOT_FOUND, f"There is no alteration {alteration_id}.")
    now = visitor.context.clock.now()
    waits = found.state is AlterationState.WAITING and found.expires_at > now
    people = people_for_alterations(visitor.context)
    return visitor.page(
        "alteration.html",
        {
            "alteration": found,
            "sources": [one for one in listed if one.commitment.commitment in found.order.sources],
            "waits": waits,
            "people": None if people is None else people(found),
            "two_above_usd": None if people is None else two_above_usd(visitor.context),
            "may_stop": found.state in DECIDABLE,
            "may_decide": visitor.may(Role.APPROVER),
            "approved_by_me": said_yes(visitor, found),
        },
        live=found.state not in DECIDABLE,
    )


def said_yes(visitor: Visitor, found: Alteration) -> bool:
    """True when whoever looks has approved it already."""
    signed_in = visitor.signed_in
    return signed_in is not None and identity_of(signed_in.caller.person) in found.approved_by


def approve(
    visitor: AnyVisitor,
    alteration_id: Identifier,
    version: Annotated[int, Form()],
    csrf: Csrf = "",
    comment: Comment = "",
) -> Response:
    """Say yes to the version that the form showed."""
    return _decide(visitor, alteration_id, AlterationVerb.APPROVE, csrf, version, said=comment)


def reject(
    visitor: AnyVisitor,
    alteration_id: Identifier,
    version: Annotated[int, Form()],
    reason: Why,
    csrf: Csrf = "",
) -> Response:
    """Say no to the version that the form showed: it is withdrawn."""
    return _decide(visitor, alteration_id, AlterationVerb.REJECT, csrf, version, said=reason)


def _decide(
    visitor: Visitor,
    alteration_id: str,
    verb: AlterationVerb,
    csrf: str,
    version: int,
    *,
    said: str,
) -> Response:
    path = f"/alterations/{alteration_id}"
    caller = signer(visitor, csrf, f"/alterations/{{alteration_id}}/{verb.value}", path)
    decide_alteration(
        visitor.context, caller, alteration_id, verb, version=version, said=said.strip()
    )
    return RedirectResponse(path, status_code=303)


def router() -> APIRouter:
    """These pages, ready to be included."""
    routes = APIRouter(include_in_schema=False)
    path = "/alterations/{alteration_id}"
    routes.add_api_route(path, alteration, methods=["GET"], response_model=None)
    for verb, action in (("approve", approve), ("reject", reject)):
        routes.add_api_route(f"{path}/{verb}", action, methods=["POST"], response_model=None)
    return routes
