"""A year of the whole service on one small cloud, driven by one seed.

The daemon's own jobs run on a virtual clock: exports are read, weeks are decided on real forecasts
and plans, the guard judges, autopilot buys and people sign off, inventories are reconciled, what
was wrong is undone, trust is given up, proposals expire, alerts are raised. The cloud is the
sandbox over the wire, through the real adapters. Processes stop at any transaction and right after
any answer; people halt, tighten the policy, buy at the console; demand drops and surges; prices
move. Then the faults end, the service rests, and independent checkers look.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, event, select

from service.clouds import clouds_of
from service.domain.alterations import AlterationState
from service.domain.purchases import IntentState, ProposalState, PurchaseOrder
from service.observe.events import LineRefused
from service.operate.daemon import executor_of
from service.purchase.propose import approve, reject
from service.purchase.written_alterations import approve_alteration
from service.sandbox.faults import Fault, FaultKind
from service.scheduler import Executor
from service.settings import Settings
from service.store import alterations, demotion, intents, ledger, proposals, schema
from service.store.engine import reading, writing
from service.store.halt import is_halted, set_halt
from service.store.states import RunState
from service.store.usage_days import UsageDays
from service.wiring import Parts
from tests.purchase.simulation.checking import problems_at_rest
from tests.purchase.simulation.estates import SMALL, SmallCloud
from tests.purchase.simulation.life import ProcessStopped
from tests.purchase.simulation.person import settle_held
from tests.purchase.simulation.ports import throttled, troubled
from tests.purchase.simulation.whole_books import Books
from tests.purchase.simulation.whole_policy import policy_text
from tests.purchase.world import let_lease_run_out

WEEKS: Final = 54
"""A year and two weeks: the terms of what was bought in the first weeks end within it."""

DAYS: Final = WEEKS * 7 + 20

STRIKES: Final = (
    FaultKind.REFUSE,
    FaultKind.THROTTLE,
    FaultKind.TIMEOUT_BEFORE,
    FaultKind.TIMEOUT_AFTER,
    FaultKind.ERROR_BEFORE,
    FaultKind.ERROR_AFTER,
    FaultKind.BROKEN_AFTER,
    FaultKind.LISTING_LAG,
    FaultKind.PAYMENT_FAILS,
)
"""What the wire does to purchases, a week at a time."""

RARELY: Final = {"alerts": timedelta(hours=12), "expiries": timedelta(hours=6)}
"""These are due every few minutes; a year of that is what nobody needs to see."""


class WholeLife:
    """A year of one deployment. ``problems`` is what independent checkers found, each once."""

    def __init__(self, engine: Engine, cloud: SmallCloud, seed: int) -> None:
        self.random = random.Random(f"whole {cloud.provider} {seed}")  # noqa: S311 - no secret
        self.engine, self.cloud = engine, cloud
        self.faulty = True
        self.problems: list[str] = []
        self.outlined: list[tuple[object, ...]] = []
        self.stops = self.holders = self.purchases = self.refused = 0
        self.cap_usd, self.sign_off_usd = Decimal(40), Decimal(3)
        self.read_before: dict[object, object] = {}
        self.policy_file = cloud.folder.parent / "policy.yaml"
        self.books = Books(cloud.sim, self.problem)
        self.write_policy()
        self.parts = self.make_parts(seed)
        self.executor = self.start_process()

    def make_parts(self, seed: int) -> Parts:
        """What the composition root builds, with the year's keys, clock and trouble."""
        folder = self.cloud.folder.parent
        values: dict[str, object] = {
            "database_url": "sqlite://",
            "data_dir": folder,
            "policy_file": self.policy_file,
            "exports": self.cloud.folder,
            "history_hours": 5 * 7 * 24,
            "ingest_every_hours": 24,
            "reconcile_every_hours": 6,
            "lease_seconds": 86_400,
            "seed": seed,
            **self.cloud.settings,
        }
        settings = Settings.model_validate(values)
        (cloud,) = clouds_of(settings, self.cloud.sim.clock)
        cloud = self.cloud.behind_the_port(cloud)
        self.cloud.sim.listing = cloud.reader.inventory
        cloud = troubled(
            cloud,
            called=self.cloud.sim.called,
            trouble=self.trouble,
            sold=self.sold,
            as_of=self.as_of,
            read_before=self.read_before,
        )
        return Parts(
            settings=settings,
            engine=self.engine,
            clock=self.cloud.sim.clock,
            usage=UsageDays(self.engine, settings.usage_dir),
            clouds=(cloud,),
            cloud=cloud,
            holder="",
            new_key=self.new_key,
        )

    def start_process(self) -> Executor:
        """A new replica, which remembers nothing; it has the lease once the old one's is over."""
        self.holders += 1
        let_lease_run_out(self.engine)
        self.parts = replace(self.parts, holder=f"replica-{self.holders}", rates={})
        executor = executor_of(self.parts)
        executor.jobs = tuple(
            replace(job, every=RARELY.get(job.name, job.every)) for job in executor.jobs
        )
        return executor

    def new_key(self) -> str:
        bits = f"{self.random.getrandbits(128):032x}"
        return f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-8{bits[17:20]}-{bits[20:]}"

    def as_of(self) -> object:
        """Names the state of the cloud: time, and all that was ever asked of it."""
        return self.cloud.sim.now(), sum(self.cloud.sim.called.values()), self.books.strangers

    # What goes wrong.

    def trouble(self, what: str) -> None:
        """Reads are throttled; a process ends with the answer in its hands."""
        if not self.faulty:
            return
        drawn = self.random.random()
        if what in {"bought", "altered"} and drawn < 0.1:
            raise ProcessStopped
        if what not in {"bought", "altered"} and drawn < 0.01:
            raise throttled(self.cloud.provider, what)

    def on_transaction(self, _: object) -> None:
        """Any transaction may be the one that never begins."""
        if self.faulty and self.random.random() < 1 / 900:
            raise ProcessStopped

    def arm(self) -> None:
        """What the wire does to purchases from now on."""
        faults = self.cloud.world.faults
        faults.clear()
        if not self.faulty or self.random.random() < 0.2:
            return
        kind = self.random.choice(STRIKES)
        for operation in self.cloud.losing:
            faults.add(
                Fault(
                    operation,
                    kind,
                    times=100,
                    chance=0.8,
                    lag_hours=self.random.choice([0.2, 20.0]),
                )
            )

    # What people do.

    def turn(self) -> None:
        """What people do in a week, before it is decided."""
        acts: list[tuple[float, Callable[[], object]]] = [
            (0.7, self.lend_trust),
            (0.06, lambda: self.set_halt(halted=True)),
            (0.12, self.change_policy),
            (0.05, self.change_price),
            (0.06, self.at_console),
        ]
        for chance, act in acts:
            if self.random.random() < chance:
                act()

    def lend_trust(self) -> None:
        """Somebody ends a halt, and trusts autopilot again where it gave itself up."""
        with reading(self.engine) as connection:
            halted, given_up = is_halted(connection), sorted(demotion.demoted(connection))
        if halted:
            self.set_halt(halted=False)
        with writing(self.engine) as connection:
            for provider in given_up:
                demotion.restore(
                    connection, provider, by="ops", reason="looked at", now=self.parts.clock.now()
                )

    def set_halt(self, *, halted: bool) -> None:
        with writing(self.engine) as connection:
            now = self.parts.clock.now()
            set_halt(connection, halted=halted, by="ops", reason="drill", now=now)

    def change_policy(self) -> None:
        self.cap_usd = Decimal(self.random.choice([10, 25, 40, 60]))
        self.sign_off_usd = Decimal(self.random.choice([1, 3, 50]))
        self.write_policy()

    def write_policy(self) -> None:
        account = self.cloud.sim.account
        text = policy_text(self.cloud.provider, account, self.cap_usd, self.sign_off_usd)
        self.policy_file.write_text(text, "utf-8")
        self.books.cap_usd = self.cap_usd

    def change_price(self) -> None:
        self.read_before.clear()
        self.cloud.raise_price(Decimal(self.random.choice(["1.1", "0.95", "1.02"])))

    def at_console(self) -> None:
        """Somebody buys without Tenor, which cannot know before it reads."""
        self.books.buy_at_console(Decimal("0.5"))

    def decide_waiting(self) -> int:
        """People answer some of what waits; how much they said yes to."""
        with writing(self.engine) as connection:
            waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
            now, yes = self.parts.clock.now(), 0
            for one in waiting:
                drawn = self.random.random()
                if drawn < 0.6:
                    approve(
                        connection, one.proposal, version=one.version, by="ana", comment="", now=now
                    )
                    yes += 1
                elif drawn < 0.7:
                    held = timedelta(days=self.random.choice([0, 14]))
                    reject(
                        connection,
                        one.proposal,
                        version=one.version,
                        by="ana",
                        comment="not now",
                        now=now,
                        holds_for=held,
                    )
            for change in alterations.list_alterations(
                connection, states=(AlterationState.WAITING,)
            ):
                approve_alteration(
                    connection,
                    change.order.intent,
                    version=change.version,
                    by="ana",
                    comment="",
                    now=now,
                )
        return yes

    # How time passes.

    def live(self, weeks: int = WEEKS) -> None:
        """Weeks of trouble, then quiet, and the checkers' last look."""
        event.listen(self.engine, "begin", self.on_transaction)
        try:
            self.cloud.advance(6)
            for _ in range(weeks):
                self.week()
                self.watch()
            self.rest()
        finally:
            event.remove(self.engine, "begin", self.on_transaction)
        self.check()
        self.outlined = self.outline()

    def week(self) -> None:
        """Monday's decisions, what people say to them, and perhaps another look."""
        left = 7 * 24
        quiet, self.faulty = self.faulty, False
        self.turn()  # people are no process that stops
        self.faulty = quiet
        self.arm()
        self.ring()
        for _ in range(2):
            self.faulty = False
            yes = self.decide_waiting()
            self.faulty = quiet
            if yes or self.random.random() < 0.1:
                step = self.random.choice([6, 6, 12, 30])
                self.cloud.advance(step)
                left -= step
                self.ring()
        self.cloud.advance(left)

    def ring(self) -> None:
        """Everything that is due, by a process that may stop in it; another one goes on."""
        for _ in range(4):
            try:
                self.executor.heartbeat()
                self.executor.ring_all()
            except ProcessStopped:
                self.stops += 1
                self.executor = self.start_process_undisturbed()
            else:
                return

    def start_process_undisturbed(self) -> Executor:
        quiet, self.faulty = self.faulty, False
        executor = self.start_process()
        self.faulty = quiet
        return executor

    def rest(self) -> None:
        """The faults end, and the service does what it does every few hours."""
        self.faulty = False
        self.arm()
        self.set_halt(halted=False)
        self.executor = self.start_process()
        for _ in range(4):
            self.ring()
            self.cloud.advance(7)
        settle_held(self.engine, self.cloud.sim)
        self.ring()

    # What independent checkers see.

    def sold(self, order: PurchaseOrder) -> None:
        self.books.sold(order)

    def watch(self) -> None:
        """Each week: nothing was bought twice, and what was bought had a use."""
        if self.cloud.world.double_purchases():
            self.problem("one intent was bought twice")
        self.books.look_at_new()

    def problem(self, what: str) -> None:
        if what not in self.problems:
            self.problems.append(what)

    def check(self) -> None:
        """At rest."""
        sim = self.cloud.sim
        with reading(self.engine) as connection:
            bought = intents.list_intents(connection, states=(IntentState.BOUGHT,))
            runs = connection.execute(
                select(schema.job_runs.c.run_id, schema.job_runs.c.state, schema.job_runs.c.detail)
                .where(schema.job_runs.c.schedule.in_([job.name for job in self.executor.jobs]))
                .order_by(schema.job_runs.c.due_at)
            ).all()
            events = ledger.read(connection, after=0, limit=100_000)
        self.purchases = len(bought)
        self.refused = sum(one.kind == LineRefused.name for one in events)
        self.problems += problems_at_rest(self.engine, sim, sim.inventory())
        last = {run.partition("@")[0]: (run, state, detail) for run, state, detail in runs}
        for run, state, detail in last.values():
            if state != RunState.DONE.value:
                self.problem(f"at rest {run} is {state}: {detail}")

    def outline(self) -> list[tuple[object, ...]]:
        """The life as the database tells it, for comparing two."""
        with reading(self.engine) as connection:
            rows = intents.list_intents(connection)
            told = ledger.read(connection, after=0, limit=100_000)
        return [
            *((one.order.intent, one.state.value, one.detail) for one in rows),
            *((one.kind, one.happened_at, str(one.payload)) for one in told),
        ]


@contextmanager
def whole_life(
    year: int, engine: Engine, folder: Path, kind: type[WholeLife] = WholeLife
) -> Iterator[WholeLife]:
    """A deployment on a cloud that runs, not lived yet; ``folder`` is empty, and its own."""
    with SMALL[year % len(SMALL)](year, DAYS, folder / "exports") as cloud:
        life = kind(engine, cloud, year)
        try:
            yield life
        finally:
            life.parts.cloud.close()
