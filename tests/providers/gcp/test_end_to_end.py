"""From Google's export to a plan that is bought: what each part hands on, the next one takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from service.domain.commitments import Kind
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.ids import AccountId, ClientToken, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour, floor_to_step
from service.domain.plans import Companion
from service.domain.purchases import Bought, PurchaseOrder
from service.domain.usage import Dataset, Usage
from service.plan.joint import amounts, companions
from service.plan.optimise import optimise
from service.providers.gcp.cloud import GcpCloud, gcp_cloud
from service.sandbox.gcp.cloud import GcpSandbox
from service.store.usage_days import UsageDays
from service.usage.eligibility import coverable_by
from service.usage.ingest import read_export
from tests.sandbox.gcp.clouds import START, small_cloud, small_world

HOURS = HourRange(START, 2 * DAY_HOURS)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[GcpSandbox]:
    with GcpSandbox(small_world(), exports=tmp_path / "copy") as cloud:
        yield cloud


@pytest.fixture
def parts(cloud: GcpSandbox) -> Iterator[GcpCloud]:
    parts = gcp_cloud(cloud.access(), cloud.clock)
    yield parts
    parts.close()


def dataset(parts: GcpCloud, usage: Usage) -> Dataset:
    """What a plan is made from, all of it as the cloud's parts tell it."""
    keys = sorted({line.key for line in usage.lines})
    items = parts.reader.inventory()
    offered = {one.offering: one for one in parts.reader.offerings(keys)}
    offered |= {one.offering: one for one in parts.reader.owned_offerings(items, keys)}
    return Dataset(
        usage,
        {sku.key: sku for sku in parts.reader.prices(keys, {})},
        offered,
        tuple(item.commitment for item in items),
    )


def order_of(
    name: OfferingId, wanted: Mapping[OfferingId, Decimal], number: int, known: Dataset
) -> PurchaseOrder:
    found = known.offerings[name]
    quantity = floor_to_step(wanted[name], found.step)
    other = companions(known.offerings, known.offerings).get(name)
    beside = None
    if other is not None and other.beside is not None:
        more = float(wanted.get(other.offering, 0))
        quantity, amount = amounts(found, quantity, other, more, None)
        beside = Companion(other.offering, amount, CommitUsdPerHour(Decimal(0)), other.beside.unit)
    return PurchaseOrder(
        intent=IntentId(f"line-{number}"),
        token=ClientToken(f"token-{number}"),
        account=AccountId("acme-commitments"),
        offering=found.offering,
        kind=found.kind,
        term_months=found.term_months,
        payment=found.payment,
        quantity=quantity,
        upfront_usd=Decimal(0),
        companion=beside,
    )


def test_what_was_exported_is_ingested_planned_and_bought(
    cloud: GcpSandbox, parts: GcpCloud, tmp_path: Path, sqlite_engine: Engine
) -> None:
    cloud.advance(24 * 5)
    assert parts.exports is not None
    days = UsageDays(sqlite_engine, tmp_path / "usage")
    fetched = tmp_path / "fetched"
    parts.exports.fetch(fetched)
    for source in (fetched, tmp_path / "copy"):
        with read_export(source) as export:
            assert export.formats == ("Google Cloud billing",)
            days.replace(export.days, now=cloud.clock.now())
        usage = days.load(HOURS)
        assert usage.quantity.sum() > 0
        truth = {
            (line.account, line.region, line.zone, line.sku): column
            for line, column in zip(
                cloud.world.usage.lines,
                cloud.world.dataset(HOURS).usage.quantity.T,
                strict=True,
            )
        }
        assert len(usage.lines) == len(truth)
        for line, column in zip(usage.lines, usage.quantity.T, strict=True):
            expected = truth[line.account, line.region, line.zone, line.sku]
            assert np.allclose(column, expected, atol=1e-3)
            assert Kind.GCP_FLEXIBLE_CUD in coverable_by("gcp", line.sku, START.date())
    known = dataset(parts, usage)
    planned = optimise(
        known, menu=None, purchase_account=AccountId("acme-commitments"), closely=False
    )
    assert planned.after_usd < planned.before_usd * Decimal("0.8")
    wanted = {one.offering: one.quantity for one in planned.purchases}
    alone = [name for name in wanted if known.offerings[name].beside is None]
    orders = [order_of(name, wanted, number, known) for number, name in enumerate(alone)]
    decided = [
        replace(order, commit_usd_per_hour=parts.buyer.quote(order).commit_usd_per_hour)
        for order in orders
    ]
    bought = [parts.buyer.buy(order) for order in decided]
    assert bought
    assert all(isinstance(one, Bought) for one in bought)
    with_memory = sum(order.companion is not None for order in orders)
    assert with_memory > 0
    assert len(dataset(parts, usage).commitments) == len(bought) + with_memory
    kinds = {item.kind for item in parts.reader.inventory()}
    assert kinds == {Kind.GCP_RESOURCE_CUD, Kind.GCP_FLEXIBLE_CUD}
    before = cloud.totals().effective_savings_rate
    cloud.advance(24 * 6)
    assert before == 0 < cloud.totals().effective_savings_rate


def test_a_cloud_without_an_export_table_has_no_exports() -> None:
    with small_cloud() as cloud:
        access = cloud.access()
        assert gcp_cloud(access, cloud.clock).exports is not None
        without = type(access)(
            **{name: getattr(access, name) for name in access.__slots__ if name != "export_table"}
        )
        assert gcp_cloud(without, cloud.clock).exports is None
