"""What the usage types of managed nodes say: class, family, engine, units."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from service.domain.commitments import Kind
from service.usage.aws_sku import aws_sku, describe_sku
from service.usage.eligibility import coverable_by

TODAY = date(2026, 3, 2)
RDS, PLAN = Kind.AWS_RDS_RI, Kind.AWS_DATABASE_SP


@pytest.mark.parametrize(
    ("usage_type", "operation", "expected"),
    [
        ("InstanceUsage:db.m5.large", "CreateDBInstance:0014", "rds db.m5.large postgresql 4"),
        ("USW2-Multi-AZUsage:db.r7g.2xl", "CreateDBInstance:0002", "rds db.r7g.2xlarge mysql 32"),
        (
            "EU-Multi-AZClusterUsage:db.m6gd.xl",
            "CreateDBInstance:0014",
            "rds db.m6gd.xlarge postgresql 24",
        ),
        (
            "InstanceUsageIOOptimized:db.r6g.large",
            "CreateDBInstance:0021",
            "rds db.r6g.large aurora-postgresql 5.2",
        ),
        (
            "Multi-AZUsage:db.m5.large",
            "CreateDBInstance:0012",
            "rds db.m5.large sqlserver-se-li 8",
        ),
        (
            "NodeUsage:cache.r6g.xlarge",
            "CreateCacheCluster:0002",
            "elasticache cache.r6g.xlarge redis 8",
        ),
        (
            "NodeUsage:cache.r7g.large",
            "CreateCacheCluster:Valkey",
            "elasticache cache.r7g.large valkey 3.2",
        ),
        ("NodeUsage:db.r6g.large", "CreateCluster", "memorydb db.r6g.large redis 4"),
        ("ESInstance:r6g.large", "ESDomain", "opensearch r6g.large - -"),
        ("ESInstance:r6g.large.search", "ESDomain", "opensearch r6g.large - -"),
        ("Node:ra3.xlplus", "RunComputeNode:0001", "redshift ra3.xlplus - -"),
        ("Aurora:ServerlessV2Usage", "CreateDBInstance:0021", "rds - aurora-postgresql -"),
        ("WriteRequestUnits", "PayPerRequestThroughput", "dynamodb - - -"),
        ("USE2-Host:ml.m5.large", "RunInstance", "sagemaker - - -"),
    ],
)
def test_a_usage_type_says_what_it_bills(usage_type: str, operation: str, expected: str) -> None:
    facts = describe_sku(aws_sku(usage_type, operation))
    service, instance, platform, units = (
        None if word == "-" else word for word in expected.split()
    )
    assert (facts.service, facts.instance_type, facts.platform) == (service, instance, platform)
    assert facts.size_units == (None if units is None else Decimal(units))
    assert facts.tenancy is None
    assert facts.family == (None if instance is None else instance.rpartition(".")[0])


@pytest.mark.parametrize(
    ("usage_type", "operation", "kinds"),
    [
        ("InstanceUsage:db.m5.large", "CreateDBInstance:0014", {RDS}),
        ("InstanceUsage:db.m7g.large", "CreateDBInstance:0014", {RDS, PLAN}),
        ("InstanceUsage:db.m7g.large", "CreateDBInstance:0022", {PLAN}),
        ("Aurora:ServerlessV2Usage", "CreateDBInstance:0021", {PLAN}),
        ("NodeUsage:cache.r6g.large", "CreateCacheCluster:0002", {Kind.AWS_ELASTICACHE_RI}),
        ("NodeUsage:cache.r7g.large", "CreateCacheCluster:Valkey", {Kind.AWS_ELASTICACHE_RI, PLAN}),
        ("NodeUsage:db.r6g.large", "CreateCluster", {Kind.AWS_MEMORYDB_RI}),
        ("ESInstance:m5.large", "ESDomain", {Kind.AWS_OPENSEARCH_RI}),
        ("Node:ra3.4xlarge", "RunComputeNode:0001", {Kind.AWS_REDSHIFT_RI}),
        ("ReadRequestUnits", "PayPerRequestThroughput", {PLAN}),
        ("Train:ml.m5.large", "RunInstance", {Kind.AWS_SAGEMAKER_SP}),
        ("TimedStorage-ByteHrs", "StandardStorage", set()),
        ("RDS:GP3-Storage", "CreateDBInstance:0014", set()),
    ],
)
def test_what_could_cover_a_managed_node(usage_type: str, operation: str, kinds: set[Kind]) -> None:
    assert coverable_by("aws", aws_sku(usage_type, operation), TODAY) == kinds


def test_database_plans_cover_nothing_before_they_were_sold() -> None:
    sku = aws_sku("InstanceUsage:db.m7g.large", "CreateDBInstance:0014")
    assert coverable_by("aws", sku, date(2025, 12, 1)) == {RDS}
