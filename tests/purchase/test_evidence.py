"""References stored before the call, look-ups, facts that are missing, words of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId, OfferingId
from service.domain.plans import Decision, PlanLine, RuleResult, Verdict
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    Idempotency,
    IntentState,
    InventoryItem,
    Outcome,
    PurchaseOrder,
    Quote,
    Refused,
    Unknown,
)
from service.providers.port import StillWanted, always_wanted
from service.purchase.checks import NO_FACTS
from service.purchase.desk import Declined, Desk, Executed, Facts, Step
from service.purchase.execute import execute
from service.purchase.resume import RECORDED_FOR, resume
from service.reconcile.findings import SettledBought, StillUnknown
from service.reconcile.settle import Reconciliation, reconcile
from service.store import holdings, intents, records
from service.store.engine import reading, writing
from service.store.states import VerdictStage
from tests.purchase.cloud import PROVIDER, Fault, FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    allow,
    always,
    let_lease_run_out,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
)


class TwoStep(FileCloud):
    """Its quote mints the id that the purchase will have; it can be looked up by it."""

    quotes = 0
    silent = False
    answers: Evidence | None = None

    def quote(self, order: PurchaseOrder) -> Quote:
        self.quotes += 1
        return replace(super().quote(order), reference=f"order-{self.quotes}")

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        assert order.reference is not None
        return super().buy(order, still_wanted=still_wanted)

    def inventory(self) -> list[InventoryItem]:
        return [] if self.silent else list(super().inventory())

    def look_up(self, order: PurchaseOrder) -> Evidence:
        if self.answers is None:
            raise ProviderError(provider="aws", operation="get", code="Throttled", detail="later")
        return replace(self.answers) if order.reference else Unknown("no reference")


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


def buy(desk: Desk) -> Executed | Declined:
    return execute(desk, line=make_line(), plan=PLAN, cycle=CYCLE)


def kept_reference(desk: Desk) -> str | None:
    with reading(desk.engine) as connection:
        [one] = intents.list_intents(connection)
    return one.order.reference


def look(desk: Desk, cloud: FileCloud, clock: HandClock, *, hours: float = 0) -> Reconciliation:
    clock.pass_time(timedelta(hours=hours))
    return reconcile(
        provider=PROVIDER,
        engine=desk.engine,
        reader=cloud,
        buyer=cloud,
        clock=clock,
        held=desk.lease,
        grace=timedelta(hours=1),
        finder=cloud if isinstance(cloud, TwoStep) else None,
    )


class Stop(BaseException):
    pass


def stopping(at: Step) -> Callable[[Step], None]:
    def reached(now: Step) -> None:
        if now is at:
            raise Stop

    return reached


def leave_recorded(desk: Desk) -> Desk:
    """An intent that was written and never called; the desk of the process after it."""
    with pytest.raises(Stop):
        buy(replace(desk, reached=stopping(Step.INTENT_COMMITTED)))
    let_lease_run_out(desk.engine)
    return replace(desk, lease=take_lease(desk.engine, "second"))


def test_the_reference_is_on_disk_before_the_call(desk: Desk) -> None:
    seen = {}

    def reached(step: Step) -> None:
        if step is Step.INTENT_COMMITTED:
            seen[step] = kept_reference(desk)

    buy(replace(desk, reached=reached))
    assert seen == {Step.INTENT_COMMITTED: "order-1"}


def test_a_resumed_intent_stores_the_new_quotes_reference_before_it_calls(
    desk: Desk, cloud: TwoStep
) -> None:
    successor = leave_recorded(desk)
    seen = []

    def reached(step: Step) -> None:
        if step is Step.CALLING_COMMITTED:
            seen.append((kept_reference(desk), len(cloud.calls())))

    [done] = resume(replace(successor, reached=reached))
    assert isinstance(done.outcome, Bought)
    assert seen == [("order-2", 0)]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Bought(CommitmentId("sp-1")), IntentState.BOUGHT),
        (Refused("Failed", "payment"), IntentState.REFUSED),
        (Unknown("PendingBilling"), IntentState.UNKNOWN),
        (Absent("not found"), IntentState.UNKNOWN),
        (None, IntentState.UNKNOWN),
    ],
)
def test_a_look_up_settles_on_proof_only(
    desk: Desk, cloud: TwoStep, clock: HandClock, answer: Evidence | None, state: IntentState
) -> None:
    cloud.fault, cloud.silent, cloud.answers = Fault.TIMEOUT_AFTER, True, answer
    buy(desk)
    look(desk, cloud, clock)
    assert states(desk.engine) == [state]


def test_a_look_up_that_fails_is_not_a_not_found(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    cloud.fault, cloud.silent = Fault.TIMEOUT_AFTER, True
    buy(desk)
    look(desk, cloud, clock, hours=5)
    assert states(desk.engine) == [IntentState.UNKNOWN]
    cloud.answers = Absent("not found")
    look(desk, cloud, clock)
    assert states(desk.engine) == [IntentState.REFUSED]


def test_what_the_provider_says_is_going_on_is_never_written_off_and_alarms_after_the_grace(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    cloud.fault, cloud.silent = Fault.TIMEOUT_AFTER, True
    buy(desk)
    cloud.answers = Unknown("order order-1 is PendingBilling")
    [early] = look(desk, cloud, clock, hours=0).findings
    [late] = look(desk, cloud, clock, hours=5).findings
    assert isinstance(early, StillUnknown)
    assert isinstance(late, StillUnknown)
    assert (early.alarming, late.alarming) == (False, True)
    assert states(desk.engine) == [IntentState.UNKNOWN]


def test_a_purchase_that_cannot_be_asked_for_alarms_after_the_grace(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    cloud.fault, cloud.silent = Fault.TIMEOUT_AFTER, True
    buy(desk)
    [early] = look(desk, cloud, clock, hours=0).findings
    [late] = look(desk, cloud, clock, hours=5).findings
    assert isinstance(early, StillUnknown)
    assert isinstance(late, StillUnknown)
    assert (early.alarming, late.alarming) == (False, True)


def the_order(desk: Desk) -> PurchaseOrder:
    with reading(desk.engine) as connection:
        [one] = intents.list_intents(connection)
    return one.order


def test_a_log_whose_tail_was_lost_buys_nothing_again(
    desk: Desk, cloud: TwoStep, clock: HandClock
) -> None:
    successor = leave_recorded(desk)
    # The call and its answer were in what was lost; the purchase carries the intent's tag.
    sold = cloud.sell_to_somebody(the_order(desk))
    cloud.answers = Absent("nobody asked")
    done = look(successor, cloud, clock)
    [alarm] = done.alarms
    assert isinstance(alarm, SettledBought)
    assert alarm.item.commitment.commitment == sold
    assert states(desk.engine) == [IntentState.BOUGHT]
    assert resume(successor) == ()
    assert cloud.calls() == []


def test_what_the_mirror_already_shows_of_a_recorded_intent_is_not_called_for(
    desk: Desk, cloud: TwoStep
) -> None:
    successor = leave_recorded(desk)
    cloud.sell_to_somebody(the_order(desk))
    with writing(desk.engine) as connection:
        for item in cloud.inventory():
            holdings.keep(connection, PROVIDER, item, now=desk.clock.now())
    assert resume(successor) == ()
    assert states(desk.engine) == [IntentState.RECORDED]
    assert cloud.calls() == []


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "another offering"])
def test_without_a_tag_the_like_of_a_recorded_intent_is_held_for_a_person(
    engine: Engine, tmp_path: Path, clock: HandClock, *, alike: bool
) -> None:
    store_plan(engine, make_line(), make_line(2))
    cloud = FileCloud(tmp_path / "untagged.db", clock, tagged=False, idempotency=Idempotency.LOOKUP)
    first = open_desk(engine, cloud, take_lease(engine, "first"), clock)
    successor = leave_recorded(first)
    order = the_order(first)
    cloud.sell_to_somebody(order if alike else replace(order, offering=OfferingId("compute-2")))
    held = [one for one in look(successor, cloud, clock).alarms if isinstance(one, StillUnknown)]
    resumed = resume(successor)
    assert (len(held), len(resumed), len(cloud.calls())) == ((1, 0, 0) if alike else (0, 1, 1))


def missing_facts(line: PlanLine, facts: Facts) -> Verdict:
    del facts
    result = RuleResult(NO_FACTS, Decision.REFUSE, "known", "not known", "usage is missing")
    return Verdict(line.line, Decision.REFUSE, (result,))


def test_while_facts_are_missing_a_recorded_intent_waits_and_then_is_bought(desk: Desk) -> None:
    successor = leave_recorded(desk)
    later = timedelta(hours=1)
    for _ in range(3):
        assert resume(replace(successor, judge=missing_facts), abandoned_after=later) == ()
    assert states(desk.engine) == [IntentState.RECORDED]
    [done] = resume(successor)
    assert isinstance(done.outcome, Bought)


def test_a_recorded_intent_whose_day_is_over_is_refused(desk: Desk, clock: HandClock) -> None:
    successor = leave_recorded(desk)
    clock.pass_time(RECORDED_FOR)
    [done] = resume(replace(successor, judge=missing_facts))
    assert done.outcome == Refused("too_late", "it was decided at 2026-03-02T12:00:00Z")


def test_a_price_that_moved_is_the_lines_last_word(desk: Desk, cloud: TwoStep) -> None:
    cloud.rate = Decimal(2)
    declined = buy(desk)
    assert isinstance(declined, Declined)
    with reading(desk.engine) as connection:
        [word] = records.verdicts_of(connection, PLAN, stage=VerdictStage.EXECUTION)
    assert [one.rule for one in word.results] == ["price_moved"]


def test_facts_that_change_under_the_guard_are_judged_again(desk: Desk) -> None:
    asked = []

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        asked.append(len(facts.intents))
        if len(asked) == 1:
            execute(replace(desk, judge=allow), line=make_line(2), plan=PLAN, cycle=CYCLE)
        return allow(line, facts)

    buy(replace(desk, judge=judge))
    assert asked == [0, 1]
    assert states(desk.engine) == [IntentState.BOUGHT, IntentState.BOUGHT]


def test_a_policy_that_changes_under_the_guard_is_judged_again(desk: Desk) -> None:
    digests = iter(["old", "new", "new", "new"])
    asked = []

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        asked.append(line.line)
        return (allow if len(asked) == 1 else always(Decision.REFUSE))(line, facts)

    declined = buy(replace(desk, judge=judge, policy_digest=lambda: next(digests)))
    assert isinstance(declined, Declined)
    assert len(asked) == 2
    assert states(desk.engine) == []


def test_facts_that_never_stand_still_buy_nothing(desk: Desk) -> None:
    count = iter(range(1_000))
    declined = buy(replace(desk, policy_digest=lambda: str(next(count))))
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == ("contended", False)


def test_no_transaction_is_open_while_the_guard_thinks(desk: Desk) -> None:
    """Another writer is not kept waiting: on SQLite it would wait for ever."""

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        with writing(desk.engine) as connection:
            intents.open_scopes(connection)
        return allow(line, facts)

    assert isinstance(buy(replace(desk, judge=judge)), Executed)
