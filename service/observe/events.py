"""What can happen in Tenor, as a closed set of frozen values named as past facts.

An event is written to the ledger in the transaction that changes the state it tells of, and
logged after that transaction commits. Names never change their meaning; fields may be added.
Amounts are ``Decimal`` dollars and say so in their names, instants are aware UTC, ratios 0-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, get_args

from service.domain.errors import InvariantError
from service.domain.hours import iso
from service.domain.ids import (
    AccountId,
    CommitmentId,
    CycleId,
    IntentId,
    LineId,
    OfferingId,
    PlanId,
    ProposalId,
)
from service.domain.money import text


@dataclass(frozen=True, slots=True)
class UsageIngested:
    """Days of usage were replaced by an export; ``days`` counts the days whose content changed."""

    name: ClassVar[str] = "usage.ingested"
    source: str
    days: int
    rows: int
    through: datetime | None


@dataclass(frozen=True, slots=True)
class UsageRefused:
    """Usage could not be read, or cannot be decided on; nothing was replaced."""

    name: ClassVar[str] = "usage.refused"
    source: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class PricesRecorded:
    """A price snapshot was taken."""

    name: ClassVar[str] = "prices.recorded"
    provider: str
    digest: str
    skus: int
    offerings: int


@dataclass(frozen=True, slots=True)
class CycleStarted:
    """A decision cycle began; ``due_at`` is its scheduled instant, which is in its id."""

    name: ClassVar[str] = "cycle.started"
    cycle: CycleId
    due_at: datetime


@dataclass(frozen=True, slots=True)
class CycleFinished:
    """A decision cycle ended well. Counts are of plan lines."""

    name: ClassVar[str] = "cycle.finished"
    cycle: CycleId
    plan: PlanId | None
    lines: int
    proposed: int
    bought: int
    refused: int


@dataclass(frozen=True, slots=True)
class CycleFailed:
    """A decision cycle stopped. ``error`` is the error's type, ``detail`` its message."""

    name: ClassVar[str] = "cycle.failed"
    cycle: CycleId
    error: str
    detail: str


@dataclass(frozen=True, slots=True)
class PlanDecided:
    """A plan was computed and stored. Dollars are over the plan's window."""

    name: ClassVar[str] = "plan.decided"
    plan: PlanId
    cycle: CycleId
    status: str
    lines: int
    before_usd: Decimal
    after_usd: Decimal
    gap_ratio: Decimal


@dataclass(frozen=True, slots=True)
class LineRefused:
    """The guard refused one line of a plan. ``detail`` holds both numbers."""

    name: ClassVar[str] = "plan.line_refused"
    plan: PlanId
    line: LineId
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class ProposalRecorded:
    """A plan line now waits for a person."""

    name: ClassVar[str] = "proposal.recorded"
    proposal: ProposalId
    plan: PlanId
    line: LineId
    commit_usd_per_hour: Decimal
    upfront_usd: Decimal
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ProposalApproved:
    """A person said yes. ``version`` is the one that they saw."""

    name: ClassVar[str] = "proposal.approved"
    proposal: ProposalId
    by: str
    comment: str
    version: int


@dataclass(frozen=True, slots=True)
class ProposalRejected:
    """A person said no. ``version`` is the one that they saw."""

    name: ClassVar[str] = "proposal.rejected"
    proposal: ProposalId
    by: str
    comment: str
    version: int


@dataclass(frozen=True, slots=True)
class ProposalExpired:
    """A proposal's lifetime ended before anybody decided."""

    name: ClassVar[str] = "proposal.expired"
    proposal: ProposalId
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ProposalRefused:
    """An approved proposal was guarded again at execution, and refused."""

    name: ClassVar[str] = "proposal.refused"
    proposal: ProposalId
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class IntentRecorded:
    """A purchase was written down, with its key, before anything was called."""

    name: ClassVar[str] = "purchase.intent_recorded"
    intent: IntentId
    plan: PlanId
    proposal: ProposalId | None
    account: AccountId
    offering: OfferingId
    quantity: Decimal
    commit_usd_per_hour: Decimal
    upfront_usd: Decimal
    fence: int


