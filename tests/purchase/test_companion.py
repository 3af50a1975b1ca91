"""One purchase of two offerings: written whole, priced whole, counted once, or not made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.commitments import CommitmentState
from service.domain.errors import InvariantError
from service.domain.ids import OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion, PlanLine
from service.domain.purchases import Bought, PurchaseOrder, Quote
from service.purchase.desk import Declined, Executed
from service.purchase.execute import execute
from service.store import holdings, intents, ledger, records
from service.store.codec import from_document, to_document
from service.store.engine import reading, writing
from tests.purchase.cloud import FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    make_line,
    open_desk,
    store_plan,
    take_lease,
)

BESIDE = Companion(
    OfferingId("ram"), Decimal("4.25"), CommitUsdPerHour(Decimal("0.0125")), "GB of memory"
)
LINE = replace(
    make_line(1), companion=BESIDE, commit_usd_per_hour=CommitUsdPerHour(Decimal("1.0125"))
)

Says = Callable[[Quote, PurchaseOrder], Quote]


def both(quote: Quote, order: PurchaseOrder) -> Quote:
    """The price of all that was ordered."""
    commit = CommitUsdPerHour(quote.commit_usd_per_hour + BESIDE.commit_usd_per_hour)
    return replace(quote, companion=order.companion, commit_usd_per_hour=commit)


class Till(FileCloud):
    """A cloud that quotes what ``says`` makes of its quote."""

    says: Says = staticmethod(both)

    def quote(self, order: PurchaseOrder) -> Quote:
        return self.says(super().quote(order), order)


def bought(engine: Engine, folder: Path, says: Says) -> Executed | Declined:
    clock = HandClock()
    cloud = Till(folder / "cloud.db", clock)
    cloud.says = says
    store_plan(engine, LINE)
    desk = open_desk(engine, cloud, take_lease(engine, "a"), clock)
    return execute(desk, line=LINE, plan=PLAN, cycle=CYCLE)


def test_the_intent_the_order_and_the_events_have_all_of_it(engine: Engine, tmp_path: Path) -> None:
    done = bought(engine, tmp_path, both)
    assert isinstance(done, Executed)
    assert isinstance(done.outcome, Bought)
    with reading(engine) as connection:
        (intent,) = intents.list_intents(connection)
        told = [
            one.payload["companion_quantity"]
            for one in ledger.latest(connection, limit=20)
            if one.kind in {"purchase.intent_recorded", "purchase.bought"}
        ]
        flying = holdings.in_flight(connection)
    assert intent.order.companion == intent.line.companion == BESIDE
    assert intent.line.commit_usd_per_hour == Decimal("1.0125")
    assert told == ["4.25", "4.25"]
    # Until it is listed, sizing counts both parts as on their way.
    assert [(one.offering, one.quantity) for one in flying] == [
        (LINE.offering, LINE.quantity),
        (BESIDE.offering, BESIDE.quantity),
    ]
    assert len({one.commitment for one in flying}) == 2
    assert {one.state for one in flying} == {CommitmentState.PAYMENT_PENDING}


def without(quote: Quote, _: PurchaseOrder) -> Quote:
    return quote


def another_amount(quote: Quote, order: PurchaseOrder) -> Quote:
    return replace(both(quote, order), companion=replace(BESIDE, quantity=Decimal("4.5")))


def no_amount(quote: Quote, order: PurchaseOrder) -> Quote:
    odd = replace(BESIDE, commit_usd_per_hour=CommitUsdPerHour(Decimal("NaN")))
    return replace(both(quote, order), companion=odd)


def dearer(quote: Quote, order: PurchaseOrder) -> Quote:
    usd = CommitUsdPerHour(Decimal("1.03"))
    return replace(both(quote, order), commit_usd_per_hour=usd)


@pytest.mark.parametrize(
    ("says", "rule"),
    [
        (without, "wrong_quote"),
        (another_amount, "wrong_quote"),
        (no_amount, "wrong_quote"),
        (dearer, "price_moved"),
    ],
)
def test_a_quote_that_is_not_of_all_of_it_or_too_dear_buys_nothing(
    sqlite_engine: Engine, tmp_path: Path, says: Says, rule: str
) -> None:
    done = bought(sqlite_engine, tmp_path, says)
    assert isinstance(done, Declined)
    assert done.rule == rule
    with reading(sqlite_engine) as connection:
        assert intents.list_intents(connection) == ()


def test_an_intent_never_buys_other_than_its_line_says(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    assert isinstance(bought(sqlite_engine, tmp_path, both), Executed)
    with writing(sqlite_engine) as connection:
        (intent,) = intents.list_intents(connection)
        odd = replace(intent, order=replace(intent.order, companion=None))
        with pytest.raises(InvariantError):
            intents.record(connection, odd, cycle=CYCLE)


def test_what_is_kept_is_read_back_and_lines_without_are_as_they_always_were(
    sqlite_engine: Engine,
) -> None:
    assert from_document(PlanLine, to_document(LINE)) == LINE
    assert "companion" not in to_document(make_line(1))
    plan = store_plan(sqlite_engine, LINE, make_line(2))
    with reading(sqlite_engine) as connection:
        assert records.find_plan(connection, PLAN) == plan
