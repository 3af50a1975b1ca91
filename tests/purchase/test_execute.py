"""One purchase: what is checked, in which order it is written, and what stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.errors import InvariantError, LeaseLostError, ProviderError
from service.domain.ids import AccountId
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import (
    Bought,
    IntentState,
    Outcome,
    PurchaseOrder,
    Quote,
    Refused,
    Unknown,
)
from service.providers.port import Identity, StillWanted, always_wanted
from service.purchase.desk import Declined, Desk, Executed, Facts, Step
from service.purchase.execute import execute
from service.purchase.resume import resume
from service.store import intents, records
from service.store.engine import reading, writing
from service.store.halt import set_halt
from service.store.states import VerdictStage
from tests.purchase.cloud import Fault, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    HandClock,
    allow,
    always,
    kinds,
    let_lease_run_out,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
)

LINE = make_line()


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


def buy(desk: Desk, number: int = 1) -> Executed | Declined:
    return execute(desk, line=make_line(number), plan=PLAN, cycle=CYCLE)


def test_a_line_becomes_one_commitment_and_the_ledger_tells_the_steps(
    desk: Desk, cloud: FileCloud
) -> None:
    done = buy(desk)
    [sale] = cloud.sales()
    assert done == Executed(sale.intent, Bought(sale.commitment))
    assert states(desk.engine) == [IntentState.BOUGHT]
    assert kinds(desk.engine) == ["purchase.intent_recorded", "purchase.called", "purchase.bought"]
    with reading(desk.engine) as connection:
        [spoken] = records.verdicts_of(connection, PLAN, stage=VerdictStage.EXECUTION)
        found = intents.find(connection, sale.intent)
    assert spoken.decision is Decision.ALLOW
    assert found is not None
    assert (found.order.token, found.line) == (sale.token, LINE)


def test_buying_the_same_line_again_answers_with_the_first_purchase(
    desk: Desk, cloud: FileCloud
) -> None:
    first = buy(desk)
    assert buy(desk) == first
    assert len(cloud.calls()) == 1


def test_the_intent_is_in_the_database_before_the_provider_is_called(
    desk: Desk, cloud: FileCloud
) -> None:
    seen = {}

    def look(step: Step) -> None:
        seen[step] = (states(desk.engine), len(cloud.calls()))

    buy(replace(desk, reached=look))
    assert seen == {
        Step.CHECKED: ([], 0),
        Step.INTENT_COMMITTED: ([IntentState.RECORDED], 0),
        Step.CALLING_COMMITTED: ([IntentState.CALLING], 0),
        Step.ABOUT_TO_CALL: ([IntentState.CALLING], 0),
        Step.ANSWERED: ([IntentState.CALLING], 1),
        Step.OUTCOME_COMMITTED: ([IntentState.BOUGHT], 1),
    }


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault.REFUSE, IntentState.REFUSED),
        (Fault.TIMEOUT_BEFORE, IntentState.UNKNOWN),
        (Fault.TIMEOUT_AFTER, IntentState.UNKNOWN),
        (Fault.ERROR_AFTER, IntentState.UNKNOWN),
    ],
)
def test_only_a_proven_no_is_a_refusal(
    desk: Desk, cloud: FileCloud, fault: Fault, state: IntentState
) -> None:
    cloud.fault = fault
    buy(desk)
    assert states(desk.engine) == [state]


def test_an_open_outcome_stops_all_further_purchases_in_its_account(
    desk: Desk, cloud: FileCloud
) -> None:
    cloud.fault = Fault.TIMEOUT_AFTER
    buy(desk)
    cloud.fault = Fault.NONE
    declined = buy(desk, 2)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == ("open_unknown", False)
    assert len(cloud.calls()) == 1


@pytest.mark.parametrize(
    ("decision", "rule"),
    [(Decision.REFUSE, "always"), (Decision.NEEDS_SIGN_OFF, "always")],
)
def test_without_a_person_only_a_plain_yes_of_the_guard_buys(
    desk: Desk, cloud: FileCloud, decision: Decision, rule: str
) -> None:
    declined = buy(replace(desk, judge=always(decision)))
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == (rule, True)
    assert cloud.calls() == []
    assert kinds(desk.engine) == ["plan.line_refused"]


@pytest.mark.parametrize(("rate", "calls"), [("1.0009", 1), ("1.0011", 0), ("0.5", 1)])
def test_a_price_above_the_tolerance_is_not_paid(
    desk: Desk, cloud: FileCloud, rate: str, calls: int
) -> None:
    cloud.rate = Decimal(rate)
    done = buy(desk)
    assert len(cloud.calls()) == calls
    if not calls:
        assert isinstance(done, Declined)
        assert done.rule == "price_moved"


def test_the_guard_is_asked_about_the_price_of_now(desk: Desk, cloud: FileCloud) -> None:
    cloud.rate = Decimal("0.5")
    asked = []

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        asked.append((line.commit_usd_per_hour, line.expected_savings_usd_per_hour))
        return allow(line, facts)

    buy(replace(desk, judge=judge))
    assert asked == [(Decimal("0.5"), Decimal("0.75"))]


class Elsewhere(FileCloud):
    """Credentials of another account."""

    def identity(self) -> Identity:
        return Identity("aws", AccountId("999999999999"), "stranger")


class Silent(FileCloud):
    """A provider that does not say who we are."""

    def identity(self) -> Identity:
        raise ProviderError(provider="aws", operation="identity", code="Expired", detail="token")


class Priceless(FileCloud):
    """A provider that quotes nothing."""

    def quote(self, order: PurchaseOrder) -> Quote:
        del order
        raise ProviderError(provider="aws", operation="quote", code="Throttled", detail="later")


@pytest.mark.parametrize(
    ("kind", "rule"), [(Elsewhere, "identity"), (Silent, "identity"), (Priceless, "no_quote")]
)
def test_buys_nothing_when_the_provider_does_not_answer_or_is_not_ours(
    desk: Desk, tmp_path: Path, clock: HandClock, kind: type[FileCloud], rule: str
) -> None:
    other = kind(tmp_path / "other.db", clock)
    declined = buy(replace(desk, reader=other, buyer=other))
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == (rule, False)
    assert other.calls() == []
    assert states(desk.engine) == []


def at(step: Step, act: Callable[[], object]) -> Callable[[Step], None]:
    def reached(now: Step) -> None:
        if now is step:
            act()

    return reached


def halt(desk: Desk) -> None:
    with writing(desk.engine) as connection:
        set_halt(connection, halted=True, by="ops", reason="stop", now=START)


def test_buys_nothing_while_halted_and_goes_on_afterwards(desk: Desk, cloud: FileCloud) -> None:
    halt(desk)
    declined = buy(desk)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == ("halt", False)
    with writing(desk.engine) as connection:
        set_halt(connection, halted=False, by="ops", reason="fine", now=START)
    buy(desk)
    assert len(cloud.sales()) == 1


@pytest.mark.parametrize("step", [Step.INTENT_COMMITTED, Step.CALLING_COMMITTED])
def test_a_halt_between_intent_and_call_stops_the_call(
    desk: Desk, cloud: FileCloud, step: Step
) -> None:
    done = buy(replace(desk, reached=at(step, lambda: halt(desk))))
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Refused)
    assert cloud.calls() == []
    assert states(desk.engine) == [IntentState.REFUSED]


def hand_over(desk: Desk) -> Desk:
    let_lease_run_out(desk.engine)
    return replace(desk, lease=take_lease(desk.engine, "second"))


def test_a_process_that_paused_past_its_lease_writes_no_intent(
    desk: Desk, cloud: FileCloud
) -> None:
    with pytest.raises(LeaseLostError):
        buy(replace(desk, reached=at(Step.CHECKED, lambda: hand_over(desk))))
    assert states(desk.engine) == []
    assert cloud.calls() == []


def test_a_process_that_loses_the_lease_after_marking_the_call_does_not_call(
    desk: Desk, cloud: FileCloud
) -> None:
    with pytest.raises(LeaseLostError):
        buy(replace(desk, reached=at(Step.CALLING_COMMITTED, lambda: hand_over(desk))))
    assert cloud.calls() == []
    assert states(desk.engine) == [IntentState.CALLING]


@pytest.mark.parametrize(
    ("by", "step"),
    [
        ("switch", Step.ABOUT_TO_CALL),
        ("policy", Step.ABOUT_TO_CALL),
        ("policy", Step.INTENT_COMMITTED),
        ("policy", Step.CALLING_COMMITTED),
        ("lease", Step.ABOUT_TO_CALL),
    ],
)
def test_what_stops_buying_is_seen_at_every_step_up_to_the_request(
    desk: Desk, cloud: FileCloud, by: str, step: Step
) -> None:
    policy: list[bool] = []

    def stop() -> None:
        if by == "switch":
            with writing(desk.engine) as connection:
                set_halt(connection, halted=True, by="ana", reason="stop", now=START)
        elif by == "policy":
            policy.append(True)
        else:
            let_lease_run_out(desk.engine)

    done = buy(replace(desk, policy_halts=lambda: bool(policy), reached=at(step, stop)))
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Refused)
    assert done.outcome.code == ("lease" if by == "lease" else "halt")
    assert cloud.sales() == []
    assert states(desk.engine) == [IntentState.REFUSED]


def test_a_late_answer_moves_nothing_and_is_kept_as_evidence(desk: Desk, cloud: FileCloud) -> None:
    def take_over() -> None:
        [settled] = resume(hand_over(desk))
        assert isinstance(settled.outcome, Unknown)

    buy(replace(desk, reached=at(Step.ANSWERED, take_over)))
    [sale] = cloud.sales()
    with reading(desk.engine) as connection:
        found = intents.find(connection, sale.intent)
    assert found is not None
    assert (found.state, found.commitment) == (IntentState.UNKNOWN, sale.commitment)


class Broken(FileCloud):
    """An adapter that raises after the effect, against its contract."""

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        super().buy(order, still_wanted=still_wanted)
        msg = "a bug"
        raise RuntimeError(msg)


def test_an_adapter_that_raises_leaves_an_unknown_outcome_behind(
    desk: Desk, tmp_path: Path, clock: HandClock
) -> None:
    broken = Broken(tmp_path / "broken.db", clock)
    with pytest.raises(RuntimeError):
        buy(replace(desk, reader=broken, buyer=broken))
    assert states(desk.engine) == [IntentState.UNKNOWN]


class Confused(FileCloud):
    """A provider that answers every purchase with the first commitment."""

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        super().buy(order, still_wanted=still_wanted)
        return Bought(self.sales()[0].commitment)


def test_an_answer_that_names_another_intents_commitment_proves_nothing(
    desk: Desk, tmp_path: Path, clock: HandClock
) -> None:
    confused = Confused(tmp_path / "confused.db", clock)
    desk = replace(desk, reader=confused, buyer=confused)
    buy(desk)
    buy(desk, 2)
    assert sorted(states(desk.engine)) == [IntentState.BOUGHT, IntentState.UNKNOWN]


def test_a_verdict_on_another_line_is_a_contradiction(desk: Desk) -> None:
    def judge(line: PlanLine, facts: Facts) -> Verdict:
        del line
        return allow(make_line(2), facts)

    with pytest.raises(InvariantError):
        buy(replace(desk, judge=judge))
    assert states(desk.engine) == []


def test_an_intent_that_lost_its_thread_is_taken_up_by_the_same_holder(
    desk: Desk, cloud: FileCloud, clock: HandClock
) -> None:
    class Stop(Exception):  # noqa: N818 - not an error, a way out
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        buy(replace(desk, reached=at(Step.INTENT_COMMITTED, stop)))
    assert resume(desk) == ()
    clock.pass_time(timedelta(minutes=16))
    [done] = resume(desk)
    assert isinstance(done.outcome, Bought)
    assert [call[0] for call in cloud.calls()] == [done.intent]


def test_a_recorded_intent_is_refused_when_the_guard_now_says_no(desk: Desk) -> None:
    class Stop(Exception):  # noqa: N818
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        buy(replace(desk, reached=at(Step.INTENT_COMMITTED, stop)))
    [done] = resume(replace(hand_over(desk), judge=always(Decision.REFUSE)))
    assert isinstance(done.outcome, Refused)
    assert states(desk.engine) == [IntentState.REFUSED]
