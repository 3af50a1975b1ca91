"""The pages that change something: sign in and out, approve, reject, halt, resume.

Each form needs a session whose token has the role, a CSRF field that only this session's pages
hold, and an origin that is this server's. What it does is done by the functions behind the API.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.context import Context
from service.api.problems import Kind, ProblemError
from service.api.routes_halt import REASON, REASON_LENGTH_MAX, switch
from service.api.routes_ledger import Identifier
from service.api.routes_proposals import COMMENT_LENGTH_MAX, decide
from service.api.shapes import STORABLE
from service.api.status import halt_of
from service.api.tokens import Caller, recognise
from service.observe.log import get_logger
from service.store.engine import reading
from service.store.halt import read_halt
from service.store.states import Role
from service.web.frame import AnyVisitor, ReadingVisitor, SignInNeededError, Visitor
from service.web.session import (
    begin,
    forget,
    local_path,
    remember,
    require_form,
    require_same_origin,
)

Csrf = Annotated[str, Form(max_length=200)]
Comment = Annotated[str, Form(max_length=COMMENT_LENGTH_MAX, pattern=STORABLE)]


def show_login(visitor: AnyVisitor, next: str = "/") -> HTMLResponse:  # noqa: A002 - in the URL
    """The form to sign in with a token."""
    return visitor.page("login.html", {"wanted": local_path(next), "problem": None})


def login(
    request: Request,
    context: Context,
    visitor: AnyVisitor,
    token: Annotated[str, Form(max_length=200)],
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Exchange a token for a session."""
    require_same_origin(request)
    now = context.auth_clock.now()
    with reading(context.engine) as connection:
        caller = recognise(connection, token.strip(), now=now)
    log = get_logger("tenor.web")
    if caller is None or caller.token_id is None:
        log.warning("web.sign_in_refused")
        return visitor.page(
            "login.html",
            {
                "wanted": local_path(next),
                "problem": "The token is unknown, expired or revoked.",
            },
            status=401,
        )
    log.info("web.signed_in", by=caller.actor)
    response = RedirectResponse(local_path(next), status_code=303)
    remember(request, response, begin(caller.token_id, now=now), context.session_key)
    return response


def logout(visitor: AnyVisitor, csrf: Csrf = "") -> Response:
    """End the session in this browser."""
    if visitor.signed_in is not None:
        require_form(visitor.request, visitor.signed_in.session, visitor.context.session_key, csrf)
    response = RedirectResponse("/login", status_code=303)
    forget(response)
    return response


def _signer(visitor: Visitor, csrf: str, role: Role, back: str) -> Caller:
    if visitor.signed_in is None:
        raise SignInNeededError(back)
    require_form(visitor.request, visitor.signed_in.session, visitor.context.session_key, csrf)
    caller = visitor.signed_in.caller
    if not caller.may(role):
        raise ProblemError(
            Kind.FORBIDDEN, f"This needs the role {role.value}; you have {caller.role.value}."
        )
    return caller


def _decide(
    visitor: Visitor, proposal_id: str, *, yes: bool, csrf: str, version: int, comment: str
) -> Response:
    back = f"/proposals/{proposal_id}"
    caller = _signer(visitor, csrf, Role.APPROVER, back)
    decide(visitor.context, caller, proposal_id, yes=yes, version=version, comment=comment.strip())
    return RedirectResponse(visitor.request.url.path.rsplit("/", 1)[0], status_code=303)


def approve(
    visitor: AnyVisitor,
    proposal_id: Identifier,
    version: Annotated[int, Form()],
    csrf: Csrf = "",
    comment: Comment = "",
) -> Response:
    """Approve the version that the form showed."""
    return _decide(visitor, proposal_id, yes=True, csrf=csrf, version=version, comment=comment)


def reject(
    visitor: AnyVisitor,
    proposal_id: Identifier,
    version: Annotated[int, Form()],
    csrf: Csrf = "",
    comment: Comment = "",
) -> Response:
    """Reject the version that the form showed."""
    return _decide(visitor, proposal_id, yes=False, csrf=csrf, version=version, comment=comment)


def show_halt(visitor: ReadingVisitor) -> HTMLResponse:
    """Whether buying is halted, and the form to change it."""
    with reading(visitor.context.engine) as connection:
        halt = halt_of(read_halt(connection))
    return visitor.page("halt.html", {"halt": halt, "may_operate": visitor.may(Role.OPERATOR)})


Reason = Annotated[str, Form(min_length=1, max_length=REASON_LENGTH_MAX, pattern=REASON)]
Confirmed = Annotated[str, Form(max_length=10)]


def set_halt(
    visitor: AnyVisitor, reason: Reason, csrf: Csrf = "", confirmed: Confirmed = ""
) -> Response:
    """Stop all buying."""
    return _switch(visitor, halted=True, csrf=csrf, reason=reason, confirmed=confirmed)


def resume(
    visitor: AnyVisitor, reason: Reason, csrf: Csrf = "", confirmed: Confirmed = ""
) -> Response:
    """Let buying go on."""
    return _switch(visitor, halted=False, csrf=csrf, reason=reason, confirmed=confirmed)


def _switch(visitor: Visitor, *, halted: bool, csrf: str, reason: str, confirmed: str) -> Response:
    caller = _signer(visitor, csrf, Role.OPERATOR, "/halt")
    if confirmed != "yes" or not reason.strip():
        raise ProblemError(Kind.INVALID, "Tick the box to confirm, and say why.")
    context = visitor.context
    switch(context.engine, context.clock, halted=halted, by=caller.actor, reason=reason)
    return RedirectResponse("/halt", status_code=303)


def router() -> APIRouter:
    """These pages, ready to be included."""
    routes = APIRouter(include_in_schema=False)
    for path, handler in (("/login", show_login), ("/halt", show_halt)):
        routes.add_api_route(path, handler, methods=["GET"], response_model=None)
    for path, action in (
        ("/login", login),
        ("/logout", logout),
        ("/proposals/{proposal_id}/approve", approve),
        ("/proposals/{proposal_id}/reject", reject),
        ("/halt/set", set_halt),
        ("/halt/resume", resume),
    ):
        routes.add_api_route(path, action, methods=["POST"], response_model=None)
    return routes
