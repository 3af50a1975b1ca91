"""Decides who is signed in to the pages, and that a form was sent by the page that showed it.

Signing in exchanges a token, or the identity provider's word, for a signed cookie that names the
row of the token or of the session, never a token. The row is read on every request, so ending it
signs its holder out at once. The key that signs is the process's own or a file's, not in the
database: whoever can read the database cannot sign in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from fastapi import Request, Response
from sqlalchemy import Connection

from service.api import sessions
from service.api.context import AppContext
from service.api.problems import Kind, ProblemError
from service.api.tokens import Caller, by_id, caller_of

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
    content: list[str | int] = [
        session.token_id,
        int(session.expires_at.timestamp()),
        session.nonce,
    ]
    return seal_content(content, key, purpose="session")


def seal_content(content: Sequence[str | int], key: bytes, *, purpose: str) -> str:
    """``content`` as a cookie's value that only ``key`` can make, and for ``purpose`` only."""
    packed = json.dumps(content, separators=(",", ":")).encode()
    coded = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    return f"{coded}.{_mac(key, purpose, coded)}"


def unseal(cookie: str, key: bytes, *, now: datetime) -> Session | None:
    """The session in a cookie; ``None`` when it is forged, damaged or over."""
    content = open_sealed(cookie, key, purpose="session", fields=3)
    if content is None:
        return None
    token_id, expires, nonce = content
    session = Session(str(token_id), datetime.fromtimestamp(int(expires), UTC), str(nonce))
    return session if now < session.expires_at else None


def open_sealed(cookie: str, key: bytes, *, purpose: str, fields: int) -> list[str | int] | None:
    """What ``seal_content`` put into a cookie; ``None`` when it is forged or damaged."""
    coded, _, mac = cookie.partition(".")
    if not hmac.compare_digest(mac.encode(), _mac(key, purpose, coded).encode()):
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(content, list) or len(content) != fields:
        return None
    return content


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
    caller = _holder(connection, session, now)
    return None if caller is None else SignedIn(caller=caller, session=session)


def _holder(connection: Connection, session: Session, now: datetime) -> Caller | None:
    if session.token_id.startswith(sessions.PREFIX):
        return sessions.holder_of(connection, session.token_id, now=now)
    if sessions.is_signed_out(connection, session.nonce):
        return None
    record = by_id(connection, session.token_id)
    return caller_of(record) if record is not None and record.is_live(now) else None


def remember(request: Request, response: Response, session: Session, context: AppContext) -> None:
    """Put the session's cookie on ``response``; ``Secure`` wherever browsers come over TLS."""
    response.set_cookie(
        COOKIE,
        seal(session, context.session_key),
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=context.access.is_tls or request.url.scheme == "https",
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
        raise ProblemError(Kind.NOT_OUR_FORM, "The form was sent from another site.")


def require_form(request: Request, session: Session, key: bytes, given: str) -> None:
    """Refuse a form that this session's own pages did not show."""
    require_same_origin(request)
    if not hmac.compare_digest(given.encode(), csrf_field(session, key).encode()):
        raise ProblemError(
            Kind.NOT_OUR_FORM,
            "The form is not from this session. Load the page again and resend.",
        )


def local_path(wanted: str) -> str:
    """``wanted`` if it is a path on this server, else the overview: no open redirects."""
    if not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted:
        return "/"
    return wanted if wanted.isprintable() else "/"
