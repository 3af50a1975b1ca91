"""What one execution works with: the provider, the database, the lease, the guard, the clock.

Also the words in which it answers. ``purchase.execute`` decides; this module only names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Engine

from service.domain.hours import Clock
from service.domain.ids import CycleId, IntentId, PlanId, ProposalId
from service.domain.plans import PlanLine, Verdict
from service.domain.purchases import Intent, InventoryItem, Outcome, Quote
from service.guard.context import Spend
from service.guard.holds import Hold
from service.providers.port import ProviderBuyer, ProviderReader
from service.store.lease import Lease


@dataclass(frozen=True, slots=True)
class Facts:
    """What the guard is told at execution. Read just before, and again with the intent's write.

    ``intents`` are all whose money counts, without the one being judged; ``holdings`` what the
    providers listed last, and what they stopped listing before its term was over. ``run``: the
    plans of all providers that were due at the same instant. ``demoted``: providers in which
    autopilot asks a person. ``signed_off``: a person approved this line, ``approvals`` how many
    did. ``holds``: what people rejected, and until when that holds. ``altering``: what alterations
    oblige to that no listing shows yet, anywhere; ``None``: not known. ``starts_decided_at``: when
    it was decided when the line starts. Buying is not halted, or the guard would not be asked.
    """

    now: datetime
    plan: PlanId
    cycle: CycleId
    quote: Quote
    signed_off: bool
    intents: tuple[Intent, ...]
    holdings: tuple[InventoryItem, ...]
    run: frozenset[PlanId] = frozenset()
    demoted: frozenset[str] = frozenset()
    holds: tuple[Hold, ...] = ()
    approvals: int = 1
    altering: tuple[Spend, ...] | None = ()
    starts_decided_at: datetime | None = None


class Judge(Protocol):
    """The guard, on fresh usage, holdings and policy. May take its time: no transaction is open."""

    def __call__(self, line: PlanLine, facts: Facts) -> Verdict:
        """The verdict on ``line`` at its fresh price."""
        ...


class Step(StrEnum):
    """The steps of an execution, in order; each names what is true once it has been reached."""

    CHECKED = "checked"
    INTENT_COMMITTED = "intent_committed"
    CALLING_COMMITTED = "calling_committed"
    ABOUT_TO_CALL = "about_to_call"
    ANSWERED = "answered"
    OUTCOME_COMMITTED = "outcome_committed"


def _pass(_: Step) -> None:
    """Nobody watches the steps."""


def _no_policy() -> str:
    return ""


def _no_halt() -> bool:
    return False


def _as_planned(line: PlanLine, now: datetime) -> datetime | None:
    return line.start_at if line.start_at is not None and line.start_at > now else None


def _new_key() -> str:
    return str(uuid4())


def _it_may() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Desk:
    """One provider's till. ``price_tolerance_ratio`` is how far a quote may lie above the plan.

    ``policy_digest`` names the policy in force, which must still be so when the intent is
    written; ``policy_halts``: it says ``halt: true`` now. ``new_key`` mints intent ids and
    tokens, unique for ever. ``start_at``: when a line starts that is bought now, ``None`` at once.
    ``acts_alone``: autopilot acts in the provider, or may as far as is known.
    ``reached`` is told of each step; logs and tests listen to it.
    """

    provider: str
    engine: Engine
    reader: ProviderReader
    buyer: ProviderBuyer
    clock: Clock
    lease: Lease
    judge: Judge
    price_tolerance_ratio: Decimal = Decimal("0.001")
    policy_digest: Callable[[], str] = _no_policy
    policy_halts: Callable[[], bool] = _no_halt
    new_key: Callable[[], str] = _new_key
    start_at: Callable[[PlanLine, datetime], datetime | None] = _as_planned
    acts_alone: Callable[[], bool] = _it_may
    reached: Callable[[Step], None] = _pass


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be bought, and at whose word: ``proposal`` is ``None`` on autopilot.

    ``starts_decided_at``: when it was decided when the line starts.
    """

    line: PlanLine
    plan: PlanId
    cycle: CycleId
    proposal: ProposalId | None
    starts_decided_at: datetime


@dataclass(frozen=True, slots=True)
class Declined:
    """No intent was written. ``rule`` and ``detail`` say why; not ``final``: may be tried again."""

    rule: str
    detail: str
    final: bool


@dataclass(frozen=True, slots=True)
class Executed:
    """An intent was written, and this is where it stands. Its money counts unless refused."""

    intent: IntentId
    outcome: Outcome


Execution = Declined | Executed
