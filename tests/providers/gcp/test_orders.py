"""Orders of flexible commitments as they are read: offers of before, and every line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.domain.commitments import CommitmentState
from service.domain.purchases import Bought
from service.providers.gcp import inventory
from service.providers.gcp.cloud import gcp_cloud
from service.sandbox.gcp.cloud import GcpSandbox
from tests.sandbox.gcp.clouds import buyer_of, dollars, small_cloud


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


def test_what_was_bought_under_an_offer_that_is_called_otherwise_now_is_still_ours(
    cloud: GcpSandbox,
) -> None:
    order = dollars()
    assert isinstance(buyer_of(cloud).buy(order), Bought)
    was = cloud.access()
    renamed = {months: f"{offer}-renamed" for months, offer in was.flexible_offers.items()}
    (record,) = cloud.world.orders.records.values()
    for access in (
        replace(was, flexible_offers=renamed, flexible_past_offers={record.offer: 12}),
        # Not on sale any more, and owned all the same.
        replace(was, flexible_offers={}, flexible_past_offers={record.offer: 12}),
    ):
        parts = gcp_cloud(access, cloud.clock)
        try:
            (item,) = parts.reader.inventory()
            assert (item.commitment.quantity, item.intent) == (order.quantity, order.intent)
            assert isinstance(parts.buyer.look_up(order), Bought)
        finally:
            parts.close()


def line(number: str, usd: float, offer: str, **more: object) -> dict[str, object]:
    """One line of an order in force for a year, as Google tells it."""
    return {
        "line_item_id": number,
        "line_item_info": {
            "offer": offer,
            "parameters": [{"name": "hourly_commit", "value": {"double_value": usd}}],
            "subscription": {
                "start_time": datetime(2026, 1, 1, tzinfo=UTC),
                "end_time": datetime(2027, 1, 1, tzinfo=UTC),
            },
        },
        **more,
    }


def test_every_line_of_an_order_counts_and_a_cancelled_one_until_it_was_cancelled(
    cloud: GcpSandbox,
) -> None:
    from google.cloud.commerce_consumer_procurement_v1.types import Order  # noqa: PLC0415

    offer = cloud.access().flexible_offers[12]
    now, cancelled = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    change = {"change_type": "LINE_ITEM_CHANGE_TYPE_CANCEL", "update_time": cancelled}
    order = Order(
        name="billingAccounts/a/orders/o",
        display_name="tenor:intent=first",
        create_time=datetime(2026, 1, 1, tzinfo=UTC),
        update_time=datetime(2026, 2, 20, tzinfo=UTC),
        line_items=[line("3", 3, offer), line("10", 10, offer), line("2", 2, "services/x/y")],
        cancelled_line_items=[line("1", 1, offer, change_history=[change]), line("4", 4, offer)],
    )
    items = inventory.flexible_commitments(cloud.clients(), [order], now)
    assert [(one.commitment.commitment, one.commitment.state, one.intent) for one in items] == [
        ("billingAccounts/a/orders/o", CommitmentState.RETIRED, "first"),
        ("billingAccounts/a/orders/o:3", CommitmentState.ACTIVE, None),
        ("billingAccounts/a/orders/o:4", CommitmentState.RETIRED, None),
        ("billingAccounts/a/orders/o:10", CommitmentState.ACTIVE, None),
    ]
    assert [one.commitment.quantity for one in items] == [1, 3, 4, 10]
    assert [one.commitment.end for one in items] == [
        cancelled,
        datetime(2027, 1, 1, tzinfo=UTC),
        datetime(2026, 2, 20, tzinfo=UTC),  # it does not say when: no later than the last change
        datetime(2027, 1, 1, tzinfo=UTC),
    ]
