"""A small Tenor with a past, written through the store's own functions, to ask the API about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import Engine, create_engine
from starlette.datastructures import State
from starlette.testclient import TestClient

from service.api.access import Access
from service.api.app import create_app
from service.api.context import AppContext, attach
from service.api.limiting import Limiter, Rates
from service.api.ports import policy_file
from service.api.tokens import mint, revoke
from service.domain.commitments import Commitment, CommitmentState, Kind, Payment
from service.domain.hours import HOUR
from service.domain.ids import (
    AccountId,
    ClientToken,
    CommitmentId,
    CycleId,
    IntentId,
    LineId,
    OfferingId,
    PlanId,
)
from service.domain.money import CommitUsdPerHour
from service.domain.plans import (
    Companion,
    Decision,
    Plan,
    PlanInputs,
    PlanLine,
    PlanStatus,
    RuleResult,
    Verdict,
)
from service.domain.purchases import (
    Intent,
    IntentState,
    InventoryItem,
    Proposal,
    PurchaseOrder,
)
from service.observe.events import PurchaseBought
from service.purchase.lifecycle import Word
from service.purchase.propose import record_proposals
from service.store import holdings, intents, ledger, records
from service.store.engine import writing
from service.store.halt import set_halt
from service.store.states import Role, RunState, VerdictStage
from service.web.frame import keep_templates
from service.web.render import environment

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
POLICY = Path(__file__).resolve().parents[2] / "policies" / "copilot-cautious.yaml"
LIFETIME = timedelta(hours=48)
_NUMBERS = count(100)
QUICK = Rates(per_address=1_000_000, per_principal=1_000_000, wrong_tokens=1_000_000)


class SetClock:
    """A clock that says what it is told."""

    def __init__(self, now: datetime = NOW) -> None:
        self.instant = now

    def now(self) -> datetime:
        return self.instant


@dataclass(frozen=True)
class Job:
    """A job as the scheduler would keep it."""

    name: str
    every: timedelta
    offset: timedelta = timedelta(0)


JOBS = (Job("cycle", timedelta(hours=24), timedelta(hours=6)), Job("ingest", timedelta(hours=6)))


@dataclass(frozen=True)
class World:
    """An application over a database, its clocks, and how to reach it."""

    engine: Engine
    clock: SetClock
    app: FastAPI

    def client(self, token: str | None = None, **headers: str) -> TestClient:
        given: Mapping[str, str] = {"Authorization": f"Bearer {token}"} if token else {}
        return TestClient(self.app, headers={**given, **headers}, base_url="http://tenor.test")

    def token(
        self,
        role: Role,
        *,
        label: str = "",
        days: int | None = None,
        accounts: frozenset[str] | None = None,
    ) -> str:
        return self.minted(role, label=label, days=days, accounts=accounts)[0]

    def minted(
        self,
        role: Role,
        *,
        label: str = "",
        days: int | None = None,
        accounts: frozenset[str] | None = None,
    ) -> tuple[str, str]:
        now = self.clock.now()
        with writing(self.engine) as connection:
            made = mint(
                connection,
                label=label or f"test {role.value}",
                role=role,
                now=now,
                expires_at=None if days is None else now + timedelta(days=days),
                accounts=accounts,
            )
        return made.text, made.record.token_id

    def halt(self, *, halted: bool = True) -> None:
        with writing(self.engine) as connection:
            set_halt(connection, halted=halted, by="test", reason="test", now=self.clock.now())

    def revoke(self, token_id: str) -> None:
        with writing(self.engine) as connection:
            revoke(connection, token_id, now=self.clock.now())

    def signed_in(self, token: str) -> TestClient:
        client = self.client(accept="text/html")
        answer = client.post("/login", data={"token": token, "next": "/"}, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return client


def an_access(key: bytes = b"k" * 32, *, rates: Rates = QUICK) -> Access:
    """Reached as ``tenor.test``, with a known key, as often as a test likes."""
    return Access(hosts=frozenset({"tenor.test"}), session_key=key, limiter=Limiter(rates))


@cache
def _application() -> FastAPI:
    """The application without a world: describing its routes takes longer than most tests."""
    return create_app(
        engine=create_engine("sqlite://"),
        clock=SetClock(),
        policy_source=policy_file(POLICY),
    )


def make_world(
    engine: Engine, *, open_reads: bool = False, policy: Path = POLICY, app_key: bytes = b"k" * 32
) -> World:
    """A world of its own: it shares the routes with all others, and nothing else."""
    clock = SetClock()
    app = copy(_application())
    app.state = State()
    keep_templates(app.state, environment())
    attach(
        app.state,
        AppContext(
            engine=engine,
            clock=clock,
            auth_clock=clock,
            policy_source=policy_file(policy),
            jobs=JOBS,
            open_reads=open_reads,
            access=an_access(app_key),
            status_kept_seconds=0,
        ),
    )
    return World(engine=engine, clock=clock, app=app)


def csrf_in(html: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', html)
    assert found, "the page has no form with a CSRF field"
    return found[1]


def a_line(name: str = "l-1", *, reason: str = "steady use for ninety days") -> PlanLine:
    return PlanLine(
        line=LineId(name),
        offering=OfferingId("aws_compute_sp:12:no_upfront"),
        provider="aws",
        kind=Kind.AWS_COMPUTE_SP,
        account=AccountId("111122223333"),
        region=None,
        family=None,
        term_months=12,
        payment=Payment.NO_UPFRONT,
        quantity=Decimal("1.25"),
        commit_usd_per_hour=CommitUsdPerHour(Decimal("1.25")),
        upfront_usd=Decimal(0),
        total_usd=Decimal(10950),
        expected_savings_usd_per_hour=Decimal("0.4"),
        expected_savings_low_usd_per_hour=Decimal("-0.1"),
        expected_savings_high_usd_per_hour=Decimal("0.5"),
        expected_utilization_ratio=Decimal("0.97"),
        break_even_months=Decimal("8.7"),
        reason=reason,
    )


def a_plan(name: str, cycle: CycleId, lines: tuple[PlanLine, ...], decided_at: datetime) -> Plan:
    return Plan(
        plan=PlanId(name),
        cycle=cycle,
        decided_at=decided_at,
        status=PlanStatus.OPTIMAL,
        window_hours=8760,
        before_usd=Decimal("52000.5"),
        after_usd=Decimal(48000),
        lower_bound_usd=Decimal(47990),
        gap_ratio=Decimal("0.0002"),
        coverage_ratio=Decimal("0.71"),
        utilization_ratio=Decimal("0.98"),
        lines=lines,
        refusals=(),
        inputs=PlanInputs(
            usage_digest="a" * 64,
            prices_digest="b" * 64,
            commitments_digest="c" * 64,
            policy_digest="d" * 64,
            usage_through=decided_at - timedelta(hours=48),
            seed=7,
            code_version="0.1.0",
        ),
    )


def a_verdict(line: PlanLine, decision: Decision = Decision.NEEDS_SIGN_OFF) -> Verdict:
    result = RuleResult(
        rule="caps.per_line",
        decision=decision,
        limit="25 USD/h",
        actual="1.25 USD/h",
        detail="within the limit",
    )
    return Verdict(line=line.line, decision=decision, results=(result,))


def add_proposals(
    world: World,
    number: int | None = None,
    *,
    reason: str = "steady use for ninety days",
    lines: int = 1,
    decision: Decision = Decision.NEEDS_SIGN_OFF,
    companion: Companion | None = None,
) -> tuple[Proposal, ...]:
    """A finished cycle with a plan whose lines wait for a person; earlier ones are withdrawn."""
    number = next(_NUMBERS) if number is None else number
    now = world.clock.now()
    due_at = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=100) + number * HOUR
    cycle = CycleId(f"cycle@{due_at.isoformat()}")
    wanted = tuple(
        replace(a_line(f"l-{index}", reason=reason), companion=companion) for index in range(lines)
    )
    plan = a_plan(f"plan-{number}", cycle, wanted, now)
    verdicts = tuple(a_verdict(line, decision) for line in wanted)
    with writing(world.engine) as connection:
        records.start_cycle(connection, cycle, schedule="cycle", due_at=due_at, now=now)
        records.record_plan(connection, plan)
        for verdict in verdicts:
            records.record_verdict(
                connection, plan.plan, verdict, stage=VerdictStage.PROPOSAL, now=now
            )
        made = record_proposals(
            connection, plan=plan.plan, lines=wanted, verdicts=verdicts, lifetime=LIFETIME, now=now
        )
        records.finish_cycle(
            connection, cycle, state=RunState.DONE, summary={"proposed": len(made)}, now=now
        )
    return made


def add_purchase(
    world: World, number: int = 1, *, state: IntentState = IntentState.BOUGHT
) -> IntentId:
    """A cycle whose plan's one line was bought, or is in ``state``, and is listed."""
    now = world.clock.now()
    due_at = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=100) + number * HOUR
    cycle = CycleId(f"cycle@{due_at.isoformat()}")
    line = a_line(f"bought-{number}")
    plan = a_plan(f"plan-bought-{number}", cycle, (line,), now)
    identity = IntentId(f"i-{number}")
    commitment = CommitmentId(f"sp-{number:08d}")
    intent = an_intent(identity, plan.plan, line, now)
    with writing(world.engine) as connection:
        records.start_cycle(connection, cycle, schedule="cycle", due_at=due_at, now=now)
        records.record_plan(connection, plan)
        intents.record(connection, intent, cycle=cycle)
        intents.begin_call(connection, identity, fence=1, now=now)
        intents.move(
            connection,
            identity,
            source=IntentState.CALLING,
            target=state,
            word=Word.PROVIDER,
            now=now,
            detail="" if state is IntentState.BOUGHT else "timed out",
            commitment=commitment if state is IntentState.BOUGHT else None,
        )
        if state is IntentState.BOUGHT:
            holdings.keep(connection, "aws", listed(identity, commitment, now), now=now)
            ledger.append(
                connection,
                PurchaseBought(
                    intent=identity,
                    commitment=commitment,
                    account=line.account,
                    offering=line.offering,
                    quantity=line.quantity,
                    commit_usd_per_hour=line.commit_usd_per_hour,
                    upfront_usd=line.upfront_usd,
                ),
                now=now,
            )
        records.finish_cycle(connection, cycle, state=RunState.DONE, summary={"bought": 1}, now=now)
    return identity


