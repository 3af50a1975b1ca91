"""A policy's delay, end to end against the sandbox: queued, counted, taken back, or begun."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from service.billing.market import compile_market
from service.domain.alterations import AlterationState
from service.domain.commitments import CommitmentState
from service.domain.hours import HOUR, floor_hour
from service.domain.purchases import Bought, Refused
from service.guard.context import spent_so_far
from service.operate.acting import desk_of
from service.operate.deciding import forecast_and_plan
from service.operate.demo import Demo
from service.operate.reconciling import reconcile
from service.operate.situation import Situation
from service.operate.undoing import give_back, undo
from service.pipeline import run_cycle
from service.purchase.desk import Step
from service.purchase.execute import execute_proposal
from service.purchase.resume import resume
from service.sandbox.faults import Fault, FaultKind
from service.store import alterations, demotion, holdings, intents, records
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.schema import intents as intent_rows
from tests.operate.test_cycle import CREATE, a_cycle
from tests.operate.test_execution_facts import an_approval
from tests.operate.test_undoing import facts

DELAY = timedelta(hours=72)


def delayed(demo: Demo) -> Demo:
    """The demo on autopilot with three days between decision and start; one family, to be quick."""
    path = demo.parts.settings.policy_file
    text = path.read_text(encoding="utf-8")
    text = text.replace("  lead_time_hours: 48", "  lead_time_hours: 0\n  purchase_delay_hours: 72")
    text = text.replace('families: ["*"]', "families: [r5]")
    path.write_text(text.replace("mode: copilot", "mode: autopilot"), encoding="utf-8")
    return demo


def owed_usd_per_hour(demo: Demo) -> Decimal:
    """What counts against the caps."""
    now = demo.parts.clock.now()
    with reading(demo.parts.engine) as connection:
        spent = spent_so_far(
            intents.list_intents(connection), holdings.owed(connection, now=now), now=now, run=None
        )
    return sum((one.commit_usd_per_hour for one in spent if one.live), Decimal(0))


def states(demo: Demo) -> set[str]:
    return set(demo.cloud.snapshot().states.values())


def test_a_delay_queues_what_is_bought_and_it_counts_at_once_and_discounts_from_its_start(
    demo: Demo, lease: Lease
) -> None:
    delayed(demo)
    at = demo.parts.clock.now()
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    assert result.acted.bought > 0
    assert states(demo) == {"queued"}
    with reading(demo.parts.engine) as connection:
        made = intents.list_intents(connection)
    starts = {one.order.start_at for one in made}
    assert all(one is not None and at + DELAY <= one <= at + DELAY + 2 * HOUR for one in starts)
    owed = owed_usd_per_hour(demo)
    assert owed == sum(one.line.commit_usd_per_hour for one in made) > 0
    # Listed as queued, tied to its intent, and no part of any bill yet.
    done = reconcile(demo.parts, lease=lease)
    assert done.alarms == ()
    assert {one.commitment.state for one in done.inventory} == {CommitmentState.QUEUED}
    situation = facts(demo, lease)
    data = situation.dataset(24)
    market = compile_market(data.usage, data.skus, data.offerings)
    assert len(data.commitments) == len(made)
    assert market.bill(data.commitments).total_usd == market.bill(()).total_usd
    demo.cloud.advance(80)
    assert states(demo) == {"active"}
    assert "0 regretted" in undo(demo.parts, lease=lease)


class DiedError(Exception):
    """The process died here."""


def _die_before_the_call(step: Step) -> None:
    if step is Step.INTENT_COMMITTED:
        raise DiedError


@pytest.mark.parametrize(
    ("hours", "turned", "rule"), [("96", "", "start"), ("48", "", ""), ("72", "turned", "")]
)
def test_a_delay_that_was_lengthened_since_holds_for_what_was_written_down_and_not_yet_bought(
    demo: Demo, lease: Lease, hours: str, turned: str, rule: str
) -> None:
    policy = demo.parts.settings.policy_file
    text = policy.read_text(encoding="utf-8")
    before = text.replace(
        "  lead_time_hours: 48", "  lead_time_hours: 48\n  purchase_delay_hours: 72"
    )
    policy.write_text(before, encoding="utf-8")
    approved = an_approval(demo, lease)
    with reading(demo.parts.engine) as connection:
        plan = records.find_plan(connection, approved.plan)
    assert plan is not None
    desk = desk_of(demo.parts, facts(demo, lease), lease, plans=[plan])
    with pytest.raises(DiedError):
        execute_proposal(replace(desk, reached=_die_before_the_call), approved.proposal)
    with reading(demo.parts.engine) as connection:
        (written,) = (
            one for one in intents.list_intents(connection) if one.proposal == approved.proposal
        )
    if turned:  # the hour, after the start was decided and before it was written down
        assert written.order.start_at is not None
        recorded_at = written.order.start_at - timedelta(hours=72) + timedelta(seconds=20)
        with writing(demo.parts.engine) as connection:
            connection.execute(update(intent_rows).values(recorded_at=recorded_at))
    policy.write_text(before.replace("delay_hours: 72", f"delay_hours: {hours}"), encoding="utf-8")
    (done,) = resume(desk, abandoned_after=timedelta(0))
    if rule:
        assert isinstance(done.outcome, Refused)
        assert (done.outcome.code, "its start was decided" in done.outcome.detail) == (rule, True)
    else:
        assert isinstance(done.outcome, Bought)
        (item,) = (
            one
            for one in reconcile(demo.parts, lease=lease).inventory
            if one.intent == written.order.intent
        )
        assert item.commitment.start == written.order.start_at


def test_what_is_queued_is_sized_as_if_it_had_begun(demo: Demo, lease: Lease) -> None:
    """Pitfall 48's like: sized on what discounts today, the queue would be bought again."""
    run_cycle(delayed(demo).parts, a_cycle(), lease=lease)
    demo.cloud.advance(24)
    queued = facts(demo, lease)
    assert {one.state for one in queued.commitments} == {CommitmentState.QUEUED}
    begun = tuple(
        replace(one, state=CommitmentState.ACTIVE, start=floor_hour(queued.now))
        for one in queued.commitments
    )

    def wanted(situation: Situation) -> dict[str, Decimal]:
        plan = forecast_and_plan(demo.parts, situation, a_cycle(3).cycle)
        return {line.offering: line.quantity for line in plan.lines}

    beside_queue = wanted(queued)
    assert beside_queue == wanted(replace(queued, commitments=begun))
    assert beside_queue != wanted(replace(queued, commitments=()))


