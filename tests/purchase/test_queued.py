"""A queued purchase: the same start in every attempt, and none where its start has come."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.commitments import CommitmentState
from service.domain.errors import InvariantError
from service.domain.plans import PlanLine
from service.domain.purchases import Bought, IntentState, Outcome, PurchaseOrder, Refused
from service.providers.port import StillWanted, always_wanted
from service.purchase.desk import Desk, Executed, Step
from service.purchase.execute import execute
from service.purchase.resume import START_AHEAD, resume
from service.store import holdings, intents, ledger
from service.store.codec import from_document, to_document
from service.store.engine import reading, writing
from tests.purchase.cloud import FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    HandClock,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
)

STARTS = START + timedelta(hours=24)
LINE = replace(make_line(), start_at=STARTS)


class Recording(FileCloud):
    """Keeps every order that it is given."""

    orders: tuple[PurchaseOrder, ...] = ()

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        self.orders = (*self.orders, order)
        return super().buy(order, still_wanted=still_wanted)


class DiedError(Exception):
    """The process died here."""


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def cloud(tmp_path: Path, clock: HandClock) -> Recording:
    return Recording(tmp_path / "cloud.db", clock)


@pytest.fixture
def desk(engine: Engine, cloud: Recording, clock: HandClock) -> Desk:
    store_plan(engine, LINE)
    return open_desk(engine, cloud, take_lease(engine, "first"), clock)


def die_at(desk: Desk, at: Step, line: PlanLine = LINE) -> None:
    def reached(step: Step) -> None:
        if step is at:
            raise DiedError

    with pytest.raises(DiedError):
        execute(replace(desk, reached=reached), line=line, plan=PLAN, cycle=CYCLE)


def test_the_order_carries_the_lines_start_and_counts_as_queued_until_it_is_listed(
    desk: Desk, cloud: Recording
) -> None:
    done = execute(desk, line=LINE, plan=PLAN, cycle=CYCLE)
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Bought)
    [order] = cloud.orders
    assert order.start_at == STARTS
    with reading(desk.engine) as connection:
        found = intents.find(connection, order.intent)
        [expected] = holdings.in_flight(connection)
        [told] = [
            one.payload
            for one in ledger.read(connection, limit=9)
            if one.kind == "purchase.intent_recorded"
        ]
    assert found is not None
    assert found.order == order
    assert (expected.state, expected.start) == (CommitmentState.QUEUED, STARTS)
    assert told["start_at"] == "2026-03-03T12:00:00Z"


def test_the_desk_decides_the_start_anew_and_the_intent_keeps_it(
    desk: Desk, cloud: Recording
) -> None:
    later = STARTS + timedelta(hours=60)

    def start_at(line: PlanLine, now: datetime) -> datetime:
        assert (line.start_at, now) == (STARTS, START)
        return later

    execute(replace(desk, start_at=start_at), line=LINE, plan=PLAN, cycle=CYCLE)
    assert [one.start_at for one in cloud.orders] == [later]
    with reading(desk.engine) as connection:
        [found] = intents.list_intents(connection)
    assert found.line.start_at == found.order.start_at == later


def test_what_was_never_called_is_queued_by_the_successor_for_the_same_start(
    desk: Desk, cloud: Recording, clock: HandClock
) -> None:
    die_at(desk, Step.INTENT_COMMITTED)
    clock.pass_time(timedelta(hours=3))
    resume(desk)
    assert [one.start_at for one in cloud.orders] == [STARTS]
    assert states(desk.engine) == [IntentState.BOUGHT]


def test_what_was_never_called_is_refused_once_its_start_is_near(
    desk: Desk, cloud: Recording, clock: HandClock
) -> None:
    """Another start under the same token would be another purchase; at once was never wanted."""
    soon = replace(LINE, start_at=START + timedelta(hours=2))
    die_at(desk, Step.INTENT_COMMITTED, soon)
    clock.pass_time(timedelta(hours=2) - START_AHEAD)
    [done] = resume(desk)
    assert isinstance(done.outcome, Refused)
    assert done.outcome.code == "start"
    assert cloud.orders == ()


def test_a_line_that_starts_at_once_is_written_as_the_version_before_writes_it() -> None:
    """A replica of the version before reads all that makes no use of the new field."""
    assert "start_at" not in to_document(make_line())
    assert from_document(PlanLine, to_document(make_line())).start_at is None
    assert to_document(LINE)["start_at"] == "2026-03-03T12:00:00Z"
    assert from_document(PlanLine, to_document(LINE)) == LINE


def test_an_intent_whose_order_starts_at_another_time_than_its_line_is_not_written(
    desk: Desk,
) -> None:
    execute(desk, line=LINE, plan=PLAN, cycle=CYCLE)
    with reading(desk.engine) as connection:
        [found] = intents.list_intents(connection)
    other = replace(found, order=replace(found.order, start_at=None))
    with pytest.raises(InvariantError, match="start"), writing(desk.engine) as connection:
        intents.record(connection, other, cycle=CYCLE)
