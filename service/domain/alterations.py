"""Changing what is owned: returns, exchanges, modifications; the order, the quote, the outcome.

A purchase makes a commitment out of money. An alteration makes commitments out of commitments, or
money out of one. Both are written down before they are attempted, both may end unknown, and only
inventory settles that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from service.domain.commitments import Kind, Payment
from service.domain.ids import AccountId, ClientToken, CommitmentId, IntentId, OfferingId
from service.domain.purchases import Refused, Unknown


class AlterationKind(StrEnum):
    """What is done to commitments that are owned. Which kinds a product knows, its adapter says.

    ``cancel_queued``: take back a purchase before it starts. ``return``: give back within a
    window or quota, for money. ``exchange``: for others of at least the value. ``modify``: other
    zone, scope or sizes of an equal footprint. ``split`` and ``merge``: the same capacity in
    other parcels. ``set_renewal``: renew at the end of the term, or not. ``upgrade_term``: one
    year becomes three.
    """

    CANCEL_QUEUED = "cancel_queued"
    RETURN = "return"
    EXCHANGE = "exchange"
    MODIFY = "modify"
    SPLIT = "split"
    MERGE = "merge"
    SET_RENEWAL = "set_renewal"
    UPGRADE_TERM = "upgrade_term"


@dataclass(frozen=True, slots=True)
class Target:
    """One commitment that an alteration is to make.

    ``offering``: ``None`` keeps the source's. ``zone``: zonal modifications only. ``quantity`` is
    $/h (spend) or units of capacity.
    """

    offering: OfferingId | None
    quantity: Decimal
    zone: str | None
    term_months: int
    payment: Payment


@dataclass(frozen=True, slots=True)
class AlterationOrder:
    """All that a provider needs for one alteration. ``token`` never changes between attempts.

    ``most_to_pay_usd``: the adapter quotes again just before it commits, and refuses above this.
    ``reference``: what the provider's quote named itself by (an exchange's or return's session).
    ``renew``: for ``set_renewal`` only.
    """

    intent: IntentId
    token: ClientToken
    alteration: AlterationKind
    account: AccountId
    kind: Kind
    sources: tuple[CommitmentId, ...]
    targets: tuple[Target, ...]
    most_to_pay_usd: Decimal
    renew: bool | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class AlterationQuote:
    """What an alteration would come to now; nothing has changed yet.

    ``allowed`` is the provider's word, ``detail`` its reason when it says no. ``pay_usd`` is due
    at once, ``refund_usd`` comes back. ``source_value_usd`` and ``target_value_usd`` are what is
    left to pay for on each side: an exchange may never lower it (the value ratchet).
    ``targets`` is what the provider would give. ``usd_per_hour``: what the targets cost together,
    by the hour of their term, with what is paid upfront spread over it; ``None`` where nothing is
    newly obliged to.
    """

    allowed: bool
    detail: str
    pay_usd: Decimal
    refund_usd: Decimal
    source_value_usd: Decimal
    target_value_usd: Decimal
    targets: tuple[Target, ...]
    reference: str | None
    quoted_at: datetime
    usd_per_hour: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Altered:
    """The provider says it is done. ``made`` are the new commitments that it named, if any."""

    made: tuple[CommitmentId, ...]
    paid_usd: Decimal
    refunded_usd: Decimal


AlterationOutcome = Altered | Refused | Unknown


MAKING = frozenset(
    {
        AlterationKind.EXCHANGE,
        AlterationKind.MODIFY,
        AlterationKind.SPLIT,
        AlterationKind.MERGE,
        AlterationKind.UPGRADE_TERM,
    }
)
"""Alterations after which something is owned that was not listed as it is before."""

OBLIGING = frozenset(
    {AlterationKind.EXCHANGE, AlterationKind.UPGRADE_TERM, AlterationKind.SET_RENEWAL}
)
"""Alterations that may oblige to more than what they are about: see ``guard.obliging.obliges``."""


IN_PLACE = frozenset({AlterationKind.UPGRADE_TERM, AlterationKind.SET_RENEWAL})
"""Alterations after which the same commitment obliges to more: by its listing it is as old as ever,
and nothing of it says when that was decided."""


SHOWN_LATER = MAKING | {AlterationKind.SET_RENEWAL}
"""Alterations that are counted as what they did once a listing shows it, and not before."""


class AlterationState(StrEnum):
    """``waiting`` → ``recorded`` → ``calling`` → an end; see ``purchase.lifecycle``.

    ``waiting``: asked for, and not decided. ``approved``: a person said yes. ``withdrawn``: not
    wanted any more. From ``recorded`` on it is as with an intent; ``altered`` is done.
    """

    WAITING = "waiting"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"
    RECORDED = "recorded"
    CALLING = "calling"
    ALTERED = "altered"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Alteration:
    """One alteration as it is written down.

    ``pay_usd`` is the most that may be paid, until it is what was; ``refund_usd`` what was quoted,
    or came back. ``run``: what asked for it, a cycle or a daily check. ``made``: commitments that
    it made, as far as known. ``version`` rises with each move.
    ``approved_by``: the people who said yes, each once; ``called``: what they are called.
    ``quoted_usd_per_hour``: what its targets cost by the hour when it was asked for, which whoever
    says yes binds it to; ``None`` where it obliges to nothing new, or was not kept.
    """

    order: AlterationOrder
    provider: str
    state: AlterationState
    run: str
    version: int
    fence: int
    pay_usd: Decimal
    refund_usd: Decimal
    asked_at: datetime
    expires_at: datetime
    recorded_at: datetime | None
    called_at: datetime | None
    updated_at: datetime
    decided_by: str | None
    reason: str
    detail: str
    made: tuple[CommitmentId, ...]
    approved_by: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    quoted_usd_per_hour: Decimal | None = None
