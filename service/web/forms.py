"""The pages that change something: sign in and out, approve, reject, halt, resume.

Each form needs a session whose token has the role, a CSRF field that only this session's pages
hold, and an origin that is this server's. What it does is done by the functions behind the API.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api import sessions
from service.api.context import AppContext, Context, demand_whole, refused, slow_down
from service.api.deciding import Verb, decide
from service.api.halting import halt_now
from service.api.listing import Identifier
from service.api.problems import Kind, ProblemError
from service.api.routes_halt import REASON_LENGTH_MAX, switch
from service.api.shapes import REASON
from service.api.tokens import Caller, recognise
from service.api.who_may import Reach, rule_of
from service.observe.log import get_logger
from service.store.engine import reading, writing
from service.store.states import Role
from service.web import proposal_page
from service.web.entered import Entered, entered
from service.web.frame import AnyVisitor, ReadingVisitor, SignInNeededError, Visitor
from service.web.session import (
    Session,
    begin,
    forget,
    local_path,
    remember,
    require_form,
    require_same_origin,
)

Csrf = Annotated[str, Form(max_length=200)]
Typed = Annotated[str, Form()]
"""What somebody typed; the form itself says what is wrong with it (``entered``)."""


def show_login(visitor: AnyVisitor, next: str = "/") -> HTMLResponse:  # noqa: A002 - in the URL
    """The form to sign in with a token."""
    provider = visitor.context.access.identity is not None
    facts = {"wanted": local_path(next), "problem": None, "provider": provider}
    return visitor.page("login.html", facts)


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
        refused(request, context)
        log.warning("web.sign_in_refused")
        return visitor.page(
            "login.html",
            {
                "wanted": local_path(next),
                "problem": "The token is unknown, expired or revoked.",
                "provider": context.access.identity is not None,
            },
            status=401,
        )
    log.info("web.signed_in", by=caller.actor)
    response = RedirectResponse(local_path(next), status_code=303)
    remember(request, response, begin(caller.token_id, now=now), context)
    return response


def logout(visitor: AnyVisitor, csrf: Csrf = "") -> Response:
    """End the session in this browser."""
    if visitor.signed_in is not None:
        require_form(visitor.request, visitor.signed_in.session, visitor.context.session_key, csrf)
        _end(visitor.context, visitor.signed_in.session)
    response = RedirectResponse("/login", status_code=303)
    forget(response)
    return response


def _end(context: AppContext, session: Session) -> None:
    now = context.auth_clock.now()
    with writing(context.engine) as connection:
        if session.token_id.startswith(sessions.PREFIX):
            sessions.end(connection, session.token_id, now=now)
        else:
            sessions.sign_out(connection, session.nonce, now=now, expires_at=session.expires_at)


def signer(visitor: Visitor, csrf: str, path: str, back: str) -> Caller:
    """Whoever sent the form at ``path``, if the table in ``who_may`` lets them."""
    if visitor.signed_in is None:
        raise SignInNeededError(back)
    require_form(visitor.request, visitor.signed_in.session, visitor.context.session_key, csrf)
    caller, rule = visitor.signed_in.caller, rule_of("POST", path)
    slow_down(visitor.context.access.limiter.principal(caller.person))
    if rule.role is None or not caller.may(rule.role):
        needed = "no role at all" if rule.role is None else f"the role {rule.role.value}"
        raise ProblemError(Kind.FORBIDDEN, f"This needs {needed}; you have {caller.role.value}.")
    return demand_whole(caller) if rule.reach is Reach.WHOLE else caller


def _decide(
    visitor: Visitor,
    proposal_id: str,
    verb: Verb,
    *,
    csrf: str,
    version: int,
    given: Entered,
) -> Response:
    back = f"/proposals/{proposal_id}"
    caller = signer(visitor, csrf, f"/proposals/{{proposal_id}}/{verb.value}", back)
    if given.problems:
        return proposal_page.shown(visitor, proposal_id, entered=given, status=422)
    quantity = given.typed.get("quantity")
    said = given.typed.get("reason") or given.typed.get("comment") or ""
    try:
        decide(
            visitor.context,
            caller,
            proposal_id,
            verb,
            version=version,
            comment=said.strip(),
            quantity=Decimal(quantity) if quantity else None,
        )
    except ProblemError as error:
        if error.kind is not Kind.INVALID:
            raise
        mended = given.with_problem("quantity", error.detail)
        return proposal_page.shown(visitor, proposal_id, entered=mended, status=422)
    return RedirectResponse(visitor.request.url.path.rsplit("/", 1)[0], status_code=303)


def approve(
    *,
    visitor: AnyVisitor,
    proposal_id: Identifier,
    version: Annotated[int, Form()],
    csrf: Csrf = "",
    comment: Typed = "",
    quantity: Typed = "",
) -> Response:
    """Approve the version that the form showed, or a part of it."""
    given = entered(Verb.APPROVE.value, quantity=quantity.strip(), comment=comment)
    return _decide(visitor, proposal_id, Verb.APPROVE, csrf=csrf, version=version, given=given)


def reject(
    visitor: AnyVisitor,
    proposal_id: Identifier,
    version: Annotated[int, Form()],
    reason: Typed = "",
    csrf: Csrf = "",
) -> Response:
    """Reject the version that the form showed, with the reason that is kept."""
    given = entered(Verb.REJECT.value, reason=reason)
    return _decide(visitor, proposal_id, Verb.REJECT, csrf=csrf, version=version, given=given)


def withdraw(
    visitor: AnyVisitor,
    proposal_id: Identifier,
    version: Annotated[int, Form()],
    csrf: Csrf = "",
    comment: Typed = "",
) -> Response:
    """Take back the version that the form showed."""
    given = entered(Verb.WITHDRAW.value, comment=comment)
    return _decide(visitor, proposal_id, Verb.WITHDRAW, csrf=csrf, version=version, given=given)


def show_halt(visitor: ReadingVisitor) -> HTMLResponse:
    """Whether buying is halted, and the form to change it."""
    with reading(visitor.context.engine) as connection:
        halt = halt_now(connection, visitor.context.policy_source)
    return visitor.page("halt.html", {"halt": halt, "may_operate": visitor.may(Role.OPERATOR)})


Reason = Annotated[str, Form(min_length=1, max_length=REASON_LENGTH_MAX, pattern=REASON)]
Confirmed = Annotated[str, Form(max_length=10)]


def set_halt(
    visitor: AnyVisitor, reason: Reason, csrf: Csrf = "", confirmed: Confirmed = ""
) -> Response:
    """Stop all buying."""
    return _switch(visitor, "/halt/set", halted=True, csrf=csrf, reason=reason, confirmed=confirmed)


def resume(
    visitor: AnyVisitor, reason: Reason, csrf: Csrf = "", confirmed: Confirmed = ""
) -> Response:
    """Let buying go on."""
    return _switch(
        visitor, "/halt/resume", halted=False, csrf=csrf, reason=reason, confirmed=confirmed
    )


def _switch(
    visitor: Visitor, path: str, *, halted: bool, csrf: str, reason: str, confirmed: str
) -> Response:
    caller = signer(visitor, csrf, path, "/halt")
    if confirmed != "yes" or not reason.strip():
        raise ProblemError(Kind.INVALID, "Tick the box to confirm, and say why.")
    switch(visitor.context, halted=halted, by=caller.actor, reason=reason)
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
        ("/proposals/{proposal_id}/withdraw", withdraw),
        ("/halt/set", set_halt),
        ("/halt/resume", resume),
    ):
        routes.add_api_route(path, action, methods=["POST"], response_model=None)
    return routes