@dataclass(frozen=True, slots=True)
class PurchaseCalled:
    """The provider is about to be called; from here on the outcome may be unknown."""

    name: ClassVar[str] = "purchase.called"
    intent: IntentId
    fence: int


@dataclass(frozen=True, slots=True)
class PurchaseBought:
    """The provider says that it is sold."""

    name: ClassVar[str] = "purchase.bought"
    intent: IntentId
    commitment: CommitmentId
    account: AccountId
    offering: OfferingId
    quantity: Decimal
    commit_usd_per_hour: Decimal
    upfront_usd: Decimal


@dataclass(frozen=True, slots=True)
class PurchaseRefused:
    """The provider, or the last check before the call, said no. Nothing was bought."""

    name: ClassVar[str] = "purchase.refused"
    intent: IntentId
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class PurchaseUnknown:
    """No proof either way. Nothing more is bought in the scope until evidence settles it."""

    name: ClassVar[str] = "purchase.unknown"
    intent: IntentId
    detail: str


@dataclass(frozen=True, slots=True)
class ReconcileMatched:
    """The provider's inventory was read and compared with the ledger."""

    name: ClassVar[str] = "reconcile.matched"
    provider: str
    matched: int
    findings: int


@dataclass(frozen=True, slots=True)
class ReconcileDrift:
    """Ledger and inventory differ in one place; ``finding`` is the kind of difference."""

    name: ClassVar[str] = "reconcile.drift"
    finding: str
    commitment: CommitmentId | None
    intent: IntentId | None
    detail: str


@dataclass(frozen=True, slots=True)
class ReconcileSettled:
    """Inventory evidence decided an unknown outcome."""

    name: ClassVar[str] = "reconcile.settled"
    intent: IntentId
    outcome: str
    evidence: str


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """A policy with another digest is in force."""

    name: ClassVar[str] = "policy.changed"
    digest: str
    previous: str | None


@dataclass(frozen=True, slots=True)
class PolicyRefused:
    """A policy file could not be read strictly; the one before it stays in force, if any."""

    name: ClassVar[str] = "policy.refused"
    file: str
    detail: str


@dataclass(frozen=True, slots=True)
class AutopilotDemoted:
    """Autopilot fell back to copilot by itself, on evidence."""

    name: ClassVar[str] = "autopilot.demoted"
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class HaltSet:
    """Buying was stopped, by a person or by a rule."""

    name: ClassVar[str] = "halt.set"
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class HaltCleared:
    """A person let buying resume."""

    name: ClassVar[str] = "halt.cleared"
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeaseAcquired:
    """This process is the executor. ``fence`` rises with every change of hands."""

    name: ClassVar[str] = "lease.acquired"
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """This process is no longer the executor."""

    name: ClassVar[str] = "lease.lost"
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class ReportRecorded:
    """Realised savings were computed up to ``through`` and set beside what was promised."""

    name: ClassVar[str] = "report.recorded"
    through: datetime
    realised_usd: Decimal
    promised_usd: Decimal
    effective_savings_rate: Decimal


@dataclass(frozen=True, slots=True)
class TokenCreated:
    """An API token was minted. The token itself is nowhere; ``token_id`` names its row."""

    name: ClassVar[str] = "token.created"
    token_id: str
    label: str
    role: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """An API token no longer opens anything."""

    name: ClassVar[str] = "token.revoked"
    token_id: str
    label: str


Event = (
    UsageIngested
    | UsageRefused
    | PricesRecorded
    | CycleStarted
    | CycleFinished
    | CycleFailed
    | PlanDecided
    | LineRefused
    | ProposalRecorded
    | ProposalApproved
    | ProposalRejected
    | ProposalExpired
    | ProposalRefused
    | IntentRecorded
    | PurchaseCalled
    | PurchaseBought
    | PurchaseRefused
    | PurchaseUnknown
    | ReconcileMatched
    | ReconcileDrift
    | ReconcileSettled
    | PolicyChanged
    | PolicyRefused
    | AutopilotDemoted
    | HaltSet
    | HaltCleared
    | LeaseAcquired
    | LeaseLost
    | ReportRecorded
    | TokenCreated
    | TokenRevoked
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
