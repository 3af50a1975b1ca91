"""Decides whether autopilot is still trusted: one row per provider in which it gave itself up.

A rule writes the row, with its reason; only a person removes it. While it stands, every scope of
the provider that the policy has on autopilot is on copilot.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from service.observe.events import AutopilotDemoted, AutopilotRestored
from service.store import ledger
from service.store.alteration_tables import demotions
from service.store.schema import events


@dataclass(frozen=True, slots=True)
class Demotion:
    """Why and since when autopilot asks a person in ``provider``."""

    provider: str
    rule: str
    detail: str
    demoted_at: datetime


def demotions_now(connection: Connection) -> tuple[Demotion, ...]:
    """Every provider in which autopilot has given itself up, by name."""
    rows = connection.execute(select(demotions).order_by(demotions.c.provider)).mappings()
    return tuple(
        Demotion(row["provider"], row["rule"], row["detail"], row["demoted_at"]) for row in rows
    )


def demoted(connection: Connection) -> frozenset[str]:
    """The providers in which autopilot asks a person."""
    return frozenset(connection.execute(select(demotions.c.provider)).scalars())


def demote(connection: Connection, provider: str, *, rule: str, detail: str, now: datetime) -> bool:
    """Give autopilot up in ``provider``; ``False`` when it was given up already."""
    ledger.lock(connection)
    if provider in demoted(connection):
        return False
    connection.execute(
        insert(demotions).values(provider=provider, rule=rule, detail=detail, demoted_at=now)
    )
    event = AutopilotDemoted(rule=rule, detail=detail, provider=provider)
    ledger.append(connection, event, now=now)
    return True


def restored_at(connection: Connection, provider: str) -> datetime | None:
    """When a person last trusted autopilot in ``provider`` again; ``None``: never."""
    told = connection.execute(
        select(events.c.happened_at, events.c.payload)
        .where(events.c.kind == AutopilotRestored.name)
        .order_by(events.c.sequence.desc())
    )
    return next((row.happened_at for row in told if row.payload["provider"] == provider), None)


def restore(connection: Connection, provider: str, *, by: str, reason: str, now: datetime) -> bool:
    """Trust autopilot in ``provider`` again, at a person's word; ``False`` when it was trusted."""
    ledger.lock(connection)
    gone = connection.execute(delete(demotions).where(demotions.c.provider == provider)).rowcount
    if gone:
        event = AutopilotRestored(provider=provider, by=by, reason=reason)
        ledger.append(connection, event, now=now, actor=by)
    return gone == 1
