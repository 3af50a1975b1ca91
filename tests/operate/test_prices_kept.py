"""Prices are kept with their date: a retried cycle reuses them, an execution never does."""

from __future__ import annotations

from datetime import timedelta

from service.operate.demo import Demo
from service.operate.situation import Situation, read_situation

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
