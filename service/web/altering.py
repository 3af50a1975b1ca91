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
from service.purchase.people import may_have_altered
from service.store import alterations, holdings
from service.store.engine import reading
from service.store.states import Role
from service.web.entered import Entered, entered
from service.web.forms import Csrf, Typed, signer
from service.web.frame import AnyVisitor, ReadingVisitor, Visitor


def alteration(visitor: ReadingVisitor, alteration_id: Identifier) -> HTMLResponse:
    """One alteration: of what, why, for how much, and the forms to decide it."""
    return shown(visitor, alteration_id)


def shown(
    visitor: Visitor, alteration_id: str, *, entered: Entered | None = None, status: int = 200
) -> HTMLResponse:
    """The page of an alteration, with what was ``entered`` into one of its forms before."""
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
            "entered": entered or Entered(),
        },
        status=status,
        live=found.state not in DECIDABLE,
    )


def said_yes(visitor: Visitor, found: Alteration) -> bool:
    """True when whoever looks has approved it already."""
    if visitor.signed_in is None:
        return False
    caller = visitor.signed_in.caller
    return may_have_altered(found, person=caller.person, label=caller.label)


def approve(
    visitor: AnyVisitor,
    alteration_id: Identifier,
    version: Annotated[int, Form()],
    csrf: Csrf = "",
    comment: Typed = "",
) -> Response:
    """Say yes to the version that the form showed."""
    given = entered(AlterationVerb.APPROVE.value, comment=comment)
    return _decide(visitor, alteration_id, AlterationVerb.APPROVE, csrf, version, given=given)


def reject(
    visitor: AnyVisitor,
    alteration_id: Identifier,
    version: Annotated[int, Form()],
    reason: Typed = "",
    csrf: Csrf = "",
) -> Response:
    """Say no to the version that the form showed: it is withdrawn."""
    given = entered(AlterationVerb.REJECT.value, reason=reason)
    return _decide(visitor, alteration_id, AlterationVerb.REJECT, csrf, version, given=given)


def _decide(
    visitor: Visitor,
    alteration_id: str,
    verb: AlterationVerb,
    csrf: str,
    version: int,
    *,
    given: Entered,
) -> Response:
    path = f"/alterations/{alteration_id}"
    caller = signer(visitor, csrf, f"/alterations/{{alteration_id}}/{verb.value}", path)
    if given.problems:
        return shown(visitor, alteration_id, entered=given, status=422)
    said = given.typed.get("reason") or given.typed.get("comment") or ""
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
