"""What is written is read back as the same values; what contradicts is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from service.domain.commitments import Commitment, Kind, Offering, Payment
from service.domain.errors import InvariantError
from service.domain.ids import AccountId, OfferingId
from service.domain.plans import Decision, Plan
from service.store import holdings, records
from service.store.codec import from_document, to_document
from service.store.engine import reading, writing
from service.store.halt import read_halt, set_halt
from service.store.states import Origin, RunState, VerdictStage
from tests.purchase.cloud import PROVIDER
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    kinds,
    make_line,
    make_plan,
    store_plan,
    verdict,
)
from tests.reconcile.listing import listed

OFFERING = Offering(
    offering=OfferingId("o"),
    provider=PROVIDER,
    kind=Kind.AWS_COMPUTE_SP,
    term_months=36,
    payment=Payment.ALL_UPFRONT,
    region=None,
    family="m5",
    platform=None,
    tenancy=None,
    zone=None,
    size_flexible=True,
    rates_usd={"sku/a": Decimal("0.0123456789012"), "sku/b": Decimal("1E+2")},
    upfront_usd=Decimal(8_760),
    min_quantity=Decimal("0.001"),
    step=Decimal("0.001"),
)


@pytest.mark.parametrize(
    "value",
    [
        make_plan(make_line(1), make_line(2)),
        OFFERING,
        listed(1),
        verdict(make_line(), Decision.ALLOW),
    ],
    ids=["plan", "offering", "inventory", "verdict"],
)
def test_a_value_read_back_is_the_value_written(value: object) -> None:
    assert from_document(type(value), to_document(value)) == value


def test_a_set_of_accounts_survives_and_an_open_scope_stays_open() -> None:
    scoped = replace(listed(1).commitment, scope=frozenset({AccountId("a"), AccountId("b")}))
    assert from_document(Commitment, to_document(scoped)) == scoped
    assert to_document(listed(1))["commitment"]["scope"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "wishful"), ("window_hours", "730"), ("decided_at", "soon"), ("lines", {})],
)
def test_a_stored_document_that_is_not_the_type_is_a_contradiction(
    field: str, value: object
) -> None:
    with pytest.raises(InvariantError):
        from_document(Plan, to_document(make_plan()) | {field: value})


def test_a_stored_document_with_a_field_too_many_or_too_few_is_a_contradiction() -> None:
    document = to_document(make_plan())
    with pytest.raises(InvariantError, match="surprise"):
        from_document(Plan, document | {"surprise": 1})
    del document["plan"]
    with pytest.raises(InvariantError, match="plan"):
        from_document(Plan, document)


def test_a_plan_is_found_by_its_id_and_by_its_cycle(engine: Engine) -> None:
    plan = store_plan(engine, make_line(1), make_line(2))
    with reading(engine) as connection:
        assert records.find_plan(connection, PLAN) == plan
        assert records.plan_of_cycle(connection, CYCLE) == plan


def test_a_plan_needs_its_cycle(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        records.record_plan(connection, make_plan(make_line()))


def test_a_cycle_ends_once_and_never_starts_again(engine: Engine) -> None:
    store_plan(engine)
    ended = {"state": RunState.DONE, "summary": {"lines": 0}, "now": START}
    with writing(engine) as connection:
        records.start_cycle(connection, CYCLE, schedule="cycle", due_at=START, now=START)
        records.finish_cycle(connection, CYCLE, **ended)  # type: ignore[arg-type]
    with writing(engine) as connection, pytest.raises(InvariantError):
        records.finish_cycle(connection, CYCLE, **ended)  # type: ignore[arg-type]
    with writing(engine) as connection, pytest.raises(InvariantError):
        records.start_cycle(connection, CYCLE, schedule="cycle", due_at=START, now=START)


def test_verdicts_are_kept_by_stage(engine: Engine) -> None:
    store_plan(engine, make_line())
    spoken = verdict(make_line(), Decision.NEEDS_SIGN_OFF)
    with writing(engine) as connection:
        records.record_verdict(connection, PLAN, spoken, stage=VerdictStage.PROPOSAL, now=START)
        assert records.verdicts_of(connection, PLAN, stage=VerdictStage.PROPOSAL) == (spoken,)
        assert records.verdicts_of(connection, PLAN, stage=VerdictStage.EXECUTION) == ()


def test_a_policy_that_changes_names_the_one_before(engine: Engine) -> None:
    with writing(engine) as connection:
        later = START + timedelta(hours=1)
        assert records.see_policy(connection, digest="a", body="A", now=START) is None
        assert records.see_policy(connection, digest="a", body="A", now=START) is None
        assert records.see_policy(connection, digest="b", body="B", now=later) == "a"


def test_a_price_snapshot_is_kept_once(engine: Engine) -> None:
    with writing(engine) as connection:
        first = records.keep_prices(
            connection, digest="d", provider="aws", taken_at=START, document={"sku": "0.1"}
        )
        again = records.keep_prices(
            connection, digest="d", provider="aws", taken_at=START, document={"sku": "0.1"}
        )
        assert (first, again) == (True, False)
        assert records.find_prices(connection, "d") == {"sku": "0.1"}


def test_a_report_on_the_same_period_replaces_the_earlier_one(engine: Engine) -> None:
    report = records.ReportRow(
        report="r1",
        subject="all",
        period_start=START,
        period_end=START + timedelta(days=1),
        promised_usd=Decimal(9),
        promised_low_usd=Decimal(5),
        promised_high_usd=Decimal(12),
        realised_usd=Decimal(8),
        made_at=START,
        document={},
    )
    with writing(engine) as connection:
        records.record_report(connection, report)
        records.record_report(connection, replace(report, realised_usd=Decimal(10)))
        [kept] = records.reports_since(connection, START)
    assert (kept.report, kept.realised_usd) == ("r1", Decimal(10))


def test_the_halt_switch_tells_each_change_once(engine: Engine) -> None:
    with writing(engine) as connection:
        assert not read_halt(connection).halted
        assert set_halt(connection, halted=True, by="ops", reason="x", now=START)
        assert not set_halt(connection, halted=True, by="bob", reason="y", now=START)
        assert read_halt(connection).changed_by == "ops"
        assert set_halt(connection, halted=False, by="bob", reason="z", now=START)
    assert kinds(engine) == ["halt.set", "halt.cleared"]


def test_a_mirrored_commitment_keeps_its_first_sight_and_its_owner(
    engine: Engine,
) -> None:
    item = listed(1)
    with writing(engine) as connection:
        assert holdings.keep(connection, PROVIDER, item, now=START)
        later = START + timedelta(hours=1)
        assert not holdings.keep(connection, PROVIDER, item, now=later)
        [held] = holdings.list_holdings(connection)
    assert held.item == item
    assert (held.first_seen_at, held.last_seen_at, held.origin) == (START, later, Origin.EXTERNAL)


def test_a_commitment_that_vanishes_leaves_the_inventory_and_may_come_back(
    engine: Engine,
) -> None:
    item = listed(1)
    with writing(engine) as connection:
        holdings.keep(connection, PROVIDER, item, now=START)
        assert holdings.mark_vanished(connection, PROVIDER, item.commitment.commitment, now=START)
        assert holdings.inventory(connection) == ()
        holdings.keep(connection, PROVIDER, item, now=START)
        assert holdings.inventory(connection, provider=PROVIDER) == (item,)