def test_a_queued_purchase_goes_back_when_the_evidence_turns_before_it_starts(
    demo: Demo, lease: Lease
) -> None:
    delayed(demo)
    run_cycle(demo.parts, a_cycle(), lease=lease)
    owed = owed_usd_per_hour(demo)
    assert "0 regretted" in undo(demo.parts, lease=lease)
    assert states(demo) == {"queued"}
    give_back(demo.parts, facts(demo, lease, usage_ratio=0.02), lease=lease)
    assert "queued-deleted" in states(demo)
    with reading(demo.parts.engine) as connection:
        made = alterations.list_alterations(connection)
        assert demotion.demoted(connection) == frozenset()
    assert {one.state for one in made} == {AlterationState.ALTERED}
    assert owed_usd_per_hour(demo) < owed
    # What was deleted was no surprise, and is not bought again at the next decision.
    assert reconcile(demo.parts, lease=lease).alarms == ()
    assert demo.cloud.snapshot().double_purchases == 0


def test_a_queued_purchase_whose_answer_is_lost_is_found_by_its_tag_and_never_sent_again(
    demo: Demo, lease: Lease
) -> None:
    delayed(demo)
    demo.cloud.world.faults.add(Fault(CREATE, FaultKind.ERROR_AFTER, times=1))
    run_cycle(demo.parts, a_cycle(), lease=lease)
    reconcile(demo.parts, lease=lease)
    snapshot = demo.cloud.snapshot()
    assert snapshot.double_purchases == 0
    with reading(demo.parts.engine) as connection:
        made = intents.list_intents(connection)
    assert {one.state.value for one in made} == {"bought"}
    assert len(made) == len(snapshot.states)
