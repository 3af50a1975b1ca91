"""Decides who is signed in to the pages, and that a form was sent by the page that showed it.

Signing in exchanges a token for a signed cookie that names the token's id, never the token. The
token's row is read on every request, so revoking it signs its holder out at once. The key that
signs is the process's own, not in the database: whoever can read the database cannot sign in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from fastapi import Request, Response
from sqlalchemy import Connection

from service.api.context import AppContext
from service.api.problems import Kind, ProblemError
from service.api.tokens import Caller, by_id

COOKIE = "tenor_session"
LIFETIME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in: which token, until when, and a number that makes it the only one of its kind."""

    token_id: str
    expires_at: datetime
    nonce: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session whose token still opens something."""

    caller: Caller
    session: Session


def begin(token_id: str, *, now: datetime) -> Session:
    """A new session for the token with this id."""
    return Session(token_id=token_id, expires_at=now + LIFETIME, nonce=secrets.token_hex(16))


def seal(session: Session, key: bytes) -> str:
    """The session as a cookie's value: readable, but only ``key`` can make it."""
    content = json.dumps(
        [session.token_id, int(session.expires_at.timestamp()), session.nonce],
        separators=(",", ":"),
    ).encode()
    packed = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    return f"{packed}.{_mac(key, 'session', packed)}"


def unseal(cookie: str, key: bytes, *, now: datetime) -> Session | None:
    """The session in a cookie; ``None`` when it is forged, damaged or over."""
    packed, _, mac = cookie.partition(".")
    if not hmac.compare_digest(mac.encode(), _mac(key, "session", packed).encode()):
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        token_id, expires, nonce = content
        session = Session(str(token_id), datetime.fromtimestamp(int(expires), UTC), str(nonce))
    except (binascii.Error, ValueError, TypeError):
        return None
    return session if now < session.expires_at else None


def _mac(key: bytes, purpose: str, content: str) -> str:
    return hmac.new(key, f"{purpose}:{content}".encode(), hashlib.sha256).hexdigest()


def csrf_field(session: Session, key: bytes) -> str:
    """The value that this session's forms carry."""
    return _mac(key, "csrf", session.nonce)


def signed_in(connection: Connection, request: Request, context: AppContext) -> SignedIn | None:
    """Whoever's session the request's cookie holds, while their token is live."""
    now = context.auth_clock.now()
    session = unseal(request.cookies.get(COOKIE, ""), context.session_key, now=now)
    if session is None:
        return None
    record = by_id(connection, session.token_id)
    if record is None or not record.is_live(now):
        return None
    caller = Caller(token_id=record.token_id, label=record.label, role=record.role)
    return SignedIn(caller=caller, session=session)


def remember(request: Request, response: Response, session: Session, key: bytes) -> None:
    """Put the session's cookie on ``response``; ``Secure`` wherever the page came over TLS."""
    response.set_cookie(
        COOKIE,
        seal(session, key),
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def forget(response: Response) -> None:
    """Take the session's cookie away."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def require_same_origin(request: Request) -> None:
    """Refuse a form that another site sent. Browsers state the origin of every POST."""
    fetch_site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = fetch_site is not None and fetch_site not in {"same-origin", "none"}
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        foreign = True
    if foreign:
        raise ProblemError(Kind.FORBIDDEN, "The form was sent from another site.")


def require_form(request: Request, session: Session, key: bytes, given: str) -> None:
    """Refuse a form that this session's own pages did not show."""
    require_same_origin(request)
    if not hmac.compare_digest(given.encode(), csrf_field(session, key).encode()):
        raise ProblemError(
            Kind.FORBIDDEN, "The form is not from this session. Load the page again and resend."
        )


def local_path(wanted: str) -> str:
    """``wanted`` if it is a path on this server, else the overview: no open redirects."""
    if not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted:
        return "/"
    return wanted if wanted.isprintable() else "/"
