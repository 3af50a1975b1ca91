"""Decides whether what the tables say of sign-off is what the ledger tells of it.

The chain of the ledger shows changes of the past in the ledger alone. What buys is the tables: a
row that was made up, or a name that was changed in one, shows where no event tells the same. An
empty ledger is sound in itself; beside plans, purchases or tokens it was emptied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from service.domain.hours import iso
from service.domain.purchases import ProposalState
from service.observe.events import (
    IntentRecorded,
    ProposalApproved,
    ProposalEndorsed,
    ProposalExpired,
    ProposalRecorded,
    ProposalRefused,
    ProposalRejected,
    ProposalWithdrawn,
)
from service.store.api_tables import approvals
from service.store.schema import events, intents, plans, proposals, tokens

_STATE_AFTER: Mapping[str, ProposalState] = {
    ProposalRecorded.name: ProposalState.WAITING,
    ProposalEndorsed.name: ProposalState.WAITING,
    ProposalApproved.name: ProposalState.APPROVED,
    ProposalRejected.name: ProposalState.REJECTED,
    ProposalWithdrawn.name: ProposalState.WITHDRAWN,
    ProposalExpired.name: ProposalState.EXPIRED,
    ProposalRefused.name: ProposalState.REFUSED,
    IntentRecorded.name: ProposalState.EXECUTED,
}
_YES = frozenset({ProposalEndorsed.name, ProposalApproved.name})
_DECIDES = frozenset(
    {ProposalApproved.name, ProposalRejected.name, ProposalWithdrawn.name, ProposalExpired.name}
)
_Said = tuple[str, datetime, str]
"""Who said it, when, and with which comment."""

_Yes = tuple[str, datetime, str, int, Decimal | None]
"""The same, of which version, and to how much; no amount in events from before it was kept."""


@dataclass(slots=True)
class _Told:
    """What the ledger tells of one proposal."""

    state: ProposalState = ProposalState.WAITING
    decided: _Said | None = None
    given: list[_Yes] = field(default_factory=list)


def disagreement(connection: Connection) -> str | None:
    """The first thing that tables and ledger tell differently, in a sentence; else ``None``.

    ``connection`` sees one state of both: a transaction that is a snapshot.
    """
    return next(_emptied(connection), None) or next(_differences(connection), None)


def _emptied(connection: Connection) -> Iterator[str]:
    if connection.execute(select(events.c.sequence).limit(1)).first() is not None:
        return
    for table in (intents, plans, tokens):
        if connection.execute(select(table).limit(1)).first() is not None:
            yield f"the ledger is empty, and there are {table.name}: it was emptied"


def _differences(connection: Connection) -> Iterator[str]:
    told = _told(connection)
    given = _given(connection)
    for row in connection.execute(select(proposals)).mappings():
        identity = row["proposal_id"]
        if identity not in told:
            yield f"no event tells of proposal {identity}"
            return
        yield from _of_proposal(row, told[identity])
        yield from _of_approvals(identity, told[identity].given, given.get(identity, []))


def _of_proposal(row: RowMapping, told: _Told) -> Iterator[str]:
    identity, state = row["proposal_id"], row["state"]
    if state != told.state.value:
        yield f"proposal {identity} is {state}, and {told.state.value} by the ledger"
    stored = None
    if row["decided_by"] is not None:
        stored = (row["decided_by"], row["decided_at"], row["comment"])
    if stored != told.decided:
        yield (
            f"proposal {identity} was decided by {_words(stored)}, "
            f"and by {_words(told.decided)} by the ledger"
        )


def _of_approvals(identity: str, told: list[_Yes], stored: list[_Yes]) -> Iterator[str]:
    for one in stored:
        # Events from before amounts were kept tell of none; there are no rows of such either.
        if one not in told:
            yield f"no event tells that {one[0]} approved proposal {identity} as its row says"
    for one in told:
        if one[-1] is not None and one not in stored:
            yield f"the ledger tells that {one[0]} approved proposal {identity}, and no row does"


def _told(connection: Connection) -> Mapping[str, _Told]:
    query = (
        select(events)
        .where(events.c.kind.in_(sorted(_STATE_AFTER)), events.c.proposal_id.is_not(None))
        .order_by(events.c.sequence)
    )
    found: dict[str, _Told] = {}
    for row in connection.execute(query).mappings():
        told = found.setdefault(row["proposal_id"], _Told())
        kind, payload = row["kind"], row["payload"]
        told.state = _STATE_AFTER[kind]
        said = (row["actor"], row["happened_at"], payload.get("comment", ""))
        if kind in _DECIDES and payload.get("by") is not None:
            told.decided = said
        if kind in _YES:
            told.given.append((*said, payload["version"], _amount(payload)))
    return found


def _amount(payload: Mapping[str, Any]) -> Decimal | None:
    quantity = payload.get("quantity")
    return None if quantity is None else Decimal(quantity)


def _given(connection: Connection) -> Mapping[str, list[_Yes]]:
    found: dict[str, list[_Yes]] = {}
    for row in connection.execute(select(approvals)).mappings():
        yes = (
            row["approved_by"],
            row["approved_at"],
            row["comment"],
            row["version"],
            row["quantity"],
        )
        found.setdefault(row["proposal_id"], []).append(yes)
    return found


def _words(said: _Said | None) -> str:
    return "nobody" if said is None else f"{said[0]} at {iso(said[1])} ({said[2]!r:.100})"
