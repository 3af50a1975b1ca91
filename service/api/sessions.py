"""Who signed in through the identity provider: a row that can be ended, never the tokens."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from service.api.tokens import Caller, accounts_in
from service.store.api_tables import sessions
from service.store.states import Role

PREFIX = "sso_"
KEPT_AFTER_END = timedelta(days=1)


def open_session(
    connection: Connection, caller: Caller, *, now: datetime, expires_at: datetime
) -> str:
    """Write that ``caller`` signed in; returns the session's id. Ended ones are swept away."""
    connection.execute(delete(sessions).where(sessions.c.expires_at < now - KEPT_AFTER_END))
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
