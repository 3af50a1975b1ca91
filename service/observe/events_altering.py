"""Facts about alterations of what is owned, and outcomes settled by hand. Listed in ``events``."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from service.domain.ids import AccountId, CommitmentId, IntentId


@dataclass(frozen=True, slots=True)
class AlterationAsked:
    """Something owned is to be altered: by Tenor itself, or once a person has said yes."""

    name: ClassVar[str] = "alteration.asked"
    intent: IntentId
    alteration: str
    account: AccountId
    commitment: CommitmentId
    sources: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlterationApproved:
    """A person said yes. ``version`` is the one that they saw."""

    name: ClassVar[str] = "alteration.approved"
    intent: IntentId
    by: str
    comment: str
    version: int


@dataclass(frozen=True, slots=True)
class AlterationWithdrawn:
    """It is not wanted any more, or may not be done; nothing was called."""

    name: ClassVar[str] = "alteration.withdrawn"
    intent: IntentId
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class AlterationRecorded:
    """An alteration was checked and quoted, and written down before anything was called."""

    name: ClassVar[str] = "alteration.intent_recorded"
    intent: IntentId
    pay_usd: Decimal
    refund_usd: Decimal
    fence: int


@dataclass(frozen=True, slots=True)
class AlterationCalled:
    """The provider is about to be called; from here on the outcome may be unknown."""

    name: ClassVar[str] = "alteration.called"
    intent: IntentId
    fence: int


@dataclass(frozen=True, slots=True)
class AlterationDone:
    """The provider says that it is done, or its inventory shows it. ``made``: what it made."""

    name: ClassVar[str] = "alteration.altered"
    intent: IntentId
    made: str
    pay_usd: Decimal
    refund_usd: Decimal
    evidence: str


@dataclass(frozen=True, slots=True)
class AlterationRefused:
    """The provider, the inventory, or the last check before the call says that it is not done."""

    name: ClassVar[str] = "alteration.refused"
    intent: IntentId
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class AlterationUnknown:
    """No proof either way. Nothing is altered or bought in the account until it is settled."""

    name: ClassVar[str] = "alteration.unknown"
    intent: IntentId
    detail: str


@dataclass(frozen=True, slots=True)
class OutcomeSettled:
    """A person settled an outcome that no evidence would, and answers for it by name.

    ``evidence``: what Tenor itself knew then; empty where it had to know nothing.
    """

    name: ClassVar[str] = "outcome.settled"
    intent: IntentId
    outcome: str
    commitment: CommitmentId | None
    by: str
    reason: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class UndoNotJudged:
    """The daily check could not say whether a recent purchase should stay; it stays."""

    name: ClassVar[str] = "undo.not_judged"
    commitment: CommitmentId
    detail: str
