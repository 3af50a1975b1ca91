"""What to buy (a plan), what the policy says of it (verdicts), what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from service.domain.commitments import LEFT_OUT, Commitment, Kind, Payment
from service.domain.ids import AccountId, CycleId, LineId, OfferingId, PlanId
from service.domain.money import CommitUsdPerHour


class PlanStatus(StrEnum):
    """``optimal``: gap within tolerance; ``feasible``: a stated gap above it; ``refused``."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Mean loss against on demand over the terms in the worst ``tail_ratio`` of scenarios, USD.

    ``pool_usd`` of all that the plan buys for the line's pool, ``total_usd`` of the whole plan;
    negative where even those save.
    """

    pool_usd: Decimal
    total_usd: Decimal
    tail_ratio: Decimal


@dataclass(frozen=True, slots=True)
class Companion:
    """What one purchase brings beside its own offering, because it is sold in no other way.

    ``quantity`` in the companion's own unit, which people call ``unit``; ``commit_usd_per_hour``
    is its part of the purchase's amortised hourly obligation.
    """

    offering: OfferingId
    quantity: Decimal
    commit_usd_per_hour: CommitUsdPerHour
    unit: str


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One purchase that the plan wants.

    ``quantity`` is $/h (spend) or units (capacity), already rounded down to the step.
    ``commit_usd_per_hour`` is the amortised hourly obligation, ``upfront_usd`` the cash due at
    purchase, ``total_usd`` the whole term's obligation. ``expected_savings_usd_per_hour`` and
    its low/high (10/90%) are against on demand, net of waste, averaged over the term.
    ``break_even_months`` is how long use must last for the line to pay.
    ``expected_utilization_ratio`` is 0–1. ``region``/``family`` are ``None`` for any.
    ``shortfall``: what the plan risks with it; ``None`` where that was not measured.
    ``start_at``: when it starts, where it is queued; ``None`` starts at once.
    ``companion``: what the purchase brings beside ``quantity`` of ``offering``; every amount,
    saving and ratio is of both together.
    """

    line: LineId
    offering: OfferingId
    provider: str
    kind: Kind
    account: AccountId
    region: str | None
    family: str | None
    term_months: int
    payment: Payment
    quantity: Decimal
    commit_usd_per_hour: CommitUsdPerHour
    upfront_usd: Decimal
    total_usd: Decimal
    expected_savings_usd_per_hour: Decimal
    expected_savings_low_usd_per_hour: Decimal
    expected_savings_high_usd_per_hour: Decimal
    expected_utilization_ratio: Decimal
    break_even_months: Decimal
    reason: str
    shortfall: Shortfall | None = None
    start_at: datetime | None = field(default=None, metadata=LEFT_OUT)
    companion: Companion | None = field(default=None, metadata=LEFT_OUT)

    @property
    def contents(self) -> tuple[tuple[OfferingId, Decimal], ...]:
        """All that is bought: offerings and quantities, its own first."""
        own = ((self.offering, self.quantity),)
        beside = self.companion
        return own if beside is None else (*own, (beside.offering, beside.quantity))


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """Digests of all that the plan was computed from, so that a replay can be compared.

    ``usage_through`` is the first hour that the decision did not see. ``provider``: whose usage
    was decided on; empty for a folder, which may hold several providers'. ``estimated_days``: how
    many days' hours were estimated from daily rows; ``None`` for none.
    """

    usage_digest: str
    prices_digest: str
    commitments_digest: str
    policy_digest: str
    usage_through: datetime
    seed: int
    code_version: str
    provider: str = ""
    estimated_days: int | None = field(default=None, repr=False, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something the planner itself declined to plan, with the rule and both numbers in words."""

    rule: str
    offering: OfferingId | None
    detail: str


@dataclass(frozen=True, slots=True)
class PlanGiven:
    """What a decision was given that is kept nowhere else, so that it can be taken again.

    Usage is that of ``usage_hours`` hours up to ``PlanInputs.usage_through``. ``owned_digest``:
    the kept snapshot of what owned commitments cover, empty where nothing is owned. ``rooms``:
    what the caps left, a quantity for each time that the decision asked, in that order.
    ``changes`` and ``holidays``: the texts of the register of planned changes and the calendar.
    """

    account: AccountId
    menu: tuple[OfferingId, ...]
    usage_hours: int
    owned_digest: str
    commitments: tuple[Commitment, ...]
    rooms: tuple[Decimal, ...]
    step_hours: int
    changes: str = ""
    holidays: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision, whole. Dollars are over the planning window (see ``window_hours``).

    ``gap_ratio`` = (after − lower) / before. ``coverage_ratio`` and ``utilization_ratio`` are
    those expected over the window with the lines added.
    """

    plan: PlanId
    cycle: CycleId
    decided_at: datetime
    status: PlanStatus
    window_hours: int
    before_usd: Decimal
    after_usd: Decimal
    lower_bound_usd: Decimal
    gap_ratio: Decimal
    coverage_ratio: Decimal
    utilization_ratio: Decimal
    lines: tuple[PlanLine, ...]
    refusals: tuple[Refusal, ...]
    inputs: PlanInputs
    given: PlanGiven | None = None


class Decision(StrEnum):
    """The guard's word on one line."""

    ALLOW = "allow"
    NEEDS_SIGN_OFF = "needs_sign_off"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule on one line. ``limit`` and ``actual`` are text with the same unit."""

    rule: str
    decision: Decision
    limit: str
    actual: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All rules on one line; ``decision`` is the strictest of ``results``."""

    line: LineId
    decision: Decision
    results: tuple[RuleResult, ...]
