"""The rules that add up: caps per line, per run, in 24 hours and in total; risk; pool share.

A line is judged against everything that counts already plus the lines asked for before it in
the same run, whether or not those were let through. Counting only the lines let through would
mean that forbidding one line makes room for another: a tighter policy would permit more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from service.domain.ids import LineId
from service.domain.plans import PlanLine, RuleResult
from service.guard.context import (
    DAY,
    NOT_A_NUMBER,
    GuardContext,
    PoolSize,
    Spend,
    loss_usd,
    obligation_usd,
    target_of,
)
from service.guard.language import Amounts, Caps, Policy
from service.guard.results import at_most
from service.guard.scopes import matches, scopes_for

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Sum:
    """Money added up: USD/h of commitment, USD upfront, USD owed over the term."""

    commit_usd_per_hour: Decimal = ZERO
    upfront_usd: Decimal = ZERO
    obligation_usd: Decimal = ZERO

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.commit_usd_per_hour + other.commit_usd_per_hour,
            self.upfront_usd + other.upfront_usd,
            self.obligation_usd + other.obligation_usd,
        )


def cumulative(
    line: PlanLine,
    before: tuple[PlanLine, ...],
    *,
    policy: Policy,
    context: GuardContext,
) -> Iterator[RuleResult]:
    """Rules on ``line`` together with the lines ``before`` it and all that was spent already."""
    spent = context.spent
    yield from _ceilings(line, before, spent, policy.caps, context=context)
    for scope in scopes_for(policy, target_of(line)):
        if scope.caps is None:
            continue
        match = scope.match
        inside = tuple(other for other in before if matches(match, target_of(other)))
        counted = (
            None if spent is None else tuple(item for item in spent if matches(match, item.target))
        )
        yield from _ceilings(
            line, inside, counted, scope.caps, context=context, suffix=f"[{scope.name}]"
        )
    yield _risk(line, before, spent, policy)
    yield _pool_share(line, before, policy, context)


def _ceilings(
    line: PlanLine,
    before: tuple[PlanLine, ...],
    spent: tuple[Spend, ...] | None,
    caps: Caps,
    *,
    context: GuardContext,
    suffix: str = "",
) -> Iterator[RuleResult]:
    own = sum_of(line)
    run = total(sum_of(other) for other in before) + own
    yield from _against("line", caps.per_line, own, suffix)
    for name, cap, already in used(caps, spent, now=context.now):
        yield from _against(name, cap, None if already is None else already + run, suffix)


def used(
    caps: Caps, spent: tuple[Spend, ...] | None, *, now: datetime
) -> Iterator[tuple[str, Amounts, Sum | None]]:
    """Each cap over a span, and what past purchases have used of it; ``None`` when not known."""
    since = now - DAY
    spans: tuple[tuple[str, Amounts, Callable[[Spend], bool]], ...] = (
        ("run", caps.per_run, lambda item: item.in_run),
        ("day", caps.per_day, lambda item: item.in_run or item.at > since),
        ("total", caps.in_total, lambda item: item.live),
    )
    for name, cap, counts in spans:
        yield (
            name,
            cap,
            None if spent is None else total(_of_spend(item) for item in spent if counts(item)),
        )


def _against(name: str, cap: Amounts, actual: Sum | None, suffix: str) -> Iterator[RuleResult]:
    found = actual or Sum()
    for what, limit, amount, unit in (
        ("commit", cap.commit_usd_per_hour, found.commit_usd_per_hour, "USD/h"),
        ("upfront", cap.upfront_usd, found.upfront_usd, "USD"),
        ("obligation", cap.obligation_usd, found.obligation_usd, "USD"),
    ):
        known = amount if actual is not None else None
        yield at_most(f"{name}_{what}{suffix}", limit, known, unit=unit)


def _risk(
    line: PlanLine,
    before: tuple[PlanLine, ...],
    spent: tuple[Spend, ...] | None,
    policy: Policy,
) -> RuleResult:
    at_stake: Decimal | None = None
    if spent is not None:
        lines = sum((loss_usd(other) for other in before), loss_usd(line))
        at_stake = sum((_finite(item.loss_usd) for item in spent if item.in_run), lines)
    return at_most("risk_budget", policy.risk.budget_usd_per_run, at_stake, unit="USD")


def _pool_share(
    line: PlanLine, before: tuple[PlanLine, ...], policy: Policy, context: GuardContext
) -> RuleResult:
    pool = context.pools.get(line.line)
    share = None
    if pool is not None:
        same = [line, *(other for other in before if _is_in(context, other.line, pool))]
        size = _finite(pool.on_demand_usd_per_hour)
        bought = sum((_replaced(other) for other in same), ZERO)
        share = bought / size if size > 0 else NOT_A_NUMBER
    limit = policy.risk.max_pool_share_per_tranche_ratio
    detail = "" if pool is None else f"of pool {pool.pool}"
    return at_most("pool_share", limit, share, unit="ratio", detail=detail)


def _is_in(context: GuardContext, line: LineId, pool: PoolSize) -> bool:
    other = context.pools.get(line)
    return other is not None and other.pool == pool.pool


def _replaced(line: PlanLine) -> Decimal:
    """On-demand cost that the line replaces, USD/h: what it commits and what it saves."""
    saved = _finite(line.expected_savings_usd_per_hour)
    commit = _finite(line.commit_usd_per_hour)
    return commit + (saved if saved.is_nan() else max(ZERO, saved))


def sum_of(line: PlanLine) -> Sum:
    """What ``line`` comes to; not a number where its amounts are not."""
    return Sum(
        _finite(line.commit_usd_per_hour),
        _finite(line.upfront_usd),
        obligation_usd(line.commit_usd_per_hour, line.term_months, line.total_usd),
    )


def _of_spend(spend: Spend) -> Sum:
    return Sum(
        _finite(spend.commit_usd_per_hour),
        _finite(spend.upfront_usd),
        _finite(spend.obligation_usd),
    )


def total(sums: Iterable[Sum]) -> Sum:
    """All of ``sums`` together."""
    return sum(sums, Sum())


def _finite(value: Decimal) -> Decimal:
    """``value``, or a quiet not-a-number in place of an infinity, so that sums cannot trap."""
    return value if value.is_finite() else NOT_A_NUMBER
