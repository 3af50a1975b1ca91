"""How one rule's answer is formed: both numbers in one unit, and no answer without a number."""

from __future__ import annotations

from decimal import Decimal

from service.domain.money import text
from service.domain.plans import Decision, RuleResult

NOT_KNOWN = "not known"
NANO_DIGITS = 9
ROUNDABLE = Decimal(10) ** 15
STRICTNESS = {Decision.ALLOW: 0, Decision.NEEDS_SIGN_OFF: 1, Decision.REFUSE: 2}


def strictest(results: tuple[RuleResult, ...]) -> Decision:
    """The strictest decision of ``results``; with no result there is no permission."""
    return max(
        (result.decision for result in results),
        key=STRICTNESS.__getitem__,
        default=Decision.REFUSE,
    )


def plain(value: Decimal) -> str:
    """A number as decimal text, rounded to nano only where it has more digits than that."""
    if not value.is_finite():
        return "not a number"
    exponent = value.as_tuple().exponent
    long = isinstance(exponent, int) and exponent < -NANO_DIGITS
    return text(round(value, NANO_DIGITS) if long and abs(value) < ROUNDABLE else value)


def at_most(
    rule: str,
    limit: Decimal,
    actual: Decimal | None,
    *,
    unit: str,
    detail: str = "",
    beyond: Decision = Decision.REFUSE,
) -> RuleResult:
    """Passes when 0 ≤ ``actual`` ≤ ``limit``; not known and not a number always refuse."""
    return within(rule, Decimal(0), limit, actual, unit=unit, detail=detail, beyond=beyond)


def within(
    rule: str,
    low: Decimal,
    high: Decimal,
    actual: Decimal | None,
    *,
    unit: str,
    detail: str = "",
    beyond: Decision = Decision.REFUSE,
) -> RuleResult:
    """Passes when ``low`` ≤ ``actual`` ≤ ``high``; a number outside answers ``beyond``.

    Below 0 always refuses: no amount, age or ratio here can be negative and true.
    """
    shown = f"{plain(high)} {unit}" if low == 0 else f"{plain(low)} to {plain(high)} {unit}"
    if actual is None:
        return RuleResult(rule, Decision.REFUSE, shown, NOT_KNOWN, detail or "missing data")
    told = f"{plain(actual)} {unit}"
    if not actual.is_finite() or actual < 0:
        return RuleResult(rule, Decision.REFUSE, shown, told, detail or "not a usable number")
    passed = low <= actual <= high
    return RuleResult(rule, Decision.ALLOW if passed else beyond, shown, told, detail)


def at_least(
    rule: str, limit: Decimal, actual: Decimal | None, *, unit: str, detail: str = ""
) -> RuleResult:
    """Passes when ``actual`` ≥ ``limit``; not known and not a number refuse."""
    shown = f"at least {plain(limit)} {unit}"
    if actual is None:
        return RuleResult(rule, Decision.REFUSE, shown, NOT_KNOWN, detail or "missing data")
    passed = actual.is_finite() and actual >= limit
    told = f"{plain(actual)} {unit}"
    return RuleResult(rule, Decision.ALLOW if passed else Decision.REFUSE, shown, told, detail)


def flag(rule: str, *, wanted: str, actual: str, passed: bool, detail: str = "") -> RuleResult:
    """A yes-or-no fact."""
    decision = Decision.ALLOW if passed else Decision.REFUSE
    return RuleResult(rule, decision, wanted, actual, detail)
