"""What the reader tells of AWS is enough to plan, buy and bill by, for every kind of offer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from service.billing.bill import bill
from service.domain.commitments import Kind, Payment
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.purchases import Bought
from service.domain.usage import Dataset, Usage
from service.plan.optimise import optimise
from service.providers.aws.reader import AwsReader
from service.sandbox.cloud import SandboxCloud
from tests.providers.aws.orders import (
    bought,
    buyer_of,
    item_of,
    plan_order,
    reservation_order,
    terms,
)
from tests.sandbox.clouds import SMALL, database_cloud

EVERY = {kind for kind in Kind if kind.startswith("aws_")}


@pytest.fixture(scope="module")
def cloud() -> Iterator[SandboxCloud]:
    with database_cloud(page_size=100) as cloud:
        yield cloud


def dataset(cloud: SandboxCloud, start: datetime, days: int) -> Dataset:
    """Usage of ``days`` as the reader prices it, with what is on sale and what is owned."""
    reader = AwsReader(cloud.clients(), zones=["us-east-1a"])
    usage = cloud.world.usage
    keys = sorted({line.key for line in usage.lines})
    hours = HourRange(start, days * DAY_HOURS)
    first, last = usage.hours.clip(hours.start, hours.end)
    items = reader.inventory()
    offers = {one.offering: one for one in reader.offerings(keys)}
    offers |= {one.offering: one for one in reader.owned_offerings(items, keys)}
    return Dataset(
        Usage(hours, usage.lines, usage.quantity[first:last]),
        {sku.key: sku for sku in reader.prices(keys, {})},
        offers,
        tuple(item.commitment for item in items),
    )


def test_every_kind_is_offered_for_what_is_used(cloud: SandboxCloud) -> None:
    known = dataset(cloud, cloud.world.usage.hours.start, 1)
    assert {one.kind for one in known.offerings.values()} == EVERY


def test_a_plan_saves_is_bought_as_it_stands_and_billed_as_aws_bills_it(
    cloud: SandboxCloud,
) -> None:
    world = cloud.world
    known = dataset(cloud, world.usage.hours.start, SMALL.history_days)
    menu = [
        one.offering
        for one in known.offerings.values()
        if one.payment is Payment.PARTIAL_UPFRONT and one.zone is None
    ]
    planned = optimise(known, menu=menu, purchase_account=world.payer, closely=False)
    assert planned.after_usd < planned.before_usd
    kinds = {known.offerings[one.offering].kind for one in planned.purchases}
    reserved = {kind for kind in kinds if not kind.is_spend}
    assert len(reserved) > 3
    bought = 0
    for number, one in enumerate(planned.purchases):
        offering = known.offerings[one.offering]
        steps = (one.quantity / offering.step).to_integral_value(rounding="ROUND_DOWN")
        quantity = min(steps * offering.step, Decimal(3))  # AWS sells twenty a region and month
        if quantity < offering.min_quantity or bought == 12:
            continue
        order = plan_order(cloud, offering, str(quantity), name=f"line-{number}")
        outcome = buyer_of(cloud).buy(order)
        bought += isinstance(outcome, Bought)
    assert bought > 6
    cloud.advance(DAY_HOURS * 2)
    day = world.options.start + timedelta(days=1)
    ours = bill(dataset(cloud, day, 1))
    theirs = world.accrual.bill(day)
    assert ours.on_demand_usd == pytest.approx(theirs.on_demand_usd)
    assert float(ours.commitment_usd) == pytest.approx(float(theirs.commitment_usd), rel=1e-6)
    assert ours.coverage_ratio == pytest.approx(theirs.coverage_ratio)
    assert ours.coverage_ratio > 0


def test_a_reservation_of_a_size_that_nobody_runs_covers_its_family(cloud: SandboxCloud) -> None:
    """Else what is owned would look idle beside usage that it covers, and be bought again."""
    world = cloud.world
    order = reservation_order(cloud, terms("m5.4xlarge", "standard"), 1, name="idle")
    name = bought(cloud, order)
    item = item_of(cloud, name)
    line = next(
        one for one in world.usage.lines if one.sku == "USE1-BoxUsage:m5.xlarge/RunInstances"
    )
    reader = AwsReader(cloud.clients())
    (offering,) = reader.owned_offerings([item], [line.key])
    first = HourRange(world.options.start + timedelta(days=10), DAY_HOURS)
    known = Dataset(
        Usage(first, (line,), np.full((DAY_HOURS, 1), 8.0)),
        {sku.key: sku for sku in reader.prices([line.key], {})},
        {offering.offering: offering},
        (item.commitment,),
    )
    assert bill(known).coverage_ratio == Decimal("0.5")