def an_intent(identity: IntentId, plan: PlanId, line: PlanLine, now: datetime) -> Intent:
    order = PurchaseOrder(
        intent=identity,
        token=ClientToken(f"client-token-{identity}"),
        account=line.account,
        offering=line.offering,
        kind=line.kind,
        term_months=12,
        payment=line.payment,
        quantity=line.quantity,
        upfront_usd=line.upfront_usd,
    )
    return Intent(
        order=order,
        plan=plan,
        proposal=None,
        line=line,
        state=IntentState.RECORDED,
        fence=1,
        recorded_at=now,
        updated_at=now,
        commitment=None,
        detail="",
    )


def listed(intent: IntentId | None, commitment: CommitmentId, now: datetime) -> InventoryItem:
    line = a_line()
    return InventoryItem(
        commitment=Commitment(
            commitment=commitment,
            offering=line.offering,
            account=line.account,
            scope=None,
            zone=None,
            quantity=line.quantity,
            start=now,
            end=now + timedelta(hours=8760),
            state=CommitmentState.ACTIVE,
        ),
        kind=line.kind,
        term_months=12,
        payment=line.payment,
        region=None,
        family=None,
        commit_usd_per_hour=line.commit_usd_per_hour,
        upfront_usd=Decimal(0),
        intent=intent,
        returnable_until=now + timedelta(days=7),
    )
