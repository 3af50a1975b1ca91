"""What the API answers with, collection by collection. Units as in the domain's names."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from service.api.shapes import Answer, DecimalText, Instant
from service.domain.alterations import AlterationKind, AlterationState
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.plans import Decision, PlanStatus
from service.domain.purchases import IntentState, ProposalState
from service.store.states import Origin, Role, RunState


class Cycle(Answer):
    """One decision cycle. Its id is its schedule and the instant that it was due."""

    id: str = Field(examples=["cycle@2026-03-02T06:00:00Z"])
    schedule: str
    due_at: Instant
    state: RunState
    started_at: Instant
    finished_at: Instant | None
    summary: dict[str, Any]


class Companion(Answer):
    """What one purchase brings beside its own offering: Google's memory beside vCPUs."""

    offering: str = Field(examples=["gcp_cud/us-central1/n2/ram/1"])
    quantity: DecimalText
    commit_usd_per_hour: DecimalText = Field(description="its part of the purchase's own")
    unit: str = Field(examples=["GB of memory"])


class Line(Answer):
    """One purchase that a plan wants; see the domain's ``PlanLine`` for each unit."""

    line: str
    offering: str = Field(examples=["aws_compute_sp/12/no_upfront"])
    provider: str
    kind: Kind
    account: str
    region: str | None
    family: str | None
    term_months: int
    payment: Payment
    quantity: DecimalText
    commit_usd_per_hour: DecimalText
    upfront_usd: DecimalText
    total_usd: DecimalText
    expected_savings_usd_per_hour: DecimalText
    expected_savings_low_usd_per_hour: DecimalText
    expected_savings_high_usd_per_hour: DecimalText
    expected_utilization_ratio: DecimalText
    break_even_months: DecimalText
    reason: str
    start_at: Instant | None = Field(
        default=None, description="when it starts, where it is queued; null starts at once"
    )
    companion: Companion | None = Field(
        default=None, description="bought with it; amounts, savings and ratios are of both"
    )


class RuleResult(Answer):
    """One rule of the policy on one line: the limit, what the line has, and what follows."""

    rule: str
    decision: Decision
    limit: str
    actual: str
    detail: str


class Verdict(Answer):
    """The policy's word on one line: the strictest of its rules."""

    line: str
    decision: Decision
    results: list[RuleResult]


class Refusal(Answer):
    """Something that the planner itself declined to plan."""

    rule: str
    offering: str | None
    detail: str


class PlanSummary(Answer):
    """A decision in short. Dollars are over its window."""

    id: str
    cycle: str
    decided_at: Instant
    status: PlanStatus
    before_usd: DecimalText
    after_usd: DecimalText
    lower_bound_usd: DecimalText
    lines: int


class PlanInputs(Answer):
    """Digests of what the plan was computed from."""

    usage_digest: str
    prices_digest: str
    commitments_digest: str
    policy_digest: str
    usage_through: Instant
    seed: int
    code_version: str
    estimated_days: int = Field(
        default=0, description="days whose hours were estimated from daily rows"
    )


class PlanDetail(Answer):
    """A decision, whole: lines with the policy's verdicts, refusals and inputs."""

    id: str
    cycle: str
    decided_at: Instant
    status: PlanStatus
    window_hours: int
    before_usd: DecimalText
    after_usd: DecimalText
    lower_bound_usd: DecimalText
    gap_ratio: DecimalText
    coverage_ratio: DecimalText
    utilization_ratio: DecimalText
    lines: list[Line]
    verdicts: list[Verdict]
    refusals: list[Refusal]
    inputs: PlanInputs


class Purchase(Answer):
    """What became of a proposal once it was executed."""

    intent: str
    state: IntentState
    commitment: str | None
    recorded_at: Instant
    updated_at: Instant
    detail: str


class Approval(Answer):
    """One person's yes, to what they saw."""

    by: str
    at: Instant
    comment: str
    version: int
    quantity: DecimalText


class Hold(Answer):
    """What somebody rejected, and until when the like of it is neither planned nor bought."""

    provider: str
    account: str
    offering: str
    kind: Kind
    region: str | None
    family: str | None
    held_until: Instant
    rejected_by: str
    reason: str


class Proposal(Answer):
    """One plan line that waits for a person, or waited. ``version`` is also its ETag.

    ``line`` is what would be bought. Where people approved only a part, ``planned_quantity`` is
    what the plan wanted. ``approvals_needed`` is by the policy in force, null without one.
    """

    id: str
    plan: str
    state: ProposalState
    version: int
    created_at: Instant
    expires_at: Instant
    decided_by: str | None
    decided_at: Instant | None
    comment: str
    line: Line
    planned_quantity: DecimalText | None
    approvals: list[Approval]
    approvals_needed: int | None
    held_until: Instant | None = Field(description="until when a rejection holds")
    verdict: Verdict
    purchase: Purchase | None


