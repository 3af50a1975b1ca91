"""Hours before and after a change of the providers' rules, billed as one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from service.billing.bill import bill
from service.billing.explain import explain
from service.billing.flexibility import rule_changes
from service.billing.focus import focus_rows
from service.billing.market import compile_market
from service.domain.commitments import Kind
from service.domain.hours import HourRange
from service.domain.usage import Dataset, Usage
from tests.billing.worlds import held, offer, sku, used, world

# AWS Database Blog, "New: Size flexibility for Amazon ElastiCache reserved nodes".
CHANGE = datetime(2024, 10, 1, tzinfo=UTC)
LARGE, DOUBLE = "cache.r7g.large", "cache.r7g.xlarge"


def nodes(hours_before: int = 2) -> Dataset:
    """Two reserved large nodes; what runs is one large and one twice its size, for four hours."""
    price = {"service": "elasticache", "family": "r7g", "platform": "redis"}
    one = held("ri", "nodes", "2")
    return world(
        [sku(LARGE, "1", size="4", **price), sku(DOUBLE, "2", size="8", **price)],
        [used(LARGE, 1, 1, 1, 1), used(DOUBLE, 1, 1, 1, 1)],
        [offer("nodes", Kind.AWS_ELASTICACHE_RI, {LARGE: "0.6"}, flexible=True)],
        [replace(one, start=CHANGE - timedelta(days=9), end=CHANGE + timedelta(days=9))],
        start=CHANGE - timedelta(hours=hours_before),
    )


def part(dataset: Dataset, first: int, last: int) -> Dataset:
    usage = dataset.usage
    hours = HourRange(usage.hours.hour(first), last - first)
    return replace(dataset, usage=Usage(hours, usage.lines, np.array(usage.quantity[first:last])))


def test_each_hour_goes_by_the_rules_that_hold_in_it() -> None:
    result = bill(nodes())
    # Before: one large node covered, the second reservation idle. After: half of the larger, too.
    assert result.hourly_on_demand_usd.tolist() == [2.0, 2.0, 1.0, 1.0]
    assert result.commitments["ri"].used_usd == Decimal("3.6")  # type: ignore[index]
    assert result.commitment_usd == Decimal("4.8")


def test_a_bill_over_the_change_is_the_sum_of_the_bills_before_and_after_it() -> None:
    whole = bill(nodes())
    halves = [bill(part(nodes(), 0, 2)), bill(part(nodes(), 2, 4))]
    assert whole.total_usd == sum(one.total_usd for one in halves)
    assert (
        whole.hourly_unused_usd.tolist()
        == np.concatenate([one.hourly_unused_usd for one in halves], axis=1).tolist()
    )
    assert bill(nodes(), cells_at_once=2).total_usd == whole.total_usd
    market = compile_market(nodes().usage, nodes().skus, nodes().offerings)
    assert market.bill(nodes().commitments).total_usd == whole.total_usd


def test_rows_and_explanations_go_by_the_hour_too() -> None:
    dataset = nodes()
    rows = focus_rows(dataset, bill(dataset))
    covered = rows.commitment == 0
    by_hour = [float(rows.quantity[covered & (rows.hour == hour)].sum()) for hour in range(4)]
    assert by_hour == [1.0, 1.0, 1.5, 1.5]
    assert [len(explain(dataset, hour).covers) for hour in range(4)] == [1, 1, 2, 2]


def test_an_optimiser_goes_by_the_rules_of_the_last_hour() -> None:
    dataset = nodes()
    stack = compile_market(dataset.usage, dataset.skus, dataset.offerings).stack(
        dataset.commitments
    )
    assert stack.on_demand(stack.levels).sum(axis=0).tolist() == [0.5, 0.5, 0.5, 0.5]


def test_only_a_change_within_the_hours_cuts_them() -> None:
    kinds = {Kind.AWS_ELASTICACHE_RI}
    assert rule_changes(kinds, HourRange(CHANGE - timedelta(hours=2), 4)) == [2]
    assert rule_changes(kinds, HourRange(CHANGE, 4)) == []
    assert rule_changes(kinds, HourRange(CHANGE - timedelta(hours=4), 4)) == []
    assert rule_changes({Kind.AWS_RDS_RI}, HourRange(CHANGE - timedelta(hours=2), 4)) == []
