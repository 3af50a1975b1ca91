from __future__ import annotations

from datetime import date

import pytest

from service.domain.commitments import Kind
from service.usage.aws_sku import aws_sku
from service.usage.eligibility import coverable_by, is_eligible, shipped_rules

TODAY = date(2026, 11, 1)
PLANS = {Kind.AWS_COMPUTE_SP, Kind.AWS_EC2_INSTANCE_SP}
RESERVED = {Kind.AWS_RI_REGIONAL, Kind.AWS_RI_ZONAL}


@pytest.mark.parametrize(
    ("usage_type", "operation", "kinds"),
    [
        ("BoxUsage:m5.large", "RunInstances", PLANS | RESERVED),
        ("USW2-BoxUsage:m5.large", "RunInstances:0002", PLANS | RESERVED),
        ("EU-DedicatedUsage:c5.xlarge", "RunInstances", PLANS | RESERVED),
        ("USW2-UnusedBox:m5.large", "RunInstances", PLANS | {Kind.AWS_RI_REGIONAL}),
        ("USE1-Fargate-vCPU-Hours:perCPU", "", {Kind.AWS_COMPUTE_SP}),
        ("USE1-Fargate-ARM-GB-Hours", "FargateTask", {Kind.AWS_COMPUTE_SP}),
        ("Lambda-GB-Second", "Invoke", {Kind.AWS_COMPUTE_SP}),
        ("USE2-Lambda-Provisioned-Concurrency-ARM", "", {Kind.AWS_COMPUTE_SP}),
    ],
)
def test_instances_fargate_and_lambda_can_be_covered(
    usage_type: str, operation: str, kinds: set[Kind]
) -> None:
    assert coverable_by("aws", aws_sku(usage_type, operation), TODAY) == kinds


@pytest.mark.parametrize(
    ("usage_type", "operation"),
    [
        ("USW2-SpotUsage:m5.large", "RunInstances:SV001"),
        ("USW2-HostUsage:m5", "RunInstances"),
        ("USW2-HostBoxUsage:m5.large", "RunInstances"),
        ("USW2-Reservation:m5.large", "RunInstances"),
        ("USW2-EBSOptimized:m5.large", "Hourly"),
        ("USW2-EBS:VolumeUsage.gp3", "CreateVolume-Gp3"),
        ("USW2-SpotUsage-Fargate-vCPU-Hours:perCPU", ""),
        ("USW2-Fargate-EphemeralStorage-GB-Hours", ""),
        ("USW2-Fargate-Windows-OS-Hours:perCPU", ""),
        ("Lambda-Edge-GB-Second", ""),
        ("Request", "Invoke"),
        ("USW2-BoxUsage:db.m5.large", "CreateDBInstance"),
        ("USW2-NatGateway-Hours", "NatGateway"),
    ],
)
def test_all_else_is_split_out(usage_type: str, operation: str) -> None:
    assert not is_eligible("aws", aws_sku(usage_type, operation), TODAY)


def test_a_rule_speaks_only_of_days_on_which_it_holds() -> None:
    sku = aws_sku("Lambda-GB-Second", "Invoke")
    assert not is_eligible("aws", sku, date(2020, 2, 17))
    assert is_eligible("aws", sku, date(2020, 2, 18))


def test_no_rule_speaks_of_providers_whose_skus_say_nothing() -> None:
    assert not is_eligible("azure", "DZH318Z0BQ4B/005G", TODAY)


def test_every_shipped_rule_names_its_source() -> None:
    assert all(rule.source and rule.kinds for rule in shipped_rules())
    assert {rule.provider for rule in shipped_rules()} == {"aws", "azure", "gcp"}


@pytest.mark.parametrize(
    ("provider", "sku", "kinds"),
    [
        ("azure", "Standard_D4s_v5", {Kind.AZURE_SAVINGS_PLAN, Kind.AZURE_RESERVATION}),
        ("azure", "Standard_D4s_v5 windows", {Kind.AZURE_SAVINGS_PLAN, Kind.AZURE_RESERVATION}),
        ("azure", "Standard_D4s_v5 spot", set()),
        ("azure", "Virtual Machines Licenses/Windows Server/4 vCPU VM License", set()),
        ("azure", "Storage/Premium SSD Managed Disks/P10 LRS Disk", set()),
        ("gcp", "N2 vCPU", {Kind.GCP_RESOURCE_CUD, Kind.GCP_FLEXIBLE_CUD}),
        ("gcp", "N1 Custom RAM", {Kind.GCP_RESOURCE_CUD, Kind.GCP_FLEXIBLE_CUD}),
        ("gcp", "M3 vCPU", {Kind.GCP_RESOURCE_CUD}),
        ("gcp", "N2 Spot vCPU", set()),
        ("gcp", "N2 Custom Extended RAM", set()),
        ("gcp", "Compute Engine/Nvidia L4 GPU running in Americas", set()),
    ],
)
def test_machines_of_azure_and_google_can_be_covered_unless_they_can_be_taken_away(
    provider: str, sku: str, kinds: set[Kind]
) -> None:
    assert coverable_by(provider, sku, TODAY) == kinds


@pytest.mark.parametrize(
    ("provider", "service", "kind"),
    [
        ("aws", "ec2", Kind.AWS_COMPUTE_SP),
        ("aws", "rds", Kind.AWS_RDS_RI),
        ("azure", "vm", Kind.AZURE_SAVINGS_PLAN),
        ("azure", "sql", Kind.AZURE_RESERVATION),
        ("gcp", "compute", Kind.GCP_FLEXIBLE_CUD),
    ],
)
def test_a_sku_that_is_named_otherwise_goes_by_its_service(
    provider: str, service: str, kind: Kind
) -> None:
    assert kind in coverable_by(provider, "large one", TODAY, service=service)
    assert not is_eligible(provider, "large one", TODAY)
    assert not is_eligible(provider, "large one", TODAY, service="storage")


def test_what_a_providers_own_name_says_counts_more_than_the_service() -> None:
    spot = aws_sku("USW2-SpotUsage:m5.large", "RunInstances:SV001")
    assert not is_eligible("aws", spot, TODAY, service="ec2")
    assert not is_eligible("azure", "Standard_D4s_v5 spot", TODAY, service="vm")
    assert not is_eligible("gcp", "N2 Spot vCPU", TODAY, service="compute")
