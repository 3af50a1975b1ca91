"""Asks the running executor for a cycle, and tells what became of it: two must never decide."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.errors import RefusedError
from service.domain.purchases import IntentState
from service.store import asked, intents
from service.store import lease as leases
from service.store.engine import reading, writing
from service.store.states import RunState
from service.wiring import Ground

LOOKS_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """One cycle that the executor was asked for. ``state`` is ``asked`` until the run has ended."""

    provider: str
    cycle: str
    state: str
    detail: str

    def as_row(self) -> dict[str, object]:
        """For a table or a JSON object."""
        return {
            "provider": self.provider,
            "cycle": self.cycle,
            "state": self.state,
            "detail": self.detail,
        }


def executor_now(ground: Ground) -> str | None:
    """Who holds the executor's lease; ``None`` when this process may take it itself."""
    with reading(ground.engine) as connection:
        held = leases.current(connection)
    return None if held is None else held.holder


def ask(ground: Ground, providers: Sequence[str], *, actor: str) -> tuple[Asked, ...]:
    """Leave the request in the ledger: one cycle per provider, all of one instant."""
    at = ground.clock.now().replace(microsecond=0)
    with writing(ground.engine) as connection:
        return tuple(
            Asked(one, asked.ask(connection, one, at=at, actor=actor), "asked", "")
            for one in providers
        )


def awaited(
    ground: Ground, requests: Sequence[Asked], *, within_seconds: float
) -> tuple[Asked, ...]:
    """What became of ``requests``.

    Raises ``RefusedError`` when one failed, or had not ended in time: it stays asked for.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        found = tuple(_ended(ground, one) for one in requests)
        failed = [one for one in found if one.state == RunState.FAILED.value]
        if failed:
            raise RefusedError(rule="cycle", detail=f"{failed[0].cycle}: {failed[0].detail}")
        if all(one.state == RunState.DONE.value for one in found):
            return found
        if time.monotonic() >= deadline:
            late = next(one for one in found if one.state != RunState.DONE.value)
            raise RefusedError(
                rule="cycle",
                detail=f"{late.cycle} has not ended within {within_seconds:g} s; it stays asked "
                "for, and tenor status shows the job",
            )
        time.sleep(LOOKS_EVERY_SECONDS)


def leaves_unknown(ground: Ground, providers: Sequence[str]) -> bool:
    """Whether an outcome of one of ``providers`` is unknown now."""
    with reading(ground.engine) as connection:
        found = intents.list_intents(connection, states=(IntentState.UNKNOWN,))
    return any(one.line.provider in providers for one in found)


def _ended(ground: Ground, one: Asked) -> Asked:
    with reading(ground.engine) as connection:
        found = asked.ended(connection, one.cycle)
    if found is None:
        return one
    return Asked(one.provider, one.cycle, found[0].value, found[1])
