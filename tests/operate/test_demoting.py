"""Autopilot gives itself up on evidence, in one provider, until a person restores it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from service.domain.errors import RefusedError
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.operate.demo import Demo
from service.operate.demoting import (
    broken_alone,
    demote_on_broken_promises,
    demote_on_stale_data,
)
from service.operate.ingesting import ingest
from service.operate.reconciling import reconcile
from service.pipeline import run_cycle
from service.report.promise import Kept, Promises
from service.sandbox.savings_plans import PlanRequest
from service.store import demotion, ledger
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.store.schema import intents
from tests.operate.test_cycle import a_cycle


def given_up(demo: Demo) -> list[tuple[str, str]]:
    with reading(demo.parts.engine) as connection:
        return [(one.provider, one.rule) for one in demotion.demotions_now(connection)]


def sell_to_somebody(demo: Demo, usd_per_hour: str = "1.0") -> None:
    """Somebody buys a plan in the provider's own console."""
    world = demo.cloud.world
    offering = next(o for o in world.catalog.offerings.values() if o.kind.is_spend)
    request = PlanRequest(
        AccountId(world.payer), OfferingId(offering.offering), usd_per_hour, None, None, ()
    )
    with world.lock:
        world.savings_plans.create(
            request, token=str(world.new_id()), offerings=world.catalog.offerings, now=world.now()
        )


def test_drift_makes_autopilot_ask_a_person_until_one_restores_it(demo: Demo, lease: Lease) -> None:
    reconcile(demo.parts, lease=lease)
    first = run_cycle(demo.parts, a_cycle(2), lease=lease)
    assert first.acted.bought > 0
    assert given_up(demo) == []
    sell_to_somebody(demo)
    reconcile(demo.parts, lease=lease)
    assert given_up(demo) == [("aws", "drift")]
    second = run_cycle(demo.parts, a_cycle(3), lease=lease)
    assert second.acted.bought == 0
    now = demo.parts.clock.now()
    with writing(demo.parts.engine) as connection:
        assert demotion.restore(connection, "aws", by="ana", reason="it was me", now=now)
        assert not demotion.restore(connection, "aws", by="ana", reason="again", now=now)
    assert given_up(demo) == []
    with reading(demo.parts.engine) as connection:
        told = [event.kind for event in ledger.read(connection, limit=10_000)]
    assert told.count("autopilot.demoted") == told.count("autopilot.restored") == 1


def test_drift_under_a_policy_that_cannot_be_read_costs_trust_all_the_same(
    demo: Demo, lease: Lease
) -> None:
    sell_to_somebody(demo)
    reconcile(demo.parts, lease=lease)
    assert given_up(demo) == []
    sell_to_somebody(demo)
    other = demo.parts.settings.policy_file.with_name("broken.yaml")
    other.write_text("version: [", "utf-8")
    settings = demo.parts.settings.model_copy(update={"policy_file": other})
    reconcile(replace(demo.parts, settings=settings), lease=lease)
    assert given_up(demo) == [("aws", "drift")]


def promises(*, saved: str, hours: int) -> Promises:
    kept = Kept(
        CommitmentId("c"),
        hours,
        Decimal("0.1"),
        Decimal(10),
        Decimal(20),
        Decimal(30),
        Decimal(saved),
        within=False,
    )
    return Promises((kept,), Decimal(10), Decimal(20), Decimal(30), Decimal(saved))


@pytest.mark.parametrize(
    ("saved", "hours", "rules"), [("9", 400, ["promise"]), ("9", 24, []), ("11", 400, [])]
)
def test_promises_that_are_not_kept_cost_trust_once_there_is_evidence(
    demo: Demo, saved: str, hours: int, rules: list[str]
) -> None:
    demote_on_broken_promises(demo.parts, promises(saved=saved, hours=hours))
    assert [rule for _, rule in given_up(demo)] == rules


def kept(name: str, *, low: str, saved: str, hours: int = 400) -> Kept:
    least, did = Decimal(low), Decimal(saved)
    return Kept(
        CommitmentId(name), hours, Decimal("0.1"), least, least, least * 2, did, within=False
    )


