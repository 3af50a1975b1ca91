"""Prices are kept with their date: a retried cycle reuses them, an execution never does."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from service.operate.demo import Demo
from service.operate.situation import Situation, read_situation, with_fresh_prices
from service.pipeline import run_cycle
from service.store.lease import Lease
from tests.operate.test_cycle import a_cycle

HOUR = timedelta(hours=1)
PRICE_LIST = "pricing.GetProducts"


def situation(demo: Demo, reused_for: timedelta) -> Situation:
    now = demo.parts.clock.now()
    return read_situation(demo.parts, inventory_read_at=now, prices_reused_for=reused_for)


def test_young_prices_are_reused_with_the_date_that_they_were_read(demo: Demo) -> None:
    first = situation(demo, HOUR)
    calls = demo.cloud.server.calls[PRICE_LIST]
    demo.cloud.advance(0.5)
    second = situation(demo, HOUR)
    assert calls > 0
    assert demo.cloud.server.calls[PRICE_LIST] == calls
    assert second.prices == first.prices
    assert second.now - second.prices.taken_at == HOUR / 2


def test_prices_past_their_time_or_for_an_execution_are_read_anew(demo: Demo) -> None:
    situation(demo, HOUR)
    calls = demo.cloud.server.calls[PRICE_LIST]
    fresh = situation(demo, timedelta(0))
    assert demo.cloud.server.calls[PRICE_LIST] == 2 * calls
    demo.cloud.advance(1)
    later = situation(demo, HOUR)
    assert demo.cloud.server.calls[PRICE_LIST] == 3 * calls
    assert later.prices.taken_at == fresh.prices.taken_at + HOUR


def test_a_price_list_that_moved_between_plan_and_purchase_stops_the_purchase(
    demo: Demo, lease: Lease
) -> None:
    """The plan reuses prices up to an hour old; what is bought is checked against those of now."""
    read = situation(demo, timedelta(0))
    demo.cloud.advance(0.5)
    for offering in read.on_sale & demo.cloud.world.catalog.offerings.keys():
        demo.cloud.world.change_price(offering, Decimal("1.01"))
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    assert result.plan.inputs.prices_digest == read.prices.digest
    assert result.acted.declined > 0
    assert result.acted.bought == 0
    assert demo.cloud.snapshot().paid_by_intent == {}


def test_young_prices_are_not_read_again_before_a_purchase(demo: Demo) -> None:
    read = situation(demo, timedelta(0))
    assert with_fresh_prices(demo.parts, read, reused_for=timedelta(minutes=5)) is read
    later = with_fresh_prices(demo.parts, read, reused_for=timedelta(0))
    assert later.on_sale == read.on_sale
    assert later.prices.offerings.keys() == read.prices.offerings.keys()
