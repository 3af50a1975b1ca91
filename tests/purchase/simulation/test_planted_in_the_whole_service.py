"""Negative controls: defects that only years of the whole service show, and that they are seen.

The jobs are the service's, but for what each forgets.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from service.domain.ids import CycleId
from service.operate.acting import buy, desk_of
from service.operate.deciding import forecast_and_plan
from service.operate.reconciling import reconcile
from service.operate.situation import read_situation
from service.purchase.execute import execute_approved
from service.scheduler import Executor
from service.store import records
from service.store.due import Run
from service.store.engine import reading, writing
from service.store.lease import Lease
from tests.purchase.simulation.run import Databases, lived_whole
from tests.purchase.simulation.whole import WholeLife
from tests.purchase.world import allow

WEEKS = 5


class ForgetsWhatIsOwned(WholeLife):
    """Weeks are decided as if nothing were owned or on its way, and executed as decided.

    Either alone is caught by the other: the guard counts again what is owned before it buys.
    """

    def start_process(self) -> Executor:
        executor = super().start_process()
        executor.jobs = tuple(
            replace(job, work=self.decide) if job.name.startswith("cycle-") else job
            for job in executor.jobs
        )
        return executor

    def decide(self, run: Run, lease: Lease) -> str:
        parts, cycle = self.parts, CycleId(run.run)
        read = reconcile(parts, lease=lease)
        situation = read_situation(parts, inventory_read_at=read.read_at)
        situation = replace(situation, commitments=(), inventory=())
        plan = forecast_and_plan(parts, situation, cycle)
        now = parts.clock.now()
        with writing(parts.engine) as connection:
            records.start_cycle(
                connection, cycle, schedule=run.schedule, due_at=run.due_at, now=now
            )
            records.record_plan(connection, plan)
        desk = replace(desk_of(parts, situation, lease, plans=[plan]), judge=allow)
        return str(buy(parts, desk, plan, plan.lines, cycle=cycle))


class TightensAfterSignOff(WholeLife):
    """People sign off everything, and right after that the policy allows no more than is owned."""

    def change_policy(self) -> None:
        """Nothing else about it changes."""

    def write_policy(self) -> None:
        self.cap_usd, self.sign_off_usd = Decimal(40), Decimal("0.05")
        super().write_policy()

    def decide_waiting(self) -> int:
        self.random.seed(1)
        yes = super().decide_waiting()
        if yes:
            self.cap_usd = Decimal("0.01")
            super().write_policy()
        return yes


class TrustsTheSignOff(TightensAfterSignOff):
    """What a person signed off is bought without asking the policy again."""

    def start_process(self) -> Executor:
        executor = super().start_process()
        executor.jobs = tuple(
            replace(job, work=self.tie) if job.name.startswith("reconcile-") else job
            for job in executor.jobs
        )
        return executor

    def tie(self, _: Run, lease: Lease) -> str:
        read = reconcile(self.parts, lease=lease)
        situation = read_situation(self.parts, inventory_read_at=read.read_at)
        with reading(self.engine) as connection:
            plan = records.newest_plan(
                connection, since=situation.usage_through, provider=self.cloud.provider
            )
        desk = desk_of(self.parts, situation, lease, plans=[] if plan is None else [plan])
        return str(execute_approved(replace(desk, judge=allow)))


def test_a_service_that_forgets_what_it_owns_is_seen_to_buy_without_use(
    databases: Databases,
) -> None:
    """Negative control."""
    problems = lived_whole(2, databases, ForgetsWhatIsOwned, WEEKS).problems
    assert any("bought without use" in problem for problem in problems), problems


def test_a_cap_that_is_tightened_after_a_sign_off_holds_unless_nobody_judges_again(
    databases: Databases,
) -> None:
    """And its negative control."""
    held = lived_whole(2, databases, TightensAfterSignOff, WEEKS)
    assert held.problems == ()
    trusted = lived_whole(2, databases, TrustsTheSignOff, WEEKS)
    assert any("passed the cap" in problem for problem in trusted.problems), trusted.problems
    assert held.purchases < trusted.purchases
