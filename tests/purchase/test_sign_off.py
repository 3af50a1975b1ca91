"""A yes to a part, a yes of two people, a no that holds, and taking back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from service.domain.commitments import Beside, Offering
from service.domain.ids import OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion, Decision, PlanLine
from service.domain.purchases import Proposal, ProposalState
from service.observe.events import CATALOGUE
from service.purchase.in_part import cut_to
from service.purchase.propose import (
    NotDecided,
    Obstacle,
    approve,
    expire,
    one_person,
    proposal_id,
    record_proposals,
    reject,
    withdraw,
)
from service.store import ledger, price_snapshots, proposals, records
from service.store.engine import reading, writing
from tests.purchase.world import CYCLE, PLAN, START, make_line, make_plan, verdict

DAY = timedelta(days=1)
LINE = make_line(1)
STEP = Decimal("0.05")
OFFERING = Offering(
    offering=LINE.offering,
    provider=LINE.provider,
    kind=LINE.kind,
    term_months=LINE.term_months,
    payment=LINE.payment,
    region=None,
    family=None,
    platform=None,
    tenancy=None,
    zone=None,
    size_flexible=False,
    rates_usd={"sku": Decimal("0.7")},
    upfront_usd=Decimal(0),
    min_quantity=Decimal("0.1"),
    step=STEP,
)
FIRST = proposal_id(PLAN, LINE.line)


def two_people(_: PlanLine) -> int:
    return 2


@pytest.fixture
def waiting(engine: Engine) -> Engine:
    """A proposal for LINE, with the prices that its plan was decided on."""
    snapshot = price_snapshots.snapshot_of("aws", START, [], [OFFERING])
    plan = make_plan(LINE)
    plan = replace(plan, inputs=replace(plan.inputs, prices_digest=snapshot.digest))
    with writing(engine) as connection:
        records.start_cycle(connection, CYCLE, schedule="cycle", due_at=START, now=START)
        records.record_plan(connection, plan)
        price_snapshots.keep(connection, snapshot)
        record_proposals(
            connection,
            plan=PLAN,
            lines=[LINE],
            verdicts=[verdict(LINE, Decision.NEEDS_SIGN_OFF)],
            lifetime=DAY,
            now=START,
        )
    return engine


def say_yes(
    engine: Engine,
    by: str = "Ana",
    *,
    version: int = 1,
    quantity: str | None = None,
    two: bool = False,
    person: str | None = None,
) -> Proposal | NotDecided:
    with writing(engine) as connection:
        return approve(
            connection,
            FIRST,
            version=version,
            by=by,
            person=person,
            comment="go",
            now=START,
            quantity=None if quantity is None else Decimal(quantity),
            people_needed=two_people if two else one_person,
        )


def found(engine: Engine) -> Proposal:
    with reading(engine) as connection:
        proposal = proposals.find(connection, FIRST)
        ledger.verify(connection)
    assert proposal is not None
    return proposal


def obstacle(answer: Proposal | NotDecided) -> Obstacle:
    assert isinstance(answer, NotDecided), answer
    return answer.obstacle


def test_a_yes_to_a_part_is_rounded_down_to_the_step_and_cuts_the_line(waiting: Engine) -> None:
    answer = say_yes(waiting, quantity=str(LINE.quantity / 2 + Decimal("0.001")))
    assert isinstance(answer, Proposal)
    proposal = found(waiting)
    assert proposal.state is ProposalState.APPROVED
    assert proposal.line.quantity == LINE.quantity / 2
    assert proposal.line.commit_usd_per_hour == LINE.commit_usd_per_hour / 2
    assert proposal.line.total_usd == LINE.total_usd / 2
    assert proposal.planned == LINE
    assert proposal.approvals[0].quantity == proposal.line.quantity


def test_the_ledger_keeps_how_much_of_what_was_approved(waiting: Engine) -> None:
    say_yes(waiting, quantity=str(LINE.quantity / 2))
    with reading(waiting) as connection:
        event = ledger.latest(connection, limit=1)[0]
    assert event.payload["quantity"] != event.payload["planned_quantity"]
    assert event.kind in CATALOGUE


@pytest.mark.parametrize("quantity", ["1000000", "0", "-1", "NaN", "0.01"])
def test_more_than_proposed_or_less_than_sold_is_refused(waiting: Engine, quantity: str) -> None:
    assert obstacle(say_yes(waiting, quantity=quantity)) is Obstacle.QUANTITY
    assert found(waiting).state is ProposalState.WAITING


def test_the_whole_quantity_needs_no_step(waiting: Engine) -> None:
    assert isinstance(say_yes(waiting, quantity=str(LINE.quantity)), Proposal)
    assert found(waiting).planned is None


@given(st.decimals(min_value=0, max_value=LINE.quantity, places=4))
def test_a_part_is_never_more_than_asked_for_and_a_multiple_of_the_step(asked: Decimal) -> None:
    cut = cut_to(LINE, asked, OFFERING)
    if isinstance(cut, PlanLine) and asked < LINE.quantity:
        assert OFFERING.min_quantity <= cut.quantity <= asked
        assert cut.quantity % STEP == 0
        assert cut.total_usd <= LINE.total_usd


GB = Companion(OfferingId("ram"), Decimal(9), CommitUsdPerHour(Decimal("0.027")), "GB of memory")
RAM = replace(
    OFFERING,
    offering=GB.offering,
    min_quantity=Decimal("0.25"),
    step=Decimal("0.25"),
    beside=Beside(OFFERING.offering, Decimal("0.25"), Decimal("6.5"), "GB of memory"),
)
BOTH = replace(
    make_line(1, quantity="3"),
    companion=GB,
    commit_usd_per_hour=CommitUsdPerHour(Decimal("3.027")),
    total_usd=Decimal("3.027") * 8_760,
)


@given(st.decimals(min_value=Decimal("0.1"), max_value=3, places=2))
def test_what_is_sold_beside_a_part_shrinks_with_it_and_all_amounts_fit(asked: Decimal) -> None:
    cut = cut_to(BOTH, asked, OFFERING, RAM)
    assert isinstance(cut, PlanLine)
    assert cut.companion is not None
    share = cut.quantity / BOTH.quantity
    beside = cut.companion.quantity
    assert beside % RAM.step == 0
    assert Decimal("0.25") <= beside <= max(GB.quantity * share, Decimal("0.25"))
    # 1 USD/h a unit, 0.003 USD/h a GB: what is obliged is what is left of both.
    assert cut.companion.commit_usd_per_hour == beside * Decimal("0.003")
    assert cut.commit_usd_per_hour == cut.quantity + beside * Decimal("0.003")
    assert cut.total_usd == cut.commit_usd_per_hour * 8_760


def test_a_part_of_what_cannot_be_split_as_it_is_sold_is_not_approved() -> None:
    assert isinstance(cut_to(BOTH, Decimal(1), OFFERING), str)
    assert cut_to(BOTH, BOTH.quantity, OFFERING) == BOTH


def test_the_first_of_two_leaves_it_waiting_and_the_second_approves(waiting: Engine) -> None:
    say_yes(waiting, "Ana", two=True)
    proposal = found(waiting)
    assert (proposal.state, proposal.version) == (ProposalState.WAITING, 2)
    assert [one.by for one in proposal.approvals] == ["Ana"]
    say_yes(waiting, "Bo", two=True, version=2)
    proposal = found(waiting)
    assert proposal.state is ProposalState.APPROVED
    assert {one.by for one in proposal.approvals} == {"Ana", "Bo"}
    assert proposal.decided_by == "Bo"


@pytest.mark.parametrize("again", ["Ana", " ana ", "ANA"])
def test_nobody_approves_twice(waiting: Engine, again: str) -> None:
    say_yes(waiting, "Ana", two=True)
    answer = say_yes(waiting, again, two=True, version=2)
    assert obstacle(answer) is Obstacle.SAME_PERSON
    assert found(waiting).state is ProposalState.WAITING


def test_one_person_under_two_names_is_one_person(waiting: Engine) -> None:
    say_yes(waiting, "Ana", person="sub-1", two=True)
    answer = say_yes(waiting, "Ana B.", person="sub-1", two=True, version=2)
    assert obstacle(answer) is Obstacle.SAME_PERSON


def test_the_second_decides_on_what_the_first_left(waiting: Engine) -> None:
    say_yes(waiting, "Ana", quantity=str(LINE.quantity / 2), two=True)
    assert obstacle(say_yes(waiting, "Bo", two=True, version=1)) is Obstacle.CHANGED
    more = say_yes(waiting, "Bo", quantity=str(LINE.quantity), two=True, version=2)
    assert obstacle(more) is Obstacle.QUANTITY
    say_yes(waiting, "Bo", two=True, version=2)
    assert found(waiting).line.quantity == LINE.quantity / 2


def no(engine: Engine, holds_for: timedelta) -> Proposal | NotDecided:
    with writing(engine) as connection:
        return reject(
            connection,
            FIRST,
            version=1,
            by="Ana",
            comment="we move",
            now=START,
            holds_for=holds_for,
        )


def test_a_no_holds_until_its_time_is_over(waiting: Engine) -> None:
    no(waiting, 7 * DAY)
    with reading(waiting) as connection:
        (hold,) = proposals.holding(connection, now=START + 7 * DAY - timedelta(seconds=1))
        assert proposals.holding(connection, now=START + 7 * DAY) == ()
    assert hold.covers(LINE, LINE.account)
    assert (hold.by, hold.reason, hold.until) == ("Ana", "we move", START + 7 * DAY)


def test_a_no_that_shall_not_hold_holds_nothing(waiting: Engine) -> None:
    no(waiting, timedelta(0))
    with reading(waiting) as connection:
        assert proposals.holding(connection, now=START) == ()
    assert found(waiting).state is ProposalState.REJECTED


def test_a_yes_can_be_taken_back_until_it_is_bought(waiting: Engine) -> None:
    say_yes(waiting)
    with writing(waiting) as connection:
        withdraw(connection, FIRST, version=2, by="Olu", comment="not now", now=START)
    assert found(waiting).state is ProposalState.WITHDRAWN
    with writing(waiting) as connection:
        again = withdraw(connection, FIRST, version=3, by="Olu", comment="", now=START)
    assert obstacle(again) is Obstacle.DECIDED


def test_a_lifetime_can_be_ended_early_and_holds_nothing(waiting: Engine) -> None:
    with writing(waiting) as connection:
        expire(connection, FIRST, version=1, by="Olu", comment="stale", now=START)
        assert proposals.holding(connection, now=START) == ()
    assert found(waiting).state is ProposalState.EXPIRED


def test_a_part_is_no_way_round_the_second_person(waiting: Engine) -> None:
    """Whether two must say yes is decided by the planned line, not by what is cut of it."""

    def needed(line: PlanLine) -> int:
        return 2 if line.quantity >= LINE.quantity else 1

    with writing(waiting) as connection:
        answer = approve(
            connection,
            FIRST,
            version=1,
            by="Ana",
            comment="half",
            now=START,
            quantity=LINE.quantity / 2,
            people_needed=needed,
        )
    assert isinstance(answer, Proposal)
    assert answer.state is ProposalState.WAITING
    second = say_yes(waiting, "Bea", version=answer.version, two=True)
    assert isinstance(second, Proposal)
    assert second.state is ProposalState.APPROVED
    assert second.line.quantity == LINE.quantity / 2
