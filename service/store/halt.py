"""Decides whether buying is stopped. One switch for the whole deployment, in the database.

Every replica reads it in the transaction that writes an intent, in the one that marks the call,
and once more right before the call, so setting it stops all of them at their next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from service.observe.events import HaltCleared, HaltSet
from service.store import ledger
from service.store.schema import halts

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Halt:
    """The switch as it stands, and who set it so, when and why."""

    halted: bool
    reason: str
    changed_by: str
    changed_at: datetime | None


def read_halt(connection: Connection) -> Halt:
    """The switch; a deployment that never touched it is not halted."""
    query = select(halts).where(halts.c.scope == EVERYTHING)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return Halt(halted=False, reason="", changed_by="", changed_at=None)
    return Halt(row["halted"], row["reason"], row["changed_by"], row["changed_at"])


def is_halted(connection: Connection) -> bool:
    """True when nothing may be bought."""
    return read_halt(connection).halted


def set_halt(connection: Connection, *, halted: bool, by: str, reason: str, now: datetime) -> bool:
    """Stop buying, or let it resume, with its event; ``False`` when it stood so already."""
    ledger.lock(connection)
    if read_halt(connection).halted == halted:
        return False
    values = {"halted": halted, "reason": reason, "changed_by": by, "changed_at": now}
    changed = connection.execute(
        update(halts).where(halts.c.scope == EVERYTHING).values(**values)
    ).rowcount
    if changed == 0:
        connection.execute(insert(halts).values(scope=EVERYTHING, **values))
    event = HaltSet(by=by, reason=reason) if halted else HaltCleared(by=by, reason=reason)
    ledger.append(connection, event, now=now, actor=by)
    return True
