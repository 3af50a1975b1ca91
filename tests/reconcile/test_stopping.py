"""What a reading stops is stopped by the transaction that settles: no death comes between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service.domain.ids import ClientToken
from service.domain.purchases import Bought, IntentState
from service.purchase.desk import Desk, Executed, Step
from service.purchase.execute import execute
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from service.store import demotion, holdings, intents, ledger, schema
from service.store.engine import reading, writing
from service.store.halt import read_halt
from tests.purchase.cloud import PROVIDER, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    let_lease_run_out,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
)


@pytest.fixture
def desk(sqlite_engine: Engine, tmp_path: Path) -> Desk:
    clock = HandClock()
    store_plan(sqlite_engine, make_line(1))
    cloud = FileCloud(tmp_path / "cloud.db", clock)
    made = open_desk(sqlite_engine, cloud, take_lease(sqlite_engine, "a"), clock)
    execute(made, line=make_line(1), plan=PLAN, cycle=CYCLE)
    read(made)
    return made


@pytest.mark.parametrize("alone", [True, False])
def test_a_yes_that_comes_after_its_purchase_was_written_off_is_counted_and_halts(
    sqlite_engine: Engine, tmp_path: Path, *, alone: bool
) -> None:
    clock = HandClock()
    cloud = FileCloud(tmp_path / "cloud.db", clock, lag=timedelta(hours=9))
    store_plan(sqlite_engine, make_line(1))
    desk = open_desk(sqlite_engine, cloud, take_lease(sqlite_engine, "a"), clock)

    def wait_long(step: Step) -> None:
        """Its process stands still, and another one settles what it left."""
        if step is Step.ANSWERED:
            let_lease_run_out(sqlite_engine)
            later = replace(desk, lease=take_lease(sqlite_engine, "b"))
            resume(later)
            clock.pass_time(timedelta(hours=2))
            read(later)
            assert states(sqlite_engine) == [IntentState.REFUSED]

    slow = replace(desk, reached=wait_long, acts_alone=lambda: alone)
    done = execute(slow, line=make_line(1), plan=PLAN, cycle=CYCLE)
    [sale] = cloud.sales()
    assert isinstance(done, Executed)
    assert done.outcome == Bought(sale.commitment)
    with reading(sqlite_engine) as connection:
        [found] = intents.list_intents(connection, states=intents.COUNTED)
        halt = read_halt(connection)
        told = [one.payload["finding"] for one in ledger.read(connection, kind="reconcile.drift")]
        in_flight = holdings.in_flight(connection)
        given_up = demotion.demoted(connection)
    assert (found.state, found.commitment) == (IntentState.BOUGHT, sale.commitment)
    assert len(in_flight) == 1
    assert (halt.halted, halt.changed_by) == (True, "tenor")
    assert "was refused and is bought all the same" in halt.reason
    assert told == ["written_off"]
    assert given_up == ({PROVIDER} if alone else set())


def read(desk: Desk, *, autopilot: bool = True) -> None:
    assert isinstance(desk.buyer, FileCloud)
    reconcile(
        provider=PROVIDER,
        engine=desk.engine,
        reader=desk.reader,
        buyer=desk.buyer,
        clock=desk.clock,
        held=desk.lease,
        grace=timedelta(hours=1),
        autopilot=autopilot,
    )


def write_off(desk: Desk) -> None:
    """The purchase is listed, and the ledger has it as refused."""
    lost = {"state": IntentState.REFUSED.value, "commitment_id": None}
    with writing(desk.engine) as connection:
        connection.execute(update(schema.intents).values(**lost))


def double(desk: Desk) -> None:
    """A second commitment carries the tag of the first."""
    assert isinstance(desk.buyer, FileCloud)
    with reading(desk.engine) as connection:
        [bought] = intents.list_intents(connection)
    desk.buyer.sell_to_somebody(replace(bought.order, token=ClientToken("another")))


@pytest.mark.parametrize(
    ("goes_wrong", "reason", "drift"),
    [
        (double, "was bought 2 times", "duplicate"),
        (write_off, "was refused and is bought all the same", "written_off"),
    ],
)
def test_who_dies_after_seeing_undecided_money_has_halted_and_given_autopilot_up(
    desk: Desk, goes_wrong: Callable[[Desk], None], reason: str, drift: str
) -> None:
    goes_wrong(desk)
    read(desk)  # the process dies here: nothing comes after the transaction that settles
    with reading(desk.engine) as connection:
        halt = read_halt(connection)
        told = [one.payload["finding"] for one in ledger.read(connection, kind="reconcile.drift")]
        given_up = demotion.demoted(connection)
    assert (halt.halted, halt.changed_by) == (True, "tenor")
    assert reason in halt.reason
    assert told == [drift]
    assert given_up == {PROVIDER}


def test_where_nothing_is_on_autopilot_undecided_money_halts_and_demotes_nobody(desk: Desk) -> None:
    write_off(desk)
    read(desk, autopilot=False)
    with reading(desk.engine) as connection:
        assert read_halt(connection).halted
        assert demotion.demoted(connection) == frozenset()
