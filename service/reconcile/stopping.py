"""Decides what a reading stops: all buying at money that nobody decided, autopilot at drift.

Written in the transaction that settles: a finding comes once, and a process that died between the
two would leave nothing that stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from service.domain.ids import CommitmentId, IntentId
from service.domain.purchases import IntentState
from service.observe.events import ReconcileDrift
from service.reconcile.findings import AlterationFinding, Duplicate, Finding, SettledBought
from service.store import demotion, ledger
from service.store.halt import set_halt
from service.store.ledger import SYSTEM

DETAIL_LENGTH_MAX = 500


def stop(
    connection: Connection,
    provider: str,
    findings: Sequence[Finding],
    altered: Sequence[AlterationFinding],
    *,
    autopilot: bool,
    now: datetime,
) -> None:
    """Halt on money that moved undecided; with ``autopilot``, ask people again on any alarm.

    That is an intent with two commitments, or a purchase that had been written off, or that the
    ledger does not know to have called, and is there after all. None of it can come about without
    something being wrong with us or the provider; a person must resume buying.
    """
    for finding in findings:
        reason = _undecided(finding)
        if reason is not None:
            _halt(connection, reason, now=now)
    alarms = [one for one in (*findings, *altered) if one.alarming]
    if alarms and autopilot:
        detail = f"{type(alarms[0]).__name__}: {alarms[0]}"[:DETAIL_LENGTH_MAX]
        demotion.demote(connection, provider, rule="drift", detail=detail, now=now)


def stop_at_late_yes(
    connection: Connection,
    provider: str,
    intent: IntentId,
    commitment: CommitmentId,
    *,
    autopilot: bool,
    now: datetime,
) -> None:
    """Halt on what the provider says was bought when it had been written off already.

    As when it is listed all the same: see ``stop``. In the transaction that writes the answer.
    """
    detail = f"the provider answers with {commitment} all the same"
    event = ReconcileDrift(
        finding="written_off", commitment=commitment, intent=intent, detail=detail
    )
    ledger.append(connection, event, now=now)
    _halt(connection, _all_the_same(intent, IntentState.REFUSED), now=now)
    if autopilot:
        demotion.demote(connection, provider, rule="drift", detail=f"{intent}: {detail}", now=now)


def _halt(connection: Connection, reason: str, *, now: datetime) -> None:
    set_halt(connection, halted=True, by=SYSTEM, reason=reason, now=now)


def _all_the_same(intent: IntentId, state: IntentState) -> str:
    was = "refused" if state is IntentState.REFUSED else "never called"
    return f"intent {intent} was {was} and is bought all the same"


def _undecided(finding: Finding) -> str | None:
    match finding:
        case Duplicate(intent=intent, items=items, is_new=True):
            return f"intent {intent.order.intent} was bought {len(items)} times"
        case SettledBought(intent=intent, alarming=True):
            return _all_the_same(intent.order.intent, intent.state)
        case _:
            return None
