"""How an Azure savings plan lives: decides what an alias makes, and when it discounts.

The alias is the buyer's own name for a purchase: the same alias again with the same terms is the
same order, with others it is refused. There is no way back, no exchange and no change of size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from service.domain.hours import HOUR, TERM_HOURS, floor_hour
from service.sandbox.azure.catalog import COMMITMENT_STEP, TERMS, AzureCatalog
from service.sandbox.faults import ApiError

PENDING = ("Creating", "PendingBilling")


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What was asked for. ``scopes`` are subscriptions or resource groups, empty when shared."""

    display_name: str
    billing_scope: str
    months: int
    monthly: bool
    usd_per_hour: Decimal
    scopes: tuple[str, ...]
    renew: bool


@dataclass(slots=True)
class Plan:
    """One savings plan with its order and alias. ``rates`` are those it was bought at."""

    alias: str | None
    order_id: str
    plan_id: str
    terms: PlanTerms
    rates: Mapping[str, Decimal]
    asked_at: datetime
    start: datetime
    end: datetime
    renew: bool
    reads: int = 0
    outcome: str | None = None
    paid_at: datetime | None = None
    payment_fails: bool = False
    hidden_until: datetime | None = None
    hidden_reads: int = 0
    renew_source: str | None = None

    @property
    def resource_id(self) -> str:
        """The full path under which Azure and its bills know it."""
        return (
            f"/providers/Microsoft.BillingBenefits/savingsPlanOrders/{self.order_id}"
            f"/savingsPlans/{self.plan_id}"
        )

    @property
    def state(self) -> str:
        """Azure's word for where the plan stands."""
        return self.outcome or PENDING[min(self.reads, len(PENDING) - 1)]

    @property
    def upfront_usd(self) -> Decimal:
        """What was paid at once."""
        hours = TERM_HOURS[self.terms.months]
        return Decimal(0) if self.terms.monthly else self.terms.usd_per_hour * hours

    def is_hidden(self, now: datetime) -> bool:
        """Whether this reading does not see the plan yet; counts as one reading."""
        if self.hidden_until is not None and now < self.hidden_until:
            return True
        if self.hidden_reads > 0:
            self.hidden_reads -= 1
            return True
        return False


@dataclass(slots=True)
class PlanBook:
    """All savings plans of the world. Callers hold the world's lock."""

    catalog: AzureCatalog
    new_id: Callable[[], UUID]
    operation_takes: timedelta
    operation_reads: int
    plans: list[Plan] = field(default_factory=list)

    def by_alias(self, alias: str) -> Plan | None:
        """The plan that the alias bought, if it did."""
        return next((one for one in self.plans if one.alias == alias), None)

    def purchase(self, alias: str, terms: PlanTerms, now: datetime) -> tuple[Plan, bool]:
        """Buy under ``alias``; the plan, and whether it is new."""
        known = self.by_alias(alias)
        if known is not None:
            if known.terms != terms:
                message = f"The alias {alias} exists with other terms."
                raise ApiError("InvalidRequestContent", message)
            return known, False
        check_terms(terms)
        return self._place(alias, terms, now), True

    def _place(self, alias: str | None, terms: PlanTerms, now: datetime) -> Plan:
        hour = floor_hour(now)
        plan = Plan(
            alias=alias,
            order_id=str(self.new_id()),
            plan_id=str(self.new_id()),
            terms=terms,
            rates=self.catalog.plan_rates_usd(terms.months),
            asked_at=now,
            start=hour,
            end=hour + TERM_HOURS[terms.months] * HOUR,
            renew=terms.renew,
        )
        self.plans.append(plan)
        return plan

    def read(self, plan: Plan, now: datetime) -> None:
        """Somebody asked about the purchase: it gets on."""
        if plan.outcome is None:
            plan.reads += 1
            if plan.reads >= self.operation_reads:
                _end_operation(plan, now)

    def settle(self, now: datetime) -> None:
        """Let purchases and terms end that are due by ``now``; renew what renews."""
        for plan in self.plans:  # grows while it is gone through: renewals come last
            due = plan.asked_at + self.operation_takes
            if plan.outcome is None and due <= now:
                _end_operation(plan, due)
            if plan.state == "Succeeded" and plan.end <= now:
                plan.outcome = "Expired"
                if plan.renew:
                    again = self._place(None, replace(plan.terms), plan.end)
                    again.renew, again.renew_source = True, plan.resource_id


def _end_operation(plan: Plan, at: datetime) -> None:
    plan.outcome = "Failed" if plan.payment_fails else "Succeeded"
    if not plan.payment_fails:
        plan.paid_at = at


def check_terms(terms: PlanTerms) -> None:
    """``ApiError`` for a plan that is not sold."""
    if terms.months not in TERMS:
        raise ApiError("InvalidRequestContent", f"No plan lasts {terms.months} months.")
    if terms.usd_per_hour < COMMITMENT_STEP or terms.usd_per_hour % COMMITMENT_STEP:
        message = f"{terms.usd_per_hour} is not a commitment: it has steps of {COMMITMENT_STEP}."
        raise ApiError("InvalidRequestContent", message)
