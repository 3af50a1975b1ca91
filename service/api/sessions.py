"""Who signed in through the identity provider: a row that can be ended, never the tokens.

Who signed in with a token has no row until they sign out: then one says that this sign-in is over,
so that a cookie somebody kept opens nothing any more.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from service.api.tokens import Caller, accounts_in
from service.store.api_tables import sessions
from service.store.states import Role

PREFIX = "sso_"
_SIGNED_OUT = "out_"
KEPT_AFTER_END = timedelta(days=1)


def open_session(
    connection: Connection, caller: Caller, *, now: datetime, expires_at: datetime
) -> str:
    """Write that ``caller`` signed in; returns the session's id. Ended ones are swept away."""
    _sweep(connection, now)
    identity = PREFIX + secrets.token_hex(16)
    connection.execute(
        insert(sessions).values(
            session_id=identity,
            person=caller.subject,
            label=caller.label,
            role=caller.role.value,
            accounts=None if caller.accounts is None else {"accounts": sorted(caller.accounts)},
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
        )
    )
    return identity


def holder_of(connection: Connection, identity: str, *, now: datetime) -> Caller | None:
    """Whose session it is; ``None`` when it is over, was ended, or never was."""
    row = (
        connection.execute(select(sessions).where(sessions.c.session_id == identity))
        .mappings()
        .one_or_none()
    )
    if row is None or row["revoked_at"] is not None or row["expires_at"] <= now:
        return None
    return Caller(
        token_id=None,
        label=row["label"],
        role=Role(row["role"]),
        accounts=accounts_in(row["accounts"]),
        subject=row["person"],
    )


def end(connection: Connection, identity: str, *, now: datetime) -> None:
    """End a session at once."""
    connection.execute(
        update(sessions)
        .where(sessions.c.session_id == identity, sessions.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def sign_out(connection: Connection, nonce: str, *, now: datetime, expires_at: datetime) -> None:
    """End the one sign-in with a token that carries ``nonce``. Twice is as good as once."""
    _sweep(connection, now)
    if is_signed_out(connection, nonce):
        return
    connection.execute(
        insert(sessions).values(
            session_id=_SIGNED_OUT + nonce,
            person="",
            label="",
            role=Role.VIEWER.value,
            accounts=None,
            created_at=now,
            expires_at=expires_at,
            revoked_at=now,
        )
    )


def is_signed_out(connection: Connection, nonce: str) -> bool:
    """True when the sign-in with a token that carries ``nonce`` was ended."""
    query = select(sessions.c.session_id).where(sessions.c.session_id == _SIGNED_OUT + nonce)
    return connection.execute(query).first() is not None


def _sweep(connection: Connection, now: datetime) -> None:
    """Forget what ended a while ago: its cookie is over by its own word."""
    connection.execute(delete(sessions).where(sessions.c.expires_at < now - KEPT_AFTER_END))
