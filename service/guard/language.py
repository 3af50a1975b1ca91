"""The policy language: what a policy file may say, key by key, and what it must say.

Every limit is required: a limit that is not written does not exist, and what does not exist
cannot be relied on. Amounts are US dollars, ratios run from 0 to 1, durations are hours or
months as their names say. ``docs/policy.md`` describes every key; the JSON Schema for editors
is generated from these models.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from service.domain.alterations import AlterationKind
from service.domain.commitments import Kind, Payment
from service.domain.money import text
from service.guard.fields import (
    CalendarDay,
    Day,
    DelayHours,
    Flag,
    Hours,
    LeadHours,
    Mode,
    Months,
    Provider,
    Ratio,
    Tail,
    Term,
    Text,
    TimeOfDay,
    Usd,
    Zone,
)

ANYTHING = "*"
UNBOUND = "unbound"
"""In a list of regions or families: commitments that are not tied to one of them."""

AlterationKinds = tuple[Annotated[AlterationKind, Field(strict=False)], ...]
Kinds = tuple[Annotated[Kind, Field(strict=False)], ...]
Payments = tuple[Annotated[Payment, Field(strict=False)], ...]
Providers = tuple[Annotated[Provider, Field(strict=False)], ...]
Days = tuple[Annotated[Day, Field(strict=False)], ...]
ModeField = Annotated[Mode, Field(strict=False)]
Names = tuple[Text, ...]
Terms = tuple[Term, ...]


class _Part(BaseModel):
    """One mapping of the file: unknown keys are errors, nothing is coerced or changed later."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True
    )


class Bounds(_Part):
    """A range that a ratio must lie in, both ends included."""

    min: Ratio = Field(description="Smallest ratio allowed, 0 to 1.")
    max: Ratio = Field(description="Largest ratio allowed, 0 to 1.")

    @field_validator("max")
    @classmethod
    def _in_order(cls, value: Ratio, info: ValidationInfo) -> Ratio:
        low = info.data.get("min")
        if low is not None and value < low:
            kind = "impossible_range"
            raise PydanticCustomError(kind, "max is below min: no value could ever pass")
        return value


class Amounts(_Part):
    """Three ceilings on money; none of them can stand in for another."""

    commit_usd_per_hour: Usd = Field(description="Hourly commitment, amortised, in USD/h.")
    upfront_usd: Usd = Field(description="Cash due at purchase, in USD.")
    obligation_usd: Usd = Field(description="Everything owed over the whole term, in USD.")


class Caps(_Part):
    """Ceilings on what one line, one run, any 24 hours, and everything live may come to."""

    per_line: Amounts = Field(description="One purchase.")
    per_run: Amounts = Field(description="All lines asked for in one cycle.")
    per_day: Amounts = Field(description="All purchases of the last 24 hours and this run.")
    in_total: Amounts = Field(description="All live commitments, in flight or unknown included.")


class Match(_Part):
    """Which lines a scope holds for. Fields left out match everything; at least one is given."""

    providers: Providers | None = Field(default=None, min_length=1)
    accounts: Names | None = Field(default=None, min_length=1, description="Purchase accounts.")
    regions: Names | None = Field(
        default=None, min_length=1, description="Regions; `unbound` for plans of no one region."
    )
    families: Names | None = Field(
        default=None, min_length=1, description="Families; `unbound` for plans of no one family."
    )
    kinds: Kinds | None = Field(default=None, min_length=1)
    terms_months: Terms | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        if not self.model_dump(exclude_none=True):
            kind = "empty_match"
            raise PydanticCustomError(kind, "matches everything: use the policy's own mode instead")
        return self


class Scope(_Part):
    """A mode for some of the estate, and optionally ceilings of its own on top of the rest."""

    name: Text = Field(description="Unique; shown in verdicts.")
    match: Match
    mode: ModeField
    caps: Caps | None = Field(
        default=None, description="Further ceilings; the policy's own still hold as well."
    )
    purchase_delay_hours: DelayHours | None = Field(
        default=None, description="As in timing; left out: the policy's own."
    )


