"""What another policy would have said of the newest plans. Nothing is stored, nothing is bought.

Both policies judge the same lines by the same facts: those of the moment of the decision. Prices
and inventory count as just read, as they are when a decision is made, and buying as not halted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import Connection, select

from service.api.context import AppContext
from service.domain.errors import InvariantError, TenorError
from service.domain.ids import CycleId, LineId, PlanId
from service.domain.plans import Plan, PlanLine, RuleResult, Verdict
from service.domain.purchases import Intent, InventoryItem
from service.guard.context import GuardContext, PoolSize, spent_so_far, unknown_targets
from service.guard.policy import Policy
from service.guard.rules import judge, reasons
from service.store import demotion, holdings, intents, records, schema
from service.store.engine import reading

POOL_HOURS = 28 * 24
_HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of a plan, and what each of two policies says of it."""

    plan: PlanId
    line: PlanLine
    before: Verdict
    after: Verdict

    @property
    def is_changed(self) -> bool:
        """True when the two differ in what happens to the line."""
        return self.before.decision is not self.after.decision

    @property
    def because(self) -> tuple[RuleResult, ...]:
        """The rules that make the second policy's word what it is; none when it allows."""
        return reasons(self.after)


@dataclass(frozen=True, slots=True)
class _Books:
    """What the store knows that verdicts are made of."""

    plans: tuple[Plan, ...]
    intents: tuple[Intent, ...]
    inventory: tuple[InventoryItem, ...]
    demoted: frozenset[str]
    run: frozenset[PlanId]


def effects(context: AppContext, before: Policy, after: Policy) -> list[Effect]:
    """Every line of the newest run's plans under both policies, in the order of buying."""
    with reading(context.engine) as connection:
        books = _books(connection)
    found: list[Effect] = []
    for plan in books.plans:
        facts = _facts(context, plan, books)
        said = judge(plan.lines, policy=before, context=facts)
        would = judge(plan.lines, policy=after, context=facts)
        found += [
            Effect(plan.plan, line, one, other)
            for line, one, other in zip(plan.lines, said, would, strict=True)
        ]
    return found


def _books(connection: Connection) -> _Books:
    plans = _newest_plans(connection)
    run: frozenset[PlanId] = frozenset()
    for plan in plans:
        run |= records.plans_of_run(connection, plan.cycle)
    return _Books(
        plans=plans,
        intents=intents.list_intents(connection),
        inventory=holdings.inventory(connection),
        demoted=demotion.demoted(connection),
        run=run,
    )


def _newest_plans(connection: Connection) -> tuple[Plan, ...]:
    """The newest plan of each cycle that was due when the newest plan's was."""
    cycles = schema.cycles.c
    newest = (
        select(schema.plans.c.cycle_id)
        .order_by(schema.plans.c.decided_at.desc(), schema.plans.c.plan_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    due_at = select(cycles.due_at).where(cycles.cycle_id == newest).scalar_subquery()
    names = connection.execute(
        select(cycles.cycle_id).where(cycles.due_at == due_at).order_by(cycles.cycle_id)
    ).scalars()
    found = (records.plan_of_cycle(connection, CycleId(name)) for name in names.all())
    return tuple(plan for plan in found if plan is not None)


def _facts(context: AppContext, plan: Plan, books: _Books) -> GuardContext:
    moment = plan.decided_at
    # What came after the decision was not known to it.
    later = {one.order.intent for one in books.intents if one.recorded_at >= moment}
    earlier = tuple(one for one in books.intents if one.order.intent not in later)
    listed = tuple(
        item
        for item in books.inventory
        if item.intent not in later and item.commitment.start <= moment
    )
    return GuardContext(
        now=moment,
        halted=False,
        holds_lease=True,
        data_age_hours=_hours(moment - plan.inputs.usage_through),
        prices_age_hours=Decimal(0),
        inventory_age_hours=Decimal(0),
        gap_ratio=plan.gap_ratio,
        coverage_ratio_after=plan.coverage_ratio,
        utilization_ratio_after=plan.utilization_ratio,
        spent=spent_so_far(
            earlier,
            listed,
            now=moment,
            run=plan.plan,
            beside=books.run,
            excluding=frozenset(line.line for line in plan.lines),
        ),
        open_unknown=unknown_targets(earlier),
        pools=_pools(context, plan),
        demoted=books.demoted,
    )


def _hours(age: timedelta) -> Decimal:
    return Decimal(round(age.total_seconds())) / _HOUR_SECONDS


def _pools(context: AppContext, plan: Plan) -> Mapping[LineId, PoolSize]:
    """The usage that each line could cover, in on-demand USD/h; empty where it cannot be had.

    Rules about pools refuse where they are not told, under either policy.
    """
    found: dict[LineId, PoolSize] = {}
    for provider in sorted({line.provider for line in plan.lines}):
        lines = [line for line in plan.lines if line.provider == provider]
        found |= _pools_of(context, plan, provider, lines)
    return found


def _pools_of(
    context: AppContext, plan: Plan, provider: str, lines: Sequence[PlanLine]
) -> dict[LineId, PoolSize]:
    if context.usage is None:
        return {}
    try:
        dataset = context.usage.dataset(provider, hours=POOL_HOURS, end=plan.inputs.usage_through)
    except InvariantError:
        raise
    except TenorError:
        return {}
    usage = dataset.usage
    means = [Decimal(repr(float(one))) for one in usage.quantity.mean(axis=0)]
    found: dict[LineId, PoolSize] = {}
    for line in lines:
        if line.offering not in dataset.offerings:
            continue
        named = [one for name, _ in line.contents if (one := dataset.offerings.get(name))]
        covered = sum(
            (
                amount * dataset.skus[label.key].on_demand_usd
                for label, amount in zip(usage.lines, means, strict=True)
                for offering in named
                if offering.region in {None, label.region}
                and offering.rate_usd(label.region, label.sku) is not None
            ),
            Decimal(0),
        )
        name = "/".join((line.provider, line.region or "any region", line.family or "any family"))
        found[line.line] = PoolSize(pool=name, on_demand_usd_per_hour=covered)
    return found
