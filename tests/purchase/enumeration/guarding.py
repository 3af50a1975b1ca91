"""Tenor's own guard over the enumerated alterations: all is permitted, and one ceiling binds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from functools import cache

from service.domain.alterations import AlterationKind, AlterationOrder, AlterationQuote, Target
from service.domain.hours import TERM_HOURS
from service.domain.ids import LineId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import PlanLine, Verdict
from service.domain.purchases import InventoryItem
from service.guard.alterations import AlterationFacts, judge_alteration
from service.guard.context import PoolSize
from service.guard.obliging import TargetEvidence, commit_usd_per_hour, new_targets, obliges
from service.guard.policy import Policy, parse_policy
from tests.purchase.enumeration.sites import Change, Site

_WIDE = "{commit_usd_per_hour: 1000000, upfront_usd: 100000000, obligation_usd: 10000000000}"
_RULES = f"""\
version: 1
name: all but the ceiling
mode: autopilot
purchase_accounts: {{PROVIDER: "ACCOUNT"}}
allowed:
  kinds: [KIND]
  terms_months: [12, 36]
  payments: [no_upfront, partial_upfront, all_upfront]
  regions: ["*"]
  families: ["*"]
  accounts: ["*"]
worth: {{min_saving_ratio: 0.1, max_break_even_months: 36}}
after_purchase:
  coverage_ratio: {{min: 0, max: 0.9}}
  utilization_ratio: {{min: 0.9, max: 1}}
  line_utilization_ratio: {{min: 0.8, max: 1}}
caps:
  per_line: {_WIDE}
  per_run: {_WIDE}
  per_day: {_WIDE}
  in_total: {{commit_usd_per_hour: CEILING, upfront_usd: 100000000, obligation_usd: 10000000000}}
sign_off:
  above: {_WIDE}
risk: {{budget_usd_per_run: 100000000, max_pool_share_per_tranche_ratio: 1}}
freshness: {{max_data_age_hours: 72, max_price_age_hours: 24, max_inventory_age_hours: 8760}}
timing: {{proposal_lifetime_hours: 168, lead_time_hours: 336}}
finance: {{cost_of_capital_annual_ratio: 0.08, solver_gap_tolerance_ratio: 0.001}}
alterations:
  allowed: [return, cancel_queued, exchange, modify, split, merge, set_renewal, upgrade_term]
  max_pay_usd_per_run: 1000000
  max_pay_usd_per_day: 1000000
  max_pay_usd_in_total: 1000000
  max_returns_per_year: 1000
"""
_STEP = Decimal("0.000001")
_AGE = Decimal(0)


@dataclass(frozen=True)
class Ceiling:
    """The guard of one case. It crosses to a victim, and is asked there as it is here.

    ``ceiling_usd_per_hour`` holds for all that is owned. ``evidence`` says what the targets are.
    """

    provider: str
    account: str
    kind: str
    ceiling_usd_per_hour: Decimal
    evidence: TargetEvidence | None

    def judge(
        self, order: AlterationOrder, quote: AlterationQuote, facts: AlterationFacts
    ) -> Verdict:
        """Tenor's verdict."""
        return judge_alteration(order, quote, policy=self._policy(), facts=facts)

    def value(self, order: AlterationOrder, quote: AlterationQuote) -> TargetEvidence | None:
        """What the targets are, as they were quoted before."""
        del order, quote
        return self.evidence

    def _policy(self) -> Policy:
        return _policy_of(self.provider, self.account, self.kind, str(self.ceiling_usd_per_hour))


@cache
def _policy_of(provider: str, account: str, kind: str, ceiling: str) -> Policy:
    words = {"PROVIDER": provider, "ACCOUNT": account, "KIND": kind, "CEILING": ceiling}
    text = _RULES
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return parse_policy(text, file="enumerated.yaml")


def ceiling_of(
    site: Site,
    change: Change,
    order: AlterationOrder,
    sources: Sequence[InventoryItem],
    *,
    owed_usd_per_hour: Decimal,
    room: Decimal = Decimal(1),
) -> Ceiling:
    """A ceiling with room for ``room`` times what ``order`` adds, and for nothing beside it."""
    lines: tuple[PlanLine, ...] = ()
    evidence = None
    if obliges(order):
        quote = site.reached.alterer.quote_alteration(order)
        wanted = new_targets(order, quote, sources)
        lines = tuple(_line(site, change, one, sources[0], n) for n, one in enumerate(wanted))
        evidence = TargetEvidence(
            lines=lines,
            pools={one.line: PoolSize("pool", Decimal(10**9)) for one in lines},
            data_age_hours=_AGE,
            prices_age_hours=_AGE,
            coverage_ratio_after=Decimal("0.7"),
            utilization_ratio_after=Decimal("0.98"),
        )
    given = sum((Decimal(one.commit_usd_per_hour) for one in sources), Decimal(0))
    added = max(sum((one.commit_usd_per_hour for one in lines), Decimal(0)) - given, Decimal(0))
    # What renews, or binds for longer, counts beside what it is of until that is listed.
    most = added if order.alteration is AlterationKind.EXCHANGE or not lines else given
    ceiling = (owed_usd_per_hour + most * room).quantize(_STEP, ROUND_CEILING)
    return Ceiling(site.provider, site.payer, order.kind.value, ceiling, evidence)


def _line(
    site: Site, change: Change, target: Target, source: InventoryItem, number: int
) -> PlanLine:
    sold = None if target.offering is None else site.on_sale.get(target.offering)
    each = Decimal(source.commit_usd_per_hour) / source.commitment.quantity
    commit = each * target.quantity if sold is None else commit_usd_per_hour(sold, target.quantity)
    commit = round(commit, 9)
    return replace(
        site.line(change.source, 1),
        line=LineId(f"target-{number}"),
        offering=target.offering or source.commitment.offering,
        quantity=target.quantity,
        term_months=target.term_months,
        payment=target.payment,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=Decimal(0),
        total_usd=commit * TERM_HOURS[target.term_months],
        expected_savings_usd_per_hour=commit * 4,
        expected_savings_low_usd_per_hour=commit * 3,
        expected_savings_high_usd_per_hour=commit * 5,
        companion=None,
        start_at=None,
    )
