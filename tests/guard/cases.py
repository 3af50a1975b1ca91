"""A line, a context and a policy that are in order, to be bent one fact at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from service.domain.commitments import Kind, Payment
from service.domain.ids import AccountId, LineId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import PlanLine, RuleResult, Shortfall, Verdict
from service.guard.context import GuardContext, PoolSize
from service.guard.policy import Policy, load_policy, parse_policy

POLICIES = Path(__file__).parents[2] / "policies"
PAYER = AccountId("111122223333")
NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)  # a Wednesday

SOUND = """\
version: 1
name: sound
mode: autopilot
purchase_accounts: {aws: "111122223333"}
allowed:
  kinds: [aws_compute_sp, aws_ec2_instance_sp]
  terms_months: [12, 36]
  payments: [no_upfront, partial_upfront, all_upfront]
  regions: ["*"]
  families: ["*"]
  accounts: ["*"]
worth: {min_saving_ratio: 0.1, max_break_even_months: 10}
after_purchase:
  coverage_ratio: {min: 0, max: 0.9}
  utilization_ratio: {min: 0.9, max: 1}
  line_utilization_ratio: {min: 0.8, max: 1}
caps:
  per_line: {commit_usd_per_hour: 4, upfront_usd: 10000, obligation_usd: 100000}
  per_run: {commit_usd_per_hour: 6, upfront_usd: 15000, obligation_usd: 150000}
  per_day: {commit_usd_per_hour: 8, upfront_usd: 20000, obligation_usd: 200000}
  in_total: {commit_usd_per_hour: 20, upfront_usd: 50000, obligation_usd: 500000}
sign_off:
  above: {commit_usd_per_hour: 3, upfront_usd: 8000, obligation_usd: 90000}
risk: {budget_usd_per_run: 5000, max_pool_share_per_tranche_ratio: 0.5}
freshness: {max_data_age_hours: 72, max_price_age_hours: 24, max_inventory_age_hours: 2}
timing: {proposal_lifetime_hours: 168, lead_time_hours: 336}
finance: {cost_of_capital_annual_ratio: 0.08, solver_gap_tolerance_ratio: 0.001}
"""


def policy(old: str = "", new: str = "") -> Policy:
    """The sound policy, with ``old`` (which must occur) replaced by ``new``."""
    assert old in SOUND
    return parse_policy(SOUND.replace(old, new, 1) if old else SOUND, file="sound.yaml")


def shipped(name: str) -> Policy:
    """A policy that we ship."""
    return load_policy(POLICIES / name)


CALM = Shortfall(Decimal(-20), Decimal(300), Decimal("0.05"))


def line(
    name: str = "line-1",
    *,
    kind: Kind = Kind.AWS_COMPUTE_SP,
    account: str = PAYER,
    region: str | None = None,
    family: str | None = None,
    term_months: int = 12,
    payment: Payment = Payment.NO_UPFRONT,
    commit: str = "1",
    upfront: str = "0",
    total: str | None = None,
    saving: str = "0.4",
    low: str = "0.1",
    utilization: str = "0.97",
    break_even: str = "8.5",
    shortfall: Shortfall | None = CALM,
) -> PlanLine:
    """A plan line of $1/h for a year that saves 28.6%, unless told otherwise."""
    hours = {12: 8760, 36: 26280}.get(term_months, 8760)
    amount = Decimal(commit)
    return PlanLine(
        line=LineId(name),
        offering=OfferingId("offer"),
        provider="aws",
        kind=kind,
        account=AccountId(account),
        region=region,
        family=family,
        term_months=term_months,
        payment=payment,
        quantity=amount,
        commit_usd_per_hour=CommitUsdPerHour(amount),
        upfront_usd=Decimal(upfront),
        total_usd=Decimal(total) if total is not None else amount * hours,
        expected_savings_usd_per_hour=Decimal(saving),
        expected_savings_low_usd_per_hour=Decimal(low),
        expected_savings_high_usd_per_hour=Decimal(saving),
        expected_utilization_ratio=Decimal(utilization),
        break_even_months=Decimal(break_even),
        reason="steady use",
        shortfall=shortfall,
    )


def context(*lines: PlanLine, pool_usd_per_hour: str = "20") -> GuardContext:
    """Facts in which nothing stands against a purchase of ``lines``."""
    return GuardContext(
        now=NOW,
        halted=False,
        holds_lease=True,
        data_age_hours=Decimal(50),
        prices_age_hours=Decimal(1),
        inventory_age_hours=Decimal(0),
        gap_ratio=Decimal("0.0004"),
        coverage_ratio_after=Decimal("0.7"),
        utilization_ratio_after=Decimal("0.98"),
        spent=(),
        open_unknown=(),
        pools={
            item.line: PoolSize("compute", Decimal(pool_usd_per_hour))
            for item in lines or (line(),)
        },
    )


def result(verdict: Verdict, rule: str) -> RuleResult:
    """The one result of ``rule`` in ``verdict``."""
    (found,) = (item for item in verdict.results if item.rule == rule)
    return found


def refusing(verdict: Verdict) -> set[str]:
    """The rules that refuse."""
    return {item.rule for item in verdict.results if item.decision.value == "refuse"}
