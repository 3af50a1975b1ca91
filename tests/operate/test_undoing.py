"""What was bought a few days ago is given back when the newest evidence no longer speaks for it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from service.domain.alterations import AlterationState
from service.domain.ids import IntentId, PlanId
from service.observe.events import UndoNotJudged
from service.operate.demo import Demo
from service.operate.guarding import context_of
from service.operate.pending import without
from service.operate.reconciling import reconcile
from service.operate.replaying import saving_usd_per_hour
from service.operate.settling import tie_loose_ends
from service.operate.situation import Situation, read_situation
from service.operate.undoing import give_back, undo
from service.pipeline import run_cycle
from service.purchase.written_alterations import approve_alteration
from service.store import alterations, demotion, holdings, intents, ledger
from service.store.engine import reading, writing
from service.store.lease import Lease
from tests.operate.test_cycle import a_cycle


def facts(demo: Demo, lease: Lease, *, usage_ratio: float = 1.0) -> Situation:
    """The facts of now, with usage fallen to ``usage_ratio`` of what it was."""
    done = reconcile(demo.parts, lease=lease)
    situation = read_situation(demo.parts, inventory_read_at=done.read_at)
    usage = situation.usage
    return replace(situation, usage=replace(usage, quantity=usage.quantity * usage_ratio))


def asked(demo: Demo) -> list[AlterationState]:
    with reading(demo.parts.engine) as connection:
        return [one.state for one in alterations.list_alterations(connection)]


def states(demo: Demo) -> list[str]:
    return sorted(demo.cloud.snapshot().states.values())


def test_purchases_stay_while_the_evidence_stands_and_go_back_when_it_has_turned(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    demo.cloud.advance(2)
    bought = states(demo)
    assert set(bought) == {"active"}
    assert "0 regretted" in undo(demo.parts, lease=lease)
    assert states(demo) == bought
    give_back(demo.parts, facts(demo, lease, usage_ratio=0.02), lease=lease)
    with reading(demo.parts.engine) as connection:
        made = alterations.list_alterations(connection)
    done = [one for one in made if one.state is AlterationState.ALTERED]
    # One a day; the others wait, and are judged again tomorrow.
    assert {one.state for one in made if one not in done} <= {AlterationState.WAITING}
    assert len(done) == states(demo).count("pending-return") == 1
    with reading(demo.parts.engine) as connection:
        assert demotion.demoted(connection) == frozenset()


def test_a_copilot_asks_first_and_withdraws_what_the_evidence_takes_back(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    demo.cloud.advance(2)
    with writing(demo.parts.engine) as connection:
        demotion.demote(connection, "aws", rule="drift", detail="", now=demo.parts.clock.now())
    give_back(demo.parts, facts(demo, lease, usage_ratio=0.02), lease=lease)
    assert set(asked(demo)) == {AlterationState.WAITING}
    assert set(states(demo)) == {"active"}
    give_back(demo.parts, facts(demo, lease), lease=lease)
    assert set(asked(demo)) == {AlterationState.WITHDRAWN}


def approved_return(demo: Demo, lease: Lease) -> IntentId:
    """A return that the check asked for on fallen usage, and that a person said yes to."""
    bought_for_a_while(demo, lease)
    now = demo.parts.clock.now()
    with writing(demo.parts.engine) as connection:
        demotion.demote(connection, "aws", rule="drift", detail="", now=now)
    give_back(demo.parts, facts(demo, lease, usage_ratio=0.02), lease=lease)
    with writing(demo.parts.engine) as connection:
        one = alterations.list_alterations(connection)[0]
        obstacle = approve_alteration(
            connection,
            one.order.intent,
            version=one.version,
            by="ana",
            comment="",
            now=demo.parts.clock.now(),
        )
    assert obstacle is None
    return one.order.intent


def state_of(demo: Demo, intent: IntentId) -> AlterationState:
    with reading(demo.parts.engine) as connection:
        found = alterations.find(connection, intent)
    assert found is not None
    return found.state


def test_an_approved_return_is_judged_again_before_it_is_done(demo: Demo, lease: Lease) -> None:
    approved = approved_return(demo, lease)
    policy = demo.parts.settings.policy_file
    text = policy.read_text("utf-8")
    stale = policy.with_name("stale.yaml")
    age = next(line for line in text.splitlines() if "max_data_age_hours" in line)
    stale.write_text(text.replace(age, "  max_data_age_hours: 1"), "utf-8")
    settings = demo.parts.settings.model_copy(update={"policy_file": stale})
    told = tie_loose_ends(replace(demo.parts, settings=settings), lease=lease)
    assert "0 of 1 alterations done" in told
    assert state_of(demo, approved) is AlterationState.APPROVED  # it waits for facts
    tie_loose_ends(demo.parts, lease=lease)  # on the usage as it is, nothing is regretted
    assert state_of(demo, approved) is AlterationState.WITHDRAWN
    assert set(states(demo)) == {"active"}


def test_an_approved_return_waits_while_nothing_can_be_said_of_it(demo: Demo, lease: Lease) -> None:
    approved = approved_return(demo, lease)
    fallen = facts(demo, lease, usage_ratio=0.02)
    give_back(demo.parts, replace(fallen, owned={}), lease=lease)
    assert state_of(demo, approved) is AlterationState.APPROVED
    older = fallen.policy.alterations.model_copy(update={"undo_within_days": Decimal(0)})
    past = replace(fallen, policy=fallen.policy.model_copy(update={"alterations": older}))
    give_back(demo.parts, past, lease=lease)  # it was recent when it was asked for
    assert state_of(demo, approved) is not AlterationState.WITHDRAWN


def bought_for_a_while(demo: Demo, lease: Lease) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    demo.cloud.advance(2)


def test_what_is_set_aside_counts_against_no_cap(demo: Demo, lease: Lease) -> None:
    """A decision as if it had never been bought has the room that it takes, or the caps decide."""
    bought_for_a_while(demo, lease)
    situation = facts(demo, lease)
    [item, *_] = situation.inventory
    with reading(demo.parts.engine) as connection:
        made = intents.list_intents(connection)
        owed = holdings.owed(connection, now=situation.now)

    def committed(now: Situation) -> Decimal:
        context = context_of(
            now,
            gap_ratio=None,
            coverage_ratio_after=None,
            utilization_ratio_after=None,
            lines=(),
            plan=PlanId(""),
            intents=made,
            inventory=owed,
            halted=False,
            holds_lease=True,
        )
        assert context.spent is not None
        return sum((one.commit_usd_per_hour for one in context.spent), Decimal(0))

    freed = committed(situation) - committed(without(situation, item.commitment.commitment))
    assert freed == Decimal(item.commit_usd_per_hour) > 0


def test_only_recent_purchases_are_looked_at_and_what_cannot_be_judged_stays(
    demo: Demo, lease: Lease
) -> None:
    bought_for_a_while(demo, lease)
    fallen = facts(demo, lease, usage_ratio=0.02)
    older = fallen.policy.alterations.model_copy(update={"undo_within_days": Decimal(0)})
    past = replace(fallen, policy=fallen.policy.model_copy(update={"alterations": older}))
    assert give_back(demo.parts, past, lease=lease).startswith("0 can be taken back")
    # The register of planned changes is gone: no decision can be made, and nothing is given back.
    settings = demo.parts.settings.model_copy(update={"changes_file": Path("nowhere.csv")})
    blind = replace(demo.parts, settings=settings)
    owned = len(fallen.inventory)
    assert f"{owned} can be taken back, 0 regretted" in give_back(blind, fallen, lease=lease)
    assert set(states(demo)) == {"active"}
    with reading(demo.parts.engine) as connection:
        assert ledger.holds(connection, UndoNotJudged.name)


def test_of_two_that_cover_the_same_usage_one_goes(demo: Demo, lease: Lease) -> None:
    """Each of a family's two plans loses beside the other; without the one the other is used."""
    bought_for_a_while(demo, lease)
    fallen = facts(demo, lease, usage_ratio=0.15)
    losing = [
        item
        for item in fallen.inventory
        if saving_usd_per_hour(fallen, item.commitment.commitment) < 0
    ]
    told = give_back(demo.parts, fallen, lease=lease)
    regretted = int(told.split(" regretted")[0].rsplit(" ", 1)[-1])
    assert 0 < regretted < len(losing)
