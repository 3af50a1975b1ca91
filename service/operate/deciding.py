"""Stages 2 to 4 joined to the store: what the pure stages are given, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from service import __version__
from service.domain.commitments import Offering
from service.domain.ids import CycleId, PlanId
from service.domain.plans import Plan, PlanInputs, PlanLine, Verdict
from service.guard.caps import sum_of
from service.guard.context import GuardContext, target_of
from service.guard.holds import hold_on
from service.guard.menu import permitted, room_for, target_for
from service.guard.rules import judge
from service.guard.starts import with_starts
from service.observe.tracing import traced
from service.operate.foreseen import foreseen
from service.operate.given import Given, commitments_digest
from service.operate.guarding import context_of, covered_usd_per_hour, plan_context
from service.operate.situation import Situation
from service.plan.decide import DecisionRequest, decide
from service.plan.guarded import risk_budget
from service.plan.repaying import repaying
from service.store import demotion, holdings, intents, proposals, records
from service.store.engine import reading
from service.store.halt import is_halted
from service.wiring import Parts


@traced("plan")
def forecast_and_plan(parts: Parts, situation: Situation, cycle: CycleId) -> Plan:
    """The plan: forecast per pool, portfolio and ladder, within what the policy leaves room for.

    One call, because the ladder asks the forecast of each pool for what it needs; the same
    function is behind ``tenor plan`` and the portfolio backtest.
    """
    policy = situation.policy
    on_sale = [situation.prices.offerings[one] for one in situation.on_sale]
    kept, _ = permitted(on_sale, policy=policy, account=situation.account)
    with reading(parts.engine) as connection:
        before = context_of(
            situation,
            gap_ratio=None,
            coverage_ratio_after=None,
            utilization_ratio_after=None,
            lines=(),
            plan=PlanId(""),
            intents=intents.list_intents(connection),
            inventory=holdings.owed(connection, now=situation.now),
            halted=is_halted(connection),
            holds_lease=True,
            beside=records.plans_of_run(connection, cycle),
        )
        # As if never bought: then nothing was given back either.
        holds = proposals.holding(connection, now=situation.now, given_back=not situation.set_aside)
    # What a person rejected is not planned either: a refused line would take others' room.
    menu = [
        one.offering
        for one in kept
        if hold_on(one, situation.account, holds, situation.now) is None
    ]
    given = Given()
    known = foreseen(parts.settings.changes_file, parts.settings.holidays_file)
    request = DecisionRequest(
        cycle=cycle,
        decided_at=situation.now,
        dataset=situation.dataset(),
        menu=tuple(sorted(menu)),
        accounts={parts.cloud.provider: situation.account},
        inputs=inputs_of(situation, parts.cloud.provider, parts.settings.seed),
        lead_time_hours=int(policy.timing.lead_time_hours),
        step_hours=parts.settings.cycle_every_hours,
        changes=known.changes,
        holidays=known.holidays,
        capital_annual_ratio=float(policy.finance.cost_of_capital_annual_ratio),
        gap_tolerance_ratio=policy.finance.solver_gap_tolerance_ratio,
        risk=risk_budget(policy),
        room=given.recorded(_Room(situation, before)),
    )
    # Refused whatever its size: sized, it would take the place of what repays itself in time.
    in_time, _ = repaying(request, Decimal(policy.worth.max_break_even_months))
    request = replace(request, menu=in_time)
    plan = with_starts(decide(request), policy)
    return given.kept_with(plan, request, situation, known, parts.engine)


def inputs_of(situation: Situation, provider: str, seed: int) -> PlanInputs:
    """Digests of everything that the plan depends on."""
    return PlanInputs(
        usage_digest=situation.usage_digest,
        prices_digest=situation.prices.digest,
        commitments_digest=commitments_digest(situation.commitments),
        policy_digest=situation.policy.digest,
        usage_through=situation.usage_through,
        seed=seed,
        code_version=__version__,
        provider=provider,
        estimated_days=situation.estimated_days or None,
    )


@traced("guard")
def guard(parts: Parts, situation: Situation, plan: Plan) -> tuple[Verdict, ...]:
    """The policy's verdict on every line, with what is spent and halted as of now."""
    now = parts.clock.now()
    with reading(parts.engine) as connection:
        context = plan_context(
            replace(situation, now=now),
            plan,
            intents=intents.list_intents(connection),
            inventory=holdings.owed(connection, now=now),
            halted=is_halted(connection),
            beside=records.plans_of_run(connection, plan.cycle),
            demoted=demotion.demoted(connection),
            holds=proposals.holding(connection, now=now),
        )
    return judge(plan.lines, policy=situation.policy, context=context)


@dataclass(frozen=True, slots=True)
class _Room:
    """What caps and the pool's share leave for one more line, as a quantity of its offering."""

    situation: Situation
    context: GuardContext

    def __call__(
        self, offering: Offering, lines: Sequence[PlanLine], begun: PlanLine | None = None
    ) -> Decimal:
        """Beside ``lines``, which are planned already: $/h (spend) or units (capacity).

        ``begun``: the line that it would come beside, in one purchase.
        """
        policy = self.situation.policy
        room = room_for(
            target_for(offering, self.situation.account),
            policy=policy,
            context=self.context,
            asked=[(target_of(line), sum_of(line)) for line in lines],
            begun=None if begun is None else sum_of(begun),
        )
        commit_per_unit = _commit_usd_per_unit(offering)
        upfront = offering.upfront_usd / commit_per_unit
        most = min(room.most_usd_per_hour(offering.term_months, upfront), self._share(offering))
        taken = sum(
            (line.commit_usd_per_hour for line in lines if line.offering == offering.offering),
            Decimal(0),
        )
        return max(Decimal(0), most - taken) / commit_per_unit

    def _share(self, offering: Offering) -> Decimal:
        """The most hourly commitment that the pool's largest share per tranche permits."""
        covered = covered_usd_per_hour(self.situation, offering)
        ratio = self.situation.policy.risk.max_pool_share_per_tranche_ratio
        left, commit = ratio * sum((usd for usd, _ in covered), Decimal(0)), Decimal(0)
        # Deepest discount first: a dollar of commitment replaces most there, and is used there.
        for on_demand, committed in covered:
            share = min(left / on_demand, Decimal(1))
            commit, left = commit + committed * share, left - on_demand * share
        return commit


def _commit_usd_per_unit(offering: Offering) -> Decimal:
    if offering.kind.is_spend:
        return Decimal(1)
    (rate_usd,) = offering.rates_usd.values()
    return rate_usd
