"""The price of an intent that is taken up again: held against the decided one, however often."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import Bought, IntentState, Proposal, Refused
from service.purchase.desk import Desk, Executed, Facts, Step
from service.purchase.execute import execute, execute_proposal
from service.purchase.propose import approve, record_proposals
from service.purchase.resume import resume
from service.store import intents, ledger
from service.store.engine import reading, writing
from tests.purchase.cloud import FileCloud
from tests.purchase.world import (
    CYCLE,
    LIFETIME,
    PLAN,
    START,
    HandClock,
    let_lease_run_out,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
    verdict,
)

LINE = make_line()
WITHIN = Decimal("1.0006")
"""Times the decided price: within the tolerance once, not twice."""


class DiedError(Exception):
    """The process died here."""


def _die_before_the_call(step: Step) -> None:
    if step is Step.INTENT_COMMITTED:
        raise DiedError


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Desk:
    store_plan(engine, LINE)
    clock = HandClock()
    cloud = FileCloud(tmp_path / "cloud.db", clock, rate=WITHIN)
    return open_desk(engine, cloud, take_lease(engine, "first"), clock)


def successor(desk: Desk, rate: Decimal) -> Desk:
    """Who takes over, when an hour's dollar costs ``rate``."""
    assert isinstance(desk.buyer, FileCloud)
    desk.buyer.rate = rate
    let_lease_run_out(desk.engine)
    return replace(desk, lease=take_lease(desk.engine, "next"))


def test_an_intent_that_was_quoted_higher_is_not_bought_at_the_tolerance_twice(desk: Desk) -> None:
    with pytest.raises(DiedError):
        execute(replace(desk, reached=_die_before_the_call), line=LINE, plan=PLAN, cycle=CYCLE)
    (done,) = resume(successor(desk, WITHIN * WITHIN))
    assert isinstance(done.outcome, Refused)
    assert done.outcome.code == "price_moved"
    assert states(desk.engine) == [IntentState.REFUSED]


def test_what_a_person_approved_is_held_against_the_approved_price(desk: Desk) -> None:
    with writing(desk.engine) as connection:
        (asked,) = record_proposals(
            connection,
            plan=PLAN,
            lines=[LINE],
            verdicts=[verdict(LINE, Decision.NEEDS_SIGN_OFF)],
            lifetime=LIFETIME,
            now=START,
        )
        approved = approve(connection, asked.proposal, version=1, by="lead", comment="", now=START)
    assert isinstance(approved, Proposal)
    with pytest.raises(DiedError):
        execute_proposal(replace(desk, reached=_die_before_the_call), asked.proposal)
    (done,) = resume(successor(desk, WITHIN * WITHIN))
    assert isinstance(done.outcome, Refused)
    assert done.outcome.code == "price_moved"


def test_what_is_bought_at_a_higher_quote_counts_at_that_quote(desk: Desk) -> None:
    seen: list[Decimal] = []

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        seen.append(facts.quote.commit_usd_per_hour)
        return verdict(line, Decision.ALLOW)

    with pytest.raises(DiedError):
        execute(replace(desk, reached=_die_before_the_call), line=LINE, plan=PLAN, cycle=CYCLE)
    dearer = Decimal("1.0009")
    (done,) = resume(replace(successor(desk, dearer), judge=judge))
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Bought)
    with reading(desk.engine) as connection:
        (found,) = intents.list_intents(connection)
        (told,) = [
            one.payload for one in ledger.read(connection, limit=9) if one.kind == "purchase.bought"
        ]
    assert found.line.commit_usd_per_hour == seen[-1] == dearer
    assert found.line.total_usd == LINE.total_usd + (dearer - 1) * 8_760
    assert told["commit_usd_per_hour"] == "1.0009"
