"""What a person settles by name: unknown purchases, and written ones that may have been made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.errors import RefusedError
from service.domain.ids import CommitmentId
from service.domain.purchases import Idempotency, IntentState, Refused
from service.purchase.by_hand import settle_purchase
from service.purchase.desk import Desk, Executed, Step
from service.purchase.execute import execute
from service.purchase.resume import RECORDED_FOR, resume
from service.store.engine import writing
from tests.purchase.cloud import Fault, FileCloud
from tests.purchase.test_evidence import TwoStep, buy, leave_recorded, look, the_order
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    HandClock,
    kinds,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def cloud(tmp_path: Path, clock: HandClock) -> TwoStep:
    return TwoStep(tmp_path / "cloud.db", clock)


@pytest.fixture
def desk(engine: Engine, cloud: TwoStep, clock: HandClock) -> Desk:
    store_plan(engine, make_line(), make_line(2))
    return open_desk(engine, cloud, take_lease(engine, "first"), clock)


@pytest.mark.parametrize("bought", [CommitmentId("1"), None], ids=["it is", "it is not"])
def test_a_held_recorded_intent_waits_however_long_until_a_person_settles_it(
    engine: Engine, tmp_path: Path, clock: HandClock, bought: CommitmentId | None
) -> None:
    store_plan(engine, make_line(), make_line(2))
    cloud = FileCloud(tmp_path / "untagged.db", clock, tagged=False, idempotency=Idempotency.LOOKUP)
    first = open_desk(engine, cloud, take_lease(engine, "first"), clock)
    successor = leave_recorded(first)
    order = the_order(first)
    cloud.sell_to_somebody(order)
    look(successor, cloud, clock)
    clock.pass_time(RECORDED_FOR)
    assert resume(successor) == ()
    assert states(engine) == [IntentState.RECORDED]
    with writing(engine) as connection:
        settle_purchase(
            connection, order.intent, bought=bought, by="ana", reason="asked the buyer", now=START
        )
    assert states(engine) == [IntentState.REFUSED if bought is None else IntentState.BOUGHT]
    assert resume(successor) == ()
    assert cloud.calls() == []
    assert kinds(engine)[-1] == "outcome.settled"


def test_what_a_person_settled_while_it_was_about_to_be_called_is_not_called(
    desk: Desk, cloud: TwoStep
) -> None:
    def settle(step: Step) -> None:
        if step is Step.INTENT_COMMITTED:
            with writing(desk.engine) as connection:
                settle_purchase(
                    connection,
                    the_order(desk).intent,
                    bought=None,
                    by="ana",
                    reason="not this one",
                    now=START,
                )

    done = buy(replace(desk, reached=settle))
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Refused)
    assert states(desk.engine) == [IntentState.REFUSED]
    assert cloud.calls() == []


@pytest.mark.parametrize("bought", [True, False])
def test_a_person_settles_an_unknown_purchase_by_name(
    desk: Desk,
    cloud: TwoStep,
    bought: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    cloud.fault = Fault.TIMEOUT_AFTER
    done = buy(desk)
    assert isinstance(done, Executed)
    with writing(desk.engine) as connection:
        settle_purchase(
            connection,
            done.intent,
            bought=CommitmentId("sp-1") if bought else None,
            by="ana",
            reason="seen in the console",
            now=START,
        )
    assert states(desk.engine) == [IntentState.BOUGHT if bought else IntentState.REFUSED]
    assert kinds(desk.engine)[-1] == "outcome.settled"


def test_a_person_cannot_settle_against_what_is_known(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    done = buy(desk)
    assert isinstance(done, Executed)
    look(desk, cloud, clock)
    with pytest.raises(RefusedError, match="listed"), writing(desk.engine) as connection:
        settle_purchase(connection, done.intent, bought=None, by="ana", reason="no", now=START)
    cloud.fault = Fault.TIMEOUT_BEFORE
    second = execute(desk, line=make_line(2), plan=PLAN, cycle=CYCLE)
    assert isinstance(second, Executed)
    with pytest.raises(RefusedError, match="claimed"), writing(desk.engine) as connection:
        settle_purchase(
            connection,
            second.intent,
            bought=CommitmentId("sp-1"),
            by="ana",
            reason="this one",
            now=START,
        )
    assert sorted(states(desk.engine)) == [IntentState.BOUGHT, IntentState.UNKNOWN]
