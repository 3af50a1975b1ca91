"""One cycle through all seven stages against the sandbox, with the real SDK over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from service.clouds import Cloud
from service.domain.commitments import CommitmentState
from service.domain.errors import RefusedError
from service.domain.ids import CycleId
from service.domain.plans import Decision
from service.domain.purchases import IntentState, ProposalState, Quote
from service.domain.purchases import PurchaseOrder as Order
from service.notify.alerts import AlertKind
from service.operate.deciding import forecast_and_plan
from service.operate.demo import Demo
from service.operate.once import cycle_now
from service.operate.settling import tie_loose_ends
from service.operate.situation import read_situation
from service.pipeline import Cycle, run_cycle
from service.providers.port import ProviderBuyer
from service.purchase.propose import approve
from service.sandbox.faults import Fault, FaultKind
from service.store import alerts, holdings, intents, ledger, proposals, records
from service.store import lease as leases
from service.store.engine import reading, writing
from service.store.halt import set_halt
from service.store.lease import Lease
from service.store.states import VerdictStage

CREATE = "savingsplans.CreateSavingsPlan"


def a_cycle(day: int = 2) -> Cycle:
    due = datetime(2026, 3, day, 6, tzinfo=UTC)
    return Cycle(CycleId(f"cycle@{due.isoformat()}"), "cycle", due)


def bought(demo: Demo) -> int:
    with reading(demo.parts.engine) as connection:
        return len(intents.list_intents(connection, states=(IntentState.BOUGHT,)))


def test_a_cycle_buys_once_what_the_policy_allows_and_proposes_the_rest(
    demo: Demo, lease: Lease
) -> None:
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    snapshot = demo.cloud.snapshot()
    assert result.acted.bought == bought(demo) == len(snapshot.paid_by_intent) > 0
    assert result.acted.proposed > 0
    assert snapshot.double_purchases == 0
    with reading(demo.parts.engine) as connection:
        waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
        assert {one.line.region for one in waiting} == {"eu-west-1"}
        assert ledger.verify(connection) > 0


def test_the_ledger_lists_what_the_cloud_sold_and_activation_is_seen(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    demo.cloud.advance(2)
    tie_loose_ends(demo.parts, lease=lease)
    with reading(demo.parts.engine) as connection:
        listed = holdings.inventory(connection, provider="aws")
    active = [one for one in listed if one.commitment.state is CommitmentState.ACTIVE]
    assert len(active) == demo.cloud.snapshot().commitments_active == bought(demo)


def test_the_next_cycle_counts_what_is_owned_and_buys_less(demo: Demo, lease: Lease) -> None:
    first = run_cycle(demo.parts, a_cycle(2), lease=lease)
    second = run_cycle(demo.parts, a_cycle(3), lease=lease)
    spent = [
        sum((line.commit_usd_per_hour for line in plan.lines), Decimal(0))
        for plan in (first.plan, second.plan)
    ]
    assert spent[1] < spent[0]


def test_a_cycle_that_was_interrupted_goes_on_with_the_plan_it_had(
    demo: Demo, lease: Lease
) -> None:
    dying = replace(demo.parts, cloud=_dying_after(demo, quotes=2))
    with pytest.raises(KeyboardInterrupt):
        run_cycle(dying, a_cycle(), lease=lease)
    before = bought(demo)
    with reading(demo.parts.engine) as connection:
        kept = records.plan_of_cycle(connection, a_cycle().cycle)
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    snapshot = demo.cloud.snapshot()
    assert kept is not None
    assert result.plan == kept
    assert before == 2
    assert bought(demo) == len(snapshot.paid_by_intent) > before
    assert snapshot.double_purchases == 0


class _DyingBuyer:
    """Buys as the real one does, and is killed before a quote, as a process may be."""

    def __init__(self, real: ProviderBuyer, quotes: int) -> None:
        self._left = quotes
        self.idempotency = real.idempotency
        self.buy = real.buy
        self._quote = real.quote

    def quote(self, order: Order) -> Quote:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return self._quote(order)


def _dying_after(demo: Demo, *, quotes: int) -> Cloud:
    cloud = demo.parts.cloud
    return replace(cloud, buyer=_DyingBuyer(cloud.buyer, quotes))


def test_an_answer_that_was_lost_is_settled_by_the_inventory_at_once(
    demo: Demo, lease: Lease
) -> None:
    demo.cloud.world.faults.add(Fault(CREATE, FaultKind.ERROR_AFTER))
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    assert result.acted.unknown == 1
    assert bought(demo) == result.acted.bought + 1
    assert demo.cloud.snapshot().double_purchases == 0


def test_while_an_outcome_is_unknown_nothing_more_is_bought_and_then_the_rest_is(
    demo: Demo, lease: Lease
) -> None:
    faults = demo.cloud.world.faults
    faults.add(Fault(CREATE, FaultKind.ERROR_AFTER))
    faults.add(Fault(CREATE, FaultKind.LISTING_LAG, lag_hours=3))
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    assert (result.acted.bought, result.acted.unknown) == (0, 1)
    assert result.acted.declined > 0
    demo.cloud.advance(4)
    tie_loose_ends(demo.parts, lease=lease)
    snapshot = demo.cloud.snapshot()
    assert bought(demo) == len(snapshot.paid_by_intent) == 1 + result.acted.declined
    assert snapshot.double_purchases == 0


def test_halt_stops_a_cycle_from_buying_and_proposing(demo: Demo, lease: Lease) -> None:
    with writing(demo.parts.engine) as connection:
        set_halt(connection, halted=True, by="ops", reason="drill", now=demo.parts.clock.now())
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    assert (result.acted.bought, result.acted.proposed) == (0, 0)
    assert result.acted.refused == len(result.plan.lines) > 0
    assert demo.cloud.snapshot().paid_by_intent == {}


def test_observe_decides_and_records_and_buys_nothing(demo: Demo, lease: Lease) -> None:
    _rewrite_policy(demo, "mode: autopilot", "mode: observe")
    _rewrite_policy(demo, "mode: copilot", "mode: observe")
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    assert len(result.plan.lines) > 0
    assert (result.acted.bought, result.acted.proposed) == (0, 0)
    with reading(demo.parts.engine) as connection:
        said = records.verdicts_of(connection, result.plan.plan, stage=VerdictStage.PROPOSAL)
    assert {one.decision for one in said} == {Decision.REFUSE}
    assert demo.cloud.snapshot().paid_by_intent == {}


def test_caps_hold_over_a_whole_run(demo: Demo, lease: Lease) -> None:
    _rewrite_policy(demo, "per_run: {commit_usd_per_hour: 60,", "per_run: {commit_usd_per_hour: 5,")
    run_cycle(demo.parts, a_cycle(), lease=lease)
    demo.cloud.advance(2)
    assert 0 < demo.cloud.snapshot().committed_usd_per_hour <= 5


def test_an_approved_proposal_is_bought_by_the_next_reconciliation(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    before = bought(demo)
    with writing(demo.parts.engine) as connection:
        waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
        approve(
            connection,
            waiting[0].proposal,
            version=1,
            by="lead",
            comment="fine",
            now=demo.parts.clock.now(),
        )
    tie_loose_ends(demo.parts, lease=lease)
    assert bought(demo) == before + 1
    with reading(demo.parts.engine) as connection:
        done = proposals.find(connection, waiting[0].proposal)
    assert done is not None
    assert done.state is ProposalState.EXECUTED


def test_an_approval_is_guarded_again_when_the_policy_was_tightened_since(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    before = bought(demo)
    with writing(demo.parts.engine) as connection:
        waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
        now = demo.parts.clock.now()
        approve(connection, waiting[0].proposal, version=1, by="lead", comment="", now=now)
    _rewrite_policy(demo, "min_saving_ratio: 0.08", "min_saving_ratio: 0.95")
    tie_loose_ends(demo.parts, lease=lease)
    assert bought(demo) == before
    with reading(demo.parts.engine) as connection:
        done = proposals.find(connection, waiting[0].proposal)
    assert done is not None
    assert done.state is ProposalState.REFUSED


def test_stale_usage_is_refused_before_anything_is_decided(demo: Demo) -> None:
    demo.cloud.world.advance(24 * 10)
    with pytest.raises(RefusedError, match="data_age"):
        read_situation(demo.parts, inventory_read_at=demo.parts.clock.now())


def test_a_cycle_on_demand_waits_for_nobody_and_yields_to_the_executor(demo: Demo) -> None:
    first = cycle_now(demo.parts, at=demo.parts.clock.now())
    assert first["bought"] == bought(demo)
    other = replace(demo.parts, holder="another process")
    with writing(demo.parts.engine) as connection:
        leases.acquire(connection, holder="daemon", lifetime=demo.parts.lease_lifetime)
    with pytest.raises(RefusedError, match="daemon is the executor"):
        cycle_now(other, at=other.clock.now())


def test_a_cycle_on_demand_that_fails_is_told_like_any_other(demo: Demo) -> None:
    demo.cloud.world.advance(24 * 10)
    broken = demo.parts.settings.model_copy(update={"exports": Path("nowhere")})
    clouds = tuple(replace(cloud, exports=None) for cloud in demo.parts.clouds)
    parts = replace(demo.parts, settings=broken, clouds=clouds, cloud=clouds[0])
    with pytest.raises(RefusedError, match="data_age"):
        cycle_now(parts, at=parts.clock.now())
    with reading(parts.engine) as connection:
        told = {one.kind for one in alerts.list_alerts(connection, limit=100)}
        assert leases.current(connection) is None
    assert AlertKind.CYCLE_FAILED.value in told


def test_the_same_facts_give_the_identical_plan(demo: Demo) -> None:
    situation = read_situation(demo.parts, inventory_read_at=demo.parts.clock.now())
    plans = [forecast_and_plan(demo.parts, situation, CycleId("cycle@same")) for _ in range(2)]
    assert plans[0] == plans[1]


def _rewrite_policy(demo: Demo, old: str, new: str) -> None:
    path = demo.parts.settings.policy_file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
