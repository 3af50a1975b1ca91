"""One alteration of something owned (a return, an exchange, a modification), and its sign-off.

It binds to the version that the form showed, as with a proposal.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.problems import Kind, ProblemError
from service.api.routes_ledger import Identifier
from service.api.shapes import REASON
from service.domain.alterations import Alteration, AlterationState
from service.domain.ids import IntentId
from service.purchase.lifecycle import Word
from service.purchase.written_alterations import approve_alteration, withdraw
from service.store import alterations, holdings
from service.store.engine import reading, writing
from service.store.states import Role
from service.web.forms import Comment, Csrf, signer
from service.web.frame import AnyVisitor, ReadingVisitor, Visitor

REJECTED = "rejected"
_DECIDABLE = (AlterationState.WAITING, AlterationState.APPROVED)
Why = Annotated[str, Form(min_length=1, max_length=2_000, pattern=REASON)]


def alteration(visitor: ReadingVisitor, alteration_id: Identifier) -> HTMLResponse:
    """One alteration: of what, why, for how much, and the forms to decide it."""
    with reading(visitor.context.engine) as connection:
        found = alterations.find(connection, IntentId(alteration_id))
        listed = holdings.inventory(connection)
    if found is None or not visitor.sees(found.order.account):
        raise _absent(alteration_id)
    now = visitor.context.clock.now()
    waits = found.state is AlterationState.WAITING and found.expires_at > now
    return visitor.page(
        "alteration.html",
        {
            "alteration": found,
            "sources": [one for one in listed if one.commitment.commitment in found.order.sources],
            "waits": waits,
            "may_stop": found.state in _DECIDABLE,
            "may_decide": visitor.may(Role.APPROVER),
        },
        live=found.state not in _DECIDABLE,
    )


def approve(
    visitor: AnyVisitor,
    alteration_id: Identifier,
    version: Annotated[int, Form()],
    csrf: Csrf = "",
    comment: Comment = "",
) -> Response:
    """Say yes to the version that the form showed."""
    caller = signer(visitor, csrf, "/alterations/{alteration_id}/approve", _path(alteration_id))
    found = _found(visitor, alteration_id)
    with writing(visitor.context.engine) as connection:
        taken = approve_alteration(
            connection,
            found.order.intent,
            version=version,
            by=caller.actor,
            person=caller.person,
            comment=comment.strip(),
            now=visitor.context.clock.now(),
        )
    return _answered(taken, alteration_id)


def reject(
    visitor: AnyVisitor,
    alteration_id: Identifier,
    version: Annotated[int, Form()],
    reason: Why,
    csrf: Csrf = "",
) -> Response:
    """Say no to the version that the form showed: it is withdrawn."""
    caller = signer(visitor, csrf, "/alterations/{alteration_id}/reject", _path(alteration_id))
    _found(visitor, alteration_id)
    with writing(visitor.context.engine) as connection:
        found = alterations.find(connection, IntentId(alteration_id))
        taken = (
            found is not None
            and found.version == version
            and found.state in _DECIDABLE
            and withdraw(
                connection,
                found,
                rule=REJECTED,
                detail=reason.strip(),
                word=Word.PERSON,
                now=visitor.context.clock.now(),
                by=caller.actor,
            )
        )
    return _answered(taken, alteration_id)


def _found(visitor: Visitor, alteration_id: str) -> Alteration:
    with reading(visitor.context.engine) as connection:
        found = alterations.find(connection, IntentId(alteration_id))
    if found is None or not visitor.sees(found.order.account):
        raise _absent(alteration_id)
    return found


def _absent(alteration_id: str) -> ProblemError:
    return ProblemError(Kind.NOT_FOUND, f"There is no alteration {alteration_id}.")


def _path(alteration_id: str) -> str:
    return f"/alterations/{alteration_id}"


def _answered(taken: bool, alteration_id: str) -> Response:  # noqa: FBT001 - an answer
    if not taken:
        raise ProblemError(
            Kind.CONFLICT, "It has moved on since the page was shown. Load it again and look."
        )
    return RedirectResponse(_path(alteration_id), status_code=303)


def router() -> APIRouter:
    """These pages, ready to be included."""
    routes = APIRouter(include_in_schema=False)
    path = "/alterations/{alteration_id}"
    routes.add_api_route(path, alteration, methods=["GET"], response_model=None)
    for verb, action in (("approve", approve), ("reject", reject)):
        routes.add_api_route(f"{path}/{verb}", action, methods=["POST"], response_model=None)
    return routes
