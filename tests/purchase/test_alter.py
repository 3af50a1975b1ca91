"""One alteration of what is owned: what is checked, written, called once, and settled."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import IntegrityError

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationState,
    Altered,
)
from service.domain.commitments import CommitmentState
from service.domain.errors import LeaseLostError
from service.domain.ids import CommitmentId
from service.domain.purchases import Refused, Unknown
from service.providers.port import StillWanted, always_wanted
from service.purchase.alter import AlterationDone, alter, resume_alterations
from service.purchase.desk import Declined, Desk, Executed, Step
from service.purchase.execute import execute
from service.purchase.propose import Obstacle
from service.purchase.written_alterations import (
    approve_alteration,
    expire_alterations,
)
from service.store import alterations, demotion, holdings
from service.store.alteration_tables import alteration_locks
from service.store.engine import reading, writing
from service.store.halt import set_halt
from service.store.unlisted import unlisted
from tests.purchase.altering import (
    Alterer,
    altered_states,
    ask_for,
    make_order,
    open_bench,
    read_inventory,
    rules,
    target,
)
from tests.purchase.cloud import PROVIDER, Fault
from tests.purchase.shop import Shop
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    kinds,
    let_lease_run_out,
    make_line,
    take_lease,
)


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Shop:
    return Shop(engine, tmp_path)


def test_a_return_is_asked_for_written_down_called_once_and_told(shop: Shop) -> None:
    order = make_order(shop.owned)
    before = len(kinds(shop.engine))
    ask_for(shop.engine, order)
    done = alter(open_bench(shop.desk, shop.alterer, rules()), order.intent)
    assert isinstance(done, AlterationDone)
    assert isinstance(done.outcome, Altered)
    assert kinds(shop.engine)[before:] == [
        "alteration.asked",
        "alteration.intent_recorded",
        "alteration.called",
        "alteration.altered",
    ]
    [call] = shop.alterer.calls
    assert (call.token, call.reference) == (order.token, "session-1")
    shop.read()
    assert shop.listed() == {shop.owned: CommitmentState.RETURNED}
    assert shop.drifts() == 0


def test_an_exchange_accounts_for_what_it_took_and_what_it_made(shop: Shop) -> None:
    order = make_order(shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(),))
    ask_for(shop.engine, order)
    alter(open_bench(shop.desk, shop.alterer), order.intent)
    shop.read()
    assert list(shop.listed().values()) == [CommitmentState.RETIRED, CommitmentState.ACTIVE]
    assert shop.drifts() == 0
    with reading(shop.engine) as connection:
        origins = {one.origin.value for one in holdings.list_holdings(connection)}
    assert origins == {"tenor"}


@pytest.mark.parametrize(
    ("fault", "state", "ends"),
    [
        (Fault.REFUSE, AlterationState.REFUSED, AlterationState.REFUSED),
        (Fault.TIMEOUT_BEFORE, AlterationState.UNKNOWN, AlterationState.REFUSED),
        (Fault.TIMEOUT_AFTER, AlterationState.UNKNOWN, AlterationState.ALTERED),
        (Fault.ERROR_AFTER, AlterationState.UNKNOWN, AlterationState.ALTERED),
    ],
)
@pytest.mark.parametrize("kind", [AlterationKind.RETURN, AlterationKind.EXCHANGE])
def test_an_unknown_outcome_is_settled_by_what_became_of_the_sources(
    shop: Shop,
    kind: AlterationKind,
    fault: Fault,
    state: AlterationState,
    ends: AlterationState,
) -> None:
    targets = (target(),) if kind is AlterationKind.EXCHANGE else ()
    order = make_order(shop.owned, kind=kind, targets=targets)
    ask_for(shop.engine, order)
    shop.alterer.fault = fault
    alter(open_bench(shop.desk, shop.alterer), order.intent)
    assert altered_states(shop.engine) == [state]
    for _ in range(3):
        shop.read()
        shop.clock.pass_time(timedelta(hours=1))
    assert altered_states(shop.engine) == [ends]
    assert shop.drifts() == 0
    with reading(shop.engine) as connection:
        assert alterations.locked(connection, PROVIDER) == frozenset()


def test_while_an_alteration_is_unknown_nothing_is_bought_or_altered_there(shop: Shop) -> None:
    order = make_order(shop.owned)
    ask_for(shop.engine, order)
    shop.alterer.fault = Fault.TIMEOUT_AFTER
    bench = open_bench(shop.desk, shop.alterer)
    alter(bench, order.intent)
    declined = execute(shop.desk, line=make_line(2), plan=PLAN, cycle=CYCLE)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == ("open_alteration", False)
    assert ask_for(shop.engine, make_order(shop.owned, number=2)) is None
    shop.read()
    assert isinstance(execute(shop.desk, line=make_line(2), plan=PLAN, cycle=CYCLE), Executed)


def test_the_database_itself_refuses_a_second_alteration_of_one_commitment(shop: Shop) -> None:
    order = make_order(shop.owned)
    ask_for(shop.engine, order)
    shop.alterer.fault = Fault.TIMEOUT_AFTER
    alter(open_bench(shop.desk, shop.alterer), order.intent)
    row = {
        "provider": PROVIDER,
        "commitment_id": shop.owned,
        "alteration_id": order.intent,
    }
    with pytest.raises(IntegrityError), writing(shop.engine) as connection:
        connection.execute(insert(alteration_locks).values(**row))


@pytest.mark.parametrize("step", [Step.INTENT_COMMITTED, Step.CALLING_COMMITTED])
def test_a_halt_between_intent_and_call_stops_an_alteration(shop: Shop, step: Step) -> None:
    def halt(now: Step) -> None:
        if now is step:
            with writing(shop.engine) as connection:
                set_halt(connection, halted=True, by="ops", reason="stop", now=START)

    order = make_order(shop.owned)
    ask_for(shop.engine, order)
    done = alter(open_bench(replace(shop.desk, reached=halt), shop.alterer), order.intent)
    assert isinstance(done, AlterationDone)
    assert isinstance(done.outcome, Refused)
    assert shop.alterer.calls == []


@pytest.mark.parametrize("step", [Step.CHECKED, Step.CALLING_COMMITTED])
def test_a_process_that_lost_its_lease_alters_nothing(shop: Shop, step: Step) -> None:
    def lose(now: Step) -> None:
        if now is step:
            let_lease_run_out(shop.engine)
            take_lease(shop.engine, "b")

    order = make_order(shop.owned)
    ask_for(shop.engine, order)
    with pytest.raises(LeaseLostError):
        alter(open_bench(replace(shop.desk, reached=lose), shop.alterer), order.intent)
    assert shop.alterer.calls == []


def test_what_a_dead_process_left_is_refused_if_never_called_and_unknown_if_it_was(
    shop: Shop,
) -> None:
    class Stop(BaseException):
        pass

    def dying(at: Step) -> Desk:
        def reached(now: Step) -> None:
            if now is at:
                raise Stop

        return replace(shop.desk, reached=reached)

    for number, step in enumerate((Step.INTENT_COMMITTED, Step.CALLING_COMMITTED)):
        order = make_order(shop.owned, number=number)
        ask_for(shop.engine, order)
        with pytest.raises(Stop):
            alter(open_bench(dying(step), shop.alterer), order.intent)
        let_lease_run_out(shop.engine)
        shop.desk = replace(shop.desk, lease=take_lease(shop.engine, f"next-{number}"))
        [resumed] = resume_alterations(open_bench(shop.desk, shop.alterer))
        expected = Refused if step is Step.INTENT_COMMITTED else Unknown
        assert isinstance(resumed.outcome, expected)
    assert altered_states(shop.engine) == [AlterationState.REFUSED, AlterationState.UNKNOWN]


@pytest.mark.parametrize("alone", [True, False])
def test_a_yes_that_comes_after_an_exchange_was_written_off_is_counted(
    shop: Shop, *, alone: bool
) -> None:
    order = make_order(shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(),))
    ask_for(shop.engine, order)

    class Slow(Alterer):
        """Its process stands still in the call; another one settles what it left."""

        def alter(
            self, order: AlterationOrder, *, still_wanted: StillWanted = always_wanted
        ) -> AlterationOutcome:
            del still_wanted
            let_lease_run_out(shop.engine)
            later = replace(shop.desk, lease=take_lease(shop.engine, "later"))
            resume_alterations(open_bench(later, self))
            shop.clock.pass_time(timedelta(hours=2))
            read_inventory(later, shop.cloud)
            assert altered_states(shop.engine) == [AlterationState.REFUSED]
            return super().alter(order)

    desk = replace(shop.desk, acts_alone=lambda: alone)
    done = alter(open_bench(desk, Slow(shop.cloud, shop.clock)), order.intent)
    assert isinstance(done, AlterationDone)
    assert isinstance(done.outcome, Altered)
    assert altered_states(shop.engine) == [AlterationState.ALTERED]
    with reading(shop.engine) as connection:
        assert list(unlisted(connection)) == [order.intent]
        assert demotion.demoted(connection) == ({PROVIDER} if alone else set())


def test_copilot_waits_for_a_person_and_then_does_it(shop: Shop) -> None:
    order = make_order(shop.owned)
    asked = ask_for(shop.engine, order)
    assert asked is not None
    bench = open_bench(shop.desk, shop.alterer, rules("copilot"))
    waits = alter(bench, order.intent)
    assert isinstance(waits, Declined)
    assert (waits.rule, waits.final) == ("mode", False)
    with writing(shop.engine) as connection:
        stale = approve_alteration(
            connection, order.intent, version=9, by="ana", comment="", now=START
        )
        assert stale is not None
        assert stale.obstacle is Obstacle.CHANGED
        assert (
            approve_alteration(connection, order.intent, version=1, by="ana", comment="", now=START)
            is None
        )
    done = alter(bench, order.intent)
    assert isinstance(done, AlterationDone)
    assert isinstance(done.outcome, Altered)


def test_what_nobody_decides_ends_with_its_lifetime(shop: Shop) -> None:
    ask_for(shop.engine, make_order(shop.owned))
    with writing(shop.engine) as connection:
        assert expire_alterations(connection, now=START + timedelta(days=2)) == 0
        assert expire_alterations(connection, now=START + timedelta(days=3)) == 1
    assert altered_states(shop.engine) == [AlterationState.WITHDRAWN]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"allowed": False}, "provider_allows"),
        ({"target_value_usd": Decimal("99.99")}, "value_ratchet"),
        ({"pay_usd": Decimal("10.01")}, "run_pay"),
        # With what the last price may lie above the quote.
        ({"pay_usd": Decimal("9.995")}, "run_pay"),
        ({"target_value_usd": Decimal(10**9)}, "total_obligation"),
    ],
)
def test_the_guard_withdraws_what_may_not_be_done(
    shop: Shop, change: dict[str, object], rule: str
) -> None:
    for name, value in change.items():
        setattr(shop.alterer, name, value)
    order = make_order(shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(),), most="1000")
    ask_for(shop.engine, order)
    declined = alter(open_bench(shop.desk, shop.alterer, rules(pay="10")), order.intent)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == (rule, True)
    assert shop.alterer.calls == []
    assert altered_states(shop.engine) == [AlterationState.WITHDRAWN]


def test_the_same_exchange_passes_without_the_defect(shop: Shop) -> None:
    """Positive control of the refusals above."""
    shop.alterer.pay_usd = Decimal(10)
    order = make_order(shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(),), most="10")
    ask_for(shop.engine, order)
    done = alter(open_bench(shop.desk, shop.alterer, rules(pay="10")), order.intent)
    assert isinstance(done, AlterationDone)
    assert isinstance(done.outcome, Altered)
    [call] = shop.alterer.calls
    assert call.most_to_pay_usd == Decimal(10), "never more than was asked for"


def test_an_unknown_payment_counts_as_paid(shop: Shop) -> None:
    execute(shop.desk, line=make_line(2), plan=PLAN, cycle=CYCLE)
    shop.read()
    shop.alterer.pay_usd = Decimal(6)
    other = next(name for name in shop.listed() if name != shop.owned)
    orders = [
        make_order(
            CommitmentId(name),
            kind=AlterationKind.EXCHANGE,
            targets=(target(f"new-{number}"),),
            number=number,
            most="1000",
        )
        for number, name in enumerate((shop.owned, other))
    ]
    bench = open_bench(shop.desk, shop.alterer, rules(pay="10"))
    shop.alterer.fault = Fault.TIMEOUT_AFTER
    ask_for(shop.engine, orders[0])
    alter(bench, orders[0].intent)
    shop.read()
    shop.alterer.fault = Fault.NONE
    ask_for(shop.engine, orders[1])
    declined = alter(bench, orders[1].intent)
    assert isinstance(declined, Declined)
    assert declined.rule == "run_pay"


def test_what_may_have_been_paid_counts_until_the_provider_says_what_was(shop: Shop) -> None:
    shop.alterer.pay_usd, shop.alterer.fault = Decimal(6), Fault.TIMEOUT_AFTER
    order = make_order(shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(),), most="1000")
    ask_for(shop.engine, order)
    alter(open_bench(shop.desk, shop.alterer, rules(pay="10")), order.intent)
    shop.read()
    with reading(shop.engine) as connection:
        (settled,) = alterations.list_alterations(connection)
    assert (settled.state, settled.pay_usd) == (AlterationState.ALTERED, Decimal("6.006"))


def test_a_partly_altered_pair_is_held_for_a_person(shop: Shop) -> None:
    execute(shop.desk, line=make_line(2), plan=PLAN, cycle=CYCLE)
    shop.read()
    names = tuple(CommitmentId(name) for name in shop.listed())
    order = make_order(*names, kind=AlterationKind.MERGE)
    ask_for(shop.engine, order)
    shop.alterer.fault = Fault.TIMEOUT_BEFORE
    alter(open_bench(shop.desk, shop.alterer), order.intent)
    shop.cloud.set_state(names[0], CommitmentState.RETIRED)
    for _ in range(3):
        shop.read()
        shop.clock.pass_time(timedelta(hours=1))
    assert altered_states(shop.engine) == [AlterationState.UNKNOWN]
    assert shop.drifts() == 1
