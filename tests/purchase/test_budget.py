"""What counts as spent, and that nobody can race past a cap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service.domain.ids import AccountId, CommitmentId
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import Intent, IntentState
from service.purchase.desk import Facts, Judge
from service.purchase.execute import execute_proposal
from service.purchase.propose import approve, record_proposals
from service.store import holdings, intents, schema
from service.store.engine import reading, writing
from tests.purchase.cloud import PROVIDER, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    HandClock,
    cap,
    make_line,
    open_desk,
    store_plan,
    take_lease,
    verdict,
)
from tests.reconcile.listing import intent, listed


def write(engine: Engine, state: IntentState, *, number: int = 1) -> Intent:
    """An intent in ``state``, of $1/h and $100 upfront."""
    commitment = "c1" if state is IntentState.BOUGHT else None
    written = replace(intent(number, IntentState.RECORDED, commitment=commitment), state=state)
    called = state not in {IntentState.RECORDED, IntentState.REFUSED}
    with writing(engine) as connection:
        # Recorded first: the database admits a call only with its date.
        intents.record(connection, replace(written, state=IntentState.RECORDED), cycle=CYCLE)
        connection.execute(
            update(schema.intents).values(state=state.value, called_at=START if called else None)
        )
    return written


@pytest.mark.parametrize("state", list(IntentState))
def test_a_purchase_that_no_listing_shows_is_in_flight(engine: Engine, state: IntentState) -> None:
    store_plan(engine, make_line())
    write(engine, state)
    with reading(engine) as connection:
        pending = holdings.in_flight(connection)
    counts = state is not IntentState.REFUSED
    assert [one.commitment for one in pending] == ([CommitmentId("intent:i1")] if counts else [])
    assert all(one.state.is_owned for one in pending)


def test_a_listed_purchase_is_no_longer_in_flight(engine: Engine) -> None:
    store_plan(engine, make_line())
    write(engine, IntentState.BOUGHT)
    with writing(engine) as connection:
        holdings.keep(connection, PROVIDER, listed(1), now=START)
        assert holdings.in_flight(connection) == ()


CROWD = 6


def race(engine: Engine, tmp_path: Path, judge: Judge) -> Decimal:
    """Approve ``CROWD`` lines of $1/h and execute all at once; the $/h that was then sold.

    Each is in an account of its own, so that nothing but the budget stands between them.
    """
    clock = HandClock()
    accounts = [AccountId(f"{number:012d}") for number in range(CROWD)]
    lines = [make_line(number, account=account) for number, account in enumerate(accounts)]
    store_plan(engine, *lines)
    verdicts = [verdict(line, Decision.NEEDS_SIGN_OFF) for line in lines]
    with writing(engine) as connection:
        waiting = record_proposals(
            connection,
            plan=PLAN,
            lines=lines,
            verdicts=verdicts,
            lifetime=timedelta(days=1),
            now=START,
        )
        for one in waiting:
            approve(connection, one.proposal, version=1, by="ana", comment="", now=START)
    held = take_lease(engine, "a")
    clouds = [FileCloud(tmp_path / "cloud.db", clock, account=account) for account in accounts]
    desks = [open_desk(engine, cloud, held, clock, judge=judge) for cloud in clouds]
    with ThreadPoolExecutor(CROWD) as threads:
        list(
            threads.map(
                lambda pair: execute_proposal(pair[0], pair[1].proposal),
                zip(desks, waiting, strict=True),
            )
        )
    return sum((sale.quantity for sale in clouds[0].sales()), Decimal(0))


def test_approvals_executed_at_once_cannot_race_past_a_cap(engine: Engine, tmp_path: Path) -> None:
    assert race(engine, tmp_path, cap(Decimal(2))) == 2


def test_the_race_passes_the_cap_when_the_budget_is_read_before_it_begins(
    engine: Engine, tmp_path: Path
) -> None:
    """Negative control: a guard that remembers an old sum lets all of them through."""

    def stale(line: PlanLine, facts: Facts) -> Verdict:
        return cap(Decimal(2))(line, replace(facts, intents=(), holdings=()))

    assert race(engine, tmp_path, stale) == CROWD
