"""What the Google Cloud reader makes of the sandbox: prices, offers, inventory, who we are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from service.billing.bill import bill
from service.domain.commitments import Beside, CommitmentState, Kind, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.purchases import Bought
from service.domain.usage import Dataset, SkuKey
from service.providers.gcp import price_list
from service.providers.gcp.price_list import is_covered
from service.providers.gcp.reader import GcpReader
from service.providers.gcp.words import PLANS, STATES, gcp_tables
from service.providers.port import ProviderReader
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.cloud import GcpSandbox
from tests.sandbox.gcp.clouds import (
    SMALL,
    buyer_of,
    dollars,
    reader_of,
    small_cloud,
    strike,
    vcpus,
)
from tests.sandbox.gcp.raw import insert_raw

CORES = SkuKey("gcp", "us-central1", "N2 vCPU")
MEMORY = SkuKey("gcp", "us-central1", "N2 RAM")
BELGIUM = SkuKey("gcp", "europe-west1", "N2 vCPU")


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def reader(cloud: GcpSandbox) -> GcpReader:
    return reader_of(cloud)


def test_says_for_whom_it_speaks_and_lists_every_project(reader: GcpReader) -> None:
    as_port: ProviderReader = reader
    assert as_port.identity().account == "acme-commitments"
    # Two to a page, so this is more than one.
    assert as_port.accounts() == ["acme-commitments", "acme-web", "acme-data", "acme-lab"]


def test_a_project_that_another_account_pays_for_has_no_identity(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    cloud.world.billing_account = "FFFFFF-FFFFFF-FFFFFF"
    with pytest.raises(ProviderError, match="other_billing_account"):
        reader.identity()


def test_prices_are_those_of_the_region(cloud: GcpSandbox, reader: GcpReader) -> None:
    found = {sku.key: sku for sku in reader.prices([CORES, MEMORY, BELGIUM], {})}
    for key, sku in found.items():
        assert sku == cloud.world.catalog.skus[key]
    assert found[CORES].unit == "vCPU-Hours"
    assert found[MEMORY].unit == "GB-Hours"
    assert found[BELGIUM].on_demand_usd == found[CORES].on_demand_usd * Decimal("1.1")


def test_every_sku_of_the_worlds_usage_has_its_price(cloud: GcpSandbox, reader: GcpReader) -> None:
    keys = sorted({line.key for line in cloud.world.usage.lines})
    assert [sku.key for sku in reader.prices(keys, {})] == keys
    priced = {sku.key: sku.on_demand_usd for sku in reader.prices(keys, {})}
    assert priced == {key: cloud.world.catalog.skus[key].on_demand_usd for key in keys}


def test_spot_is_priced_and_belongs_to_no_series_that_is_covered(reader: GcpReader) -> None:
    (spot,) = reader.prices([SkuKey("gcp", "us-central1", "N2 Spot vCPU")], {})
    assert spot.on_demand_usd > 0
    assert (spot.family, spot.size_units) == (None, None)
    assert not is_covered("N2 Spot vCPU")
    assert is_covered("N2 Custom vCPU")


def test_what_the_list_lacks_is_priced_by_what_bills_show_or_is_bad_input(
    reader: GcpReader,
) -> None:
    other = SkuKey("gcp", "us-central1", "Compute Engine/Something New")
    (sku,) = reader.prices([other], {other: ("h", Decimal("0.5"))})
    assert sku.on_demand_usd == Decimal("0.5")
    with pytest.raises(InputError, match="Something New"):
        reader.prices([other], {})


def test_offers_vcpus_and_memory_of_the_series_in_use_and_flexible_dollars(
    reader: GcpReader,
) -> None:
    offers = {one.offering: one for one in reader.offerings([CORES, MEMORY, BELGIUM])}
    assert sorted(offers) == [
        "gcp_cud/europe-west1/n2/vcpu/1",
        "gcp_cud/europe-west1/n2/vcpu/3",
        "gcp_cud/us-central1/n2/ram/1",
        "gcp_cud/us-central1/n2/ram/3",
        "gcp_cud/us-central1/n2/vcpu/1",
        "gcp_cud/us-central1/n2/vcpu/3",
        "gcp_flexible/1",
        "gcp_flexible/3",
    ]
    cores = next(one for name, one in offers.items() if name == "gcp_cud/us-central1/n2/vcpu/1")
    assert cores.rates_usd == {"N2 vCPU": Decimal("0.019908")}
    assert cores.payment is Payment.NO_UPFRONT
    assert cores.upfront_usd == 0
    assert cores.step == 1
    assert cores.beside is None
    memory = next(one for name, one in offers.items() if name == "gcp_cud/us-central1/n2/ram/1")
    assert memory.rates_usd == {"N2 RAM": Decimal("0.002646")}
    assert memory.step == memory.min_quantity == Decimal("0.25")
    assert memory.beside == Beside(cores.offering, Decimal("0.25"), Decimal("6.5"), "GB of memory")
    flexible = next(one for name, one in offers.items() if name == "gcp_flexible/3")
    assert flexible.rate_usd("us-central1", "N2 vCPU") == Decimal("0.0316") * Decimal("0.54")
    assert flexible.rate_usd("europe-west1", "N2 vCPU") == Decimal("0.03476") * Decimal("0.54")
    assert flexible.rate_usd("europe-west1", "N2 RAM") is None


def test_memory_alone_is_not_on_offer(reader: GcpReader) -> None:
    kinds = [one.kind for one in reader.offerings([MEMORY])]
    assert kinds == [Kind.GCP_FLEXIBLE_CUD, Kind.GCP_FLEXIBLE_CUD]


def test_a_flexible_commitment_without_an_offer_in_the_settings_is_not_on_offer(
    cloud: GcpSandbox,
) -> None:
    clients = cloud.clients()
    clients.access = replace(clients.access, flexible_offers={})
    assert {one.kind for one in reader_of(cloud).offerings([CORES])} == {Kind.GCP_RESOURCE_CUD}


def test_inventory_has_every_state_from_creating_to_expired(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    def states() -> list[CommitmentState]:
        return [item.commitment.state for item in reader.inventory()]

    assert insert_raw(cloud, name="theirs", vcpus=4, memory_mb=0) == 200
    assert states() == [CommitmentState.PAYMENT_PENDING]
    creating = reader.inventory()[0].commitment
    cloud.advance(1)
    assert states() == [CommitmentState.QUEUED]
    made = reader.inventory()[0].commitment
    # While it is being created Google states no term: the one expected is the one that comes.
    assert (creating.start, creating.end) == (made.start, made.end)
    assert made.start == datetime(2026, 3, 2, 8, tzinfo=UTC)
    cloud.advance(24)
    assert states() == [CommitmentState.ACTIVE]
    cloud.advance(365 * 24)
    assert states() == [CommitmentState.RETIRED]


def test_inventory_reads_all_pages_and_ties_purchases_to_intents(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    buyer = buyer_of(cloud)
    intents = [f"intent-{number}" for number in range(8)]
    for intent in intents[:5]:
        assert isinstance(buyer.buy(vcpus("3", intent=intent)), Bought)
    for intent in intents[5:]:
        assert isinstance(buyer.buy(dollars("1.25", intent=intent)), Bought)
    found = reader.inventory()
    assert sorted(str(item.intent) for item in found) == intents
    assert cloud.server.calls["gcp.regionCommitments.aggregatedList"] > 4
    for item in found:
        ordered = Decimal("1.25") if item.kind.is_spend else Decimal(3)
        assert item.commitment.quantity == ordered
        assert item.commitment.state.is_owned
        assert not item.renews
        assert item.upfront_usd == 0
        assert item.returnable_until is None


def test_a_listing_that_fails_is_an_error_and_not_an_empty_inventory(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    assert isinstance(buyer_of(cloud).buy(vcpus()), Bought)
    for listing in ("gcp.regionCommitments.aggregatedList", "gcp.orders.list"):
        strike(cloud, Fault(listing, FaultKind.REFUSE, code="forbidden", status=403))
        with pytest.raises(ProviderError, match="forbidden"):
            reader.inventory()
        strike(cloud, Fault(listing, FaultKind.BROKEN_AFTER))
        with pytest.raises(ProviderError):
            reader.inventory()
    assert len(reader.inventory()) == 1


def test_a_project_without_compute_engine_owns_nothing_of_it(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    assert isinstance(buyer_of(cloud).buy(vcpus()), Bought)
    listing = "gcp.regionCommitments.aggregatedList"
    off = Fault(listing, FaultKind.REFUSE, code="accessNotConfigured", status=403, after_calls=1)
    strike(cloud, off)
    assert len(reader.inventory()) == 1
    assert cloud.server.calls[listing] == len(cloud.world.projects)


def test_a_throttled_read_is_tried_again(cloud: GcpSandbox, reader: GcpReader) -> None:
    strike(cloud, Fault("gcp.projects.getBillingInfo", FaultKind.THROTTLE))
    assert reader.identity().account == "acme-commitments"
    assert cloud.server.calls["gcp.projects.getBillingInfo"] == 2


def test_a_series_or_state_that_nobody_knows_stops_the_reading(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    assert isinstance(buyer_of(cloud).buy(vcpus()), Bought)
    (record,) = cloud.world.commitments.records.values()
    record.commitment_type = "GENERAL_PURPOSE_N9"
    with pytest.raises(ProviderError, match="N9"):
        reader.inventory()


def test_every_type_and_state_that_the_sdk_knows_is_known_here() -> None:
    from google.cloud.compute_v1.types import Commitment  # noqa: PLC0415 - takes seconds

    nothing = {
        "UNDEFINED_TYPE",
        "TYPE_UNSPECIFIED",
        "UNDEFINED_STATUS",
        "UNDEFINED_PLAN",
        "INVALID",
    }
    listed: Any = Commitment
    families = gcp_tables().families
    assert {one.name for one in listed.Type} - nothing == set(families)
    assert len(set(families.values())) == len(families)
    assert {one.name for one in listed.Status} - nothing == set(STATES)
    assert {one.name for one in listed.Plan} - nothing == set(PLANS)


def test_what_is_owned_of_a_series_that_is_not_bought_is_owed_and_stops_nothing(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    assert isinstance(buyer_of(cloud).buy(vcpus("4", intent="n2")), Bought)
    assert insert_raw(cloud, name="theirs", vcpus=8, memory_mb=8 * 1_024) == 200
    (record,) = (one for one in cloud.world.commitments.records.values() if one.name == "theirs")
    for word in ("ACCELERATOR_OPTIMIZED_A3_MEGA", "MEMORY_OPTIMIZED_X4_960_16T"):
        record.commitment_type = word
        ours, cores, memory = sorted(reader.inventory(), key=lambda item: item.intent is None)
        assert ours.intent == "n2"
        assert cores.family == memory.family == gcp_tables().families[word]
        assert cores.commitment.state.is_owned
        # No list has a rate for it: it counts at the dearest there is, and is never for nothing.
        prices = price_list.read_price_list(cloud.clients())
        dearest = max(
            rate
            for terms, rate in prices.commitments_usd.items()
            if (terms.resource, terms.term_months) == ("vcpu", cores.term_months)
        )
        assert cores.commit_usd_per_hour == 8 * dearest > 0
        assert memory.commit_usd_per_hour > 0
        owned = reader.owned_offerings([ours, cores, memory], [CORES])
        assert [one.family for one in owned] == ["n2", cores.family, cores.family]


def test_what_is_owned_of_a_series_that_is_bought_must_have_its_price(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    assert insert_raw(cloud, name="theirs", vcpus=8, memory_mb=0) == 200
    (record,) = cloud.world.commitments.records.values()
    record.commitment_type = "GENERAL_PURPOSE_N4D"
    with pytest.raises(ProviderError, match="no_price"):
        reader.inventory()


def test_an_order_of_an_offer_that_no_setting_names_stops_the_reading(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    assert isinstance(buyer_of(cloud).buy(dollars()), Bought)
    (record,) = cloud.world.orders.records.values()
    record.offer = "services/compute.googleapis.com/standardOffers/new"
    with pytest.raises(ProviderError, match="unknown_offer"):
        reader.inventory()
    record.offer = "services/somebody.example/standardOffers/software"
    assert reader.inventory() == []


def test_an_order_from_before_2026_is_read_in_the_dollars_of_now(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    assert isinstance(buyer_of(cloud).buy(dollars("100")), Bought)
    (record,) = cloud.world.orders.records.values()
    record.offer = (
        "services/compute.googleapis.com/standardOffers/ffe0f6a3-2f98-437e-8d49-fc443a05d3c2"
    )
    record.created_at = datetime(2025, 11, 3, tzinfo=UTC)
    (item,) = reader.inventory()
    assert item.commitment.quantity == item.commit_usd_per_hour == Decimal(72)


def test_sharing_is_as_the_billing_account_has_it() -> None:
    for shared in (True, False):
        with small_cloud(options=replace(SMALL, shared=shared)) as cloud:
            assert isinstance(buyer_of(cloud).buy(vcpus()), Bought)
            assert isinstance(buyer_of(cloud).buy(dollars()), Bought)
            resource, flexible = reader_of(cloud).inventory()
        assert resource.commitment.scope == (None if shared else frozenset({"acme-commitments"}))
        assert flexible.commitment.scope is None


def test_owned_commitments_bill_as_the_cloud_bills_them(
    cloud: GcpSandbox, reader: GcpReader
) -> None:
    """The inventory, with its own offerings, gives the cloud's bill to the nano-dollar."""
    buyer = buyer_of(cloud)
    for order in (
        vcpus("150"),
        vcpus("60", intent="c3", offering="gcp_cud/europe-west1/c3/vcpu/3"),
        dollars("3.25"),
        dollars("1.75", intent="long", offering="gcp_flexible/3"),
    ):
        assert isinstance(buyer.buy(order), Bought)
    assert insert_raw(cloud, name="theirs", vcpus=20, memory_mb=20 * 4_096) == 200
    start = cloud.clock.now() + timedelta(days=1)
    cloud.advance(72)
    world, items = cloud.world, reader.inventory()
    keys = sorted({line.key for line in world.usage.lines})
    owned = {one.offering: one for one in reader.owned_offerings(items, keys)}
    truth = world.dataset(HourRange(start, DAY_HOURS))
    ours = Dataset(
        usage=truth.usage,
        skus={sku.key: sku for sku in reader.prices(keys, {})},
        offerings=owned,
        commitments=tuple(item.commitment for item in items),
    )
    assert len(items) == 6
    assert bill(ours).total_usd == bill(truth).total_usd == world.bills.bill(start).total_usd
    assert bill(ours).coverage_ratio > 0
