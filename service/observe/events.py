"""What can happen in Tenor, as a closed set of frozen values named as past facts.

An event is written to the ledger in the transaction that changes the state it tells of, and
logged after that transaction commits. Names never change their meaning; fields may be added.
Amounts are ``Decimal`` dollars and say so in their names, instants are aware UTC, ratios 0-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import get_args

from service.domain.errors import InvariantError
from service.domain.hours import iso
from service.domain.money import text
from service.observe.events_altering import (
    AlterationApproved,
    AlterationAsked,
    AlterationCalled,
    AlterationDone,
    AlterationRecorded,
    AlterationRefused,
    AlterationUnknown,
    AlterationWithdrawn,
    OutcomeSettled,
    UndoNotJudged,
)
from service.observe.events_buying import (
    CommitmentChanged,
    IntentRecorded,
    ProposalApproved,
    ProposalEndorsed,
    ProposalExpired,
    ProposalRecorded,
    ProposalRefused,
    ProposalRejected,
    ProposalWithdrawn,
    PurchaseBought,
    PurchaseCalled,
    PurchaseRefused,
    PurchaseUnknown,
    ReconcileDrift,
    ReconcileMatched,
    ReconcileSettled,
)
from service.observe.events_running import (
    AutopilotDemoted,
    AutopilotRestored,
    CycleAsked,
    CycleFailed,
    CycleFinished,
    CycleStarted,
    HaltCleared,
    HaltSet,
    LeaseAcquired,
    LeaseLost,
    LineRefused,
    PlanDecided,
    PolicyChanged,
    PolicyHalted,
    PolicyHaltEnded,
    PolicyRefused,
    PolicyRestored,
    PricesRecorded,
    ReportRecorded,
    SessionRevoked,
    TokenCreated,
    TokenRevoked,
    UsageIngested,
    UsageRefused,
)

__all__ = [
    "CATALOGUE",
    "AlterationApproved",
    "AlterationAsked",
    "AlterationCalled",
    "AlterationDone",
    "AlterationRecorded",
    "AlterationRefused",
    "AlterationUnknown",
    "AlterationWithdrawn",
    "AutopilotDemoted",
    "AutopilotRestored",
    "CommitmentChanged",
    "CycleAsked",
    "CycleFailed",
    "CycleFinished",
    "CycleStarted",
    "Event",
    "HaltCleared",
    "HaltSet",
    "IntentRecorded",
    "LeaseAcquired",
    "LeaseLost",
    "LineRefused",
    "OutcomeSettled",
    "PlanDecided",
    "PolicyChanged",
    "PolicyHaltEnded",
    "PolicyHalted",
    "PolicyRefused",
    "PolicyRestored",
    "PricesRecorded",
    "ProposalApproved",
    "ProposalEndorsed",
    "ProposalExpired",
    "ProposalRecorded",
    "ProposalRefused",
    "ProposalRejected",
    "ProposalWithdrawn",
    "PurchaseBought",
    "PurchaseCalled",
    "PurchaseRefused",
    "PurchaseUnknown",
    "ReconcileDrift",
    "ReconcileMatched",
    "ReconcileSettled",
    "ReportRecorded",
    "SessionRevoked",
    "TokenCreated",
    "TokenRevoked",
    "UndoNotJudged",
    "UsageIngested",
    "UsageRefused",
    "to_payload",
]

Event = (
    UsageIngested
    | UsageRefused
    | PricesRecorded
    | CycleAsked
    | CycleStarted
    | CycleFinished
    | CycleFailed
    | PlanDecided
    | LineRefused
    | ProposalRecorded
    | ProposalEndorsed
    | ProposalApproved
    | ProposalRejected
    | ProposalWithdrawn
    | ProposalExpired
    | ProposalRefused
    | IntentRecorded
    | PurchaseCalled
    | PurchaseBought
    | PurchaseRefused
    | PurchaseUnknown
    | ReconcileMatched
    | CommitmentChanged
    | ReconcileDrift
    | ReconcileSettled
    | PolicyChanged
    | PolicyRefused
    | PolicyRestored
    | PolicyHalted
    | PolicyHaltEnded
    | AlterationAsked
    | AlterationApproved
    | AlterationWithdrawn
    | AlterationRecorded
    | AlterationCalled
    | AlterationDone
    | AlterationRefused
    | AlterationUnknown
    | OutcomeSettled
    | UndoNotJudged
    | AutopilotDemoted
    | AutopilotRestored
    | HaltSet
    | HaltCleared
    | LeaseAcquired
    | LeaseLost
    | ReportRecorded
    | TokenCreated
    | TokenRevoked
    | SessionRevoked
)
"""Every event there is. A new one is added here, or it cannot be written."""

CATALOGUE: Mapping[str, type[Event]] = {kind.name: kind for kind in get_args(Event)}
"""Event types by name."""


def _plain(field: str, value: object) -> str | int | None:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal):
        if not value.is_finite():
            msg = f"{field} is {value}, which is no amount"
            raise InvariantError(msg)
        return text(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, str):
        return value
    msg = f"{field} is a {type(value).__name__}, which has no form in the ledger"
    raise InvariantError(msg)


def to_payload(event: Event) -> dict[str, str | int | None]:
    """The event's fields ready for JSON: decimals and instants as text, the name left out.

    Raises ``InvariantError`` for a naive instant, an amount that is not finite, or a value of a
    type that the ledger has no form for.
    """
    return {field.name: _plain(field.name, getattr(event, field.name)) for field in fields(event)}