@pytest.mark.parametrize(
    ("saved", "hours", "alone"), [("-6", 400, ["bad"]), ("-6", 24, []), ("-4", 400, [])]
)
def test_one_bad_purchase_does_not_hide_behind_good_ones(
    saved: str, hours: int, alone: list[str]
) -> None:
    ones = (kept("good", low="45", saved="60"), kept("bad", low="5", saved=saved, hours=hours))
    seen = Promises(ones, Decimal(50), Decimal(100), Decimal(200), Decimal(60) + Decimal(saved))
    assert not seen.broken
    assert [one.commitment for one in broken_alone(seen)] == alone


@pytest.mark.parametrize(("joint", "alone"), [("364", []), ("120", ["a", "b", "c"])])
def test_equal_purchases_on_one_usage_are_not_each_blamed_for_what_they_share(
    joint: str, alone: list[str]
) -> None:
    """Without any one of them the others take over most of its usage."""
    ones = tuple(kept(name, low="120", saved="4") for name in ("a", "b", "c"))
    seen = Promises(ones, Decimal(360), Decimal(456), Decimal(480), Decimal(joint))
    assert [one.commitment for one in broken_alone(seen)] == alone


def test_a_person_who_restores_autopilot_is_not_overruled_by_the_same_evidence(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(2), lease=lease)
    demo.cloud.advance(18 * 24)
    ingest(demo.parts)
    promise_too_much(demo)
    run_cycle(demo.parts, a_cycle(20), lease=lease)
    assert given_up(demo) == [("aws", "promise")]
    with writing(demo.parts.engine) as connection:
        now = demo.parts.clock.now()
        assert demotion.restored_at(connection, "aws") is None
        assert demotion.restore(connection, "aws", by="ana", reason="seen", now=now)
        assert demotion.restored_at(connection, "aws") == now
        assert demotion.restored_at(connection, "gcp") is None
    again = run_cycle(demo.parts, a_cycle(21), lease=lease)
    assert again.reported.promises.broken
    assert given_up(demo) == []
    demo.cloud.advance(17 * 24)
    ingest(demo.parts)
    run_cycle(demo.parts, a_cycle(31), lease=lease)
    assert given_up(demo) == [("aws", "promise")]


def promise_too_much(demo: Demo) -> None:
    with writing(demo.parts.engine) as connection:
        for row in connection.execute(select(intents.c.intent_id, intents.c.line)).all():
            promised = {**row.line, "expected_savings_low_usd_per_hour": "1000"}
            connection.execute(
                update(intents).where(intents.c.intent_id == row.intent_id).values(line=promised)
            )


def test_a_cycle_that_finds_promises_broken_gives_autopilot_up(demo: Demo, lease: Lease) -> None:
    run_cycle(demo.parts, a_cycle(2), lease=lease)
    demo.cloud.advance(18 * 24)
    ingest(demo.parts)
    promise_too_much(demo)
    assert given_up(demo) == []
    run_cycle(demo.parts, a_cycle(20), lease=lease)
    assert given_up(demo) == [("aws", "promise")]


def test_stale_data_costs_trust_and_other_refusals_do_not(demo: Demo) -> None:
    demote_on_stale_data(demo.parts, RefusedError(rule="usage_gap", detail="an hour is missing"))
    assert given_up(demo) == []
    demote_on_stale_data(demo.parts, RefusedError(rule="data_age", detail="80 h old"))
    assert given_up(demo) == [("aws", "data_age")]


def test_where_nothing_is_on_autopilot_there_is_nothing_to_give_up(demo: Demo) -> None:
    path = demo.parts.settings.policy_file
    text = path.read_text("utf-8").replace("autopilot", "copilot")
    other = path.with_name("copilot.yaml")
    other.write_text(text, "utf-8")
    settings = demo.parts.settings.model_copy(update={"policy_file": other})
    demote_on_stale_data(
        replace(demo.parts, settings=settings), RefusedError(rule="data_age", detail="80 h")
    )
    assert given_up(demo) == []
