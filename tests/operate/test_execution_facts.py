"""What is looked at again between the decision and the purchase: rates, policy, what is sold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from service.domain.commitments import Kind, Offering
from service.domain.errors import LeaseLostError, ProviderError
from service.domain.ids import CycleId, PlanId
from service.domain.plans import Decision, Verdict
from service.domain.purchases import InventoryItem, Proposal, ProposalState, Quote
from service.domain.usage import SkuKey
from service.operate.acting import desk_of, left_over
from service.operate.demo import Demo
from service.operate.ingesting import ingest
from service.operate.once import cycle_now
from service.operate.settling import tie_loose_ends
from service.operate.situation import read_situation
from service.pipeline import Cycle, run_cycle
from service.providers.port import ProviderReader
from service.purchase.checks import judge_ahead
from service.purchase.desk import Declined, Request
from service.purchase.execute import execute_proposal
from service.purchase.propose import approve
from service.store import lease as leases
from service.store import proposals, records, schema
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.states import VerdictStage


def a_cycle(day: int = 2) -> Cycle:
    due = datetime(2026, 3, day, 6, tzinfo=UTC)
    return Cycle(CycleId(f"cycle@{due.isoformat()}"), "cycle", due)


def an_approval(demo: Demo, lease: Lease) -> Proposal:
    """A cycle's first proposal, approved."""
    run_cycle(demo.parts, a_cycle(), lease=lease)
    with writing(demo.parts.engine) as connection:
        [first, *_] = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
        now = demo.parts.clock.now()
        approve(connection, first.proposal, version=1, by="lead", comment="", now=now)
    return first


def now_of(demo: Demo, proposal: Proposal) -> ProposalState:
    with reading(demo.parts.engine) as connection:
        found = proposals.find(connection, proposal.proposal)
    assert found is not None
    return found.state


def test_an_approval_is_refused_when_a_rate_rose_though_the_quote_is_the_same(
    demo: Demo, lease: Lease
) -> None:
    approved = an_approval(demo, lease)
    paid = len(demo.cloud.snapshot().paid_by_intent)
    demo.cloud.world.change_price(approved.line.offering, Decimal("1.01"))
    tie_loose_ends(demo.parts, lease=lease)
    assert now_of(demo, approved) is ProposalState.REFUSED
    assert len(demo.cloud.snapshot().paid_by_intent) == paid


def test_an_approval_of_what_is_no_longer_sold_is_refused_and_holds_up_nothing(
    demo: Demo, lease: Lease
) -> None:
    approved = an_approval(demo, lease)
    situation = read_situation(demo.parts, inventory_read_at=demo.parts.clock.now())
    sold = situation.prices.offerings
    gone = {name: one for name, one in sold.items() if name != approved.line.offering}
    without_it = replace(
        situation,
        prices=replace(situation.prices, offerings=gone),
        on_sale=situation.on_sale - {approved.line.offering},
    )
    with reading(demo.parts.engine) as connection:
        plan = records.find_plan(connection, approved.plan)
    assert plan is not None
    desk = desk_of(demo.parts, without_it, lease, plans=[plan])
    done = execute_proposal(desk, approved.proposal)
    assert isinstance(done, Declined)
    assert done.rule == "on_sale"


def test_a_reservation_is_not_bought_on_hours_that_were_estimated_since_it_was_decided(
    demo: Demo, lease: Lease
) -> None:
    approved = an_approval(demo, lease)
    now = demo.parts.clock.now()
    situation = replace(read_situation(demo.parts, inventory_read_at=now), estimated_days=3)
    with reading(demo.parts.engine) as connection:
        plan = records.find_plan(connection, approved.plan)
    assert plan is not None
    desk = desk_of(demo.parts, situation, lease, plans=[plan])
    said = {}
    for kind in (approved.line.kind, Kind.AWS_RI_REGIONAL):
        line = replace(approved.line, kind=kind)
        request = Request(line, approved.plan, a_cycle().cycle, approved.proposal, now)
        quote = Quote(line.offering, line.quantity, line.commit_usd_per_hour, line.upfront_usd, now)
        judged = judge_ahead(desk, request, quote=quote)
        assert judged is not None
        said[kind.is_spend] = judged.verdict
    assert said[False].decision is Decision.REFUSE
    assert [one.rule for one in said[False].results] == ["estimated_hours"]
    assert "estimated_hours" not in {one.rule for one in said[True].results}


