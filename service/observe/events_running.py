"""Facts about usage, decisions, policy, halt, lease, reports and tokens. Listed in ``events``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from service.domain.ids import CycleId, LineId, PlanId


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
class CycleAsked:
    """Somebody asked the running executor to decide ``provider``'s cycle now; the actor is who."""

    name: ClassVar[str] = "cycle.asked"
    cycle: CycleId
    provider: str
    asked_at: datetime


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
class PolicyChanged:
    """A policy with another digest is in force."""

    name: ClassVar[str] = "policy.changed"
    digest: str
    previous: str | None


@dataclass(frozen=True, slots=True)
class PolicyRefused:
    """The policy file cannot be read strictly, so nothing is bought. Once per ``content``.

    ``content`` is the digest of what the file says, or of the problem where it cannot be opened.
    """

    name: ClassVar[str] = "policy.refused"
    file: str
    detail: str
    content: str = ""


@dataclass(frozen=True, slots=True)
class PolicyRestored:
    """The policy file can be read again, after ``PolicyRefused``."""

    name: ClassVar[str] = "policy.restored"
    file: str
    digest: str


@dataclass(frozen=True, slots=True)
class PolicyHalted:
    """The policy file says that nothing may be bought: ``halt: true``."""

    name: ClassVar[str] = "policy.halted"
    policy: str
    digest: str


@dataclass(frozen=True, slots=True)
class PolicyHaltEnded:
    """The policy file halts no more, after ``PolicyHalted``. The switch is another matter."""

    name: ClassVar[str] = "policy.halt_ended"
    policy: str
    digest: str


@dataclass(frozen=True, slots=True)
class AutopilotDemoted:
    """Autopilot fell back to copilot by itself, on evidence, in one provider."""

    name: ClassVar[str] = "autopilot.demoted"
    rule: str
    detail: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class AutopilotRestored:
    """A person trusts autopilot in a provider again."""

    name: ClassVar[str] = "autopilot.restored"
    provider: str
    by: str
    reason: str


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
    """An API token was minted. The token itself is nowhere; ``token_id`` names its row.

    ``accounts``: those that it is limited to, by commas; ``None`` for all.
    """

    name: ClassVar[str] = "token.created"
    token_id: str
    label: str
    role: str
    expires_at: datetime | None
    accounts: str | None = None


@dataclass(frozen=True, slots=True)
class SessionRevoked:
    """A sign-in through the identity provider was ended by somebody else than its holder."""

    name: ClassVar[str] = "session.revoked"
    session_id: str
    person: str
    label: str


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """An API token no longer opens anything."""

    name: ClassVar[str] = "token.revoked"
    token_id: str
    label: str
