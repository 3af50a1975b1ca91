"""Decides who may do what: API tokens, their roles, and how one is recognised.

A token is 256 random bits behind the prefix ``tnr_``. Only its SHA-256 is stored: with so much
randomness a slow hash adds nothing. It is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from service.domain.errors import InputError
from service.store.schema import tokens
from service.store.states import Role

PREFIX = "tnr_"
_SECRET_BYTES = 32
_RANK = {role: rank for rank, role in enumerate(Role)}
LABEL_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a request. ``token_id`` is ``None`` for who was let in without one.

    ``accounts`` are those that they are limited to, ``None`` for all. ``subject`` is what the
    identity provider knows them by; empty for the holder of a token, whose label it is.
    """

    token_id: str | None
    label: str
    role: Role
    accounts: frozenset[str] | None = None
    subject: str = ""

    def may(self, role: Role) -> bool:
        """True when the caller's role is ``role`` or includes it."""
        return _RANK[self.role] >= _RANK[role]

    def sees(self, account: str) -> bool:
        """True when the caller is not limited to other accounts than ``account``."""
        return self.accounts is None or account in self.accounts

    @property
    def actor(self) -> str:
        """How the ledger names the caller."""
        told = self.token_id or self.subject
        return f"{self.label} ({told})" if told else self.label

    @property
    def person(self) -> str:
        """Who it is, however many tokens they hold: the same for every token of one name."""
        return self.subject or self.label


ANONYMOUS_READER = Caller(token_id=None, label="anonymous", role=Role.VIEWER)
"""Who reads without a token, where reads were opened on purpose."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is stored of one token: everything but the token."""

    token_id: str
    label: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    accounts: frozenset[str] | None = None

    def is_live(self, now: datetime) -> bool:
        """True while the token opens what its role allows."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token, the only time that its text exists here."""

    text: str
    record: TokenRecord

    def __repr__(self) -> str:
        """Never the token: a repr ends up in logs."""
        return f"Minted({self.record!r})"


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def mint(
    connection: Connection,
    *,
    label: str,
    role: Role,
    now: datetime,
    expires_at: datetime | None,
    accounts: frozenset[str] | None = None,
) -> Minted:
    """Make and store a token, for ``accounts`` only or for all (``None``).

    Raises ``InputError`` for an unusable label or expiry.
    """
    if not label.strip() or len(label) > LABEL_LENGTH_MAX or not label.isprintable():
        raise InputError(
            f"a label needs 1 to {LABEL_LENGTH_MAX} printable characters",
            file="the command line",
            column="--name",
            remedy="Name the person or the program that will hold the token.",
        )
    if expires_at is not None and expires_at <= now:
        raise InputError(
            "the token would have expired already",
            file="the command line",
            column="--days",
            remedy="Give at least one day, or leave it out.",
        )
    text = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    record = TokenRecord(
        token_id=f"tok_{secrets.token_hex(6)}",
        label=label.strip(),
        role=role,
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
        accounts=accounts,
    )
    connection.execute(
        tokens.insert().values(
            token_id=record.token_id,
            label=record.label,
            role=record.role.value,
            secret_hash=digest(text),
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
            accounts=None if accounts is None else {"accounts": sorted(accounts)},
        )
    )
    return Minted(text=text, record=record)


_FIELDS = (
    tokens.c.token_id,
    tokens.c.label,
    tokens.c.role,
    tokens.c.created_at,
    tokens.c.expires_at,
    tokens.c.revoked_at,
    tokens.c.accounts,
)


def listed(connection: Connection) -> tuple[TokenRecord, ...]:
    """Every token's record, oldest first."""
    rows = connection.execute(select(*_FIELDS).order_by(tokens.c.created_at, tokens.c.token_id))
    return tuple(_record(row) for row in rows.mappings())


def revoke(connection: Connection, token_id: str, *, now: datetime) -> TokenRecord:
    """End a token at once; ending it again changes nothing. ``InputError`` when unknown."""
    record = by_id(connection, token_id)
    if record is None:
        raise InputError(
            f"there is no token {token_id!r}",
            file="the command line",
            remedy="`tenor token list` shows the ids.",
        )
    connection.execute(
        update(tokens)
        .where(tokens.c.token_id == token_id, tokens.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return by_id(connection, token_id) or record


def by_id(connection: Connection, token_id: str) -> TokenRecord | None:
    """The record of one token."""
    row = (
        connection.execute(select(*_FIELDS).where(tokens.c.token_id == token_id))
        .mappings()
        .one_or_none()
    )
    return None if row is None else _record(row)


def recognise(connection: Connection, token: str, *, now: datetime) -> Caller | None:
    """Who holds ``token``; ``None`` when it is unknown, expired or revoked.

    The row is found by the hash, of which a caller controls no prefix worth timing; the whole
    hash is compared once more in constant time.
    """
    if not token.startswith(PREFIX):
        return None
    wanted = digest(token)
    row = (
        connection.execute(
            select(tokens.c.secret_hash, *_FIELDS).where(tokens.c.secret_hash == wanted)
        )
        .mappings()
        .one_or_none()
    )
    if row is None or not hmac.compare_digest(row["secret_hash"], wanted):
        return None
    record = _record(row)
    if not record.is_live(now):
        return None
    return caller_of(record)


def caller_of(record: TokenRecord) -> Caller:
    """Whoever holds the token of ``record``."""
    return Caller(
        token_id=record.token_id, label=record.label, role=record.role, accounts=record.accounts
    )


def accounts_in(document: Mapping[str, Any] | None) -> frozenset[str] | None:
    """The accounts that a stored limit names; ``None`` for no limit."""
    return None if document is None else frozenset(document["accounts"])


def _record(row: RowMapping) -> TokenRecord:
    return TokenRecord(
        token_id=row["token_id"],
        label=row["label"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        accounts=accounts_in(row["accounts"]),
    )