class Allowed(_Part):
    """What may be bought; `"*"` stands for everything. A thing not listed is refused."""

    kinds: Kinds = Field(min_length=1)
    terms_months: Terms = Field(min_length=1)
    payments: Payments = Field(min_length=1)
    regions: Names = Field(min_length=1)
    families: Names = Field(min_length=1)
    accounts: Names = Field(min_length=1, description="Accounts that purchases are made in.")


class Denied(_Part):
    """What must never be bought, even where `allowed` lists it."""

    kinds: Kinds = ()
    terms_months: Terms = ()
    payments: Payments = ()
    regions: Names = ()
    families: Names = ()
    accounts: Names = ()


class Worth(_Part):
    """How good a purchase must be."""

    min_saving_ratio: Ratio = Field(
        description="Expected saving as a share of the on-demand cost that it replaces."
    )
    max_break_even_months: Months = Field(description="Longest time until the line has paid.")


class After(_Part):
    """Where coverage and utilization must stand once everything asked for is bought."""

    coverage_ratio: Bounds = Field(description="Covered share of eligible on-demand-equivalent.")
    utilization_ratio: Bounds = Field(description="Used share of all commitments.")
    line_utilization_ratio: Bounds = Field(description="Expected used share of this line alone.")


class SignOff(_Part):
    """A line above any of these waits for a person, in autopilot too."""

    above: Amounts
    two_person_above_usd: Usd | None = Field(
        default=None, description="Owed over the term, in USD: above it two people must approve."
    )


class Freshness(_Part):
    """How old the facts behind a purchase may be."""

    max_data_age_hours: Hours = Field(description="Since the last complete hour of usage.")
    max_price_age_hours: Hours = Field(description="Since prices and offers were read.")
    max_inventory_age_hours: Hours = Field(description="Since commitments were read back.")


class Timing(_Part):
    """Durations that shape proposals and sizing."""

    proposal_lifetime_hours: Hours = Field(description="Then an unanswered proposal expires.")
    lead_time_hours: LeadHours = Field(description="What expires this soon is sized as gone.")
    rejection_holds_hours: LeadHours = Field(
        default=Decimal(168),
        description="What a person rejected is not bought or proposed again so long.",
    )
    purchase_delay_hours: DelayHours = Field(
        default=Decimal(0),
        description="Purchases are queued to start so much later, and can be taken back until "
        "then; what cannot be queued is refused. 0: at once.",
    )


class Risk(_Part):
    """How much may be lost, and how fast commitments may be built up."""

    budget_usd_per_run: Usd = Field(
        description="Loss against on demand over the term, in the bad (10%) case, per run."
    )
    max_pool_share_per_tranche_ratio: Ratio = Field(
        description="Largest part of a pool's on-demand cost committed in one run."
    )
    expected_shortfall_usd_per_pool: Usd | None = Field(
        default=None,
        description="Mean loss against on demand in the worst scenarios, over the terms of one "
        "pool's purchases in one run. Left out: any.",
    )
    expected_shortfall_usd_total: Usd | None = Field(
        default=None, description="The same over all pools together. Left out: any."
    )
    expected_shortfall_tail_ratio: Tail = Field(
        default=Decimal("0.05"), description="The share of scenarios that counts as the worst."
    )


class Alterations(_Part):
    """What may be done to commitments that are owned, and what that may cost.

    Left out, only what costs nothing is done: taking back what is queued, and returns.
    """

    allowed: AlterationKinds = Field(
        default=(AlterationKind.CANCEL_QUEUED, AlterationKind.RETURN),
        description="Kinds of alteration; one that is not listed is refused.",
    )
    max_pay_usd_per_run: Usd = Field(
        default=Decimal(0), description="Due at once for exchanges and the like, in one run."
    )
    max_pay_usd_per_day: Usd = Field(default=Decimal(0), description="In any 24 hours.")
    max_pay_usd_in_total: Usd = Field(default=Decimal(0), description="Ever.")
    max_returns_per_year: Usd = Field(
        default=Decimal(8),
        description="Returns in any 365 days and provider; providers have quotas of their own.",
    )
    churn_margin_ratio: Ratio = Field(
        default=Decimal("0.05"),
        description="A recent purchase is given back only if it loses more than this of its cost.",
    )
    return_loss_ratio: Ratio = Field(
        default=Decimal("0.02"),
        description="What a return may lose of the cash that was paid for the time that is left.",
    )
    undo_within_days: Usd = Field(
        default=Decimal(7), description="Purchases older than this are not given back unasked."
    )
    rebuy_holds_hours: LeadHours = Field(
        default=Decimal(168),
        description="What was given back is not bought or proposed again so long.",
    )


