"""What ``/v1/status`` answers with, part by part."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.api.models import Commitment, Companion, Halt
from service.api.shapes import Answer, DecimalText, Instant
from service.domain.commitments import Kind, Payment
from service.domain.purchases import IntentState
from service.guard.fields import Mode
from service.store.states import RunState


class PolicyState(Answer):
    """The policy in force: what it lets Tenor do. ``problem`` when it cannot be read."""

    name: str | None
    digest: str | None
    mode: Mode | None = Field(description="where no scope matches")
    scopes: dict[str, Mode] = Field(description="mode of each scope, by its name")
    halt: bool = Field(description="the policy itself refuses every purchase")
    problem: str | None


class DataState(Answer):
    """How far a provider's usage reaches, and how old that is."""

    provider: str
    days: int
    estimated_days: int = Field(
        default=0, description="those whose hours were estimated from daily rows"
    )
    through: Instant = Field(description="the first hour that is not there yet")
    age_hours: DecimalText
    ingested_at: Instant


class Executor(Answer):
    """Which process may buy."""

    holder: str
    fence: int
    expires_at: Instant


class JobState(Answer):
    """One job of the scheduler: its last run, and when it is due next.

    ``last_success_at`` is when a run last ended well, be it an earlier one than the last.
    """

    name: str
    next_due_at: Instant | None
    last_due_at: Instant | None
    last_state: RunState | None
    last_started_at: Instant | None
    last_finished_at: Instant | None
    last_success_at: Instant | None
    last_detail: str
    every_seconds: int | None


class Performance(Answer):
    """What was realised, beside what was promised for the same time."""

    subject: str
    period_start: Instant
    period_end: Instant
    promised_usd: DecimalText
    promised_low_usd: DecimalText
    promised_high_usd: DecimalText
    realised_usd: DecimalText
    effective_savings_rate: DecimalText | None
    coverage_ratio: DecimalText | None
    utilization_ratio: DecimalText | None


class CapLeft(Answer):
    """One ceiling of the policy, and the room left under it.

    ``span`` is the last 24 hours or everything live; what is in flight, of unknown outcome, or
    bought by others counts as spent. ``measure`` names the unit: amortised $/h of commitment,
    cash due at purchase, or what is owed over the term.
    """

    span: Literal["day", "total"]
    measure: Literal["commit_usd_per_hour", "upfront_usd", "obligation_usd"]
    limit: DecimalText
    spent: DecimalText
    left: DecimalText


class LockIn(Answer):
    """How much is committed, and for how long still."""

    commitments: int
    commit_usd_per_hour: DecimalText
    remaining_usd: DecimalText
    weighted_months_left: DecimalText


class PurchaseMade(Answer):
    """One purchase and where it stands. Only reconciliation settles an unknown one."""

    intent: str
    state: IntentState
    account: str
    offering: str
    kind: Kind
    region: str | None
    family: str | None
    term_months: int
    payment: Payment
    quantity: DecimalText
    companion: Companion | None = Field(
        default=None, description="bought with it; amounts are of both"
    )
    commit_usd_per_hour: DecimalText
    upfront_usd: DecimalText
    total_usd: DecimalText
    commitment: str | None
    recorded_at: Instant
    updated_at: Instant
    detail: str


class Pending(Answer):
    """Proposals that wait for a person."""

    proposals: int
    commit_usd_per_hour: DecimalText
    expected_savings_usd_per_hour: DecimalText
    total_usd: DecimalText = Field(description="what they oblige to over their terms")
    next_expires_at: Instant | None


class OpenAlterations(Answer):
    """Changes of what is owned that have not ended: how many wait, are being done, are unknown."""

    waiting: int
    under_way: int
    unknown: int = Field(description="nothing is bought in their accounts until they are settled")
    next_expires_at: Instant | None = Field(description="of those that wait")


class RuleRefusals(Answer):
    """How many lines of a plan one rule of the policy refused."""

    rule: str = Field(examples=["data_age"])
    lines: int


class LatestDecision(Answer):
    """The newest plan, and what the policy said of its lines when it was decided."""

    plan: str
    cycle: str = Field(examples=["cycle-aws@2026-03-02T06:00:00Z"])
    decided_at: Instant
    lines: int
    allowed: int
    need_sign_off: int
    refused: int
    refused_by: list[RuleRefusals] = Field(description="a line may be refused by several rules")


class Status(Answer):
    """What Tenor is doing, may do, did, and owns."""

    now: Instant
    policy: PolicyState
    halt: Halt
    data: list[DataState]
    executor: Executor | None = Field(description="null when no process holds the lease")
    jobs: list[JobState]
    latest_decision: LatestDecision | None = Field(description="null before the first plan")
    performance: Performance | None = Field(description="null before the first report")
    caps: list[CapLeft] = Field(description="empty when the policy cannot be read")
    lock_in: LockIn
    unknown_purchases: list[PurchaseMade]
    pending: Pending
    open_alterations: OpenAlterations
    latest_purchases: list[PurchaseMade]
    next_expiries: list[Commitment]
