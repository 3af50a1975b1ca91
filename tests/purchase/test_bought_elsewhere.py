"""What others bought after a decision is not bought again for that decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.ids import ClientToken, IntentId
from service.domain.purchases import PurchaseOrder, Refused
from service.purchase.desk import Declined, Desk, Executed, Execution, Step
from service.purchase.execute import execute
from service.purchase.resume import resume
from service.reconcile.settle import reconcile
from tests.purchase.cloud import UPFRONT_USD_PER_UNIT, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    kinds,
    let_lease_run_out,
    make_line,
    open_desk,
    store_plan,
    take_lease,
)

LINE = make_line()
THEIRS = PurchaseOrder(
    intent=IntentId("nobody-s"),
    token=ClientToken("nobody-s"),
    account=LINE.account,
    offering=LINE.offering,
    kind=LINE.kind,
    term_months=LINE.term_months,
    payment=LINE.payment,
    quantity=LINE.quantity,
    upfront_usd=UPFRONT_USD_PER_UNIT,
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def cloud(tmp_path: Path, clock: HandClock) -> FileCloud:
    return FileCloud(tmp_path / "cloud.db", clock)


@pytest.fixture
def desk(engine: Engine, cloud: FileCloud, clock: HandClock) -> Desk:
    store_plan(engine, LINE, make_line(2))
    return open_desk(engine, cloud, take_lease(engine, "first"), clock)


def read_inventory(desk: Desk, cloud: FileCloud) -> None:
    reconcile(
        provider=desk.provider,
        engine=desk.engine,
        reader=cloud,
        buyer=cloud,
        clock=desk.clock,
        held=desk.lease,
    )


def buy(desk: Desk, number: int = 1) -> Execution:
    return execute(desk, line=make_line(number), plan=PLAN, cycle=CYCLE)


def test_a_line_whose_offer_others_bought_since_is_refused_for_good(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    clock.pass_time(timedelta(minutes=1))
    theirs = cloud.sell_to_somebody(THEIRS)
    read_inventory(desk, cloud)
    declined = buy(desk)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == ("bought_elsewhere", True)
    assert theirs in declined.detail
    assert "plan.line_refused" in kinds(desk.engine)
    assert cloud.calls() == []


def test_what_others_bought_of_another_offer_stops_nothing(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    clock.pass_time(timedelta(minutes=1))
    cloud.sell_to_somebody(replace(THEIRS, offering=make_line(3).offering))
    read_inventory(desk, cloud)
    assert isinstance(buy(desk), Executed)


def test_what_was_owned_when_the_line_was_decided_stops_nothing(
    desk: Desk, cloud: FileCloud
) -> None:
    cloud.sell_to_somebody(THEIRS)
    read_inventory(desk, cloud)
    assert isinstance(buy(desk), Executed)


def test_what_tenor_bought_itself_stops_nothing(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    assert isinstance(buy(desk), Executed)
    clock.pass_time(timedelta(minutes=1))
    read_inventory(desk, cloud)
    same_offer = replace(make_line(2), offering=LINE.offering)
    assert isinstance(execute(desk, line=same_offer, plan=PLAN, cycle=CYCLE), Executed)


class DiedError(Exception):
    """The process died here."""


def _die_before_the_call(step: Step) -> None:
    if step is Step.INTENT_COMMITTED:
        raise DiedError


def test_what_others_bought_before_it_is_taken_up_again_is_not_bought_beside_it(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    with pytest.raises(DiedError):
        buy(replace(desk, reached=_die_before_the_call))
    clock.pass_time(timedelta(hours=1))
    theirs = cloud.sell_to_somebody(THEIRS)
    let_lease_run_out(desk.engine)
    later = replace(desk, lease=take_lease(desk.engine, "second"))
    read_inventory(later, cloud)
    (done,) = resume(later)
    assert isinstance(done.outcome, Refused)
    assert done.outcome.code == "bought_elsewhere"
    assert theirs in done.outcome.detail
    assert cloud.calls() == []
