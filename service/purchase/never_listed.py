"""Decides when a person may settle a purchase that the provider confirmed and never listed.

Its money counts, and would for ever: no reading of the inventory says that it was not sold. So a
person may, and only when all that Tenor can know says the same: it was told of as never listed by
a complete reading of its account that began after the grace period; the newest complete reading is
of that account, young, and lists it no more than any before; and the provider, asked for it by
name, does not know it either.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from service.domain.errors import RefusedError
from service.domain.hours import iso
from service.domain.ids import CommitmentId
from service.domain.purchases import Absent, Evidence, Intent, Refused
from service.observe.events import ReconcileDrift
from service.reconcile.findings import Known
from service.reconcile.match import is_alike
from service.store import holdings, ledger, readings

READ_WITHIN = timedelta(hours=1)
"""How old the newest complete reading may be; one is made every hour, or by ``tenor cycle``."""

_TOLD = frozenset({ReconcileDrift.NEVER_LISTED, ReconcileDrift.VANISHED})


def evidence_against(
    connection: Connection, found: Intent, answer: Evidence | None, *, now: datetime
) -> str:
    """What says that ``found``, which is bought, was not bought after all, in words to be kept.

    ``answer``: what the provider said just now when asked for it by name; ``None`` where it cannot
    be asked so. Raises ``RefusedError`` while anything speaks for it, or is not known.
    """
    read = _newest_reading(connection, found, now=now)
    if answer is not None and not isinstance(answer, Absent | Refused):
        raise RefusedError(
            rule="provider_answers",
            detail=f"asked for intent {found.order.intent} by name, the provider says: {answer}",
        )
    said = [read]
    if answer is not None:
        said.append(f"asked for it by name, the provider says: {answer.detail}")
    others = ", ".join(_alike(connection, found))
    if others:
        said.append(f"{others} is like it and nobody's")
    return "; ".join(said)


def evidence_for_another(
    connection: Connection, found: Intent, bought: CommitmentId, *, now: datetime
) -> str:
    """What says that ``found`` is listed as ``bought``, another than the provider answered with.

    Raises ``RefusedError`` unless it is listed now, is like what was ordered, and is nobody's.
    """
    read = _newest_reading(connection, found, now=now)
    if bought not in _alike(connection, found):
        raise RefusedError(
            rule="unlike",
            detail=f"no {bought} is listed that is nobody's and like what intent "
            f"{found.order.intent} ordered: {found.order.quantity} of {found.order.offering}",
        )
    return f"{bought} is like it and nobody's; {read}"


def _newest_reading(connection: Connection, found: Intent, *, now: datetime) -> str:
    """The complete, young reading that lacks ``found``, after one that was made when it was due."""
    order = found.order
    if found.ever_listed:
        detail = f"intent {order.intent} has been listed: the inventory says what becomes of it"
        raise RefusedError(rule="listed", detail=detail)
    if not told_of(connection, found):
        detail = (
            f"no complete reading of {order.account} that began after the grace period has missed "
            f"intent {order.intent} yet: wait for the alert that says so"
        )
        raise RefusedError(rule="grace", detail=detail)
    newest = readings.newest(connection, found.line.provider)
    if newest is None or not _is_young(newest.payload, newest.happened_at, order.account, now):
        detail = (
            f"the inventory of {order.account} was not read whole within {READ_WITHIN}: run tenor "
            "cycle, then settle it"
        )
        raise RefusedError(rule="inventory_age", detail=detail)
    return (
        f"read whole at {iso(newest.happened_at)}, {order.account} lists "
        f"{newest.payload['listed']} commitments and not {found.commitment}"
    )


def _is_young(read: Mapping[str, Any], at: datetime, account: str, now: datetime) -> bool:
    return read.get("account") == account and abs(now - at) <= READ_WITHIN


def _alike(connection: Connection, found: Intent) -> list[CommitmentId]:
    """What is listed and could be its effect by everything but a tag, and is no other intent's."""
    return [
        one.item.commitment.commitment
        for one in holdings.list_holdings(connection, provider=found.line.provider)
        if one.vanished_at is None
        and is_alike(
            found, one.item, Known(one.item, vanished=False, first_seen_at=one.first_seen_at)
        )
    ]


def told_of(connection: Connection, intent: Intent) -> bool:
    """True for a purchase that an alert named as never listed, and that is still not."""
    return not intent.ever_listed and any(
        one.payload["finding"] in _TOLD
        for one in ledger.read(connection, kind=ReconcileDrift.name, intent=intent.order.intent)
    )
