"""What was bought a few days ago is given back when the newest evidence no longer speaks for it."""

from __future__ import annotations

from dataclasses import replace

from service.domain.alterations import AlterationState
from service.operate.demo import Demo
from service.operate.reconciling import reconcile
from service.operate.situation import Situation, read_situation
from service.operate.undoing import give_back, undo
from service.pipeline import run_cycle
from service.store import alterations, demotion
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
