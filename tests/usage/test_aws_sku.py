from __future__ import annotations

from decimal import Decimal

import pytest

from service.usage.aws_sku import (
    aws_sku,
    aws_tables,
    describe_sku,
    family_of,
    platform_of,
    region_code,
    region_of_usage_type,
    size_units,
    split_sku,
)


@pytest.mark.parametrize(
    ("usage_type", "operation", "sku"),
    [
        ("USW2-BoxUsage:m5.large", "RunInstances", "USW2-BoxUsage:m5.large/RunInstances"),
        ("BoxUsage:m5.large", "RunInstances", "USE1-BoxUsage:m5.large/RunInstances"),
        ("EUW1-BoxUsage:c5.xlarge", "RunInstances:0002", "EU-BoxUsage:c5.xlarge/RunInstances:0002"),
        ("USE1-Fargate-vCPU-Hours:perCPU", "", "USE1-Fargate-vCPU-Hours:perCPU/"),
        ("USE2-Odd/Type", "A/B", "USE2-Odd%2FType/A/B"),
    ],
)
def test_one_usage_has_one_sku_id_however_the_region_is_spelled(
    usage_type: str, operation: str, sku: str
) -> None:
    assert aws_sku(usage_type, operation) == sku


def test_a_sku_id_gives_its_usage_type_and_operation_back() -> None:
    assert split_sku(aws_sku("USE2-Odd/Type", "A/B")) == ("USE2-Odd/Type", "A/B")


def test_naming_a_named_sku_again_changes_nothing() -> None:
    for usage_type in ("BoxUsage:m5.large", "EUW1-BoxUsage:m5.large", "Lambda-GB-Second"):
        sku = aws_sku(usage_type, "RunInstances")
        assert aws_sku(*split_sku(sku)) == sku


def test_an_instance_sku_tells_region_family_size_platform_and_tenancy() -> None:
    facts = describe_sku("EUC1-DedicatedUsage:m5.4xlarge/RunInstances:0010")
    assert (facts.region, facts.service, facts.family) == ("eu-central-1", "ec2", "m5")
    assert facts.instance_type == "m5.4xlarge"
    assert facts.size_units == 32
    assert (facts.platform, facts.tenancy) == ("rhel", "dedicated")


def test_instances_billed_without_a_name_are_m1_small() -> None:
    assert describe_sku("USW2-BoxUsage/RunInstances").instance_type == "m1.small"


def test_fargate_and_lambda_are_services_without_families() -> None:
    fargate = describe_sku("USW2-Fargate-GB-Hours/")
    function = describe_sku("USE1-Lambda-GB-Second-ARM/Invoke")
    assert (fargate.service, fargate.family, fargate.size_units) == ("fargate", None, None)
    assert (function.service, function.family, function.platform) == ("lambda", None, None)


def test_a_dedicated_host_has_a_family_and_no_size() -> None:
    facts = describe_sku("USE1-HostUsage:m5/RunInstances")
    assert (facts.family, facts.instance_type, facts.size_units) == ("m5", None, None)
    assert family_of("USE1-HostUsage:m5/RunInstances") == "m5"


def test_other_usage_is_of_no_known_service() -> None:
    facts = describe_sku("USE1-EBS:VolumeUsage.gp3/CreateVolume-Gp3")
    assert (facts.service, facts.family, facts.instance_type) == (None, None, None)


@pytest.mark.parametrize(
    ("instance_type", "units"),
    [
        ("t3.nano", "0.25"),
        ("t3.medium", "2"),
        ("m5.xlarge", "8"),
        ("c5.9xlarge", "72"),
        ("u7in-16tb.224xlarge", "1792"),
        ("m5.metal", "192"),
        ("m7i.metal-24xl", "192"),
    ],
)
def test_sizes_weigh_what_the_user_guide_says(instance_type: str, units: str) -> None:
    assert size_units(instance_type) == Decimal(units)


def test_an_unknown_weight_is_not_guessed() -> None:
    assert size_units("zz9.metal") is None
    assert size_units("m5.gigantic") is None


def test_operations_tell_the_platform_apart() -> None:
    assert platform_of("RunInstances:000g") == "suse"
    assert platform_of("RunInstances:0g00") == "ubuntu_pro"
    assert platform_of("CreateVolume") is None


def test_every_region_code_leads_to_its_region_and_back() -> None:
    for code, region in aws_tables().regions.items():
        assert region_of_usage_type(f"{code}-BoxUsage:m5.large") == region
        assert region_code(region) == code
    assert region_code("moon-north-1") is None
