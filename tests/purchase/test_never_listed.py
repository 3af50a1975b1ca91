"""A purchase that the provider confirmed and never lists: a person may settle it, with evidence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine, select, update

from service.domain.errors import RefusedError
from service.domain.ids import AccountId, CommitmentId, IntentId
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    Idempotency,
    Intent,
    IntentState,
    Refused,
    Unknown,
)
from service.observe.events import OutcomeSettled, ReconcileDrift
from service.operate.settling_by_hand import settle
from service.purchase.desk import Desk, Executed
from service.purchase.never_listed import READ_WITHIN
from service.reconcile.findings import NeverListed, SettledBought
from service.store import intents, ledger, schema
from service.store.engine import reading, writing
from service.store.halt import read_halt
from service.wiring import Parts
from tests.purchase.cloud import PROVIDER
from tests.purchase.test_evidence import TwoStep, buy, look
from tests.purchase.world import HandClock, make_line, open_desk, store_plan, take_lease

NOT_THERE = Absent("no order of that id")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def cloud(tmp_path: Path, clock: HandClock) -> TwoStep:
    cloud = TwoStep(tmp_path / "cloud.db", clock)
    cloud.silent, cloud.answers = True, NOT_THERE
    return cloud


@pytest.fixture
def desk(sqlite_engine: Engine, cloud: TwoStep, clock: HandClock) -> Desk:
    """One purchase, confirmed; nothing is listed."""
    store_plan(sqlite_engine, make_line())
    desk = open_desk(sqlite_engine, cloud, take_lease(sqlite_engine, "first"), clock)
    done = buy(desk)
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Bought)
    return desk


@dataclass
class Deployment:
    """As much of a deployment as settling needs; ``asked``: of which orders the finder was."""

    desk: Desk
    finder: TwoStep | None
    asked: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.desk.engine

    @property
    def clock(self) -> Any:  # noqa: ANN401 - the desk's
        return self.desk.clock

    @property
    def cloud(self) -> Deployment:
        return self

    def about(self, provider: str) -> Deployment:
        assert provider == PROVIDER
        return self


def the_intent(desk: Desk) -> Intent:
    with reading(desk.engine) as connection:
        [one] = intents.list_intents(connection)
    return one


def say(desk: Desk, cloud: TwoStep | None, *, bought: str | None = None) -> None:
    settle(
        cast("Parts", Deployment(desk, cloud)),
        the_intent(desk).order.intent,
        bought=None if bought is None else CommitmentId(bought),
        by="ana",
        reason="support ticket 12",
    )


def events_of(desk: Desk, kind: str) -> list[dict[str, Any]]:
    with reading(desk.engine) as connection:
        return [dict(one.payload) for one in ledger.read(connection, kind=kind)]


def test_the_alert_names_it_and_a_person_rules_it_out_with_what_was_known(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    [found] = look(desk, cloud, clock, hours=2).findings
    assert isinstance(found, NeverListed)
    look(desk, cloud, clock, hours=1)
    one = the_intent(desk)
    [told] = events_of(desk, ReconcileDrift.name)
    assert told["finding"] == "never_listed"
    for word in (one.order.intent, str(one.commitment), one.order.offering, one.order.account):
        assert word in told["detail"]
    say(desk, cloud)
    settled = the_intent(desk)
    assert settled.state is IntentState.REFUSED
    assert settled.state not in intents.COUNTED
    [event] = events_of(desk, OutcomeSettled.name)
    assert event["by"] == "ana"
    for word in ("lists 0 commitments", str(one.commitment), NOT_THERE.detail):
        assert word in event["evidence"]
        assert word in settled.detail
    assert look(desk, cloud, clock).alarms == ()
    with reading(desk.engine) as connection:
        ledger.verify(connection)


def test_it_is_not_settled_before_a_reading_after_the_grace_has_missed_it(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    look(desk, cloud, clock, hours=0.5)
    with pytest.raises(RefusedError, match="grace"):
        say(desk, cloud)
    assert the_intent(desk).state is IntentState.BOUGHT


def test_it_is_not_settled_on_an_old_reading_and_is_on_a_new_one(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    look(desk, cloud, clock, hours=2)
    clock.pass_time(READ_WITHIN + timedelta(seconds=1))
    with pytest.raises(RefusedError, match="inventory_age"):
        say(desk, cloud)
    look(desk, cloud, clock)
    say(desk, cloud)
    assert the_intent(desk).state is IntentState.REFUSED


def test_a_reading_of_another_account_is_none_of_this(
    desk: Desk, cloud: TwoStep, clock: HandClock, tmp_path: Path
) -> None:
    look(desk, cloud, clock, hours=2)
    other = TwoStep(tmp_path / "other.db", clock, account=AccountId("222222222222"))
    other.answers = NOT_THERE
    look(desk, other, clock, hours=0.1)
    with pytest.raises(RefusedError, match="inventory_age"):
        say(desk, cloud)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (Bought(CommitmentId("sp-1")), "provider_answers"),
        (Unknown("it is going on"), "provider_answers"),
        (None, "provider_silent"),
    ],
    ids=["it is sold", "it goes on", "it does not say"],
)
def test_the_provider_that_knows_it_by_name_or_does_not_say_is_not_overruled(
    desk: Desk, cloud: TwoStep, clock: HandClock, answer: Evidence | None, rule: str
) -> None:
    look(desk, cloud, clock, hours=2)
    cloud.answers = answer
    with pytest.raises(RefusedError, match=rule):
        say(desk, cloud)
    assert the_intent(desk).state is IntentState.BOUGHT


@pytest.mark.parametrize("answer", [NOT_THERE, Refused("BillingFailed", "no money"), None])
def test_what_cannot_be_asked_by_name_or_failed_is_settled(
    desk: Desk, cloud: TwoStep, clock: HandClock, answer: Evidence | None
) -> None:
    look(desk, cloud, clock, hours=2)
    cloud.answers = answer
    say(desk, None if answer is None else cloud)
    assert the_intent(desk).state is IntentState.REFUSED


def test_what_was_listed_once_stays_bought_whatever_a_person_says(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    cloud.silent = False
    look(desk, cloud, clock)
    cloud.silent = True
    look(desk, cloud, clock, hours=2)
    for bought in (None, "sp-1"):
        with pytest.raises(RefusedError, match="listed"):
            say(desk, cloud, bought=bought)
    assert the_intent(desk).state is IntentState.BOUGHT


def test_what_is_listed_after_a_person_ruled_it_out_is_bought_and_halts(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    look(desk, cloud, clock, hours=2)
    say(desk, cloud)
    cloud.silent = False
    [found] = look(desk, cloud, clock).alarms
    assert isinstance(found, SettledBought)
    assert the_intent(desk).state is IntentState.BOUGHT
    with reading(desk.engine) as connection:
        assert read_halt(connection).halted


def test_one_that_is_listed_under_another_id_is_tied_to_it(
    desk: Desk, cloud: TwoStep, clock: HandClock, tmp_path: Path
) -> None:
    look(desk, cloud, clock, hours=2)
    lookup = Idempotency.LOOKUP
    shown = TwoStep(tmp_path / "shown.db", clock, tagged=False, idempotency=lookup)
    order = the_intent(desk).order
    shown.sell_to_somebody(replace(order, intent=IntentId("x"), quantity=order.quantity + 1))
    shown.sell_to_somebody(replace(order, intent=IntentId("y"), token=order.token))
    # The first is unlike it, the second is the one that the provider answered as "sp-1".
    _rename(desk, "sp-9")
    look(desk, shown, clock)
    with pytest.raises(RefusedError, match="unlike"):
        say(desk, None, bought="sp-1")
    with pytest.raises(RefusedError, match="unlike"):
        say(desk, None, bought="sp-7")
    say(desk, None, bought="sp-2")
    one = the_intent(desk)
    assert (one.state, one.commitment) == (IntentState.BOUGHT, "sp-2")
    assert one.ever_listed
    look(desk, shown, clock)
    with reading(desk.engine) as connection:
        owner = connection.execute(
            select(schema.commitments.c.intent_id).where(
                schema.commitments.c.commitment_id == "sp-2"
            )
        ).scalar_one()
    assert owner == one.order.intent


def _rename(desk: Desk, name: str) -> None:
    """Let the provider have answered with another id than the one that it lists."""
    with writing(desk.engine) as connection:
        connection.execute(update(schema.intents).values(commitment_id=name))
