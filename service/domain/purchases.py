"""Buying: the order, the quote, the outcome; an intent's and a proposal's life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from service.domain.commitments import Commitment, Kind, Payment
from service.domain.hours import TERM_HOURS
from service.domain.ids import (
    AccountId,
    ClientToken,
    CommitmentId,
    IntentId,
    OfferingId,
    PlanId,
    ProposalId,
)
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion, PlanLine, Verdict


class Idempotency(StrEnum):
    """How a provider call may be repeated: by its own key, or only after looking."""

    NATIVE = "native"
    LOOKUP = "lookup"


@dataclass(frozen=True, slots=True)
class Quote:
    """What a line would cost now. Rates in dollars, see ``PlanLine`` for units.

    ``reference``: the id under which the provider will keep the purchase, where its quote mints
    one (Azure's reservation order). It is stored with the intent before anything is bought.
    Amounts are of ``companion`` too, which is as it was ordered, at its price of now.
    """

    offering: OfferingId
    quantity: Decimal
    commit_usd_per_hour: CommitUsdPerHour
    upfront_usd: Decimal
    quoted_at: datetime
    reference: str | None = None
    companion: Companion | None = None


@dataclass(frozen=True, slots=True)
class PurchaseOrder:
    """All that a provider needs for one purchase. ``token`` never changes between attempts.

    ``reference`` is the last quote's; a repeated attempt names the same one. ``start_at``: a
    purchase that is queued to start then; ``None`` starts at once. ``companion``: what the one
    purchase must bring beside ``quantity`` of ``offering``, no more and no less.
    ``commit_usd_per_hour`` and ``upfront_usd`` are what was decided on: adapters that read the
    price again refuse more. Without the first (an order that is only quoted) they refuse to buy.
    """

    intent: IntentId
    token: ClientToken
    account: AccountId
    offering: OfferingId
    kind: Kind
    term_months: int
    payment: Payment
    quantity: Decimal
    upfront_usd: Decimal
    reference: str | None = None
    start_at: datetime | None = None
    companion: Companion | None = None
    commit_usd_per_hour: CommitUsdPerHour | None = None


@dataclass(frozen=True, slots=True)
class Bought:
    """The provider says it is sold."""

    commitment: CommitmentId


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider says no; nothing was bought."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer, or one that proves nothing. Only inventory evidence settles it."""

    detail: str


Outcome = Bought | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Absent:
    """The provider was asked for exactly this purchase, and shows none."""

    detail: str


Evidence = Outcome | Absent
"""What a provider says of one purchase that it is asked for by name. ``Unknown``: it exists, or is
going on, and neither a yes nor a no is proven."""


def as_outcome(evidence: Evidence) -> Outcome:
    """``evidence`` as the answer to a call: that nothing is shown yet proves nothing."""
    return Unknown(evidence.detail) if isinstance(evidence, Absent) else evidence


@dataclass(frozen=True, slots=True)
class InventoryItem:
    """One commitment as the provider lists it, with what ties it to an intent, if anything.

    ``kind``, ``term_months`` and ``payment`` are the provider's word; ``upfront_usd`` and
    ``commit_usd_per_hour`` are what it charges. ``returnable_until`` is set while a free way
    back is open. ``reference``: the provider's id of the purchase that made it, where that is
    another than its own. ``exchangeable``: it can be exchanged for others while it lasts.
    ``renews``: the provider buys it again at the end of its term.
    """

    commitment: Commitment
    kind: Kind
    term_months: int
    payment: Payment
    region: str | None
    family: str | None
    commit_usd_per_hour: CommitUsdPerHour
    upfront_usd: Decimal
    intent: IntentId | None
    returnable_until: datetime | None
    reference: str | None = None
    exchangeable: bool = False
    renews: bool = False


RENEWAL_SHOWN_WITHIN = timedelta(days=3)
"""How long after the end of a term a reading may still not list its renewal: listings lag."""


def owned_until(item: InventoryItem) -> datetime:
    """When what is owned ends by itself: where it renews, a term later than it says.

    It may renew again; a term ahead is further than anything is decided for.
    """
    owned = item.commitment
    if not (item.renews and owned.state.is_owned):
        return owned.end
    return owned.end + timedelta(hours=TERM_HOURS.get(item.term_months, max(TERM_HOURS.values())))


def is_part_of(item: InventoryItem, whole: InventoryItem) -> bool:
    """True when both are one purchase, which is sold whole and listed in parts.

    Parts have the whole's reference, and ids that begin with its id.
    """
    return (
        item.reference is not None
        and item.reference == whole.reference
        and is_part_id(item.commitment.commitment, whole.commitment.commitment)
    )


def is_part_id(part: CommitmentId, whole: CommitmentId) -> bool:
    """True for the id of a part of the purchase that is listed as ``whole``."""
    return part.startswith(f"{whole}/")


class IntentState(StrEnum):
    """``recorded`` → ``calling`` → ``bought`` | ``refused`` | ``unknown``; see lifecycle."""

    RECORDED = "recorded"
    CALLING = "calling"
    BOUGHT = "bought"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Intent:
    """A purchase written down before it is attempted.

    ``ever_listed``: some reading of the inventory showed what it bought, whatever became of it.
    ``called_at``: when its call was begun; ``None`` while the ledger knows of none.
    """

    order: PurchaseOrder
    plan: PlanId
    proposal: ProposalId | None
    line: PlanLine
    state: IntentState
    fence: int
    recorded_at: datetime
    updated_at: datetime
    commitment: CommitmentId | None
    detail: str
    ever_listed: bool = False
    called_at: datetime | None = None


class ProposalState(StrEnum):
    """Copilot's life of one line: waits, is decided, and at most once becomes an intent."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    EXECUTED = "executed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's yes. ``person`` identifies them whatever their name; ``by`` is the name.

    ``version`` is the one that they saw, ``quantity`` what they said yes to.
    """

    person: str
    by: str
    at: datetime
    comment: str
    version: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Proposal:
    """One plan line waiting for a person. ``version`` rises with every change.

    ``line`` is what would be bought; where people approved only a part, ``planned`` is the line
    as the plan had it.
    """

    proposal: ProposalId
    plan: PlanId
    line: PlanLine
    verdict: Verdict
    state: ProposalState
    created_at: datetime
    expires_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    comment: str
    version: int
    approvals: tuple[Approval, ...] = ()
    planned: PlanLine | None = None
