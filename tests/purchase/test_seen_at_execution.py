"""What the guard is told when a purchase is executed: every cloud, every person, today's trust.

With any of it left out, every purchase would still be written down first and called once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.commitments import Kind
from service.domain.ids import CycleId, PlanId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import Bought, IntentState
from service.guard.context import spent_so_far
from service.guard.policy import Policy, parse_policy
from service.guard.rules import judge
from service.purchase.desk import Declined, Desk, Executed, Execution, Facts
from service.purchase.execute import execute, execute_proposal
from service.purchase.propose import approve, proposal_id, record_proposals
from service.store import demotion, holdings, intents, records
from service.store.engine import writing
from tests.guard.cases import PAYER, SOUND
from tests.purchase.cloud import ACCOUNT, FileCloud
from tests.purchase.simulation.guarding import context_at
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    HandClock,
    cap,
    make_line,
    make_plan,
    open_desk,
    store_plan,
    take_lease,
    verdict,
)
from tests.reconcile.listing import intent, listed

LINE = make_line()
ELSEWHERE = PlanId("plan of another cloud")
POLICY = SOUND.replace(PAYER, ACCOUNT)


@pytest.fixture
def desk(sqlite_engine: Engine, tmp_path: Path) -> Desk:
    """A desk at a cloud that sells what it is asked for, with a plan for one line of $1/h."""
    store_plan(sqlite_engine, LINE)
    clock = HandClock()
    cloud = FileCloud(tmp_path / "cloud.db", clock)
    return open_desk(sqlite_engine, cloud, take_lease(sqlite_engine, "a"), clock)


def buy(desk: Desk) -> Execution:
    return execute(desk, line=LINE, plan=PLAN, cycle=CYCLE)


def is_bought(done: Execution) -> bool:
    return isinstance(done, Executed) and isinstance(done.outcome, Bought)


@dataclass
class Guard:
    """The guard itself under a policy that may change, and the facts that it was told."""

    policy: Policy = field(default_factory=lambda: parse_policy(POLICY, file="sound.yaml"))
    told: list[Facts] = field(default_factory=list)

    def __call__(self, line: PlanLine, facts: Facts) -> Verdict:
        self.told.append(facts)
        return judge((line,), policy=self.policy, context=context_at(line, facts))[0]

    def digest(self) -> str:
        return self.policy.digest

    def tighten(self, old: str, new: str) -> None:
        assert old in POLICY
        self.policy = parse_policy(POLICY.replace(old, new), file="tightened.yaml")


@pytest.mark.parametrize(("owned_usd_per_hour", "fits"), [("1", True), ("1.5", False)])
def test_what_another_cloud_lists_counts_against_the_shared_cap(
    desk: Desk, owned_usd_per_hour: str, *, fits: bool
) -> None:
    elsewhere = replace(
        listed(9),
        kind=Kind.AZURE_SAVINGS_PLAN,
        commit_usd_per_hour=CommitUsdPerHour(Decimal(owned_usd_per_hour)),
    )
    with writing(desk.engine) as connection:
        holdings.keep(connection, "azure", elsewhere, now=START)
    assert is_bought(buy(replace(desk, judge=cap(Decimal(2))))) is fits


@pytest.mark.parametrize(("hours_before", "fits"), [(0, False), (1, True)])
def test_a_run_is_the_plans_of_every_cloud_that_were_due_at_the_same_instant(
    desk: Desk, hours_before: int, *, fits: bool
) -> None:
    due_at, cycle = START - timedelta(hours=hours_before), CycleId("azure's cycle")
    there = replace(make_line(2), provider="azure", kind=Kind.AZURE_SAVINGS_PLAN)
    bought = replace(intent(2, IntentState.RECORDED), plan=ELSEWHERE, line=there)
    with writing(desk.engine) as connection:
        records.start_cycle(connection, cycle, schedule="azure", due_at=due_at, now=START)
        records.record_plan(connection, make_plan(there, plan=ELSEWHERE, cycle=cycle))
        intents.record(connection, bought, cycle=cycle)

    def in_one_run(line: PlanLine, facts: Facts) -> Verdict:
        """At most $1.50/h in one run."""
        spent = spent_so_far(
            facts.intents, facts.holdings, now=facts.now, run=facts.plan, beside=facts.run
        )
        run = sum((one.commit_usd_per_hour for one in spent if one.in_run), Decimal(0))
        fits = run + line.commit_usd_per_hour <= Decimal("1.5")
        return verdict(line, Decision.ALLOW if fits else Decision.REFUSE, "run_commit")

    assert is_bought(buy(replace(desk, judge=in_one_run))) is fits


def test_autopilot_that_gave_itself_up_while_a_line_was_judged_buys_nothing(desk: Desk) -> None:
    guard = Guard()

    def judge_and_lose_trust(line: PlanLine, facts: Facts) -> Verdict:
        said = guard(line, facts)
        with writing(desk.engine) as connection:
            demotion.demote(connection, "aws", rule="drift", detail="", now=START)
        return said

    done = buy(replace(desk, judge=judge_and_lose_trust))
    assert isinstance(done, Declined)
    assert [one.demoted for one in guard.told] == [frozenset(), {"aws"}]


@pytest.mark.parametrize(("threshold_usd", "enough"), [(1_000_000, True), (1, False)])
def test_one_yes_is_not_enough_once_the_policy_wants_two_people(
    desk: Desk, threshold_usd: int, *, enough: bool
) -> None:
    with writing(desk.engine) as connection:
        record_proposals(
            connection,
            plan=PLAN,
            lines=[LINE],
            verdicts=[verdict(LINE, Decision.NEEDS_SIGN_OFF)],
            lifetime=timedelta(days=1),
            now=START,
        )
        waiting = proposal_id(PLAN, LINE.line)
        approve(connection, waiting, version=1, by="ana", comment="", now=START)
    guard = Guard()
    guard.tighten("sign_off:\n", f"sign_off:\n  two_person_above_usd: {threshold_usd}\n")
    done = execute_proposal(replace(desk, judge=guard), waiting)
    assert is_bought(done) is enough
    assert enough or (isinstance(done, Declined) and done.rule == "sign_off")


def test_a_policy_that_is_tightened_while_a_line_is_judged_is_the_one_that_counts(
    desk: Desk,
) -> None:
    guard = Guard()

    def judge_and_tighten(line: PlanLine, facts: Facts) -> Verdict:
        said = guard(line, facts)
        guard.tighten("per_run: {commit_usd_per_hour: 6", "per_run: {commit_usd_per_hour: 0.5")
        return said

    done = buy(replace(desk, judge=judge_and_tighten, policy_digest=guard.digest))
    assert isinstance(done, Declined)
    assert done.rule == "run_commit"
    assert len(guard.told) == 2


def test_the_guard_of_these_tests_lets_the_line_be_bought(desk: Desk) -> None:
    """Negative control: what is refused above is refused for what changed."""
    assert is_bought(buy(replace(desk, judge=Guard())))