class Scenario(Answer):
    """One of three futures: what the line then saves, in dollars against on demand."""

    name: str = Field(examples=["bad"], description="bad, expected or good")
    chance: str = Field(examples=["one in ten is worse"])
    savings_usd_per_hour: DecimalText
    savings_usd: DecimalText = Field(description="over the whole term")


class ProposalDetail(Proposal):
    """A proposal with all that a decision on it needs. The hours are at ``picture``."""

    explanation: list[str] = Field(description="why, one thought each")
    scenarios: list[Scenario]
    loss_usd: DecimalText = Field(description="lost over the term in the bad case; 0 if it saves")
    waiting_costs_usd_per_day: DecimalText = Field(
        description="expected savings that a day without it forgoes"
    )
    usage_through: Instant = Field(description="the first hour that the decision did not see")
    policy_digest: str
    execution_verdicts: list[Verdict] = Field(
        description="the policy's word each time that it was about to be bought"
    )
    picture: str = Field(examples=["/v1/proposals/p-1/picture"])


class Commitment(Answer):
    """One commitment as the provider listed it last."""

    id: str
    provider: str
    account: str
    offering: str
    kind: Kind
    region: str | None
    zone: str | None
    family: str | None
    term_months: int
    payment: Payment
    quantity: DecimalText
    commit_usd_per_hour: DecimalText
    upfront_usd: DecimalText
    start_at: Instant
    end_at: Instant
    state: CommitmentState
    origin: Origin
    intent: str | None
    returnable_until: Instant | None
    first_seen_at: Instant
    last_seen_at: Instant
    vanished_at: Instant | None


class AlterationTarget(Answer):
    """One commitment that an alteration is to make. ``offering``: null keeps the source's."""

    offering: str | None
    quantity: DecimalText
    zone: str | None
    term_months: int
    payment: Payment


class Alteration(Answer):
    """A return, an exchange or another change of what is owned. ``version`` is also its ETag.

    ``pay_usd`` and ``refund_usd`` are what was quoted, or came of it; before there is a quote,
    ``pay_usd`` is the most that may be paid.
    """

    id: str
    alteration: AlterationKind = Field(examples=["exchange"])
    provider: str
    account: str
    kind: Kind
    state: AlterationState
    version: int
    sources: list[str] = Field(
        examples=[["ri-0a1b2c3d4e5f"]], description="commitments that are altered"
    )
    targets: list[AlterationTarget] = Field(description="what it is to make; empty for a return")
    renew: bool | None = Field(description="for a change of renewal only")
    most_to_pay_usd: DecimalText
    quoted_usd_per_hour: DecimalText | None = Field(
        examples=["0.0625"],
        description="what the targets cost together by the hour of their term, upfront included, "
        "when it was asked for: a quote above it by more than the price tolerance is refused as "
        "price_moved. Null where nothing is newly obliged to",
    )
    pay_usd: DecimalText
    refund_usd: DecimalText
    reason: str
    run: str = Field(examples=["undo"], description="what asked for it")
    asked_at: Instant
    expires_at: Instant
    decided_by: str | None
    approved_by: list[str] = Field(
        examples=[["ada"]],
        description="who said yes, each once. Waiting again with one name in it: the provider's "
        "quote obliges to so much that another person must",
    )
    approvals_needed: int | None = Field(
        examples=[2],
        description="how many people must say yes, by the policy in force; null while that "
        "depends on what the provider will quote, and without a policy",
    )
    recorded_at: Instant | None
    called_at: Instant | None
    updated_at: Instant
    detail: str
    made: list[str] = Field(
        examples=[["ri-1b2c3d4e5f60"]], description="commitments that it made, as far as known"
    )


class AuditEvent(Answer):
    """One fact of the append-only ledger. ``hash`` covers it and the one before."""

    sequence: int
    happened_at: Instant
    kind: str = Field(examples=["purchase.bought"])
    actor: str
    cycle: str | None
    plan: str | None
    proposal: str | None
    intent: str | None
    commitment: str | None
    payload: dict[str, Any]
    previous_hash: str
    hash: str


Halter = Literal["switch", "policy", "unreadable_policy"]


class Halt(Answer):
    """Whether buying is stopped, by what, and who set the switch last, and why."""

    halted: bool = Field(description="by the switch, by the policy, or for want of one")
    halted_by: list[Halter] = Field(description="all that stops it; empty while Tenor may buy")
    detail: str = Field(description="the same in words; empty while Tenor may buy")
    reason: str = Field(description="of the switch, as it was set or cleared last")
    changed_by: str | None
    changed_at: Instant | None


class Me(Answer):
    """Whose token this is."""

    label: str
    role: Role
    token_id: str | None
    subject: str | None = Field(description="whom the identity provider says it is")
    accounts: list[str] | None = Field(description="null when not limited to some")


class Token(Answer):
    """What is kept of one token: everything but the token."""

    id: str = Field(examples=["tok_0a1b2c3d4e5f"])
    name: str = Field(examples=["Ada"])
    role: Role
    accounts: list[str] | None
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
