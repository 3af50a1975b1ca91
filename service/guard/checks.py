"""The rules that look at one line alone: what it is, what it is worth, and the facts behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from service.domain.commitments import Payment
from service.domain.hours import TERM_HOURS
from service.domain.plans import Companion, Decision, PlanLine, RuleResult
from service.guard.context import NOT_A_NUMBER, GuardContext, Target, obligation_usd, target_of
from service.guard.fields import Mode
from service.guard.holds import rejected
from service.guard.language import ANYTHING, UNBOUND, Bounds, Policy, Risk, SignOff
from service.guard.results import at_least, at_most, flag, plain, within
from service.guard.starts import start_rule
from service.guard.windows import blackout_at


def facts(policy: Policy, context: GuardContext) -> Iterator[RuleResult]:
    """Rules on the moment, the same for every line: halt, lease, blackout, ages, the plan's gap."""
    running = context.halted is False and not policy.halt
    told = "not known" if context.halted is None else ("running" if running else "halted")
    yield flag("halt", wanted="running", actual=told, passed=running)
    lease = {True: "held", False: "lost", None: "not known"}[context.holds_lease]
    yield flag("lease", wanted="held", actual=lease, passed=context.holds_lease is True)
    window = blackout_at(policy.blackouts, context.now)
    yield flag("blackout", wanted="none", actual=window or "none", passed=window is None)
    fresh = policy.freshness
    yield at_most("data_age", fresh.max_data_age_hours, context.data_age_hours, unit="h")
    yield at_most("price_age", fresh.max_price_age_hours, context.prices_age_hours, unit="h")
    yield at_most(
        "inventory_age",
        fresh.max_inventory_age_hours,
        context.inventory_age_hours,
        unit="h",
        detail=context.inventory_detail,
    )
    yield at_most(
        "solver_gap", policy.finance.solver_gap_tolerance_ratio, context.gap_ratio, unit="ratio"
    )
    after = policy.after_purchase
    yield _bounds("coverage_after", after.coverage_ratio, context.coverage_ratio_after)
    yield _bounds("utilization_after", after.utilization_ratio, context.utilization_ratio_after)


def is_sound(line: PlanLine) -> bool:
    """True when the line's amounts are numbers that a purchase can have and its term is sold."""
    amounts = (line.quantity, line.commit_usd_per_hour, line.upfront_usd, line.total_usd)
    return (
        all(amount.is_finite() and amount >= 0 for amount in amounts)
        and line.quantity > 0
        and line.term_months in TERM_HOURS
        and (line.companion is None or _is_sound_beside(line.companion, line))
    )


def _is_sound_beside(companion: Companion, line: PlanLine) -> bool:
    """What comes beside it is some, and its obligation is part of the line's, not more."""
    amounts = (companion.quantity, companion.commit_usd_per_hour)
    return (
        all(amount.is_finite() and amount >= 0 for amount in amounts)
        and companion.quantity > 0
        and companion.commit_usd_per_hour <= line.commit_usd_per_hour
    )


def is_held_up(line: PlanLine, context: GuardContext) -> bool:
    """True unless it is known that no purchase of unknown outcome overlaps the line's target."""
    return context.open_unknown is None or any(
        target_of(line).overlaps(open_target) for open_target in context.open_unknown
    )


def of_line(
    line: PlanLine, mode: Mode, *, policy: Policy, context: GuardContext
) -> Iterator[RuleResult]:
    """Rules on what the line is and what it is worth."""
    sound = is_sound(line)
    yield flag("line", wanted="usable amounts", actual=_sound_word(sound=sound), passed=sound)
    yield _mode(line, mode, context)
    yield _purchase_account(line, mode, policy)
    unknown = "not known" if context.open_unknown is None else "open"
    held = is_held_up(line, context)
    yield flag("open_unknown", wanted="none", actual=unknown if held else "none", passed=not held)
    yield from choices(target_of(line), line.payment, policy=policy)
    yield from start_rule(line, policy, context.now, context.starts_decided_at)
    yield from _worth(line, policy)
    yield from _shortfall(line, policy.risk)
    # Who approved this very line knew what had been rejected before.
    holds = () if line.line in context.signed_off else context.holds
    yield rejected(line, holds, context.now)
    if line.line in context.signed_off:
        yield _signed_off(people_needed(line, policy), context.approvals.get(line.line, 1))
    else:
        yield from _sign_off(line, policy.sign_off)


def _sound_word(*, sound: bool) -> str:
    return "usable amounts" if sound else "an amount or term that no purchase has"


def _mode(line: PlanLine, mode: Mode, context: GuardContext) -> RuleResult:
    decision = {
        Mode.OBSERVE: Decision.REFUSE,
        Mode.COPILOT: Decision.NEEDS_SIGN_OFF,
        Mode.AUTOPILOT: Decision.ALLOW,
    }[mode]
    if mode is Mode.COPILOT and line.line in context.signed_off:
        return RuleResult("mode", Decision.ALLOW, "signed off", "signed off", "copilot")
    said = {
        Mode.OBSERVE: "observe buys nothing",
        Mode.COPILOT: "copilot asks a person first",
        Mode.AUTOPILOT: "",
    }[mode]
    return RuleResult("mode", decision, Mode.AUTOPILOT.value, mode.value, said)