class Finance(_Part):
    """Numbers that the planner needs and only the owner can give."""

    cost_of_capital_annual_ratio: Ratio = Field(description="Price of money paid early, per year.")
    solver_gap_tolerance_ratio: Ratio = Field(description="Proven gap up to which a plan is sound.")


class WeeklyBlackout(_Part):
    """A window of every week in which nothing is bought; may run past midnight."""

    name: Text
    timezone: Zone
    days: Days = Field(min_length=1, description="Days on which the window begins.")
    start: TimeOfDay
    end: TimeOfDay = Field(description="Not after `start` means on the next day.")

    @field_validator("end")
    @classmethod
    def _lasts(cls, value: TimeOfDay, info: ValidationInfo) -> TimeOfDay:
        if info.data.get("start") == value:
            kind = "impossible_range"
            raise PydanticCustomError(kind, "end equals start: the window is empty")
        return value


class DatedBlackout(_Part):
    """Whole days of the calendar, first and last included, on which nothing is bought."""

    name: Text
    timezone: Zone
    first_day: CalendarDay
    last_day: CalendarDay

    @field_validator("last_day")
    @classmethod
    def _in_order(cls, value: CalendarDay, info: ValidationInfo) -> CalendarDay:
        first = info.data.get("first_day")
        if first is not None and value < first:
            kind = "impossible_range"
            raise PydanticCustomError(kind, "last_day is before first_day")
        return value


class Blackouts(_Part):
    """When nothing may be bought."""

    weekly: tuple[WeeklyBlackout, ...] = ()
    dates: tuple[DatedBlackout, ...] = ()


class PurchaseAccounts(_Part):
    """The one account per provider that purchases are made in; others are never fallen back to."""

    aws: Text | None = None
    azure: Text | None = None
    gcp: Text | None = None


class Policy(_Part):
    """Everything that Tenor may do, and the limits within which it may do it."""

    version: Literal[1] = Field(description="Version of this language.")
    name: Text = Field(description="Shown wherever this policy decided something.")
    halt: Flag = Field(default=False, description="true refuses every purchase.")
    mode: ModeField = Field(
        default=Mode.OBSERVE, description="Where no scope matches: observe, copilot or autopilot."
    )
    purchase_accounts: PurchaseAccounts
    scopes: tuple[Scope, ...] = ()
    allowed: Allowed
    denied: Denied = Denied()
    worth: Worth
    after_purchase: After
    caps: Caps
    sign_off: SignOff
    risk: Risk
    freshness: Freshness
    timing: Timing
    finance: Finance
    alterations: Alterations = Alterations()
    blackouts: Blackouts = Blackouts()

    @field_validator("scopes")
    @classmethod
    def _names_are_unique(cls, value: tuple[Scope, ...]) -> tuple[Scope, ...]:
        names = [scope.name for scope in value]
        if len(set(names)) != len(names):
            kind = "duplicate_scope"
            raise PydanticCustomError(kind, "two scopes have the same name")
        return value

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of what the policy says; comments and layout do not change it."""
        return hashlib.sha256(self.canonical_text().encode()).hexdigest()

    def canonical_text(self) -> str:
        """All that the policy says, defaults written out, as JSON with sorted keys."""
        return json.dumps(canonical(self), sort_keys=True)


def canonical(value: object) -> object:
    """``value`` with every number as plain decimal text, so that 5, 5.0 and 5.00 are the same."""
    if isinstance(value, BaseModel):
        return {key: canonical(getattr(value, key)) for key in type(value).model_fields}
    if isinstance(value, tuple):
        return [canonical(item) for item in value]
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, date):
        return value.isoformat()
    return value
