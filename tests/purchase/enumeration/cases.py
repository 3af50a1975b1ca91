"""One crash point × fault × kind, run to rest, and what an independent look at the cloud says."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.plans import PlanLine
from service.domain.purchases import IntentState, InventoryItem
from service.purchase.alter import DECIDED, Bench, alter, resume_alterations
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute
from service.purchase.resume import resume
from service.purchase.written_alterations import approve_alteration
from service.reconcile.settle import Reconciliation, reconcile
from service.sandbox.faults import FaultKind
from service.store import intents
from service.store.alterations import find
from service.store.engine import open_engine, reading, writing
from service.store.lease import Lease
from tests.purchase.altering import ask_for_in
from tests.purchase.enumeration.guarding import ceiling_of
from tests.purchase.enumeration.judging import judge_ceiling, judge_change, judge_purchase
from tests.purchase.enumeration.kinds import kind_of
from tests.purchase.enumeration.sites import Change, Purchase, Site
from tests.purchase.enumeration.victims import (
    GRACE,
    HANGS_SECONDS,
    Breeder,
    Errand,
    InCall,
    InFlight,
    InSettling,
    Way,
)
from tests.purchase.simulation.run import scratch
from tests.purchase.world import CYCLE, PLAN, cap, let_lease_run_out, store_plan, take_lease

ROUNDS = 3
"""How often the service looks, an hour apart, before it looks a last time: two purchases, one
after the other, have had their grace by then."""

FAULTS: tuple[FaultKind | None, ...] = (
    None,
    FaultKind.REFUSE,
    FaultKind.TIMEOUT_BEFORE,
    FaultKind.TIMEOUT_AFTER,
    FaultKind.ERROR_AFTER,
    FaultKind.THROTTLE,
    FaultKind.LISTING_LAG,
)


@dataclass(frozen=True)
class Case:
    """Where the process dies, and what the cloud does to the call.

    ``room``: how much of what an alteration adds the ceiling has room for.
    """

    what: Purchase | Change
    step: Step | InCall | InFlight | InSettling
    fault: FaultKind | None
    room: Decimal = Decimal(1)

    @property
    def name(self) -> str:
        return f"{self.what.name} × {self.step.value} × {self.fault or 'no fault'}"


UNCALLED = (Step.INTENT_COMMITTED, Step.CALLING_COMMITTED, Step.ABOUT_TO_CALL)
"""Where an alteration whose process dies is never called: its quote was for another moment."""

_LOST = (FaultKind.TIMEOUT_AFTER,)
_FATES: dict[Step, tuple[FaultKind | None, ...]] = {
    Step.CHECKED: _LOST,
    Step.INTENT_COMMITTED: _LOST,
    Step.CALLING_COMMITTED: _LOST,
    Step.ABOUT_TO_CALL: _LOST,
    Step.ANSWERED: (FaultKind.TIMEOUT_AFTER, FaultKind.LISTING_LAG),
    Step.OUTCOME_COMMITTED: (FaultKind.TIMEOUT_AFTER, FaultKind.LISTING_LAG),
}
"""What befalls a kind that is bought by the same steps as another: its call's fate is in doubt."""

EVERY_CASE = "EVERY_CRASH" in os.environ
"""Whether those are run as well that ``faults_at`` leaves out."""


def faults_at(what: Purchase | Change, step: Step) -> tuple[FaultKind | None, ...]:
    """What the cloud may do to the call; fewer where that differs in nothing, or in little."""
    if EVERY_CASE:
        return FAULTS
    if isinstance(what, Purchase):
        # between the mark and the call nothing more is written: what befalls it is seen there
        is_marked_only = step is Step.CALLING_COMMITTED
        return _FATES[step] if what.same_steps or is_marked_only else FAULTS
    if step is Step.OUTCOME_COMMITTED:
        return _FATES[step]
    return (FaultKind.TIMEOUT_AFTER,) if step in UNCALLED else FAULTS


class Yard:
    """Where the cases of one file are run: two databases, and the process that breeds victims.

    ``base`` mirrors what earlier cases left in a cloud, and knows of no plan and no intent: each
    case begins with a copy of it. Both engines stay, with the SQL that they have compiled.
    """

    def __init__(self, provider: str, template: Path, folder: Path) -> None:
        self._template, self._folder = template, folder
        self._base, self._case = folder / "base.db", folder / "case.db"
        shutil.copyfile(template, self._case)
        self._base_engine = open_engine(f"sqlite:///{self._base}")
        url = f"sqlite:///{self._case}"
        self.engine = open_engine(url)
        self.breeder = Breeder(provider, url, folder)

    def close(self) -> None:
        try:
            self.breeder.close()
        finally:
            self._base_engine.dispose()
            self.engine.dispose()

    def enter(self, site: Site, kind: str) -> None:
        """Begin in a new cloud, of which nothing is known."""
        self._copy(self._template, self._base)
        what = kind_of(site.provider, kind)
        source = what if isinstance(what, Purchase) else what.source
        self.breeder.reach(Way(site.endpoint, site.clock.now(), site.order(source, "warm")))

    def fresh(self, site: Site) -> Reconciliation:
        """A new database that knows all that is listed by now; what was read for it."""
        let_lease_run_out(self._base_engine)
        read = settle(site, self._base_engine, take_lease(self._base_engine, "reader"))
        self._base_engine.dispose()  # all of it is in the file now
        self.engine.dispose()
        self._copy(self._base, self._case)
        return read

    def _copy(self, source: Path, target: Path) -> None:
        for left in self._folder.glob(f"{target.name}*"):
            left.unlink()
        shutil.copyfile(source, target)


