"""What purchase tests share: a plan of small lines, clocks, judges, a desk, and the checker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine, select, update

from service.domain.commitments import Kind, Payment
from service.domain.ids import AccountId, CycleId, LineId, OfferingId, PlanId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import (
    Decision,
    Plan,
    PlanInputs,
    PlanLine,
    PlanStatus,
    RuleResult,
    Verdict,
)
from service.domain.purchases import IntentState
from service.guard.context import spent_so_far
from service.purchase.desk import Desk, Facts, Judge, Step
from service.store import intents, lease, ledger, records, schema
from service.store.engine import reading, writing
from tests.purchase.cloud import ACCOUNT, PROVIDER, UPFRONT_USD_PER_UNIT, FileCloud

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
CYCLE = CycleId("cycle@2026-03-02T12:00:00Z")
PLAN = PlanId("plan-1")
LIFETIME = timedelta(minutes=5)
ZERO = Decimal(0)


@dataclass
class HandClock:
    """A clock that a test turns by hand."""

    instant: datetime = START

    def now(self) -> datetime:
        return self.instant

    def pass_time(self, duration: timedelta) -> None:
        self.instant += duration


def make_line(number: int = 1, *, quantity: str = "1", account: AccountId = ACCOUNT) -> PlanLine:
    """A one-year compute plan line at $1/h a unit."""
    amount = Decimal(quantity)
    return PlanLine(
        line=LineId(f"line-{number}"),
        offering=OfferingId(f"compute-{number}"),
        provider=PROVIDER,
        kind=Kind.AWS_COMPUTE_SP,
        account=account,
        region=None,
        family=None,
        term_months=12,
        payment=Payment.PARTIAL_UPFRONT,
        quantity=amount,
        commit_usd_per_hour=CommitUsdPerHour(amount),
        upfront_usd=amount * UPFRONT_USD_PER_UNIT,
        total_usd=amount * 8_760,
        expected_savings_usd_per_hour=amount / 4,
        expected_savings_low_usd_per_hour=amount / 8,
        expected_savings_high_usd_per_hour=amount / 2,
        expected_utilization_ratio=Decimal("0.97"),
        break_even_months=Decimal(8),
        reason="steady use",
    )


def make_plan(*lines: PlanLine, plan: PlanId = PLAN, cycle: CycleId = CYCLE) -> Plan:
    """A plan that wants ``lines``."""
    return Plan(
        plan=plan,
        cycle=cycle,
        decided_at=START,
        status=PlanStatus.OPTIMAL,
        window_hours=730,
        before_usd=Decimal(10_000),
        after_usd=Decimal(8_000),
        lower_bound_usd=Decimal(7_999),
        gap_ratio=Decimal("0.0001"),
        coverage_ratio=Decimal("0.7"),
        utilization_ratio=Decimal("0.98"),
        lines=lines,
        refusals=(),
        inputs=PlanInputs("u", "p", "c", "policy", START - timedelta(hours=48), 1, "0.1.0"),
    )


def store_plan(
    engine: Engine, *lines: PlanLine, plan: PlanId = PLAN, decided_at: datetime = START
) -> Plan:
    """Write a plan, and its cycle unless it is there."""
    made = replace(make_plan(*lines, plan=plan), decided_at=decided_at)
    with writing(engine) as connection:
        records.start_cycle(connection, CYCLE, schedule="cycle", due_at=START, now=START)
        records.record_plan(connection, made)
    return made


def verdict(line: PlanLine, decision: Decision, rule: str = "rule") -> Verdict:
    """A verdict of one rule."""
    result = RuleResult(rule=rule, decision=decision, limit="1", actual="2", detail="why")
    return Verdict(line=line.line, decision=decision, results=(result,))


def allow(line: PlanLine, facts: Facts) -> Verdict:
    """A guard that allows everything."""
    del facts
    return verdict(line, Decision.ALLOW)


def always(decision: Decision) -> Judge:
    """A guard that always says the same."""

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        del facts
        return verdict(line, decision, "always")

    return judge


def cap(commit_usd_per_hour: Decimal) -> Judge:
    """A guard that holds the total hourly commitment at or below a cap."""

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        spent = spent_so_far(facts.intents, facts.holdings, now=facts.now, run=facts.plan)
        assert facts.altering is not None
        counted = (*spent, *facts.altering)
        owed = sum((one.commit_usd_per_hour for one in counted if one.live), ZERO)
        after = owed + line.commit_usd_per_hour
        fits = after <= commit_usd_per_hour
        return verdict(line, Decision.ALLOW if fits else Decision.REFUSE, "total_cap")

    return judge


def take_lease(engine: Engine, holder: str, lifetime: timedelta = LIFETIME) -> lease.Lease:
    """The executor's lease for ``holder``, which must be free."""
    with writing(engine) as connection:
        held = lease.acquire(connection, holder=holder, lifetime=lifetime)
    assert held is not None
    return held


def let_lease_run_out(engine: Engine) -> None:
    """What the passing of time does to a lease that nobody renews."""
    with writing(engine) as connection:
        past = lease.database_now(connection) - timedelta(seconds=1)
        connection.execute(update(schema.leases).values(expires_at=past))


def open_desk(
    engine: Engine,
    cloud: FileCloud,
    held: lease.Lease,
    clock: HandClock,
    *,
    judge: Judge = allow,
    reached: Callable[[Step], None] | None = None,
) -> Desk:
    """A desk at ``cloud``."""
    desk = Desk(
        provider=PROVIDER,
        engine=engine,
        reader=cloud,
        buyer=cloud,
        clock=clock,
        lease=held,
        judge=judge,
    )
    return desk if reached is None else replace(desk, reached=reached)


def problems(engine: Engine, cloud: FileCloud, *, cap_usd_per_hour: Decimal) -> list[str]:
    """Everything that must never be true once all is at rest. Knows nothing of how we buy."""
    sales = cloud.sales()
    with reading(engine) as connection:
        rows = connection.execute(select(schema.intents)).mappings().all()
        ledger.verify(connection)
    bought = {row["commitment_id"] for row in rows if row["state"] == IntentState.BOUGHT}
    intended = {row["intent_id"] for row in rows}
    rest = {IntentState.BOUGHT, IntentState.REFUSED}
    owed = sum((sale.quantity * cloud.rate for sale in sales), ZERO)
    return [
        *_repeated("sales of intent", [sale.intent for sale in sales]),
        *_repeated("sales for line of", [sale.offering for sale in sales]),
        *_repeated("calls for intent", [intent for intent, _ in cloud.calls()]),
        *(f"no intent for {sale.commitment}" for sale in sales if sale.intent not in intended),
        *(f"{one} is not in the ledger" for one in {s.commitment for s in sales} - bought),
        *(f"{one} was never sold" for one in bought - {s.commitment for s in sales}),
        *(f"stuck in {row['state']}" for row in rows if row["state"] not in rest),
        *([f"{owed} $/h owed above {cap_usd_per_hour}"] if owed > cap_usd_per_hour else []),
    ]


def _repeated(what: str, names: Sequence[str]) -> list[str]:
    return [f"{count} {what} {name}" for name, count in Counter(names).items() if count > 1]


def states(engine: Engine) -> list[IntentState]:
    """The states of all intents, oldest first."""
    with reading(engine) as connection:
        return [intent.state for intent in intents.list_intents(connection)]


def kinds(engine: Engine) -> list[str]:
    """The names of all events, oldest first."""
    with reading(engine) as connection:
        return [event.kind for event in ledger.read(connection, limit=1_000)]
