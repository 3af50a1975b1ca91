"""AWS's own worked examples of reservations, with their numbers, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.billing.bill import bill
from service.domain.commitments import Kind
from tests.billing.aws_words import UNITS, instance, of, regional, zonal
from tests.billing.worlds import held, offer, sku, used, world

# --- EC2 user guide, "How Reserved Instance discounts are applied" -------------------------------


def test_scenario_1_reserved_instances_in_a_single_account() -> None:
    names = ["m3.large", "m4.large", "m4.xlarge", "c4.large", "c4.xlarge"]
    result = bill(
        world(
            [instance(name) for name in names],
            [
                used("m3.large", 4, zone="us-east-1a"),
                used("m4.xlarge", 2, zone="us-east-1b"),
                used("c4.xlarge", 1, zone="us-east-1c"),
            ],
            [zonal("m3", "m3.large"), regional("m4", "m4.large"), regional("c4", "c4.large")],
            [
                held("m3", "m3", "4", zone="us-east-1a"),
                held("m4", "m4", "4"),
                held("c4", "c4", "1"),
            ],
        )
    )
    assert of(result, "m3.large").on_demand_quantity == 0
    assert of(result, "m4.xlarge").on_demand_quantity == 0
    assert of(result, "c4.xlarge").covered_quantity == Decimal("0.5")
    assert result.utilization_ratio == 1


def test_scenario_2_one_m3_2xlarge_covers_two_large_then_one_of_two_xlarge() -> None:
    result = bill(
        world(
            [instance(name) for name in ("m3.large", "m3.xlarge", "m3.2xlarge")],
            [used("m3.xlarge", 2, zone="us-east-1a"), used("m3.large", 2, zone="us-east-1b")],
            [regional("m3", "m3.2xlarge")],
            [held("ri", "m3", "1")],
        )
    )
    assert of(result, "m3.large").covered_quantity == 2
    assert of(result, "m3.xlarge").covered_quantity == 1
    assert of(result, "m3.xlarge").on_demand_quantity == 1


def test_scenario_3_the_purchasing_account_comes_first_and_small_before_large() -> None:
    names = ["m4.xlarge", "m4.2xlarge", "c4.xlarge", "c4.2xlarge"]
    dataset = world(
        [instance(name) for name in names],
        [
            used("m4.xlarge", 2, zone="us-east-1a"),
            used("m4.2xlarge", 1, zone="us-east-1b"),
            used("c4.xlarge", 2, zone="us-east-1a"),
            used("c4.2xlarge", 1, zone="us-east-1b"),
            used("m4.xlarge", 2, zone="us-east-1a", account="B"),
        ],
        [regional("m4", "m4.xlarge"), regional("c4", "c4.xlarge")],
        [held("m4", "m4", "4"), held("c4", "c4", "2")],
    )
    result = bill(dataset)
    assert of(result, "m4.xlarge").covered_quantity == 2
    assert of(result, "m4.2xlarge").covered_quantity == 1
    assert of(result, "c4.xlarge").covered_quantity == 2
    assert of(result, "c4.2xlarge").covered_quantity == 0


def test_scenario_4_a_zonal_one_of_another_account_comes_before_the_own_regional_one() -> None:
    result = bill(
        world(
            [instance("m4.xlarge")],
            [
                used("m4.xlarge", 1, zone="us-east-1a", account="A"),
                used("m4.xlarge", 1, zone="us-east-1b", account="B"),
            ],
            [regional("regional", "m4.xlarge"), zonal("zonal", "m4.xlarge")],
            [
                held("a-regional", "regional", "1", account="A"),
                held("c-zonal", "zonal", "1", account="C", zone="us-east-1a"),
            ],
        )
    )
    assert result.on_demand_usd == 0
    assert result.utilization_ratio == 1


@pytest.mark.parametrize(
    ("reserved", "count", "running", "number", "covered"),
    [
        ("t2.medium", "1", "t2.small", 2, "2"),
        ("t2.medium", "1", "t2.large", 1, "0.5"),
        ("i3.metal", "1", "i3.16xlarge", 1, "1"),
        ("i3.metal", "1", "i3.8xlarge", 2, "2"),
        ("i3.metal", "1", "i3.4xlarge", 4, "4"),
        ("i3.8xlarge", "2", "i3.metal", 1, "1"),
    ],
)
def test_sizes_of_a_family_count_by_their_normalisation_factor(
    reserved: str, count: str, running: str, number: int, covered: str
) -> None:
    result = bill(
        world(
            [instance(reserved), instance(running)],
            [used(running, number)],
            [regional("ri", reserved)],
            [held("ri", "ri", count)],
        )
    )
    assert of(result, running).covered_quantity == Decimal(covered)


@pytest.mark.parametrize(
    ("family", "platform", "tenancy"),
    [("g5", "linux", "shared"), ("m5", "windows", "shared"), ("m5", "rhel", "shared"),
     ("m5", "linux", "dedicated")],
)  # fmt: skip
def test_some_reservations_do_not_float_over_sizes(
    family: str, platform: str, tenancy: str
) -> None:
    """The same page, "Limitations"."""
    skus = [
        sku(f"{family}.{size}", "1", family=family, size=UNITS[size], platform=platform,
            tenancy=tenancy)
        for size in ("large", "xlarge")
    ]  # fmt: skip
    result = bill(
        world(
            skus,
            [used(f"{family}.large", 1), used(f"{family}.xlarge", 1)],
            [regional("ri", f"{family}.xlarge")],
            [held("ri", "ri", "1")],
        )
    )
    assert of(result, f"{family}.large").covered_quantity == 0
    assert of(result, f"{family}.xlarge").covered_quantity == 1


# --- EC2 user guide, "How you are billed": usage billing -----------------------------------------


def test_four_instances_at_once_are_one_reserved_hour_and_three_on_demand() -> None:
    result = bill(
        world(
            [instance("m4.xlarge")],
            [used("m4.xlarge", 4)],
            [regional("ri", "m4.xlarge")],
            [held("ri", "ri", "1")],
        )
    )
    assert of(result, "m4.xlarge").on_demand_quantity == 3


def test_four_quarters_of_an_hour_are_one_reserved_hour_and_none_on_demand() -> None:
    quarters = [used("m4.xlarge", 0.25, zone=f"us-east-1{zone}") for zone in "abcd"]
    result = bill(
        world(
            [instance("m4.xlarge")],
            quarters,
            [regional("ri", "m4.xlarge")],
            [held("ri", "ri", "1")],
        )
    )
    assert result.on_demand_usd == 0
    assert result.utilization_ratio == 1


# --- AWS Billing user guide ----------------------------------------------------------------------


def test_two_m4_large_reservations_share_one_hour_of_m4_xlarge() -> None:
    """Page "Region Reserved Instance line items": half an hour each."""
    result = bill(
        world(
            [instance("m4.large"), instance("m4.xlarge")],
            [used("m4.xlarge", 1)],
            [regional("ri", "m4.large")],
            [held("one", "ri", "1"), held("two", "ri", "1")],
        )
    )
    assert result.on_demand_usd == 0
    assert [use.utilization_ratio for use in result.commitments.values()] == [1, 1]


@pytest.mark.parametrize(("kind", "service"), [("zonal", "ec2"), ("rds", "rds")])
def test_susan_uses_three_of_her_five_and_bob_gets_the_other_two(kind: str, service: str) -> None:
    """Page "Billing examples for specific services": of 9 instances 5 are reserved."""
    offering = (
        zonal("ri", "m4.large")
        if kind == "zonal"
        else offer("ri", Kind.AWS_RDS_RI, {"m4.large": "0.6"}, region="us-east-1", family="m4")
    )
    result = bill(
        world(
            [instance("m4.large", service=service)],
            [
                used("m4.large", 3, account="Susan", zone="us-west-2a"),
                used("m4.large", 6, account="Bob", zone="us-west-2a"),
            ],
            [offering],
            [held("ri", "ri", "5", account="Susan", zone="us-west-2a")],
        )
    )
    assert of(result, "m4.large").covered_quantity == 5
    assert of(result, "m4.large").on_demand_quantity == 4


def test_bob_gets_nothing_from_susan_in_another_zone() -> None:
    result = bill(
        world(
            [instance("m4.large")],
            [used("m4.large", 6, account="Bob", zone="us-west-2b")],
            [zonal("ri", "m4.large")],
            [held("ri", "ri", "5", account="Susan", zone="us-west-2a")],
        )
    )
    assert of(result, "m4.large").covered_quantity == 0


def test_a_c4_8xlarge_covers_one_4xlarge_and_eight_large() -> None:
    """Whitepaper "Reserved Instances and other reservation models", size flexibility."""
    result = bill(
        world(
            [instance(name) for name in ("c4.8xlarge", "c4.4xlarge", "c4.large")],
            [used("c4.4xlarge", 1, account="B"), used("c4.large", 8, account="C")],
            [regional("ri", "c4.8xlarge")],
            [held("ri", "ri", "1")],
        )
    )
    assert result.on_demand_usd == 0
    assert result.utilization_ratio == 1


# --- Databases and caches ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("running", "number", "covered"),
    [("db.t2.small", 2, "2"), ("db.t2.large", 1, "0.5"), ("db.t2.small-multi-az", 1, "1")],
)
def test_a_db_t2_medium_covers_two_small_half_a_large_or_a_small_multi_az(
    running: str, number: int, covered: str
) -> None:
    """RDS user guide, "Size-flexible reserved DB instances": Multi-AZ doubles the units."""
    units = {"db.t2.small": "1", "db.t2.medium": "2", "db.t2.large": "4",
             "db.t2.small-multi-az": "2"}  # fmt: skip
    result = bill(
        world(
            [
                sku(name, "1", service="rds", family="db.t2", size=size, platform="mysql",
                    tenancy=None)
                for name, size in units.items()
            ],
            [used(running, number)],
            [offer("ri", Kind.AWS_RDS_RI, {"db.t2.medium": "0.6"}, region="us-east-1",
                   family="db.t2", platform="mysql", flexible=True)],
            [held("ri", "ri", "1")],
        )
    )  # fmt: skip
    assert of(result, running).covered_quantity == Decimal(covered)


def test_a_sql_server_reservation_stays_at_its_size() -> None:
    """RDS user guide, the list of engines with size flexibility."""
    result = bill(
        world(
            [
                sku(f"db.m5.{size}", "1", service="rds", family="db.m5", size=UNITS[size],
                    platform="sqlserver-se", tenancy=None)
                for size in ("large", "xlarge")
            ],
            [used("db.m5.large", 2)],
            [offer("ri", Kind.AWS_RDS_RI, {"db.m5.xlarge": "0.6"}, region="us-east-1",
                   family="db.m5", platform="sqlserver-se", flexible=True)],
            [held("ri", "ri", "1")],
        )
    )  # fmt: skip
    assert of(result, "db.m5.large").covered_quantity == 0


@pytest.mark.parametrize(
    ("running", "number", "covered"),
    [
        ("db.r6gd.large", 2, "2"),
        ("db.r6gd.2xlarge", 1, "0.5"),
        ("valkey.r6gd.xlarge", 10, "1.42857142857"),
    ],
)
def test_memorydb_nodes_count_by_normalised_units_and_valkey_by_fewer(
    running: str, number: int, covered: str
) -> None:
    """MemoryDB developer guide, "Size flexible reserved nodes": a Valkey xlarge is 5.6 units."""
    units = {"db.r6gd.large": "4", "db.r6gd.xlarge": "8", "db.r6gd.2xlarge": "16",
             "valkey.r6gd.xlarge": "5.6"}  # fmt: skip
    result = bill(
        world(
            [
                sku(name, "1", service="memorydb", family="r6gd", size=size)
                for name, size in units.items()
            ],
            [used(running, number)],
            [offer("ri", Kind.AWS_MEMORYDB_RI, {"db.r6gd.xlarge": "0.6"}, region="us-east-1",
                   family="r6gd", flexible=True)],
            [held("ri", "ri", "1")],
        )
    )  # fmt: skip
    assert round(of(result, running).covered_quantity, 11) == Decimal(covered)


@pytest.mark.parametrize(("engine", "covered"), [("valkey", "1.25"), ("memcached", "0")])
def test_a_redis_cache_reservation_covers_valkey_but_not_memcached(
    engine: str, covered: str
) -> None:
    """AWS Database Blog, "New: Size flexibility for Amazon ElastiCache reserved nodes"."""
    cache = {"service": "elasticache", "family": "r7g"}
    dataset = world(
        [
            sku("redis.large", "1", size="4", platform="redis", **cache),
            sku("other.large", "0.8", size="3.2", platform=engine, **cache),
        ],
        [used("other.large", 3)],
        [offer("ri", Kind.AWS_ELASTICACHE_RI, {"redis.large": "0.6"}, flexible=True)],
        [held("ri", "ri", "1")],
    )
    assert of(bill(dataset), "other.large").covered_quantity == Decimal(covered)


def test_cache_reservations_did_not_float_before_october_2024() -> None:
    """The same page; a change within the hours billed: ``test_rule_changes``."""
    skus = [sku(f"redis.{size}", "1", service="elasticache", family="r7g", size=UNITS[size])
            for size in ("large", "xlarge")]  # fmt: skip
    offers = [offer("ri", Kind.AWS_ELASTICACHE_RI, {"redis.xlarge": "0.6"}, flexible=True)]
    holding = replace(held("ri", "ri", "1"), start=datetime(2024, 1, 1, tzinfo=UTC))
    for day, covered in (
        (datetime(2024, 9, 30, tzinfo=UTC), 0),
        (datetime(2024, 10, 1, tzinfo=UTC), 2),
    ):
        dataset = world(skus, [used("redis.large", 3)], offers, [holding], start=day)
        assert of(bill(dataset), "redis.large").covered_quantity == covered


@pytest.mark.parametrize("kind", [Kind.AWS_OPENSEARCH_RI, Kind.AWS_REDSHIFT_RI])
def test_ten_large_reservations_cover_two_large_and_no_2xlarge_where_sizes_are_fixed(
    kind: Kind,
) -> None:
    """AWS re:Post, "What AWS services support reserved nodes size flexibility"."""
    result = bill(
        world(
            [sku("r6g.large", "1", family="r6g", size="4"),
             sku("r6g.2xlarge", "4", family="r6g", size="16")],
            [used("r6g.2xlarge", 4), used("r6g.large", 2)],
            [offer("ri", kind, {"r6g.large": "0.6"}, region="us-east-1", family="r6g",
                   flexible=True)],
            [held("ri", "ri", "10")],
        )
    )  # fmt: skip
    assert of(result, "r6g.large").covered_quantity == 2
    assert of(result, "r6g.2xlarge").covered_quantity == 0
