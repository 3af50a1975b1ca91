"""A proposal waits, is decided once by a person who saw it, and is bought at most once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.errors import InvariantError
from service.domain.ids import PlanId, ProposalId
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import Bought, Proposal, ProposalState
from service.purchase.desk import Declined, Desk, Executed, Facts, Judge
from service.purchase.execute import execute_approved, execute_proposal
from service.purchase.propose import (
    NotDecided,
    Obstacle,
    approve,
    expire_due,
    proposal_id,
    record_proposals,
    reject,
)
from service.store import proposals, records
from service.store.engine import reading, writing
from service.store.halt import set_halt
from tests.purchase.cloud import FileCloud
from tests.purchase.world import (
    PLAN,
    START,
    HandClock,
    always,
    cap,
    kinds,
    make_line,
    make_plan,
    open_desk,
    store_plan,
    take_lease,
    verdict,
)

DAY = timedelta(days=1)
LINES = (make_line(1), make_line(2))
FIRST = proposal_id(PLAN, LINES[0].line)


def propose(
    engine: Engine,
    plan: PlanId = PLAN,
    decisions: tuple[Decision, ...] = (Decision.NEEDS_SIGN_OFF, Decision.ALLOW),
) -> tuple[Proposal, ...]:
    verdicts = [verdict(line, said) for line, said in zip(LINES, decisions, strict=True)]
    with writing(engine) as connection:
        return record_proposals(
            connection, plan=plan, lines=LINES, verdicts=verdicts, lifetime=DAY, now=START
        )


def say_yes(engine: Engine, *, version: int = 1, by: str = "ana") -> Proposal | NotDecided:
    with writing(engine) as connection:
        return approve(connection, FIRST, version=version, by=by, comment="go", now=START + DAY / 2)


def state_of(engine: Engine, proposal: ProposalId = FIRST) -> ProposalState:
    with reading(engine) as connection:
        found = proposals.find(connection, proposal)
    assert found is not None
    return found.state


@pytest.fixture
def planned(engine: Engine) -> Engine:
    store_plan(engine, *LINES)
    return engine


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def desk(planned: Engine, tmp_path: Path, clock: HandClock) -> Desk:
    propose(planned)
    cloud = FileCloud(tmp_path / "cloud.db", clock)
    return open_desk(planned, cloud, take_lease(planned, "a"), clock)


def sales(desk: Desk) -> int:
    assert isinstance(desk.buyer, FileCloud)
    return len(desk.buyer.sales())


def test_lines_that_the_guard_did_not_refuse_wait_with_their_verdict(planned: Engine) -> None:
    [only] = propose(planned, decisions=(Decision.NEEDS_SIGN_OFF, Decision.REFUSE))
    assert (only.line, only.state, only.version) == (LINES[0], ProposalState.WAITING, 1)
    assert only.verdict.decision is Decision.NEEDS_SIGN_OFF
    with reading(planned) as connection:
        assert proposals.find(connection, only.proposal) == only
    assert kinds(planned) == ["proposal.recorded"]


def test_a_cycle_that_is_resumed_proposes_nothing_twice(planned: Engine) -> None:
    assert propose(planned) == propose(planned)
    assert kinds(planned) == ["proposal.recorded", "proposal.recorded"]


def test_a_line_without_a_verdict_is_not_proposed(planned: Engine) -> None:
    with pytest.raises(InvariantError), writing(planned) as connection:
        record_proposals(connection, plan=PLAN, lines=LINES, verdicts=[], lifetime=DAY, now=START)


def test_a_newer_plan_withdraws_what_an_older_one_left_undecided(planned: Engine) -> None:
    propose(planned)
    store_plan(planned, *LINES, plan=PlanId("plan-2"))
    propose(planned, PlanId("plan-2"))
    second = proposal_id(PLAN, LINES[1].line)
    assert state_of(planned, second) is ProposalState.EXPIRED


def test_a_yes_names_who_said_it_and_raises_the_version(planned: Engine) -> None:
    propose(planned)
    decided = say_yes(planned)
    assert isinstance(decided, Proposal)
    assert (decided.state, decided.version) == (ProposalState.APPROVED, 2)
    assert (decided.decided_by, decided.comment) == ("ana", "go")
    assert kinds(planned)[-1] == "proposal.approved"


@pytest.mark.parametrize(
    ("version", "later", "obstacle"),
    [(2, DAY / 2, Obstacle.CHANGED), (1, DAY, Obstacle.EXPIRED)],
)
def test_a_decision_on_what_is_no_longer_so_is_not_taken(
    planned: Engine, version: int, later: timedelta, obstacle: Obstacle
) -> None:
    propose(planned)
    with writing(planned) as connection:
        answer = reject(connection, FIRST, version=version, by="ana", comment="", now=START + later)
    assert isinstance(answer, NotDecided)
    assert answer.obstacle is obstacle
    assert state_of(planned) is ProposalState.WAITING


def test_of_two_people_who_decide_at_once_one_decides(planned: Engine) -> None:
    propose(planned)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda who: say_yes(planned, by=who), ["ana", "ben"]))
    assert sum(isinstance(one, Proposal) for one in answers) == 1
    [other] = [one for one in answers if isinstance(one, NotDecided)]
    assert other.obstacle in {Obstacle.DECIDED, Obstacle.CHANGED}


def test_nobody_decides_a_proposal_that_does_not_exist(planned: Engine) -> None:
    answer = say_yes(planned)
    assert isinstance(answer, NotDecided)
    assert answer.obstacle is Obstacle.NOT_FOUND


def test_a_decision_needs_a_name(planned: Engine) -> None:
    propose(planned)
    with pytest.raises(InvariantError):
        say_yes(planned, by=" ")


def test_a_proposal_expires_at_its_time_decided_or_not(planned: Engine) -> None:
    propose(planned)
    say_yes(planned)
    with writing(planned) as connection:
        assert expire_due(connection, now=START + DAY - timedelta(seconds=1)) == ()
        assert len(expire_due(connection, now=START + DAY)) == 2
        assert expire_due(connection, now=START + DAY) == ()
    assert state_of(planned) is ProposalState.EXPIRED


def test_an_approved_proposal_is_bought_once_and_an_undecided_one_never(desk: Desk) -> None:
    say_yes(desk.engine)
    [(proposal, done)] = execute_approved(desk)
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Bought)
    assert proposal == FIRST
    assert execute_approved(desk) == ()
    assert execute_proposal(desk, FIRST) == done
    assert sales(desk) == 1
    assert state_of(desk.engine) is ProposalState.EXECUTED


def test_a_waiting_proposal_cannot_be_executed(desk: Desk) -> None:
    declined = execute_proposal(desk, FIRST)
    assert isinstance(declined, Declined)
    assert declined.rule == "sign_off"
    assert sales(desk) == 0


def test_a_sign_off_answers_the_guards_question_but_not_its_no(desk: Desk) -> None:
    say_yes(desk.engine)
    [(_, done)] = execute_approved(replace(desk, judge=always(Decision.REFUSE)))
    assert isinstance(done, Declined)
    assert state_of(desk.engine) is ProposalState.REFUSED
    assert kinds(desk.engine)[-1] == "proposal.refused"
    assert sales(desk) == 0


def test_a_line_that_needs_sign_off_is_bought_once_signed_off(desk: Desk) -> None:
    say_yes(desk.engine)
    execute_approved(replace(desk, judge=always(Decision.NEEDS_SIGN_OFF)))
    assert sales(desk) == 1


def test_a_price_that_rose_since_the_approval_refuses_the_proposal(desk: Desk) -> None:
    say_yes(desk.engine)
    assert isinstance(desk.buyer, FileCloud)
    desk.buyer.rate = Decimal("1.5")
    execute_approved(desk)
    assert state_of(desk.engine) is ProposalState.REFUSED
    assert sales(desk) == 0


def test_an_approval_survives_a_halt_and_is_executed_afterwards(desk: Desk) -> None:
    say_yes(desk.engine)
    for halted in (True, False):
        with writing(desk.engine) as connection:
            set_halt(connection, halted=halted, by="ops", reason="x", now=START)
        execute_approved(desk)
        assert sales(desk) == (0 if halted else 1)


def test_an_approval_is_not_executed_past_its_lifetime(desk: Desk, clock: HandClock) -> None:
    say_yes(desk.engine)
    clock.pass_time(2 * DAY)
    [(_, declined)] = execute_approved(desk)
    assert isinstance(declined, Declined)
    assert sales(desk) == 0


def test_an_approval_beyond_the_cap_is_refused(desk: Desk) -> None:
    say_yes(desk.engine)
    execute_approved(replace(desk, judge=cap(Decimal("0.5"))))
    assert state_of(desk.engine) is ProposalState.REFUSED


def test_a_newer_plan_withdraws_what_was_approved_and_not_bought_yet(desk: Desk) -> None:
    say_yes(desk.engine)
    newer = PlanId("plan-2")
    with writing(desk.engine) as connection:
        records.record_plan(connection, make_plan(*LINES, plan=newer))
    propose(desk.engine, newer)
    assert state_of(desk.engine) is ProposalState.EXPIRED
    assert execute_approved(desk) == ()
    assert sales(desk) == 0


def test_an_approval_outlives_a_blackout_and_not_a_blackout_beside_a_cap(desk: Desk) -> None:
    say_yes(desk.engine)
    for rules, left in (
        (("blackout",), ProposalState.APPROVED),
        (("blackout", "total_commit"), ProposalState.REFUSED),
    ):
        [(_, done)] = execute_approved(replace(desk, judge=refusing(*rules)))
        assert isinstance(done, Declined)
        assert state_of(desk.engine) is left
    assert sales(desk) == 0


def refusing(*rules: str) -> Judge:
    """A guard that refuses by each of ``rules``."""

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        del facts
        results = (verdict(line, Decision.REFUSE, rule).results[0] for rule in rules)
        return Verdict(line.line, Decision.REFUSE, tuple(results))

    return judge


def test_a_plan_of_another_provider_leaves_approved_proposals_alone(planned: Engine) -> None:
    propose(planned)
    assert isinstance(say_yes(planned), Proposal)
    azure = replace(LINES[0], provider="azure")
    other = replace(make_plan(azure), plan=PlanId("plan-azure"))
    other = replace(other, inputs=replace(other.inputs, provider="azure"))
    with writing(planned) as connection:
        records.record_plan(connection, other)
        record_proposals(
            connection,
            plan=other.plan,
            lines=[azure],
            verdicts=[verdict(azure, Decision.NEEDS_SIGN_OFF)],
            lifetime=DAY,
            now=START + DAY / 2,
        )
    assert state_of(planned) is ProposalState.APPROVED


def test_a_newer_plan_of_the_same_provider_withdraws_them(planned: Engine) -> None:
    propose(planned)
    assert isinstance(say_yes(planned), Proposal)
    newer = replace(make_plan(*LINES), plan=PlanId("plan-newer"))
    newer = replace(newer, inputs=replace(newer.inputs, provider=LINES[0].provider))
    with writing(planned) as connection:
        records.record_plan(connection, newer)
    propose(planned, plan=newer.plan)
    assert state_of(planned) is ProposalState.EXPIRED
