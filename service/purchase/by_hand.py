"""Settles an outcome that no evidence will, on the word of a person who answers for it by name.

Only what is held: a purchase or an alteration that is unknown, a purchase that was written down
and never called, as far as the ledger knows, while the like of it is listed, or one that the
provider confirmed and never listed. What the mirror shows contradicts the word where it can; then
nothing is settled, and the person is told.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from service.domain.alterations import AlterationState
from service.domain.errors import InvariantError, RefusedError
from service.domain.ids import CommitmentId, IntentId
from service.domain.purchases import Evidence, Intent, IntentState
from service.observe.events import OutcomeSettled
from service.purchase.lifecycle import Word
from service.purchase.never_listed import evidence_against, evidence_for_another
from service.store import alterations, holdings, intents, ledger

SETTLED_BY_HAND = (IntentState.RECORDED, IntentState.UNKNOWN)


def settle_purchase(
    connection: Connection,
    intent: IntentId,
    *,
    bought: CommitmentId | None,
    by: str,
    reason: str,
    now: datetime,
    answer: Evidence | None = None,
) -> None:
    """Unknown, recorded, or never listed → bought as ``bought``, or refused where that is ``None``.

    One that is recorded is never called afterwards: its row has left the state that a call begins
    in. Of one that is bought and was never listed, ``answer`` is what the provider said just now
    when asked for it by name; ``None`` where it cannot be asked so. See ``never_listed``.

    Raises ``RefusedError`` when the intent is none of them, the commitment is another intent's, or
    the provider lists, or answers for, what the person says was not bought.
    """
    ledger.lock(connection)
    found = intents.find(connection, intent)
    if found is None or found.state not in {*SETTLED_BY_HAND, IntentState.BOUGHT}:
        state = "not in this ledger" if found is None else found.state.value
        raise RefusedError(rule="not_unknown", detail=f"intent {intent} is {state}")
    _contradiction(connection, found, bought)
    evidence = ""
    if found.state is IntentState.BOUGHT:
        evidence = (
            evidence_against(connection, found, answer, now=now)
            if bought is None
            else evidence_for_another(connection, found, bought, now=now)
        )
    target = IntentState.REFUSED if bought is None else IntentState.BOUGHT
    moved = intents.move(
        connection,
        intent,
        source=found.state,
        target=target,
        word=Word.PERSON,
        now=now,
        detail="; ".join(one for one in (f"settled by {by}: {reason}", evidence) if one),
        commitment=bought,
    )
    if not moved:
        msg = f"intent {intent} moved while its row was being settled"
        raise InvariantError(msg)
    event = OutcomeSettled(
        intent=intent,
        outcome=target.value,
        commitment=bought,
        by=by,
        reason=reason,
        evidence=evidence,
    )
    ledger.append(connection, event, now=now, actor=by)


def settle_alteration(
    connection: Connection,
    alteration: IntentId,
    *,
    done: bool,
    by: str,
    reason: str,
    now: datetime,
) -> None:
    """Unknown → altered, or refused. Raises ``RefusedError`` when it is not unknown."""
    ledger.lock(connection)
    found = alterations.find(connection, alteration)
    if found is None or found.state is not AlterationState.UNKNOWN:
        state = "not in this ledger" if found is None else found.state.value
        raise RefusedError(rule="not_unknown", detail=f"alteration {alteration} is {state}")
    target = AlterationState.ALTERED if done else AlterationState.REFUSED
    alterations.move(
        connection,
        found,
        target=target,
        word=Word.PERSON,
        now=now,
        detail=f"settled by {by}: {reason}",
    )
    event = OutcomeSettled(
        intent=alteration, outcome=target.value, commitment=None, by=by, reason=reason
    )
    ledger.append(connection, event, now=now, actor=by)


def _contradiction(connection: Connection, found: Intent, bought: CommitmentId | None) -> None:
    provider, intent = found.line.provider, found.order.intent
    if bought is not None:
        claimant = intents.claimant(connection, provider, bought)
        if claimant not in {None, intent}:
            detail = f"{bought} is what intent {claimant} bought"
            raise RefusedError(rule="claimed", detail=detail)
        return
    listed = [
        item.commitment.commitment
        for item in holdings.inventory(connection, provider=provider)
        if item.commitment.state.is_owned
        and (item.intent == intent or item.commitment.commitment == found.commitment)
    ]
    if listed:
        detail = f"{provider} lists {', '.join(listed)} for it"
        raise RefusedError(rule="listed", detail=detail)
