"""Signing in through the identity provider: authorization code, PKCE, state and nonce.

What must be remembered between leaving and coming back stands in a signed cookie of ten minutes.
What is asked and believed is in ``service.api.code_flow``; a session of our own begins.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service.api.code_flow import claims_for, question
from service.api.context import (
    AppContext,
    Context,
    address_of,
    identity_unreachable,
    slow_down,
)
from service.api.identity import Identity
from service.api.oidc import IssuerUnreachableError, NotTrustedError
from service.api.problems import Kind, ProblemError
from service.api.sessions import open_session
from service.api.tokens import Caller
from service.observe.log import get_logger
from service.store.engine import writing
from service.web.frame import AnyVisitor
from service.web.session import LIFETIME, Session, local_path, open_sealed, remember, seal_content

COOKIE = "tenor_sign_in"
PATH = "/login"
MINUTES = timedelta(minutes=10)
_PURPOSE = "sign-in"
Returned = Annotated[str | None, Query(max_length=4000)]


def leave(request: Request, context: Context, next: str = "/") -> Response:  # noqa: A002 - in the URL
    """Off to the identity provider."""
    identity = _identity(context)
    slow_down(context.access.limiter.may_try(_exchanges(request)))
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    until = context.auth_clock.now() + MINUTES
    try:
        where = question(
            identity, back=_back(identity), state=state, nonce=nonce, verifier=verifier
        )
    except IssuerUnreachableError as error:
        raise identity_unreachable(error) from error
    response = RedirectResponse(where, status_code=303)
    content: list[str | int] = [state, nonce, verifier, local_path(next), int(until.timestamp())]
    response.set_cookie(
        COOKIE,
        seal_content(content, context.session_key, purpose=_PURPOSE),
        max_age=int(MINUTES.total_seconds()),
        path=PATH,
        httponly=True,
        # The way back comes from the provider's site: a strict cookie would not come along.
        samesite="lax",
        secure=context.access.is_tls or request.url.scheme == "https",
    )
    return response


def come_back(
    *,
    request: Request,
    visitor: AnyVisitor,
    code: Returned = None,
    state: Returned = None,
    error: Returned = None,
    iss: Returned = None,
) -> HTMLResponse:
    """The way back: exchange the code, look at who it is, begin a session."""
    context = visitor.context
    identity = _identity(context)
    slow_down(context.access.limiter.may_try(_exchanges(request)))
    nonce, verifier, wanted = _remembered(request, context, state)
    if error is not None or not code:
        raise ProblemError(Kind.NOT_SIGNED_IN, "The identity provider did not sign you in.")
    if iss is not None and iss != identity.issuer.url:
        raise ProblemError(Kind.NOT_SIGNED_IN, "The answer is another identity provider's.")
    caller = _vouched_for(context, identity, request, code=code, verifier=verifier, nonce=nonce)
    now = context.auth_clock.now()
    session = Session(
        token_id=_begin(context, caller, now),
        expires_at=now + LIFETIME,
        nonce=secrets.token_hex(16),
    )
    get_logger("tenor.web").info("web.signed_in", by=caller.actor)
    # A page of our own that goes on by itself: the strict cookie does not come along on a
    # redirect that another site began.
    response = visitor.page("signed_in.html", {"wanted": wanted})
    remember(request, response, session, context)
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")
    return response


def _exchanges(request: Request) -> str:
    """What failed exchanges are counted under: apart from wrong tokens of the same address.

    Each costs the identity provider work, so it is looked at before.
    """
    return f"exchanges of {address_of(request)}"


def _begin(context: AppContext, caller: Caller, now: datetime) -> str:
    with writing(context.engine) as connection:
        return open_session(connection, caller, now=now, expires_at=now + LIFETIME)


def _identity(context: AppContext) -> Identity:
    if context.access.identity is None:
        raise ProblemError(Kind.NOT_FOUND, "No identity provider is set up.")
    return context.access.identity


def _back(identity: Identity) -> str:
    return f"{identity.public_url}{PATH}/callback"


def _remembered(request: Request, context: AppContext, state: str | None) -> tuple[str, str, str]:
    """Nonce, PKCE verifier and wanted page of the sign-in that ``state`` belongs to."""
    content = open_sealed(
        request.cookies.get(COOKIE, ""), context.session_key, purpose=_PURPOSE, fields=5
    )
    if content is not None:
        expected, nonce, verifier, wanted, until = content
        lasts = context.auth_clock.now() < datetime.fromtimestamp(int(str(until)), UTC)
        if lasts and hmac.compare_digest((state or "").encode(), str(expected).encode()):
            return str(nonce), str(verifier), local_path(str(wanted))
    raise ProblemError(
        Kind.NOT_SIGNED_IN, "This sign-in was not begun here, or too long ago. Begin it again."
    )


def _vouched_for(
    context: AppContext,
    identity: Identity,
    request: Request,
    *,
    code: str,
    verifier: str,
    nonce: str,
) -> Caller:
    try:
        claims = claims_for(
            identity, code=code, back=_back(identity), nonce=nonce, verifier=verifier
        )
    except IssuerUnreachableError as error:
        raise identity_unreachable(error) from error
    except NotTrustedError as error:
        context.access.limiter.wrong_token(_exchanges(request))
        get_logger("tenor.web").warning("web.sign_in_refused", why=str(error))
        raise ProblemError(
            Kind.NOT_SIGNED_IN, "What the identity provider answered proves nothing."
        ) from error
    caller = identity.caller(claims)
    if caller is None:
        raise ProblemError(
            Kind.NOT_SIGNED_IN, "You are known, but nothing gives you a role here. Ask who runs it."
        )
    return caller


def router() -> APIRouter:
    """These pages, ready to be included."""
    routes = APIRouter(include_in_schema=False)
    for path, handler in ((f"{PATH}/provider", leave), (f"{PATH}/callback", come_back)):
        routes.add_api_route(path, handler, methods=["GET"], response_model=None)
    return routes