@contextmanager
def yard_of(provider: str, template: Path) -> Iterator[Yard]:
    """A yard in memory, where there is some."""
    with tempfile.TemporaryDirectory(dir=scratch()) as name:
        yard = Yard(provider, template, Path(name))
        try:
            yield yard
        finally:
            yard.close()


@dataclass(frozen=True)
class Ground:
    """One cloud that has seen other cases of one kind, in a yard."""

    site: Site
    yard: Yard
    kind: str


def settle(site: Site, engine: Engine, held: Lease) -> Reconciliation:
    """One reading of the inventory."""
    return reconcile(
        provider=site.provider,
        engine=engine,
        reader=site.reached.reader,
        buyer=site.reached.buyer,
        clock=site.clock,
        held=held,
        grace=GRACE,
        finder=site.reached.finder,
    )


class Run:
    """One case on a database of its own, in a cloud that has seen others before."""

    def __init__(self, ground: Ground, case: Case) -> None:
        self.ground = ground
        self.site = ground.site
        self.case = case
        self.died = False
        self.read = ground.yard.fresh(ground.site)
        self.engine = ground.yard.engine
        # Room for one line beside what earlier cases left in this cloud.
        owned = self.read.inventory
        self.owed = sum((item.commit_usd_per_hour for item in owned if is_owed(item)), Decimal(0))

    def kill(self, errand: Errand) -> None:
        """Run the errand in a process of its own, to its death; ``died``: there was such a step.

        Every purchase and alteration comes to every ``Step``, and into flight. How many requests
        a call takes, and how many transactions settling, the adapter and the store know.
        """
        breeder, before = self.ground.yard.breeder, self.site.calls(self.case.what.operation)
        if isinstance(errand.die_at, InFlight):
            status = breeder.kill_once(errand, lambda: self._is_in_flight(before))
        else:
            status = breeder.kill(errand)
        self.died = status == -signal.SIGKILL
        may_end = not isinstance(errand.die_at, Step | InFlight) and status == 0
        assert self.died or may_end, (self.case.name, status)

    def _is_in_flight(self, before: int) -> bool:
        """True once the call has been asked, and has had its effect where it is to have one."""
        if self.site.calls(self.case.what.operation) == before:
            return False
        with self.site.cloud.world.lock:  # a call is counted and takes effect under one lock
            return True

    def befall(self, errand: Errand) -> None:
        """Do the errand in a process that dies; or let one die that settles what that one left."""
        if isinstance(self.case.step, InSettling):
            self.kill(replace(errand, die_at=Step.ANSWERED))
            let_lease_run_out(self.engine)
            errand = replace(errand, line=None, order=None, settles=True)
        self.kill(errand)

    def desk(self, line: PlanLine) -> Desk:
        """The next process: the dead one's lease has run out."""
        let_lease_run_out(self.engine)
        return Desk(
            provider=self.site.provider,
            engine=self.engine,
            reader=self.site.reached.reader,
            buyer=self.site.reached.buyer,
            clock=self.site.clock,
            lease=take_lease(self.engine, "successor"),
            judge=cap(self.room(line)),
        )

    def errand(self, line: PlanLine) -> Errand:
        return Errand(
            now=self.site.clock.now(),
            die_at=self.case.step,
            cap_usd_per_hour=self.room(line),
        )

    def room(self, line: PlanLine) -> Decimal:
        """The cap: one such line more, and half of another, so that rounding does not matter."""
        return self.owed + line.commit_usd_per_hour * Decimal("1.5")

    def undecided(self, lines: Sequence[PlanLine]) -> list[PlanLine]:
        """Those that no intent stands for yet."""
        with reading(self.engine) as connection:
            return [
                line for line in lines if intents.find_for_line(connection, PLAN, line.line) is None
            ]

    def owed_again(self) -> Decimal:
        """What counts for its next term too, because it renews."""
        owned = [one for one in self.read.inventory if is_owed(one) and one.renews]
        return sum((one.commit_usd_per_hour for one in owned), Decimal(0))

    def say_yes(self, order: AlterationOrder) -> None:
        """A person's yes: what is altered was bought by somebody else, as the ledger knows."""
        with writing(self.engine) as connection:
            asked = find(connection, order.intent)
            assert asked is not None
            version, now = asked.version, self.site.clock.now()
            refused = approve_alteration(
                connection, order.intent, version=version, by="ana", comment="yes", now=now
            )
        assert refused is None, refused

    def has_bought(self) -> bool:
        with reading(self.engine) as connection:
            return bool(intents.list_intents(connection, states=(IntentState.BOUGHT,)))

    def is_decided(self, order: AlterationOrder) -> bool:
        with reading(self.engine) as connection:
            found = find(connection, order.intent)
        return found is not None and found.state in DECIDED

    def settle(self, desk: Desk) -> Reconciliation:
        return settle(self.site, self.engine, desk.lease)


