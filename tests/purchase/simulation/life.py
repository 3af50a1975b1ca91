"""One deployment, one cloud and everybody around them, for a year, driven by one seed.

Replicas take turns at one lease; the cloud refuses, times out, lags and grows dearer; processes
stop at any step and forget what they were doing; people approve, halt, resume and restore; what is
owned is returned, exchanged, split and renewed. Every choice comes from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import Engine

from service.domain.alterations import AlterationKind, AlterationOrder, Target
from service.domain.errors import LeaseLostError
from service.domain.ids import ClientToken, IntentId, LineId, PlanId
from service.domain.plans import Decision, PlanLine
from service.domain.purchases import IntentState, InventoryItem, ProposalState
from service.purchase.alter import Bench, alter, resume_alterations
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute, execute_approved
from service.purchase.propose import approve, expire_due, record_proposals
from service.purchase.resume import resume
from service.purchase.written_alterations import ask, expire_alterations
from service.reconcile.settle import reconcile
from service.store import demotion, intents, proposals
from service.store.engine import reading, writing
from service.store.halt import is_halted, set_halt
from tests.purchase.simulation.checking import problems_at_rest
from tests.purchase.simulation.clouds import Mishap, SimCloud
from tests.purchase.simulation.guarding import Guard, amounts, line_of, policy_of
from tests.purchase.simulation.person import settle_held
from tests.purchase.world import (
    CYCLE,
    let_lease_run_out,
    store_plan,
    take_lease,
    verdict,
)

CAP = Decimal(4)
"""In USD per hour: a few purchases reach it, and the guard says no to many more."""

GRACE = timedelta(hours=2)
DAYS = 380
"""A year and two weeks: the terms of what was bought in the first days end within it."""


class ProcessStopped(BaseException):
    """The process is gone. Not an ``Exception``: nothing in the service may handle it."""


class Life:
    """A year of one deployment. ``problems`` is what independent checkers found, each once."""

    def __init__(self, engine: Engine, cloud: SimCloud, seed: int) -> None:
        self.random = random.Random(f"{cloud.provider} {seed}")  # noqa: S311 - keeps no secret
        self.engine = engine
        self.cloud = cloud
        self.faulty = True
        self.halted = False
        self.lines: list[tuple[PlanId, PlanLine]] = []
        self.holders = 0
        self.problems: list[str] = []
        self.purchases = self.by_hand = 0
        self.guard = self.make_guard()
        self.desk = self.start_process()

    def start_process(self) -> Desk:
        """A new replica: it has the lease once the old one's has run out."""
        self.holders += 1
        let_lease_run_out(self.engine)
        return Desk(
            provider=self.cloud.provider,
            engine=self.engine,
            reader=self.cloud,
            buyer=self.cloud,
            clock=self.cloud.clock,
            lease=take_lease(self.engine, f"replica-{self.holders}", timedelta(hours=1)),
            judge=self.guard.on_purchase,
            new_key=self.new_key,
            reached=self.reached,
        )

    def make_guard(self) -> Guard:
        return Guard(policy_of(self.cloud, total=amounts(CAP)), self.cloud)

    def new_key(self) -> str:
        bits = f"{self.random.getrandbits(128):032x}"
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-8{bits[17:20]}-{bits[20:]}"

    def reached(self, step: Step) -> None:
        """Trouble in the middle of a purchase. What the cloud has answered is then lost too."""
        if not self.faulty or step is Step.ANSWERED:
            return
        trouble = self.random.random()
        if trouble < 0.05:
            raise ProcessStopped
        if trouble < 0.06:
            self.set_halt(halted=True)
        if trouble < 0.08:
            self.start_process()  # somebody else has the lease now; this process goes on

    # What people and plans do.

    def new_plan(self) -> None:
        number = len(self.lines) + 1
        plan = PlanId(f"plan-{number}")
        lines = [self.make_line(number + offset) for offset in range(2)]
        self.lines += [(plan, line) for line in lines]
        store_plan(self.engine, *lines, plan=plan, decided_at=self.cloud.now())
        with writing(self.engine) as connection:
            record_proposals(
                connection,
                plan=plan,
                lines=lines[:1],
                verdicts=[verdict(line, Decision.NEEDS_SIGN_OFF) for line in lines],
                lifetime=timedelta(days=10),
                now=self.cloud.now(),
            )

    def make_line(self, number: int) -> PlanLine:
        """What a plan wants: of what is owned by the machine, at a price that may have moved."""
        ware = self.random.choice(self.cloud.wares)
        quantity, planned_at = Decimal(self.random.choice([1, 2])), Decimal(1)
        if not ware.kind.is_spend:
            quantity = Decimal(2)
            planned_at = Decimal(self.random.choice(["1", "1", "1", "1.1", "0.7"]))
        return line_of(self.cloud, ware, number, quantity, planned_at)

    def approve(self) -> None:
        with writing(self.engine) as connection:
            waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
            for one in waiting:
                approve(
                    connection,
                    one.proposal,
                    version=one.version,
                    by="ana",
                    comment="",
                    now=self.cloud.now(),
                )

    def buy(self) -> None:
        """Autopilot's line of a recent plan, again and again, as a confused caller might."""
        recent = self.lines[-6:]
        if recent:
            plan, line = self.random.choice(recent)
            if line.line != _first_of(plan):
                execute(self.desk, line=line, plan=plan, cycle=CYCLE)

    def buy_approved(self) -> None:
        execute_approved(self.desk)

    def alter(self) -> None:
        """Something that is owned is asked to be altered, and is."""
        items = [
            (item, kind)
            for item in self.cloud.inventory()
            for kind in sorted(self.cloud.ways(item, self.cloud.now()))
        ]
        if items:
            item, kind = self.random.choice(items)
            order = self._alteration(item, kind)
            with writing(self.engine) as connection:
                asked = ask(
                    connection,
                    order,
                    provider=self.cloud.provider,
                    run=f"run of {order.intent}",
                    reason="drill",
                    expires_at=self.cloud.now() + timedelta(days=3),
                    now=self.cloud.now(),
                )
            if asked is not None:
                alter(self.bench(), order.intent)

    def alter_and_buy(self) -> None:
        """In one go, with no reading in between, as the service may."""
        self.alter()
        self.buy_approved()
        self.buy()

    def _alteration(self, item: InventoryItem, kind: AlterationKind) -> AlterationOrder:
        offering = self.cloud.ware_of(item).offering
        more = item.commitment.quantity + self.random.choice([1, 12])
        target = Target(offering, more, None, 12, item.payment)
        return AlterationOrder(
            intent=IntentId(self.new_key()),
            token=ClientToken(self.new_key()),
            alteration=kind,
            account=self.cloud.account,
            kind=item.kind,
            sources=self.cloud.sources(item, kind),
            targets=(target,) if kind is AlterationKind.EXCHANGE else (),
            most_to_pay_usd=Decimal(10**6),
            renew=True if kind is AlterationKind.SET_RENEWAL else None,
        )

    def bench(self) -> Bench:
        return Bench(
            self.desk,
            self.cloud,
            self.guard.on_alteration,
            self.cloud.now(),
            evidence=self.guard.evidence,
            rebuy_held_for=timedelta(0),
        )

    def tidy_up(self) -> None:
        now = self.cloud.now()
        with writing(self.engine) as connection:
            expire_due(connection, now=now)
            expire_alterations(connection, now=now)
        self.read()
        resume(self.desk)
        resume_alterations(self.bench())

    def read(self) -> None:
        reconcile(
            provider=self.cloud.provider,
            engine=self.engine,
            reader=self.cloud,
            buyer=self.cloud,
            clock=self.cloud.clock,
            held=self.desk.lease,
            grace=GRACE,
            finder=self.cloud,
        )

    def set_halt(self, *, halted: bool) -> None:
        self.halted = halted
        with writing(self.engine) as connection:
            set_halt(connection, halted=halted, by="ops", reason="drill", now=self.cloud.now())

    def lend_trust(self) -> None:
        """Somebody ends a halt, and trusts autopilot again where it gave itself up; or not yet."""
        with reading(self.engine) as connection:
            halted = is_halted(connection)  # by somebody, or by an alarm
        if self.random.random() < 0.5 and halted:
            self.set_halt(halted=False)
        if self.random.random() < 0.8:
            with writing(self.engine) as connection:
                for provider in sorted(demotion.demoted(connection)):
                    demotion.restore(
                        connection, provider, by="ops", reason="looked at", now=self.cloud.now()
                    )

    # How time passes.

    def live(self, days: int = DAYS) -> None:
        """A year of trouble, then quiet, and the checkers' last look."""
        left = Decimal(days - 3)
        for act in (self.new_plan, self.approve, self.buy_approved, self.buy):
            self.do(act)
        while left > 0:
            self.turn()
            step = Decimal(self.random.choice([1, 6, 48, 120, 240])) / 24
            self.cloud.advance(float(min(step, left) * 24))
            left -= step
            self.watch()
        self.rest()
        self.check()

    def turn(self) -> None:
        """One thing happens."""
        acts: list[Callable[[], object]] = [
            self.new_plan,
            self.approve,
            self.buy,
            self.buy,
            self.buy_approved,
            self.alter,
            self.alter_and_buy,
            self.tidy_up,
            self.tidy_up,
        ]
        self.lend_trust()
        self.cloud.mishap = self.random.choice(list(Mishap)) if self.faulty else Mishap.NONE
        self.cloud.lag_hours = self.random.choice([0.2, 1.0, 1.5])
        for act in self.random.choices(acts, k=self.random.choice([1, 2])):
            self.do(act)

    def do(self, act: Callable[[], object]) -> None:
        """One act, which may be the end of the process that does it."""
        try:
            act()
        except (ProcessStopped, LeaseLostError):
            self.desk = self.start_process()

    def rest(self) -> None:
        """The faults end, and the service does what it does every hour."""
        self.faulty = False
        self.cloud.mishap = Mishap.NONE
        self.set_halt(halted=False)
        self.desk = self.start_process()
        for _ in range(4):
            self.tidy_up()
            self.cloud.advance(3)
        self.by_hand += settle_held(self.engine, self.cloud)
        self.tidy_up()

    # What independent checkers see: the world's own books, never Tenor's reasoning.

    def watch(self) -> None:
        """At every moment: the cap is held, and nothing was bought twice."""
        owned = self.cloud.world.snapshot().committed_usd_per_hour
        if round(owned, 6) > CAP:
            self.problem(f"{owned:.6f} USD/h owned above the cap of {CAP}")
        if self.cloud.world.double_purchases():
            self.problem("one intent was bought twice")

    def problem(self, what: str) -> None:
        """Keep what was found, once."""
        if what not in self.problems:
            self.problems.append(what)

    def check(self) -> None:
        """At rest: ledger equals cloud, nothing stuck, bills agree."""
        with reading(self.engine) as connection:
            bought = intents.list_intents(connection, states=(IntentState.BOUGHT,))
        self.purchases = len(bought)
        self.problems += problems_at_rest(self.engine, self.cloud, self.cloud.inventory())

    def outline(self) -> list[tuple[str, str, str]]:
        """The life as the database tells it, for comparing two."""
        with reading(self.engine) as connection:
            rows = intents.list_intents(connection)
        return [(one.order.intent, one.state.value, one.detail) for one in rows]


def _first_of(plan: PlanId) -> LineId:
    """The line of a plan that waits for a person."""
    return LineId(f"line-{plan.removeprefix('plan-')}")
