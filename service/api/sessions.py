"""Who signed in through the identity provider: a row that can be ended, never the tokens.

Who signed in with a token has no row until they sign out: then one says that this sign-in is over,
so that a cookie somebody kept opens nothing any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from service.api.tokens import Caller, accounts_in
from service.observe.events import SessionRevoked
from service.purchase.people import identity_of
from service.store import ledger
from service.store.api_tables import sessions
from service.store.states import Role

PREFIX = "sso_"
_SIGNED_OUT = "out_"
KEPT_AFTER_END = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One sign-in through the identity provider, as somebody who may end it sees it.

    ``person`` is the provider's address and their subject there; ``label`` what they are called.
    """

    session_id: str
    person: str
    label: str
    role: Role
    accounts: frozenset[str] | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        """True while it opens what its role allows."""
        return self.revoked_at is None and now < self.expires_at


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


def listed(connection: Connection) -> tuple[SessionRecord, ...]:
    """Every sign-in through the identity provider that is kept, oldest first."""
    query = (
        select(sessions)
        .where(sessions.c.session_id.startswith(PREFIX, autoescape=True))
        .order_by(sessions.c.created_at, sessions.c.session_id)
    )
    return tuple(_record(row) for row in connection.execute(query).mappings())


def by_id(connection: Connection, identity: str) -> SessionRecord | None:
    """One sign-in through the identity provider."""
    return next((one for one in listed(connection) if one.session_id == identity), None)


def of_person(connection: Connection, named: str) -> tuple[SessionRecord, ...]:
    """The sign-ins of whoever is known, or called, by this name."""
    wanted = identity_of(named)
    return tuple(
        one
        for one in listed(connection)
        if wanted in {identity_of(one.person), identity_of(one.label)}
    )


def revoke(
    connection: Connection, found: Iterable[SessionRecord], *, by: str, now: datetime, at: datetime
) -> tuple[SessionRecord, ...]:
    """End what is still live of ``found`` at once, with an event ``at`` for each; those ended."""
    ledger.lock(connection)
    ended = []
    for one in found:
        if not one.is_live(now):
            continue
        end(connection, one.session_id, now=now)
        event = SessionRevoked(session_id=one.session_id, person=one.person, label=one.label)
        ledger.append(connection, event, now=at, actor=by)
        ended.append(replace(one, revoked_at=now))
    return tuple(ended)


def _record(row: RowMapping) -> SessionRecord:
    return SessionRecord(
        session_id=row["session_id"],
        person=row["person"],
        label=row["label"],
        role=Role(row["role"]),
        accounts=accounts_in(row["accounts"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
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
