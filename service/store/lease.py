"""Decides which replica acts: one row, one holder, a fencing number that only rises.

The lease expires on the database's own clock, so replicas whose clocks differ still agree. Every
transaction that may buy calls ``require`` first: it locks the row (``FOR UPDATE``; SQLite's
BEGIN IMMEDIATE) until the transaction ends, so nobody can take the lease over in between, and
two transactions that spend the same budget follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from service.domain.errors import InvariantError, LeaseLostError
from service.store.schema import leases

EXECUTOR = "executor"
"""The one lease of a deployment: who holds it decides and buys."""


# Built once: every transaction that may buy begins with them.
_LOCKED = select(leases).where(leases.c.name == bindparam("lease")).with_for_update()
_SQLITE_NOW = text("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was granted. ``fence`` differs from every earlier holder's."""

    name: str
    holder: str
    fence: int
    expires_at: datetime


def acquire(
    connection: Connection, *, holder: str, lifetime: timedelta, name: str = EXECUTOR
) -> Lease | None:
    """The lease, when it is free, expired, or already ``holder``'s; else ``None``.

    ``holder`` names one process, not one machine: a process that starts again is a new holder
    and waits for the old lease to expire or to be released. Whoever holds it keeps its fence.
    """
    if lifetime <= timedelta(0):
        msg = f"a lease of {lifetime} would have ended before it began"
        raise InvariantError(msg)
    row = _locked(connection, name)
    now = database_now(connection)  # after the wait for the lock, in which time has passed
    if row is None:
        return _first(connection, holder=holder, now=now, lifetime=lifetime, name=name)
    held = row["expires_at"] > now
    if held and row["holder"] != holder:
        return None
    fence = row["fence"] if held else row["fence"] + 1
    values = {"holder": holder, "fence": fence, "expires_at": now + lifetime}
    if not held:
        values["acquired_at"] = now
    connection.execute(update(leases).where(leases.c.name == name).values(**values))
    return Lease(name=name, holder=holder, fence=fence, expires_at=now + lifetime)


def renew(connection: Connection, lease: Lease, *, lifetime: timedelta) -> Lease:
    """The same lease, longer. Raises ``LeaseLostError`` once it has expired or changed hands."""
    require(connection, lease)
    expires_at = database_now(connection) + lifetime
    connection.execute(
        update(leases).where(leases.c.name == lease.name).values(expires_at=expires_at)
    )
    return Lease(lease.name, lease.holder, lease.fence, expires_at)


def require(connection: Connection, lease: Lease) -> None:
    """Lock the lease until this transaction ends; ``LeaseLostError`` unless it is still ours."""
    row = _locked(connection, lease.name)
    ours = row is not None and (row["holder"], row["fence"]) == (lease.holder, lease.fence)
    if row is None or not ours or row["expires_at"] <= database_now(connection):
        raise LeaseLostError(holder=lease.holder, fence=lease.fence)


def release(connection: Connection, lease: Lease) -> None:
    """Let the next one have it at once. Does nothing when it is no longer ours."""
    connection.execute(
        update(leases)
        .where(
            leases.c.name == lease.name,
            leases.c.holder == lease.holder,
            leases.c.fence == lease.fence,
        )
        .values(expires_at=database_now(connection))
    )


def current(connection: Connection, name: str = EXECUTOR) -> Lease | None:
    """Who holds the lease now, without locking it; ``None`` when nobody does."""
    row = connection.execute(select(leases).where(leases.c.name == name)).mappings().one_or_none()
    if row is None or row["expires_at"] <= database_now(connection):
        return None
    return Lease(row["name"], row["holder"], row["fence"], row["expires_at"])


def database_now(connection: Connection) -> datetime:
    """The database's clock now, not when the transaction began, in UTC."""
    if connection.dialect.name == "sqlite":
        # To the millisecond, which is as fine as SQLite tells.
        spelled = connection.execute(_SQLITE_NOW)
        return datetime.fromisoformat(str(spelled.scalar_one())).replace(tzinfo=UTC)
    instant = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    if not isinstance(instant, datetime):
        msg = f"the database's clock says {instant!r}"
        raise InvariantError(msg)
    return instant.astimezone(UTC)


def _locked(connection: Connection, name: str) -> RowMapping | None:
    return connection.execute(_LOCKED, {"lease": name}).mappings().one_or_none()


def _first(
    connection: Connection, *, holder: str, now: datetime, lifetime: timedelta, name: str
) -> Lease | None:
    row = {"name": name, "holder": holder, "fence": 1}
    try:
        with connection.begin_nested():
            connection.execute(
                insert(leases).values(**row, acquired_at=now, expires_at=now + lifetime)
            )
    except IntegrityError:  # another replica inserted the row first and so holds the lease
        return None
    return Lease(name=name, holder=holder, fence=1, expires_at=now + lifetime)
