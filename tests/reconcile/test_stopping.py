"""What a reading stops is stopped by the transaction that settles: no death comes between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service.domain.ids import ClientToken
from service.domain.purchases import IntentState
from service.purchase.desk import Desk
from service.purchase.execute import execute
from service.reconcile.settle import reconcile
from service.store import demotion, intents, ledger, schema
from service.store.engine import reading, writing
from service.store.halt import read_halt
from tests.purchase.cloud import PROVIDER, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    make_line,
    open_desk,
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
