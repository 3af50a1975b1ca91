"""One crash point × fault × kind, run to rest, and what an independent look at the cloud says."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, select

from service.domain.alterations import AlterationOrder, AlterationState
from service.domain.plans import PlanLine
from service.domain.purchases import IntentState, InventoryItem
from service.purchase.alter import Bench, resume_alterations
from service.purchase.desk import Desk, Step
from service.purchase.execute import execute
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.sandbox.faults import FaultKind
from service.store import intents, ledger, schema
from service.store.alteration_tables import alterations
from service.store.engine import open_engine, reading
from tests.purchase.altering import ask_for_in, yes
from tests.purchase.enumeration.sites import Change, Purchase, Site
from tests.purchase.enumeration.victims import Breeder, Errand
from tests.purchase.world import CYCLE, PLAN, cap, let_lease_run_out, store_plan, take_lease

GRACE = timedelta(hours=1)
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
    """Where the process dies, and what the cloud does to the call."""

    what: Purchase | Change
    step: Step
    fault: FaultKind | None

    @property
    def name(self) -> str:
        return f"{self.what.name} × {self.step.value} × {self.fault or 'no fault'}"


def cases(what: Purchase | Change) -> Iterator[Case]:
    """Every step × every fault."""
    for step in Step:
        for fault in FAULTS:
            yield Case(what, step, fault)


class Run:
    """One case on a database of its own, in a cloud that has seen others before."""

    def __init__(
        self, site: Site, breeder: Breeder, case: Case, template: Path, folder: Path
    ) -> None:
        self.site = site
        self.breeder = breeder
        self.case = case
        self.path = folder / "case.db"
        shutil.copyfile(template, self.path)
        self.url = f"sqlite:///{self.path}"
        self.engine: Engine = open_engine(self.url)
        # Room for one line beside what earlier cases left in this cloud.
        owned = site.listed().values()
        self.owed = sum((item.commit_usd_per_hour for item in owned if is_owed(item)), Decimal(0))

    def close(self) -> None:
        self.engine.dispose()
        for path in self.path.parent.glob("case.db*"):
            path.unlink()

    def kill(self, errand: Errand) -> None:
        """Run the errand in a process of its own, to its death or to its end."""
        status = self.breeder.kill(errand)
        # 0: what was refused before the call never comes to the later steps.
        assert status in {-signal.SIGKILL, 0}, (self.case.name, status)

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
            provider=self.site.provider,
            endpoint=self.site.endpoint,
            now=self.site.clock.now(),
            database_url=self.url,
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

    def settle(self, desk: Desk) -> None:
        reconcile(
            provider=self.site.provider,
            engine=self.engine,
            reader=self.site.reached.reader,
            buyer=self.site.reached.buyer,
            clock=self.site.clock,
            held=desk.lease,
            grace=GRACE,
            finder=self.site.reached.finder,
        )


def problems_of_purchase(
    site: Site, breeder: Breeder, case: Case, template: Path, folder: Path
) -> list[str]:
    """Three lines under a cap with room for one: whatever befell the first two, one is sold."""
    assert isinstance(case.what, Purchase)
    one = Run(site, breeder, case, template, folder)
    try:
        site.cloud.world.faults.clear()
        lines = tuple(site.line(case.what, number) for number in (1, 2, 3))
        # What earlier cases left in this cloud was there before the plan was decided.
        one.settle(one.desk(lines[0]))
        store_plan(one.engine, *lines, decided_at=site.clock.now())
        let_lease_run_out(one.engine)
        before = site.paid()
        site.arm(case.what.operation, case.fault)
        one.kill(replace(one.errand(lines[0]), line=lines[0]))
        desk = one.desk(lines[0])
        for _ in range(3):
            resume(desk)
            one.settle(desk)
            for line in one.undecided(lines):
                execute(desk, line=line, plan=PLAN, cycle=CYCLE)
            site.advance(1)
        one.settle(desk)
        return _judge_purchase(one, before)
    finally:
        one.close()
        site.advance(case.what.pause_hours)


def is_owed(item: InventoryItem) -> bool:
    return item.commitment.state.is_owned


def _judge_purchase(one: Run, before: list[str]) -> list[str]:
    sold = [name for name in one.site.paid() if name not in before]
    with reading(one.engine) as connection:
        rows = connection.execute(select(schema.intents)).mappings().all()
        ledger.verify(connection)
    states = [row["state"] for row in rows]
    bought = [row for row in rows if row["state"] == IntentState.BOUGHT]
    found = [f"stuck in {one}" for one in states if one not in {"bought", "refused"}]
    if len(sold) != 1:
        found.append(f"{len(sold)} sold under a cap for one: {sold}, {states}")
    if len(bought) != len(sold):
        found.append(f"{len(bought)} bought in the ledger, {len(sold)} sold")
    if any(row["calls"] > 1 for row in rows):
        found.append("an intent was called twice")
    return [f"{one.case.name}: {problem}" for problem in found]


def problems_of_change(
    site: Site, breeder: Breeder, case: Case, template: Path, folder: Path
) -> list[str]:
    """One alteration, killed: it happened once or not at all, and the ledger knows which."""
    assert isinstance(case.what, Change)
    change = case.what
    one = Run(site, breeder, case, template, folder)
    try:
        site.cloud.world.faults.clear()
        line = site.line(change.source, 1)
        store_plan(one.engine, line)
        items = site.own(change)
        site.number += 1
        order = site.alteration(change, items, site.number)
        desk = one.desk(line)
        one.settle(desk)
        before, calls = site.listed(), site.calls(change.operation)
        ask_for_in(one.engine, order, site.provider, now=site.clock.now())
        site.arm(change.operation, case.fault)
        let_lease_run_out(one.engine)
        one.kill(replace(one.errand(line), order=order))
        desk = one.desk(line)
        bench = Bench(desk, site.reached.alterer, yes, site.clock.now())
        for _ in range(3):
            resume_alterations(bench)
            one.settle(desk)
            site.advance(1 if site.provider != "gcp" else 12)
        one.settle(desk)
        calls = site.calls(change.operation) - calls
        return _judge_change(one, order, before, calls)
    finally:
        one.close()
        site.advance(change.source.pause_hours)


def _judge_change(
    one: Run, order: AlterationOrder, before: dict[str, InventoryItem], calls: int
) -> list[str]:
    after = one.site.listed()
    changed = [name for name in order.sources if _face(before[name]) != _face(after.get(name))]
    with reading(one.engine) as connection:
        row = connection.execute(select(alterations)).mappings().one()
        ledger.verify(connection)
    state = AlterationState(row["state"])
    found = []
    if state in {AlterationState.CALLING, AlterationState.UNKNOWN, AlterationState.RECORDED}:
        found.append(f"stuck in {state}")
    if calls > 1 or row["calls"] > 1:
        found.append(f"called {calls} times")
    if changed and len(changed) != len(order.sources):
        found.append(f"half done: {changed}")
    if bool(changed) != (state is AlterationState.ALTERED):
        found.append(f"{state} in the ledger, {changed or 'nothing'} changed in the cloud")
    return [f"{one.case.name}: {problem}" for problem in found]


def _face(item: InventoryItem | None) -> tuple[object, ...]:
    """What an alteration of any kind changes of a commitment, as the cloud lists it."""
    if item is None:
        return ("gone",)
    one = item.commitment
    return (one.state.is_owned, one.quantity, one.end, item.term_months, item.renews)
