"""Tells the log what the ledger holds: every event once, after the transaction that wrote it.

Events are written by commands, the API and the jobs alike. Reading them back from the ledger tells
them all, in their order, and never one whose transaction was rolled back.
"""

from __future__ import annotations

from sqlalchemy import Engine

from service.observe.log import log_fact
from service.store import ledger
from service.store.engine import reading

_AT_ONCE = 500


class EventLog:
    """Follows one ledger from where it stands now. For the executor: one teller, no repeats."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with reading(engine) as connection:
            newest = ledger.latest(connection, limit=1)
        self._told = newest[0].sequence if newest else 0

    def tell(self) -> int:
        """Log every event since the last call; returns how many there were."""
        count = 0
        while True:
            with reading(self._engine) as connection:
                events = ledger.read(connection, after=self._told, limit=_AT_ONCE)
            for event in events:
                log_fact(event.kind, event.payload, sequence=event.sequence, actor=event.actor)
                self._told = event.sequence
            count += len(events)
            if len(events) < _AT_ONCE:
                return count