def run_case(ground: Ground, case: Case) -> tuple[bool, list[str]]:
    """Whether the process died where it should, and what is wrong once all is at rest."""
    is_purchase = isinstance(case.what, Purchase)
    died, problems = _of_purchase(ground, case) if is_purchase else _of_change(ground, case)
    return died, [f"{case.name}: {problem}" for problem in problems]


def _of_purchase(ground: Ground, case: Case) -> tuple[bool, list[str]]:
    """Three lines under a cap with room for one: whatever befell the first two, one is sold."""
    assert isinstance(case.what, Purchase)
    site = ground.site
    site.cloud.world.faults.clear()
    lines = tuple(site.line(case.what, number) for number in (1, 2, 3))
    one = Run(ground, case)
    store_plan(one.engine, *lines, decided_at=site.clock.now())
    let_lease_run_out(one.engine)
    before, calls = site.paid(), site.calls(case.what.operation)
    site.arm(case.what.operation, case.fault)
    one.befall(replace(one.errand(lines[0]), line=lines[0]))
    desk = one.desk(lines[0])
    for number in range(ROUNDS):
        resume(desk)
        read = one.settle(desk)
        if number == ROUNDS - 1 and one.has_bought():
            break  # and the cap has said no to the others
        for line in one.undecided(lines):
            execute(desk, line=line, plan=PLAN, cycle=CYCLE)
        site.advance(1)
    else:
        read = one.settle(desk)
    site.known = {item.commitment.commitment for item in read.inventory}
    found = judge_purchase(one.engine, site, before)
    if site.calls(case.what.operation) == calls:
        found.append(f"{case.what.operation} was never called: the fault was for nothing")
    site.advance(case.what.pause_hours)
    return one.died, found


def is_owed(item: InventoryItem) -> bool:
    return item.commitment.state.is_owned


def _of_change(ground: Ground, case: Case) -> tuple[bool, list[str]]:
    """One alteration, killed: it happened once or not at all, and the ledger knows which."""
    assert isinstance(case.what, Change)
    site, change = ground.site, case.what
    site.cloud.world.faults.clear()
    line = site.line(change.source, 1)
    site.forget_returned()
    site.own(change)
    one = Run(ground, case)
    store_plan(one.engine, line)
    before = {item.commitment.commitment: item for item in one.read.inventory}
    order = site.alteration(change, site.ready(change, before))
    calls = site.calls(change.operation)
    guard = ceiling_of(
        site,
        change,
        order,
        [before[name] for name in order.sources],
        owed_usd_per_hour=one.owed + one.owed_again(),
        room=case.room,
    )
    ask_for_in(one.engine, order, site.provider, now=site.clock.now())
    one.say_yes(order)
    is_held = isinstance(case.step, InFlight)
    site.arm(change.operation, case.fault, holds_seconds=HANGS_SECONDS if is_held else 0)
    let_lease_run_out(one.engine)
    one.befall(replace(one.errand(line), order=order, guard=guard))
    site.cloud.world.faults.clear()
    desk = replace(one.desk(line), judge=cap(guard.ceiling_usd_per_hour))
    bench = Bench(desk, site.reached.alterer, guard.judge, site.clock.now(), evidence=guard.value)
    for _ in range(change.rounds):
        resume_alterations(bench)
        if one.is_decided(order):
            alter(bench, order.intent)
        if change.kind is AlterationKind.EXCHANGE:
            # Under the same ceiling, with no room for both.
            execute(desk, line=line, plan=PLAN, cycle=CYCLE)
        one.settle(desk)
        site.advance(change.round_hours)
    after = {item.commitment.commitment: item for item in one.settle(desk).inventory}
    site.known |= set(after)
    calls = site.calls(change.operation) - calls
    found = judge_change(
        one.engine, site, order, (before, after), calls=calls, uncalled=case.step in UNCALLED
    )
    found += judge_ceiling(after, guard.ceiling_usd_per_hour)
    site.advance(change.source.pause_hours * (2 if change.kind is AlterationKind.EXCHANGE else 1))
    return one.died, found