def test_a_policy_tightened_after_the_facts_were_read_is_the_one_that_counts(
    demo: Demo, lease: Lease
) -> None:
    approved = an_approval(demo, lease)
    situation = read_situation(demo.parts, inventory_read_at=demo.parts.clock.now())
    with reading(demo.parts.engine) as connection:
        plan = records.find_plan(connection, approved.plan)
    assert plan is not None
    desk = desk_of(demo.parts, situation, lease, plans=[plan])
    path = demo.parts.settings.policy_file
    path.write_text("halt: true\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    done = execute_proposal(desk, approved.proposal)
    assert isinstance(done, Declined)
    assert done.rule == "halt"


def test_a_cycle_taken_up_again_after_a_day_is_decided_anew_beside_what_it_bought(
    demo: Demo, lease: Lease
) -> None:
    plans = []
    for hours in (1, 23, 1):
        _fail_report_once(demo, lease)
        with reading(demo.parts.engine) as connection:
            plans.append(records.plan_of_cycle(connection, a_cycle().cycle))
        demo.cloud.advance(hours)
        ingest(demo.parts)
    assert plans[0] == plans[1]
    assert plans[2] != plans[0]
    assert demo.cloud.snapshot().double_purchases == 0


def _fail_report_once(demo: Demo, lease: Lease) -> None:
    """Run the cycle up to its last reading of the inventory, which fails."""
    cloud = demo.parts.cloud
    failing = replace(cloud, reader=_FailingSecond(cloud.reader))
    with pytest.raises(ProviderError):
        run_cycle(replace(demo.parts, cloud=failing), a_cycle(), lease=lease)


class _FailingSecond:
    """Reads as the real one does, but for the second inventory."""

    def __init__(self, real: ProviderReader) -> None:
        self.identity = real.identity
        self.accounts = real.accounts
        self.prices = real.prices
        self.offerings = real.offerings
        self.owned_offerings = real.owned_offerings
        self._inventory = real.inventory
        self._read = 0

    def inventory(self) -> Sequence[InventoryItem]:
        self._read += 1
        if self._read > 1:
            raise ProviderError(provider="aws", operation="read", code="down", detail="away")
        return self._inventory()


def test_a_holder_that_lost_the_lease_does_not_end_its_successors_cycle(
    demo: Demo, lease: Lease
) -> None:
    with writing(demo.parts.engine) as connection:
        leases.release(connection, lease)
        leases.acquire(connection, holder="another", lifetime=demo.parts.lease_lifetime)
    with pytest.raises(LeaseLostError):
        run_cycle(demo.parts, a_cycle(), lease=lease)
    with reading(demo.parts.engine) as connection:
        [state] = connection.execute(select(schema.cycles.c.state)).scalars()
    assert state == "started"


def test_a_cycle_on_demand_keeps_its_lease_for_longer_than_the_lease_lasts(demo: Demo) -> None:
    short = demo.parts.settings.model_copy(update={"lease_seconds": 5})
    cloud = demo.parts.cloud
    slow_cloud = replace(cloud, reader=_Slow(cloud.reader, seconds=7))
    slow = replace(demo.parts, settings=short, cloud=slow_cloud)
    assert cycle_now(slow, at=slow.clock.now())["bought"] != 0


class _Slow:
    """Reads as the real one does, and takes its time over the offerings."""

    def __init__(self, real: ProviderReader, *, seconds: float) -> None:
        self.identity = real.identity
        self.accounts = real.accounts
        self.prices = real.prices
        self.owned_offerings = real.owned_offerings
        self.inventory = real.inventory
        self._offerings = real.offerings
        self._seconds = seconds

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        time.sleep(self._seconds)
        return self._offerings(keys)


def test_a_policy_that_cannot_be_read_leaves_approvals_waiting_and_settles_the_rest(
    demo: Demo, lease: Lease
) -> None:
    approved = an_approval(demo, lease)
    path = demo.parts.settings.policy_file
    sound = path.read_text(encoding="utf-8")
    path.write_text("version: 1\nmod: autopilot\n", encoding="utf-8")
    assert "the rest waits" in tie_loose_ends(demo.parts, lease=lease)
    assert now_of(demo, approved) is ProposalState.APPROVED
    path.write_text(sound, encoding="utf-8")
    tie_loose_ends(demo.parts, lease=lease)
    assert now_of(demo, approved) is ProposalState.EXECUTED


def test_what_a_second_judgement_refused_is_not_left_over(demo: Demo, lease: Lease) -> None:
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    plan = replace(result.plan, plan=PlanId("again"), cycle=CycleId("cycle@again"))
    [line, *_] = plan.lines
    now = demo.parts.clock.now()
    with writing(demo.parts.engine) as connection:
        records.start_cycle(connection, plan.cycle, schedule="again", due_at=now, now=now)
        records.record_plan(connection, plan)
        for said in (Decision.ALLOW, Decision.REFUSE):
            verdict = Verdict(line.line, said, ())
            stage = VerdictStage.PROPOSAL
            records.record_verdict(connection, plan.plan, verdict, stage=stage, now=now)
            left = left_over(connection, plan)
            assert [one.line for one in left] == ([line.line] if said is Decision.ALLOW else [])
