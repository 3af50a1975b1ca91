"""Reconciliation settles what is unknown, mirrors what is listed, and says what differs, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.commitments import CommitmentState
from service.domain.errors import LeaseLostError, ProviderError
from service.domain.purchases import IntentState, InventoryItem
from service.purchase.desk import Desk
from service.purchase.execute import execute
from service.reconcile.findings import Duplicate, External, StillUnknown, Vanished
from service.reconcile.settle import SHORTEST_GRACE, Reconciliation, reconcile
from service.store import holdings, intents, ledger
from service.store.engine import reading, writing
from service.store.states import Origin
from tests.purchase.cloud import PROVIDER, Fault, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    kinds,
    let_lease_run_out,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
)
from tests.reconcile.listing import intent

GRACE = timedelta(hours=1)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def cloud(tmp_path: Path, clock: HandClock) -> FileCloud:
    return FileCloud(tmp_path / "cloud.db", clock)


@pytest.fixture
def desk(engine: Engine, cloud: FileCloud, clock: HandClock) -> Desk:
    store_plan(engine, make_line(1), make_line(2))
    return open_desk(engine, cloud, take_lease(engine, "a"), clock)


def buy(desk: Desk, number: int = 1) -> None:
    execute(desk, line=make_line(number), plan=PLAN, cycle=CYCLE)


def read(desk: Desk, *, grace: timedelta = GRACE) -> Reconciliation:
    assert isinstance(desk.buyer, FileCloud)
    return reconcile(
        provider=PROVIDER,
        engine=desk.engine,
        reader=desk.reader,
        buyer=desk.buyer,
        clock=desk.clock,
        held=desk.lease,
        grace=grace,
    )


def told(desk: Desk) -> list[str]:
    """The findings that the ledger tells of, in order."""
    with reading(desk.engine) as connection:
        rows = ledger.read(connection, kind="reconcile.drift")
    return [str(row.payload["finding"]) for row in rows]


def test_a_timed_out_purchase_that_took_effect_is_found_and_bought(
    desk: Desk, cloud: FileCloud
) -> None:
    cloud.fault = Fault.TIMEOUT_AFTER
    buy(desk)
    result = read(desk)
    assert states(desk.engine) == [IntentState.BOUGHT]
    assert (result.matched, result.alarms, result.unknown) == (1, (), ())
    assert "reconcile.settled" in kinds(desk.engine)
    with reading(desk.engine) as connection:
        [held] = holdings.list_holdings(connection)
    assert held.origin is Origin.TENOR


def test_a_timed_out_purchase_without_effect_blocks_until_the_grace_is_over(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    cloud.fault = Fault.TIMEOUT_BEFORE
    buy(desk)
    cloud.fault = Fault.NONE
    [still] = read(desk).findings
    assert isinstance(still, StillUnknown)
    buy(desk, 2)
    assert cloud.sales() == []
    clock.pass_time(GRACE)
    read(desk)
    assert states(desk.engine) == [IntentState.REFUSED]
    buy(desk, 2)
    assert len(cloud.sales()) == 1


def test_no_setting_lets_an_unlisted_purchase_be_given_up_at_once(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    cloud.fault = Fault.TIMEOUT_BEFORE
    buy(desk)
    clock.pass_time(SHORTEST_GRACE - timedelta(seconds=1))
    read(desk, grace=timedelta(0))
    assert states(desk.engine) == [IntentState.UNKNOWN]
    clock.pass_time(timedelta(seconds=1))
    read(desk, grace=timedelta(0))
    assert states(desk.engine) == [IntentState.REFUSED]


class Unreadable(FileCloud):
    """A provider whose inventory cannot be read whole."""

    def inventory(self) -> list[InventoryItem]:
        raise ProviderError(provider="aws", operation="inventory", code="500", detail="page 2")


def test_a_reading_that_fails_settles_nothing_however_late(
    desk: Desk, cloud: FileCloud, clock: HandClock, tmp_path: Path
) -> None:
    cloud.fault = Fault.TIMEOUT_BEFORE
    buy(desk)
    clock.pass_time(10 * GRACE)
    with pytest.raises(ProviderError):
        read(replace(desk, reader=Unreadable(tmp_path / "cloud.db", clock)))
    assert states(desk.engine) == [IntentState.UNKNOWN]


def test_a_replica_without_the_lease_settles_nothing(desk: Desk, cloud: FileCloud) -> None:
    cloud.fault = Fault.TIMEOUT_AFTER
    buy(desk)
    let_lease_run_out(desk.engine)
    with pytest.raises(LeaseLostError):
        read(desk)
    assert states(desk.engine) == [IntentState.UNKNOWN]


def test_a_purchase_that_shows_up_after_it_was_given_up_is_taken_back_with_an_alarm(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    cloud.fault = Fault.TIMEOUT_BEFORE
    buy(desk)
    with reading(desk.engine) as connection:
        [lost] = intents.list_intents(connection)
    clock.pass_time(2 * GRACE)
    read(desk)
    cloud.sell_to_somebody(lost.order)
    assert len(read(desk).alarms) == 1
    assert states(desk.engine) == [IntentState.BOUGHT]
    assert read(desk).findings == ()


def test_what_a_person_bought_elsewhere_is_adopted_and_told_once(
    desk: Desk, cloud: FileCloud
) -> None:
    buy(desk)
    read(desk)
    foreign = replace(intent(9, IntentState.RECORDED).order)
    cloud.sell_to_somebody(foreign)
    [found] = read(desk).findings
    assert isinstance(found, External)
    assert read(desk).findings == ()
    assert told(desk) == ["external"]
    with reading(desk.engine) as connection:
        origins = [one.origin for one in holdings.list_holdings(connection)]
    assert origins == [Origin.TENOR, Origin.EXTERNAL]


def test_a_second_commitment_for_one_intent_is_a_duplicate_and_stays_one(
    desk: Desk, tmp_path: Path, clock: HandClock
) -> None:
    cloud = FileCloud(tmp_path / "cloud.db", clock)
    buy(desk)
    with reading(desk.engine) as connection:
        [bought] = intents.list_intents(connection)
    cloud.sell_to_somebody(replace(bought.order, token=intent(5, bought.state).order.token))
    for _ in range(2):
        assert [type(one) for one in read(desk).alarms] == [Duplicate]
    assert told(desk) == ["duplicate"]


def test_a_commitment_that_vanishes_is_told_once(desk: Desk, cloud: FileCloud) -> None:
    buy(desk)
    read(desk)
    cloud.forget(cloud.sales()[0].commitment)
    assert [type(one) for one in read(desk).alarms] == [Vanished]
    assert read(desk).alarms == ()
    assert told(desk) == ["vanished"]


def test_a_payment_that_fails_after_the_yes_raises_an_alarm(desk: Desk, cloud: FileCloud) -> None:
    buy(desk)
    read(desk)
    cloud.set_state(cloud.sales()[0].commitment, CommitmentState.FAILED)
    assert len(read(desk).alarms) == 1
    assert told(desk) == ["failed"]


def test_reading_again_what_has_not_changed_finds_nothing(desk: Desk) -> None:
    buy(desk)
    read(desk)
    before = states(desk.engine)
    assert read(desk).findings == ()
    assert states(desk.engine) == before


def test_a_tag_of_a_foreign_ledger_does_not_make_a_commitment_ours(
    desk: Desk, cloud: FileCloud
) -> None:
    cloud.sell_to_somebody(intent(9, IntentState.RECORDED).order)
    result = read(desk)
    assert result.matched == 0
    with writing(desk.engine) as connection:
        [held] = holdings.list_holdings(connection)
    assert (held.origin, held.item.intent) == (Origin.EXTERNAL, None)
