"""The purchase rules on what an alteration newly obliges to.

An exchange, a longer term and a renewal make a commitment that nobody bought. What it is and what
it is worth is judged as if it were bought whole; what is counted, against caps and sign-off, is
what it obliges to beyond what is given for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from service.domain.alterations import (
    OBLIGING,
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    Target,
)
from service.domain.commitments import Offering
from service.domain.ids import LineId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import PlanLine, RuleResult, Verdict
from service.domain.purchases import InventoryItem
from service.guard.checks import is_sound
from service.guard.context import GuardContext, PoolSize, Spend
from service.guard.holds import Hold
from service.guard.language import Policy
from service.guard.results import flag
from service.guard.rules import judge

ZERO = Decimal(0)
_SAID_ALREADY = {"halt", "lease", "blackout", "inventory_age", "open_unknown", "solver_gap"}
_OF_PURCHASES_ALONE = {"start"}
_ADDS_UP = ("line_", "run_", "day_", "total_", "sign_off", "risk_budget", "pool_share")


@dataclass(frozen=True, slots=True)
class TargetEvidence:
    """What an alteration's targets are, and what they are worth on the newest evidence.

    ``lines``: one for each target, as if it were bought whole beside all that would be left.
    Ages are hours, ratios 0-1; ``None``: not known.
    """

    lines: tuple[PlanLine, ...]
    pools: Mapping[LineId, PoolSize]
    data_age_hours: Decimal | None
    prices_age_hours: Decimal | None
    coverage_ratio_after: Decimal | None
    utilization_ratio_after: Decimal | None


@dataclass(frozen=True, slots=True)
class Obliged:
    """What else the purchase rules need: see ``AlterationFacts`` and ``GuardContext``."""

    now: datetime
    sources: tuple[InventoryItem, ...]
    spent: tuple[Spend, ...] | None
    holds: tuple[Hold, ...]
    approvals: int
    demoted: frozenset[str]
    evidence: TargetEvidence | None


def obliges(order: AlterationOrder) -> bool:
    """True for what makes a commitment that must be paid for longer, or that is another one."""
    ended = order.alteration is AlterationKind.SET_RENEWAL and order.renew is False
    return order.alteration in OBLIGING and not ended


def new_targets(
    order: AlterationOrder, quote: AlterationQuote, sources: Sequence[InventoryItem]
) -> tuple[Target, ...]:
    """What would be owned anew: what the provider quotes, or each source again when it renews."""
    if order.alteration is not AlterationKind.SET_RENEWAL:
        return quote.targets or order.targets
    return tuple(
        Target(None, one.commitment.quantity, one.commitment.zone, one.term_months, one.payment)
        for one in sources
    )


def judge_targets(
    order: AlterationOrder, quote: AlterationQuote, policy: Policy, known: Obliged
) -> Iterator[RuleResult]:
    """Every purchase rule on what ``order`` newly obliges to; nothing for what obliges to less."""
    if not obliges(order):
        return
    wanted = new_targets(order, quote, known.sources)
    evidence = known.evidence
    sound = evidence is not None and all(is_sound(one) for one in evidence.lines)
    if evidence is None or not sound or not wanted or not _describes(evidence, wanted):
        yield flag("target", wanted="known", actual="not known", passed=False, detail="missing")
        return
    yield flag("target", wanted="known", actual="known", passed=True)
    context = _context(evidence, known)
    whole = judge(evidence.lines, policy=policy, context=context)
    more = judge(
        tuple(_beyond(order, quote, evidence.lines, known.sources)), policy=policy, context=context
    )
    yield from (one for one in _results(whole) if not _adds_up(one))
    yield from (one for one in _results(more) if _adds_up(one))


def _describes(evidence: TargetEvidence, wanted: Sequence[Target]) -> bool:
    lines = [(one.quantity, one.term_months, one.payment) for one in evidence.lines]
    return lines == [(one.quantity, one.term_months, one.payment) for one in wanted]


def _results(verdicts: Sequence[Verdict]) -> Iterator[RuleResult]:
    left_out = _SAID_ALREADY | _OF_PURCHASES_ALONE
    for verdict in verdicts:
        yield from (one for one in verdict.results if one.rule not in left_out)


def _adds_up(result: RuleResult) -> bool:
    return result.rule != "line_utilization" and result.rule.startswith(_ADDS_UP)


def _beyond(
    order: AlterationOrder,
    quote: AlterationQuote,
    lines: Sequence[PlanLine],
    sources: Sequence[InventoryItem],
) -> Iterator[PlanLine]:
    """Each line less what is given for it: hourly commitment, and what is left to pay for.

    A renewal begins when the source has ended: nothing is given for it.
    """
    renews = order.alteration is AlterationKind.SET_RENEWAL
    given = ZERO if renews else sum((Decimal(one.commit_usd_per_hour) for one in sources), ZERO)
    worth = ZERO if renews else quote.source_value_usd
    for number, line in enumerate(lines):
        whole = max(quote.target_value_usd, ZERO) if len(lines) == 1 and not renews else ZERO
        owed = whole or line.total_usd
        commit = max(ZERO, line.commit_usd_per_hour - given)
        stated = max(ZERO, owed - worth)
        given = max(ZERO, given - line.commit_usd_per_hour)
        worth = max(ZERO, worth - owed)
        share = min(Decimal(1), stated / owed) if owed > 0 else Decimal(1)
        yield replace(
            line,
            commit_usd_per_hour=CommitUsdPerHour(commit),
            upfront_usd=ZERO if number else quote.pay_usd,
            total_usd=stated,
            expected_savings_usd_per_hour=line.expected_savings_usd_per_hour * share,
            expected_savings_low_usd_per_hour=line.expected_savings_low_usd_per_hour * share,
        )


def _context(evidence: TargetEvidence, known: Obliged) -> GuardContext:
    names = frozenset(one.line for one in evidence.lines)
    return GuardContext(
        now=known.now,
        halted=False,
        holds_lease=True,
        data_age_hours=evidence.data_age_hours,
        prices_age_hours=evidence.prices_age_hours,
        inventory_age_hours=ZERO,
        gap_ratio=ZERO,
        coverage_ratio_after=evidence.coverage_ratio_after,
        utilization_ratio_after=evidence.utilization_ratio_after,
        spent=known.spent,
        open_unknown=(),
        pools=evidence.pools,
        signed_off=names if known.approvals else frozenset(),
        holds=known.holds,
        approvals=dict.fromkeys(names, known.approvals),
        demoted=known.demoted,
    )


def commit_usd_per_hour(offering: Offering, quantity: Decimal) -> Decimal:
    """The hourly commitment of ``quantity`` ($/h or units) of ``offering``, in USD per hour."""
    if offering.kind.is_spend:
        return quantity
    (rate_usd,) = offering.rates_usd.values()
    return rate_usd * quantity
