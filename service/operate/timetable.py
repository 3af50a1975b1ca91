"""Decides which jobs there are and when each is due; nothing here says what they do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from service.settings import Settings

ALERTS = "alerts"
CYCLE = "cycle"
EXPIRIES = "expiries"
INGEST = "ingest"
RECONCILE = "reconcile"
UNDO = "undo"
MONDAY_AT_SIX = timedelta(days=4, hours=6)
"""Weeks counted from 1970, a Thursday, end four days later: cycles are decided on Mondays."""


class Slot(NamedTuple):
    """A job's schedule: its name, and the instants ``every`` from 1970 plus ``offset``."""

    name: str
    every: timedelta
    offset: timedelta = timedelta(0)


EXPIRING = Slot(EXPIRIES, timedelta(hours=1))
TELLING = Slot(ALERTS, timedelta(minutes=5))


def ingesting(settings: Settings, provider: str) -> Slot:
    """When a provider's exports are read."""
    return Slot(f"{INGEST}-{provider}", timedelta(hours=settings.ingest_every_hours))


def reconciling(settings: Settings, provider: str) -> Slot:
    """When a provider's inventory is read."""
    return Slot(f"{RECONCILE}-{provider}", timedelta(hours=settings.reconcile_every_hours))


def undoing(provider: str) -> Slot:
    """Daily, well before the working day of the accounts that something may be given back in."""
    return Slot(f"{UNDO}-{provider}", timedelta(days=1), timedelta(hours=4))


def deciding(settings: Settings, provider: str) -> Slot:
    """When a provider's cycle is decided."""
    every = timedelta(hours=settings.cycle_every_hours)
    return Slot(f"{CYCLE}-{provider}", every, MONDAY_AT_SIX)


def timetable(settings: Settings, providers: Sequence[str]) -> tuple[Slot, ...]:
    """Every job of a deployment on these clouds."""
    each = (
        slot
        for provider in providers
        for slot in (
            reconciling(settings, provider),
            ingesting(settings, provider),
            undoing(provider),
            deciding(settings, provider),
        )
    )
    return (EXPIRING, *each, TELLING)
