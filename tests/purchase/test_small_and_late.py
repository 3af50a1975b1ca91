"""Amounts that a provider rounds up, intents that are found again long after, clocks set back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import IntentState, PurchaseOrder, Quote
from service.purchase.desk import Declined, Desk, Execution, Facts, Step
from service.purchase.execute import execute
from service.purchase.resume import RECORDED_FOR, resume
from tests.purchase.cloud import FileCloud
from tests.purchase.world import (
    CYCLE,
    PLAN,
    HandClock,
    make_line,
    open_desk,
    states,
    store_plan,
    take_lease,
    verdict,
)

SMALL = make_line(1, quantity="0.013")  # 1.30 dollars at once


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def desk(engine: Engine, tmp_path: Path, clock: HandClock) -> Desk:
    store_plan(engine, SMALL)
    cloud = WholeDollars(tmp_path / "cloud.db", clock)
    return open_desk(engine, cloud, take_lease(engine, "a"), clock)


class WholeDollars(FileCloud):
    """Asks for cash in whole dollars, as AWS does for Partial Upfront; ``more`` on top."""

    more = Decimal(0)

    def quote(self, order: PurchaseOrder) -> Quote:
        quote = super().quote(order)
        upfront = quote.upfront_usd.to_integral_value(ROUND_CEILING) + self.more
        return replace(quote, upfront_usd=upfront)


def buy(desk: Desk) -> Execution:
    return execute(desk, line=SMALL, plan=PLAN, cycle=CYCLE)


def sales(desk: Desk) -> int:
    assert isinstance(desk.buyer, FileCloud)
    return len(desk.buyer.sales())


def test_cash_rounded_up_to_a_dollar_is_no_changed_price(desk: Desk) -> None:
    buy(desk)
    assert sales(desk) == 1


def test_a_dollar_more_than_rounding_explains_is_a_changed_price(desk: Desk) -> None:
    assert isinstance(desk.buyer, WholeDollars)
    desk.buyer.more = Decimal(1)
    done = buy(desk)
    assert isinstance(done, Declined)
    assert done.rule == "price_moved"


@pytest.mark.parametrize(
    ("later", "bought"), [(RECORDED_FOR - timedelta(minutes=1), 1), (RECORDED_FOR, 0)]
)
def test_an_intent_found_again_a_day_later_is_refused(
    desk: Desk, clock: HandClock, later: timedelta, bought: int
) -> None:
    def die(step: Step) -> None:
        if step is Step.INTENT_COMMITTED:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        buy(replace(desk, reached=die))
    clock.pass_time(later)
    resume(desk)
    assert sales(desk) == bought
    assert states(desk.engine) == [IntentState.BOUGHT if bought else IntentState.REFUSED]


def test_a_verdict_from_later_than_now_is_no_verdict(desk: Desk, clock: HandClock) -> None:
    asked: list[datetime] = []

    def judge(line: PlanLine, facts: Facts) -> Verdict:
        asked.append(facts.now)
        if len(asked) == 1:
            clock.pass_time(-timedelta(hours=1))  # somebody sets the clock right
        return verdict(line, Decision.ALLOW)

    execute(replace(desk, judge=judge), line=make_line(1), plan=PLAN, cycle=CYCLE)
    assert [one - asked[0] for one in asked] == [timedelta(0), -timedelta(hours=1)]
