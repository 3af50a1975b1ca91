"""What AWS lists rarely: other currencies, old sorts, lost parents, exchanges under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from service.domain.alterations import AlterationKind, Altered, Target
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import ProviderError
from service.providers.aws.clients import AwsClients
from service.providers.aws.node_services import BY_KIND
from service.providers.aws.reader import AwsReader
from service.sandbox.access import sandbox_access
from service.sandbox.cloud import SandboxCloud
from tests.providers.aws.orders import (
    alteration,
    alterer_of,
    bought,
    buyer_of,
    plan_order,
    reader_of,
    reservation_order,
    terms,
)
from tests.sandbox.clouds import database_cloud, emptied, offer

Edit = Callable[[dict[str, Any]], None]
EC2 = ("ec2", "DescribeReservedInstances", "ReservedInstances")
REDSHIFT = ("redshift", "DescribeReservedNodes", "ReservedNodes")
PLANS = ("savingsplans", "DescribeSavingsPlans", "savingsPlans")


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with database_cloud(page_size=100) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    return emptied(shared)


@contextmanager
def listing(cloud: SandboxCloud, of: tuple[str, str, str], edit: Edit) -> Iterator[AwsReader]:
    """A reader to whom each item of one listing comes as ``edit`` leaves it."""
    service, operation, items = of
    clients = AwsClients(sandbox_access(cloud.endpoint_url))

    def change(parsed: dict[str, Any], **_: object) -> None:
        for one in parsed.get(items, ()):
            edit(one)

    try:
        for region in (None, "us-east-1"):
            events = clients.reading(service, region).meta.events
            events.register(f"after-call.{service}.{operation}", change)
        yield AwsReader(clients, regions=["us-east-1"])
    finally:
        clients.close()


@pytest.mark.parametrize(
    "operation", ["DescribeSavingsPlanRates", "DescribeSavingsPlansOfferingRates"]
)
def test_two_rates_of_one_sku_are_refused_owned_or_sold(
    cloud: SandboxCloud, operation: str
) -> None:
    bought(cloud, plan_order(cloud, offer(cloud.world)))
    used = sorted({line.key for line in cloud.world.usage.lines if line.region == "us-east-1"})
    clients = AwsClients(sandbox_access(cloud.endpoint_url))

    def double(parsed: dict[str, Any], **_: object) -> None:
        parsed["searchResults"] += [one | {"rate": "9.9"} for one in parsed["searchResults"]]

    try:
        reader = AwsReader(clients, regions=["us-east-1"])
        items = reader.inventory()
        assert reader.owned_offerings(items, used)[0].rates_usd
        events = clients.reading("savingsplans").meta.events
        events.register(f"after-call.savingsplans.{operation}", double)
        owned = partial(reader.owned_offerings, items, used)
        sold = partial(reader.offerings, used)
        with pytest.raises(ProviderError, match="ambiguous_rate"):
            (owned if operation == "DescribeSavingsPlanRates" else sold)()
    finally:
        clients.close()


def changed(**values: object) -> Edit:
    return lambda one: one.update(values)


def own_node(cloud: SandboxCloud, kind: Kind = Kind.AWS_REDSHIFT_RI) -> Decimal:
    """Two nodes bought, partly upfront; what they cost by the hour."""
    used = sorted({line.key for line in cloud.world.usage.lines if line.region == "us-east-1"})
    of = [key for key in used if cloud.world.catalog.skus[key].service == BY_KIND[kind].name]
    sold = next(
        one
        for one in reader_of(cloud).offerings(of)
        if (one.kind, one.payment, one.term_months) == (kind, Payment.PARTIAL_UPFRONT, 12)
    )
    order = plan_order(cloud, sold, "2")
    bought(cloud, order)
    return Decimal(buyer_of(cloud).quote(order).commit_usd_per_hour)


def test_a_node_that_is_being_exchanged_is_still_owned(cloud: SandboxCloud) -> None:
    own_node(cloud)
    with listing(cloud, REDSHIFT, changed(State="exchanging")) as reader:
        (item,) = reader.inventory()
    assert item.commitment.state is CommitmentState.ACTIVE


def test_a_heavy_utilization_that_still_runs_is_owned_at_what_it_costs(cloud: SandboxCloud) -> None:
    usd_per_hour = own_node(cloud)
    with listing(cloud, REDSHIFT, changed(OfferingType="Heavy Utilization")) as reader:
        (item,) = reader.inventory()
    assert item.payment is Payment.PARTIAL_UPFRONT
    assert item.commit_usd_per_hour == usd_per_hour > 0
    assert item.upfront_usd > 0


@pytest.mark.parametrize("word", ["Heavy", "Medium", "Light"])
@pytest.mark.parametrize("of", [EC2, REDSHIFT], ids=["ec2", "redshift"])
def test_what_is_over_of_sorts_no_longer_sold_is_passed_over(
    cloud: SandboxCloud, word: str, of: tuple[str, str, str]
) -> None:
    if of is EC2:
        bought(cloud, reservation_order(cloud, terms(), 2))
    else:
        own_node(cloud)
    old = changed(OfferingType=f"{word} Utilization", State="retired")
    with listing(cloud, of, old) as reader:
        assert reader.inventory() == []


@pytest.mark.parametrize("of", [EC2, REDSHIFT], ids=["ec2", "redshift"])
def test_an_old_sort_whose_price_depends_on_use_stops_with_a_remedy(
    cloud: SandboxCloud, of: tuple[str, str, str]
) -> None:
    if of is EC2:
        bought(cloud, reservation_order(cloud, terms(), 2))
    else:
        own_node(cloud)
    with (
        listing(cloud, of, changed(OfferingType="Light Utilization")) as reader,
        pytest.raises(ProviderError, match=r"legacy_reservation.*buy by hand"),
    ):
        reader.inventory()


def test_what_is_owned_in_another_currency_is_refused(cloud: SandboxCloud) -> None:
    bought(cloud, reservation_order(cloud, terms(), 2))
    bought(cloud, plan_order(cloud, offer(cloud.world), name="2"))
    own_node(cloud)
    for of, member in ((EC2, "CurrencyCode"), (REDSHIFT, "CurrencyCode"), (PLANS, "currency")):
        with (
            listing(cloud, of, changed(**{member: "CNY"})) as reader,
            pytest.raises(ProviderError, match=r"currency.*CNY"),
        ):
            reader.inventory()
        with listing(cloud, of, changed(**{member: "USD"})) as reader:
            assert len(reader.inventory()) == 3


@pytest.mark.parametrize(
    ("of", "kind"),
    [
        (
            ("ec2", "DescribeReservedInstancesOfferings", "ReservedInstancesOfferings"),
            Kind.AWS_RI_REGIONAL,
        ),
        (
            ("redshift", "DescribeReservedNodeOfferings", "ReservedNodeOfferings"),
            Kind.AWS_REDSHIFT_RI,
        ),
    ],
)
def test_what_is_sold_in_another_currency_is_refused(
    cloud: SandboxCloud, of: tuple[str, str, str], kind: Kind
) -> None:
    used = sorted({line.key for line in cloud.world.usage.lines if line.region == "us-east-1"})
    with listing(cloud, of, changed(CurrencyCode="USD")) as reader:
        assert kind in {one.kind for one in reader.offerings(used)}
    with (
        listing(cloud, of, changed(CurrencyCode="CNY")) as reader,
        pytest.raises(ProviderError, match=r"currency.*CNY"),
    ):
        reader.offerings(used)


def test_what_a_modification_made_of_something_unlisted_is_not_free(cloud: SandboxCloud) -> None:
    of = terms("m5.xlarge", "standard", Payment.ALL_UPFRONT)
    parent = bought(cloud, reservation_order(cloud, of, 2))
    part = terms("m5.large", "standard", of.payment).offering
    order = alteration(
        cloud,
        AlterationKind.MODIFY,
        parent,
        targets=(Target(part, Decimal(4), None, 12, of.payment),),
    )
    alterer_of(cloud).alter(order)
    cloud.advance(1)
    assert isinstance(alterer_of(cloud).alter(order), Altered)
    owned = [one for one in reader_of(cloud).inventory() if one.commitment.state.is_owned]
    assert [one.commit_usd_per_hour > 0 for one in owned] == [True]
    del cloud.world.reservations.reservations[parent]
    with pytest.raises(ProviderError, match="no_price"):
        reader_of(cloud).inventory()
    with listing(cloud, EC2, changed(State="retired")) as reader:
        (item,) = reader.inventory()
    assert item.commit_usd_per_hour == 0
