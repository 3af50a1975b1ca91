"""Facts about proposals, purchases, and what reconciliation found. Listed in ``events``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from service.domain.ids import (
    AccountId,
    CommitmentId,
    IntentId,
    LineId,
    OfferingId,
    PlanId,
    ProposalId,
)


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
class ProposalEndorsed:
    """A person said yes, and ``needed`` must: ``approvals`` have by now. It waits on.

    ``quantity`` is what they said yes to, of the ``planned_quantity``.
    """

    name: ClassVar[str] = "proposal.endorsed"
    proposal: ProposalId
    by: str
    comment: str
    version: int
    quantity: Decimal
    planned_quantity: Decimal
    approvals: int
    needed: int


@dataclass(frozen=True, slots=True)
class ProposalApproved:
    """A person said yes. ``version`` is the one that they saw.

    ``quantity`` is what they said yes to, of the ``planned_quantity``.
    """

    name: ClassVar[str] = "proposal.approved"
    proposal: ProposalId
    by: str
    comment: str
    version: int
    quantity: Decimal | None = None
    planned_quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ProposalRejected:
    """A person said no. ``version`` is the one that they saw; it holds until ``held_until``."""

    name: ClassVar[str] = "proposal.rejected"
    proposal: ProposalId
    by: str
    comment: str
    version: int
    held_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProposalWithdrawn:
    """A person took a proposal back, or their yes to it. ``was`` is its state before."""

    name: ClassVar[str] = "proposal.withdrawn"
    proposal: ProposalId
    by: str
    comment: str
    version: int
    was: str


@dataclass(frozen=True, slots=True)
class ProposalExpired:
    """A proposal's lifetime ended before anybody decided.

    ``by`` and ``comment`` are a person's who ended it early.
    """

    name: ClassVar[str] = "proposal.expired"
    proposal: ProposalId
    expires_at: datetime
    by: str | None = None
    comment: str = ""


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
    start_at: datetime | None = None
    companion: OfferingId | None = None
    companion_quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PurchaseCalled:
    """The provider is about to be called; from here on the outcome may be unknown."""

    name: ClassVar[str] = "purchase.called"
    intent: IntentId
    fence: int


@dataclass(frozen=True, slots=True)
class PurchaseBought:
    """The provider says that it is sold, with its companion where it has one."""

    name: ClassVar[str] = "purchase.bought"
    intent: IntentId
    commitment: CommitmentId
    account: AccountId
    offering: OfferingId
    quantity: Decimal
    commit_usd_per_hour: Decimal
    upfront_usd: Decimal
    companion: OfferingId | None = None
    companion_quantity: Decimal | None = None


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
    """The provider's whole inventory was read and compared with the ledger.

    ``account`` is whose credentials read, ``began_at`` when they began, ``listed`` how many
    commitments there were; ``None`` in events from before they were kept.
    """

    name: ClassVar[str] = "reconcile.matched"
    provider: str
    matched: int
    findings: int
    account: AccountId | None = None
    began_at: datetime | None = None
    listed: int | None = None


@dataclass(frozen=True, slots=True)
class ReconcileDrift:
    """Ledger and inventory differ in one place; ``finding`` is the kind of difference.

    ``NEVER_LISTED`` and ``VANISHED`` are those that a person's word on a purchase hangs on.
    """

    name: ClassVar[str] = "reconcile.drift"
    NEVER_LISTED: ClassVar[str] = "never_listed"
    VANISHED: ClassVar[str] = "vanished"
    finding: str
    commitment: CommitmentId | None
    intent: IntentId | None
    detail: str


@dataclass(frozen=True, slots=True)
class CommitmentChanged:
    """A commitment is listed in another state than before, as its life goes: no difference."""

    name: ClassVar[str] = "commitment.changed"
    commitment: CommitmentId
    state: str
    was: str


@dataclass(frozen=True, slots=True)
class ReconcileSettled:
    """Inventory evidence decided an unknown outcome."""

    name: ClassVar[str] = "reconcile.settled"
    intent: IntentId
    outcome: str
    evidence: str