def _purchase_account(line: PlanLine, mode: Mode, policy: Policy) -> RuleResult:
    named: str | None = getattr(policy.purchase_accounts, line.provider, None)
    if mode is Mode.OBSERVE and named is None:
        return flag("purchase_account", wanted="none named", actual=line.account, passed=True)
    return flag(
        "purchase_account",
        wanted=named or "none named",
        actual=line.account,
        passed=named is not None and line.account == named,
    )


def choices(target: Target, payment: Payment, *, policy: Policy) -> Iterator[RuleResult]:
    """Refuses what is not listed as allowed, and what is denied wherever it is listed."""
    allowed, denied = policy.allowed, policy.denied
    for rule, yes, no, actual in (
        ("kind", allowed.kinds, denied.kinds, target.kind.value),
        ("term", allowed.terms_months, denied.terms_months, target.term_months),
        ("payment", allowed.payments, denied.payments, payment.value),
        ("region", allowed.regions, denied.regions, target.region or UNBOUND),
        ("family", allowed.families, denied.families, target.family or UNBOUND),
        ("account", allowed.accounts, denied.accounts, target.account),
    ):
        shown = ", ".join(str(item) for item in yes)
        if no:
            shown += " but never " + ", ".join(str(item) for item in no)
        passed = _listed(actual, yes) and not _listed(actual, no)
        yield flag(rule, wanted=shown, actual=str(actual), passed=passed)


def _listed(actual: object, names: Sequence[object]) -> bool:
    return actual in names or ANYTHING in names


def saving_ratio(line: PlanLine) -> Decimal:
    """Expected saving ÷ on-demand cost replaced, where that cost = commitment + saving.

    Not a number where nothing is replaced.
    """
    saving, commit = line.expected_savings_usd_per_hour, line.commit_usd_per_hour
    if not (saving.is_finite() and commit.is_finite()) or commit + saving <= 0:
        return NOT_A_NUMBER
    return saving / (commit + saving)


def _worth(line: PlanLine, policy: Policy) -> Iterator[RuleResult]:
    worth = policy.worth
    yield at_least("saving", worth.min_saving_ratio, saving_ratio(line), unit="ratio")
    yield at_most("break_even", worth.max_break_even_months, line.break_even_months, unit="months")
    yield _bounds(
        "line_utilization",
        policy.after_purchase.line_utilization_ratio,
        line.expected_utilization_ratio,
    )


def _shortfall(line: PlanLine, risk: Risk) -> Iterator[RuleResult]:
    """What the plan risks with the line, as measured when it was decided, against today's limits.

    Over fewer scenarios than were taken for the worst then it would be more: that is not known.
    """
    found = line.shortfall
    detail = ""
    if found is not None and not _is_as_bad(found.tail_ratio, risk):
        detail = f"measured over the worst {plain(found.tail_ratio)} of scenarios"
        found = None
    for rule, limit, actual in (
        (
            "shortfall",
            risk.expected_shortfall_usd_per_pool,
            None if found is None else found.pool_usd,
        ),
        (
            "shortfall_total",
            risk.expected_shortfall_usd_total,
            None if found is None else found.total_usd,
        ),
    ):
        if limit is not None:
            lost = _at_least_none(actual)
            yield at_most(rule, limit, lost, unit="USD", detail=detail)


def _is_as_bad(tail_ratio: Decimal, risk: Risk) -> bool:
    return tail_ratio.is_finite() and tail_ratio <= risk.expected_shortfall_tail_ratio


def _at_least_none(loss: Decimal | None) -> Decimal | None:
    """A saving is no loss."""
    return Decimal(0) if loss is not None and loss.is_finite() and loss < 0 else loss


def _signed_off(needed: int, given: int) -> RuleResult:
    if given >= needed:
        return flag("sign_off", wanted="signed off", actual="signed off", passed=True)
    wanted, actual = f"{needed} people", f"{given} person"
    return flag("sign_off", wanted=wanted, actual=actual, passed=False, detail="approved by few")


def people_needed(line: PlanLine, policy: Policy) -> int:
    """How many people must approve ``line``: two above the policy's amount, else one.

    The amount is everything owed over the term; where that is no number, two.
    """
    above = policy.sign_off.two_person_above_usd
    if above is None:
        return 1
    owed = obligation_usd(line.commit_usd_per_hour, line.term_months, line.total_usd)
    return 1 if owed.is_finite() and owed <= above else 2


def _sign_off(line: PlanLine, sign_off: SignOff) -> Iterator[RuleResult]:
    above = sign_off.above
    owed = obligation_usd(line.commit_usd_per_hour, line.term_months, line.total_usd)
    if sign_off.two_person_above_usd is not None:
        # What needs two people needs at least one, whatever the other amounts say.
        yield at_most(
            "sign_off_two_person",
            sign_off.two_person_above_usd,
            owed,
            unit="USD",
            beyond=Decision.NEEDS_SIGN_OFF,
        )
    for rule, limit, actual, unit in (
        ("sign_off_commit", above.commit_usd_per_hour, line.commit_usd_per_hour, "USD/h"),
        ("sign_off_upfront", above.upfront_usd, line.upfront_usd, "USD"),
        ("sign_off_obligation", above.obligation_usd, owed, "USD"),
    ):
        yield at_most(rule, limit, actual, unit=unit, beyond=Decision.NEEDS_SIGN_OFF)


def _bounds(rule: str, bounds: Bounds, actual: Decimal | None) -> RuleResult:
    return within(rule, bounds.min, bounds.max, actual, unit="ratio")
