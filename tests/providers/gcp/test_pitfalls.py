"""Ways in which buying on Google Cloud went wrong for others, each held by a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest

from service.domain.commitments import Kind
from service.domain.ids import ClientToken, IntentId
from service.domain.purchases import Bought, Refused
from service.domain.usage import SkuKey
from service.providers.gcp.buyer import GcpBuyer
from service.providers.gcp.words import commitment_name, gcp_tables, request_id
from service.sandbox.gcp.cloud import GcpSandbox
from service.sandbox.gcp.routes import _SPELLED
from tests.sandbox.gcp.clouds import INSERT, buyer_of, reader_of, small_cloud, vcpus
from tests.sandbox.gcp.raw import insert_raw


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def buyer(cloud: GcpSandbox) -> GcpBuyer:
    return buyer_of(cloud)


@pytest.mark.parametrize(
    ("family", "commitment_type"),
    [
        ("n1", "GENERAL_PURPOSE"),
        ("n2", "GENERAL_PURPOSE_N2"),
        ("n2d", "GENERAL_PURPOSE_N2D"),
        ("e2", "GENERAL_PURPOSE_E2"),
        ("c3", "COMPUTE_OPTIMIZED_C3"),
    ],
)
def test_35_each_series_is_bought_as_its_own_type_and_not_as_general_purpose(
    cloud: GcpSandbox, buyer: GcpBuyer, family: str, commitment_type: str
) -> None:
    outcome = buyer.buy(vcpus("4", offering=f"gcp_cud/us-central1/{family}/vcpu/1"))
    assert isinstance(outcome, Bought)
    record = cloud.world.commitments.records[outcome.commitment]
    assert (record.family, record.commitment_type) == (family, commitment_type)


@pytest.mark.parametrize("family", ["m1", "a2", "z9", "general_purpose"])
def test_35_a_series_that_is_not_known_to_be_sold_is_refused(
    cloud: GcpSandbox, buyer: GcpBuyer, family: str
) -> None:
    outcome = buyer.buy(vcpus("4", offering=f"gcp_cud/us-central1/{family}/vcpu/1"))
    assert isinstance(outcome, Refused)
    assert outcome.code == "series"
    assert cloud.server.calls[INSERT] == 0


def test_35_no_two_series_are_bought_as_one_type_and_general_purpose_is_n1() -> None:
    sold = gcp_tables().sold_types
    assert len(set(sold.values())) == len(sold)
    assert [family for family, word in sold.items() if word == "GENERAL_PURPOSE"] == ["n1"]


def test_36_memory_is_read_in_mb_and_counted_in_gb(cloud: GcpSandbox) -> None:
    assert insert_raw(cloud, name="theirs", vcpus=8, memory_mb=8 * 6_656) == 200
    cloud.advance(30)
    cores, memory = reader_of(cloud).inventory()
    assert cores.commitment.quantity == 8
    assert memory.commitment.quantity == Decimal(52)
    assert memory.commitment.commitment == f"{cores.commitment.commitment}/memory"
    assert [cores.commitment.offering, memory.commitment.offering] == [
        "gcp_cud/us-central1/n2/vcpu/1",
        "gcp_cud/us-central1/n2/ram/1",
    ]


@pytest.mark.parametrize(
    ("vcpus_wanted", "memory_mb"), [(0, 1_024), (4, 1_000), (4, 4 * 6_656 + 256), (0, 0)]
)
def test_36_google_refuses_no_vcpus_odd_memory_and_too_much_of_it(
    cloud: GcpSandbox, vcpus_wanted: int, memory_mb: int
) -> None:
    assert insert_raw(cloud, name="theirs", vcpus=vcpus_wanted, memory_mb=memory_mb) == 400
    assert cloud.snapshot().paid_by_intent == {}


@pytest.mark.parametrize(
    ("quantity", "offering", "code"),
    [
        ("0", "gcp_cud/us-central1/n2/vcpu/1", "quantity"),
        ("64", "gcp_cud/us-central1/n2/ram/1", "memory_alone"),
    ],
)
def test_36_no_vcpus_and_memory_alone_are_refused_before_anything_is_sent(
    cloud: GcpSandbox, buyer: GcpBuyer, quantity: str, offering: str, code: str
) -> None:
    outcome = buyer.buy(vcpus(quantity, offering=offering))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    assert cloud.server.calls[INSERT] == 0


@pytest.mark.parametrize(
    "token", ["token of intent-1", "5b0c1f9e6f5c4a1c8b0c5d4a3b2c1d0e", "ÄÖÜ", "x" * 400]
)
def test_37_the_request_id_is_a_uuid_and_always_the_same_one(token: str) -> None:
    made = request_id(ClientToken(token))
    assert str(UUID(made)) == made == request_id(ClientToken(token))
    assert made != request_id(ClientToken(token + "1"))


@pytest.mark.parametrize("intent", ["intent-1", "0f" * 16, "Ünusual / intent", "x" * 400])
def test_37_the_name_is_a_second_lock_that_google_accepts(intent: str) -> None:
    name = commitment_name(IntentId(intent))
    assert re.fullmatch(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?", name)
    assert name == commitment_name(IntentId(intent))
    assert name != commitment_name(IntentId(intent + "1"))


def test_37_the_description_carries_the_intent_because_there_are_no_labels(
    cloud: GcpSandbox, buyer: GcpBuyer
) -> None:
    assert isinstance(buyer.buy(vcpus(intent="f00d")), Bought)
    (record,) = cloud.world.commitments.records.values()
    assert record.description == "tenor:intent=f00d"
    assert [item.intent for item in reader_of(cloud).inventory()] == ["f00d"]


def test_38_only_commitments_of_compute_engine_are_ever_bought(cloud: GcpSandbox) -> None:
    """Buying a database's or a bucket's commitment elsewhere made a database or a bucket."""
    writes = {
        name
        for method, _, name in _SPELLED
        if method != "GET" and "Permissions" not in name and not name.startswith("bigquery")
    }
    assert writes == {"regionCommitments.insert", "regionCommitments.update", "orders.place"}
    others = [
        "Cloud SQL/Zonal - vCPU in Iowa",
        "Compute Engine/Storage PD Capacity",
        "N2 Spot vCPU",
    ]
    keys = [SkuKey("gcp", "us-central1", sku) for sku in others]
    assert reader_of(cloud).offerings(keys) == []
    machine = SkuKey("gcp", "us-central1", "N2 vCPU")
    assert {one.kind for one in reader_of(cloud).offerings([*keys, machine])} == {
        Kind.GCP_RESOURCE_CUD,
        Kind.GCP_FLEXIBLE_CUD,
    }
