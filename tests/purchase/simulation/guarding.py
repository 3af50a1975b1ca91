"""Tenor's own guard over a simulated year: everything is permitted but more than the cap.

No usage is simulated, so what a line is worth is taken as good; what counts is what adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from service.domain.alterations import AlterationOrder, AlterationQuote
from service.domain.commitments import Offering
from service.domain.ids import CommitmentId, LineId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import InventoryItem
from service.guard.alterations import AlterationFacts, judge_alteration
from service.guard.context import GuardContext, PoolSize, spent_so_far, unknown_targets
from service.guard.obliging import TargetEvidence, new_targets
from service.guard.policy import Policy, parse_policy
from service.guard.rules import judge
from service.purchase.desk import Facts
from tests.purchase.simulation.clouds import SimCloud, Ware
from tests.purchase.world import make_line

WIDE = "{commit_usd_per_hour: 1000000, upfront_usd: 1000000, obligation_usd: 100000000}"
_RULES = f"""\
version: 1
name: all but the cap
mode: autopilot
purchase_accounts: {{ACCOUNTS}}
scopes: [SCOPES]
allowed:
  kinds: [KINDS]
  terms_months: [12]
  payments: [no_upfront, all_upfront]
  regions: ["*"]
  families: ["*"]
  accounts: ["*"]
worth: {{min_saving_ratio: 0.1, max_break_even_months: 10}}
after_purchase:
  coverage_ratio: {{min: 0, max: 0.9}}
  utilization_ratio: {{min: 0.9, max: 1}}
  line_utilization_ratio: {{min: 0.8, max: 1}}
caps:
  per_line: {WIDE}
  per_run: RUN
  per_day: DAY
  in_total: TOTAL
sign_off:
  above: {WIDE}
risk: {{budget_usd_per_run: 1000000, max_pool_share_per_tranche_ratio: 1}}
freshness: {{max_data_age_hours: 72, max_price_age_hours: 24, max_inventory_age_hours: 8760}}
timing: {{proposal_lifetime_hours: 168, lead_time_hours: 336}}
finance: {{cost_of_capital_annual_ratio: 0.08, solver_gap_tolerance_ratio: 0.001}}
alterations:
  allowed: [return, cancel_queued, exchange, split, merge, set_renewal]
  max_pay_usd_per_run: 1000000
  max_pay_usd_per_day: 1000000
  max_pay_usd_in_total: 1000000
  max_returns_per_year: 1000
"""
_VAST_USD_PER_HOUR = Decimal(1_000_000)
_NOW = Decimal(0)


def amounts(
    commit_usd_per_hour: Decimal = Decimal(10**6), upfront_usd: Decimal = Decimal(10**6)
) -> str:
    """A ceiling as a policy writes it; what is left out does not bind."""
    return (
        f"{{commit_usd_per_hour: {commit_usd_per_hour}, upfront_usd: {upfront_usd}, "
        "obligation_usd: 100000000}"
    )


def policy_of(
    *clouds: SimCloud,
    run: str = WIDE,
    day: str = WIDE,
    total: str = WIDE,
    scopes: Sequence[str] = (),
) -> Policy:
    """Everything that ``clouds`` sell is permitted up to the ceilings, and those of ``scopes``."""
    words = {
        "ACCOUNTS": ", ".join(f'{one.provider}: "{one.account}"' for one in clouds),
        "KINDS": ", ".join(sorted({one.kind.value for cloud in clouds for one in cloud.wares})),
        "SCOPES": ", ".join(scopes),
        "RUN": run,
        "DAY": day,
        "TOTAL": total,
    }
    text = _RULES
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return parse_policy(text, file="simulated.yaml")


ADDED_UP = ("run_", "day_", "total_")
"""How the rules begin that add up what was bought."""


@dataclass
class Guard:
    """The guard's word on purchases and on alterations. ``capped`` counts what the cap stopped."""

    policy: Policy
    cloud: SimCloud
    capped: int = 0

    def on_purchase(self, line: PlanLine, facts: Facts) -> Verdict:
        context = context_at(line, facts)
        return self._counted(judge((line,), policy=self.policy, context=context)[0])

    def on_alteration(
        self, order: AlterationOrder, quote: AlterationQuote, facts: AlterationFacts
    ) -> Verdict:
        return self._counted(judge_alteration(order, quote, policy=self.policy, facts=facts))

    def _counted(self, verdict: Verdict) -> Verdict:
        against = [one.rule for one in verdict.results if one.decision is Decision.REFUSE]
        self.capped += any(one.startswith(ADDED_UP) for one in against)
        return verdict

    def evidence(self, order: AlterationOrder, quote: AlterationQuote) -> TargetEvidence:
        """What the targets are, all of them worth having."""
        items: Mapping[CommitmentId, InventoryItem] = {
            one.commitment.commitment: one for one in self.cloud.inventory()
        }
        sources = tuple(items[name] for name in order.sources if name in items)
        ware = next(one for one in self.cloud.wares if one.kind is order.kind)
        lines = tuple(
            replace(
                line_of(self.cloud, ware, number, one.quantity),
                payment=one.payment,
                term_months=one.term_months,
            )
            for number, one in enumerate(new_targets(order, quote, sources))
        )
        return TargetEvidence(
            lines=lines,
            pools=_pools(*lines),
            data_age_hours=_NOW,
            prices_age_hours=_NOW,
            coverage_ratio_after=Decimal("0.7"),
            utilization_ratio_after=Decimal("0.98"),
        )


def context_at(line: PlanLine, facts: Facts) -> GuardContext:
    """What the guard is told at execution: ``facts``, and that all that is not in them is well."""
    spent = spent_so_far(
        facts.intents, facts.holdings, now=facts.now, run=facts.plan, beside=facts.run
    )
    return GuardContext(
        now=facts.now,
        halted=False,
        holds_lease=True,
        data_age_hours=_NOW,
        prices_age_hours=_NOW,
        inventory_age_hours=_NOW,
        gap_ratio=_NOW,
        coverage_ratio_after=Decimal("0.7"),
        utilization_ratio_after=Decimal("0.98"),
        spent=None if facts.altering is None else (*spent, *facts.altering),
        open_unknown=unknown_targets(facts.intents),
        pools=_pools(line),
        signed_off=frozenset({line.line} if facts.signed_off else ()),
        holds=facts.holds,
        approvals={line.line: facts.approvals},
        demoted=facts.demoted,
        starts_decided_at=facts.starts_decided_at,
    )


def line_of(
    cloud: SimCloud,
    ware: Ware,
    number: int,
    quantity: Decimal,
    planned_at: Decimal = Decimal(1),
) -> PlanLine:
    """A line for ``quantity`` of ``ware``; ``planned_at`` is the price then over that of now."""
    commit = round(quantity * ware.usd_per_hour * planned_at, 9)
    return replace(
        make_line(number),
        line=LineId(f"line-{number}"),
        offering=ware.offering,
        provider=cloud.provider,
        kind=ware.kind,
        account=cloud.account,
        payment=ware.payment,
        quantity=quantity,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=quantity * ware.upfront_usd,
        total_usd=commit * 8_760,
        expected_savings_usd_per_hour=commit * 4,
        expected_savings_low_usd_per_hour=commit * 3,
        expected_savings_high_usd_per_hour=commit * 5,
        companion=cloud.beside(ware, quantity),
    )


def offering_of(cloud: SimCloud, ware: Ware) -> Offering:
    """``ware`` as it is on sale."""
    return Offering(
        offering=OfferingId(ware.offering),
        provider=cloud.provider,
        kind=ware.kind,
        term_months=12,
        payment=ware.payment,
        region=None,
        family=None,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=True,
        rates_usd={"unit": ware.usd_per_hour},
        upfront_usd=Decimal(0),
        min_quantity=Decimal("0.001"),
        step=Decimal("0.001"),
    )


def _pools(*lines: PlanLine) -> dict[LineId, PoolSize]:
    return {one.line: PoolSize("pool", _VAST_USD_PER_HOUR) for one in lines}
