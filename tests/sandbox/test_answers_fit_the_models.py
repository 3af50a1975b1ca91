"""Every answer of the sandbox, held against botocore's own models of the services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from service.domain.commitments import Kind, Payment
from service.sandbox.cloud import SandboxCloud
from tests.sandbox.clouds import Sdk, create_plan, offer, sdk, small_cloud
from tests.sandbox.model_check import error_codes_of, faults_of, service_model

PERIOD = {"Start": "2026-03-02", "End": "2026-03-08"}
RECOMMENDATION = {
    "TermInYears": "ONE_YEAR",
    "PaymentOption": "NO_UPFRONT",
    "LookbackPeriodInDays": "SEVEN_DAYS",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxCloud]:
    """A sandbox that owns a plan and a tagged reservation in several states."""
    with small_cloud(exports=tmp_path_factory.mktemp("bucket")) as cloud:
        plans = sdk(cloud, "savingsplans")
        create_plan(plans, offer(cloud.world), tags={"tenor:intent": "i-1"})
        family = offer(cloud.world, Kind.AWS_EC2_INSTANCE_SP, 3, Payment.PARTIAL_UPFRONT)
        create_plan(plans, family, clientToken="token-2")
        _buy_reservation(cloud)
        cloud.advance(24 * 5)
        create_plan(plans, offer(cloud.world), clientToken="token-3")
        yield cloud


def _buy_reservation(cloud: SandboxCloud) -> str:
    ec2: Sdk = sdk(cloud, "ec2")
    offers = ec2.describe_reserved_instances_offerings(InstanceType="m5.large")
    bought = ec2.purchase_reserved_instances_offering(
        ReservedInstancesOfferingId=offers["ReservedInstancesOfferings"][1][
            "ReservedInstancesOfferingId"
        ],
        InstanceCount=2,
    )
    name = str(bought["ReservedInstancesId"])
    ec2.create_tags(Resources=[name], Tags=[{"Key": "tenor:intent", "Value": "i-2"}])
    return name


SIMULATED = {
    "PolicySourceArn": "arn:aws:iam::100000000017:user/tenor",
    "ActionNames": ["ec2:CreateTags", "rds:AddTagsToResource"],
}
RESERVED = {
    "rds": ("DescribeReservedDBInstancesOfferings", "DescribeReservedDBInstances"),
    "elasticache": ("DescribeReservedCacheNodesOfferings", "DescribeReservedCacheNodes"),
    "memorydb": ("DescribeReservedNodesOfferings", "DescribeReservedNodes"),
    "opensearch": ("DescribeReservedInstanceOfferings", "DescribeReservedInstances"),
    "redshift": ("DescribeReservedNodeOfferings", "DescribeReservedNodes"),
}
PURCHASES: dict[str, tuple[str, Kind, dict[str, Any]]] = {
    "rds": (
        "PurchaseReservedDBInstancesOffering",
        Kind.AWS_RDS_RI,
        {"ReservedDBInstanceId": "one", "Tags": [{"Key": "a", "Value": "b"}]},
    ),
    "elasticache": (
        "PurchaseReservedCacheNodesOffering",
        Kind.AWS_ELASTICACHE_RI,
        {"ReservedCacheNodeId": "one"},
    ),
    "memorydb": ("PurchaseReservedNodesOffering", Kind.AWS_MEMORYDB_RI, {"ReservationId": "one"}),
    "opensearch": (
        "PurchaseReservedInstanceOffering",
        Kind.AWS_OPENSEARCH_RI,
        {"ReservationName": "one-of-ours"},
    ),
    "redshift": ("PurchaseReservedNodeOffering", Kind.AWS_REDSHIFT_RI, {}),
}


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("savingsplans", "DescribeSavingsPlansOfferings", {}),
    ("savingsplans", "DescribeSavingsPlansOfferings", {"planTypes": ["EC2Instance"]}),
    ("savingsplans", "DescribeSavingsPlansOfferingRates", {}),
    (
        "savingsplans",
        "DescribeSavingsPlansOfferingRates",
        {"products": ["Fargate", "Lambda"]},
    ),
    ("savingsplans", "DescribeSavingsPlans", {}),
    ("pricing", "GetProducts", {"ServiceCode": "AmazonEC2"}),
    ("pricing", "GetProducts", {"ServiceCode": "AWSLambda"}),
    ("pricing", "DescribeServices", {}),
    ("organizations", "ListAccounts", {}),
    ("organizations", "DescribeOrganization", {}),
    ("sts", "GetCallerIdentity", {}),
    (
        "sts",
        "AssumeRole",
        {"RoleArn": "arn:aws:iam::200000000025:role/tenor", "RoleSessionName": "test"},
    ),
    ("ec2", "DescribeReservedInstancesOfferings", {}),
    ("ec2", "DescribeReservedInstances", {}),
    ("ec2", "DescribeRegions", {}),
    ("ec2", "DeleteQueuedReservedInstances", {"ReservedInstancesIds": ["none"]}),
    ("ec2", "DescribeReservedInstancesModifications", {}),
    ("savingsplans", "DescribeSavingsPlansOfferings", {"planTypes": ["Database", "SageMaker"]}),
    (
        "savingsplans",
        "DescribeSavingsPlansOfferingRates",
        {"products": ["RDS", "ElastiCache", "DynamoDB", "SageMaker"]},
    ),
    ("pricing", "GetProducts", {"ServiceCode": "AmazonRDS"}),
    ("pricing", "GetProducts", {"ServiceCode": "AmazonElastiCache"}),
    ("iam", "SimulatePrincipalPolicy", SIMULATED),
    ("s3", "ListObjectsV2", {"Bucket": "sandbox-exports"}),
    *(
        (service, operation, {})
        for service, operations in RESERVED.items()
        for operation in operations
    ),
    ("ce", "GetSavingsPlansCoverage", {"TimePeriod": PERIOD, "Granularity": "DAILY"}),
    (
        "ce",
        "GetCostAndUsage",
        {
            "TimePeriod": {"Start": "2026-03-03T00:00:00Z", "End": "2026-03-04T00:00:00Z"},
            "Granularity": "HOURLY",
            "Metrics": ["UsageQuantity"],
            "GroupBy": [
                {"Type": "DIMENSION", "Key": "USAGE_TYPE"},
                {"Type": "DIMENSION", "Key": "OPERATION"},
            ],
            "Filter": {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": ["200000000025"]}},
        },
    ),
    (
        "ce",
        "GetSavingsPlansCoverage",
        {"TimePeriod": PERIOD, "GroupBy": [{"Type": "DIMENSION", "Key": "INSTANCE_FAMILY"}]},
    ),
    ("ce", "GetSavingsPlansUtilization", {"TimePeriod": PERIOD, "Granularity": "DAILY"}),
    (
        "ce",
        "GetCostAndUsage",
        {
            "TimePeriod": PERIOD,
            "Granularity": "DAILY",
            "Metrics": ["AmortizedCost", "UsageQuantity"],
            "GroupBy": [{"Type": "DIMENSION", "Key": "LINKED_ACCOUNT"}],
        },
    ),
    (
        "ce",
        "GetSavingsPlansPurchaseRecommendation",
        {"SavingsPlansType": "COMPUTE_SP", **RECOMMENDATION},
    ),
    (
        "ce",
        "GetSavingsPlansPurchaseRecommendation",
        {"SavingsPlansType": "EC2_INSTANCE_SP", **RECOMMENDATION},
    ),
]


def _raw_answer(
    cloud: SandboxCloud, service: str, operation: str, arguments: dict[str, Any]
) -> tuple[int, bytes]:
    client = cloud.clients().reading(service)
    kept: list[tuple[int, bytes]] = []

    def keep(response_dict: dict[str, Any], **_: object) -> None:
        kept.append((response_dict["status_code"], response_dict["body"]))

    client.meta.events.register(f"response-received.{service}.{operation}", keep)
    names = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    getattr(client, names[operation])(**arguments)
    return kept[-1]


@pytest.mark.parametrize(
    ("service", "operation", "arguments"), CALLS, ids=[f"{c[0]}.{c[1]}" for c in CALLS]
)
def test_answer_has_what_the_model_says_and_nothing_else(
    cloud: SandboxCloud, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    status, body = _raw_answer(cloud, service, operation, arguments)
    assert status == 200
    assert faults_of(service, operation, body) == []


def test_every_changing_operation_answers_as_the_model_says(cloud: SandboxCloud) -> None:
    world = cloud.world
    bought = {
        "savingsPlanOfferingId": offer(world).offering,
        "commitment": "0.5",
        "purchaseTime": world.after_hours(48),
    }
    status, body = _raw_answer(cloud, "savingsplans", "CreateSavingsPlan", bought)
    assert (status, faults_of("savingsplans", "CreateSavingsPlan", body)) == (200, [])
    queued = list(world.savings_plans.plans.values())[-1]
    active = next(iter(world.savings_plans.plans.values()))
    changes: list[tuple[str, dict[str, Any]]] = [
        ("TagResource", {"resourceArn": active.arn, "tags": {"a": "b"}}),
        ("ListTagsForResource", {"resourceArn": active.arn}),
        ("DescribeSavingsPlanRates", {"savingsPlanId": active.plan_id}),
        ("DeleteQueuedSavingsPlan", {"savingsPlanId": queued.plan_id}),
        ("ReturnSavingsPlan", {"savingsPlanId": active.plan_id}),
    ]
    for operation, arguments in changes:
        _, body = _raw_answer(cloud, "savingsplans", operation, arguments)
        assert faults_of("savingsplans", operation, body) == []
    reservation = {
        "ReservedInstancesOfferingId": offer(world, Kind.AWS_RI_REGIONAL).offering,
        "InstanceCount": 1,
        "PurchaseTime": world.after_hours(48),
    }
    _, body = _raw_answer(cloud, "ec2", "PurchaseReservedInstancesOffering", reservation)
    assert faults_of("ec2", "PurchaseReservedInstancesOffering", body) == []
    name = next(reversed(world.reservations.reservations))
    tags = {"Resources": [name], "Tags": [{"Key": "a", "Value": "b"}]}
    _, body = _raw_answer(cloud, "ec2", "CreateTags", tags)
    assert faults_of("ec2", "CreateTags", body) == []
    _, body = _raw_answer(
        cloud, "ec2", "DeleteQueuedReservedInstances", {"ReservedInstancesIds": [name]}
    )
    assert faults_of("ec2", "DeleteQueuedReservedInstances", body) == []


@pytest.mark.parametrize("service", PURCHASES)
def test_every_purchase_of_nodes_answers_and_lists_as_the_model_says(
    cloud: SandboxCloud, service: str
) -> None:
    operation, kind, more = PURCHASES[service]
    sold = next(
        one
        for one in cloud.world.catalog.offerings.values()
        if (one.kind, one.region) == (kind, "us-east-1")
    )
    words = service_model(service).operation_model(operation).input_shape
    assert words is not None
    (name,) = (one for one in words.members if one.endswith("OfferingId"))
    status, body = _raw_answer(cloud, service, operation, {name: sold.offering, **more})
    assert (status, faults_of(service, operation, body)) == (200, [])
    listing = RESERVED[service][1]
    status, body = _raw_answer(cloud, service, listing, {})
    assert (status, faults_of(service, listing, body)) == (200, [])
    assert b"payment-pending" in body
    if more:
        client = cloud.clients().reading(service)
        methods = {api: method for method, api in client.meta.method_to_api_mapping.items()}
        with pytest.raises(ClientError) as caught:
            getattr(client, methods[operation])(**{name: sold.offering, **more})
        code = caught.value.response["Error"]["Code"]
        assert "AlreadyExists" in code
        assert code in error_codes_of(service, operation)


def test_exchanges_and_modifications_answer_as_the_model_says(cloud: SandboxCloud) -> None:
    world = cloud.world
    convertible = [
        one
        for one in world.catalog.offerings.values()
        if one.offering in world.catalog.convertible
        and (one.kind, one.region, one.term_months) == (Kind.AWS_RI_REGIONAL, "us-east-1", 12)
        and (one.payment, one.platform) == (Payment.NO_UPFRONT, "linux")
    ]
    ec2 = sdk(cloud, "ec2")
    ids = [
        str(
            ec2.purchase_reserved_instances_offering(
                ReservedInstancesOfferingId=convertible[0].offering, InstanceCount=2
            )["ReservedInstancesId"]
        )
        for _ in range(2)
    ]
    cloud.advance(1)
    exchange = {
        "ReservedInstanceIds": [ids[0]],
        "TargetConfigurations": [{"OfferingId": convertible[1].offering}],
    }
    zonal = {"InstanceCount": 2, "Scope": "Availability Zone", "AvailabilityZone": "us-east-1a"}
    changes: list[tuple[str, dict[str, Any]]] = [
        ("GetReservedInstancesExchangeQuote", exchange),
        ("AcceptReservedInstancesExchangeQuote", exchange),
        (
            "ModifyReservedInstances",
            {"ReservedInstancesIds": [ids[1]], "TargetConfigurations": [zonal]},
        ),
        ("DescribeReservedInstancesModifications", {}),
        ("DescribeReservedInstances", {}),
    ]
    for operation, arguments in changes:
        status, body = _raw_answer(cloud, "ec2", operation, arguments)
        assert (status, faults_of("ec2", operation, body)) == (200, [])
    cloud.advance(1)
    operation = "DescribeReservedInstancesModifications"
    _, body = _raw_answer(cloud, "ec2", operation, {})
    assert faults_of("ec2", operation, body) == []
    assert b"fulfilled" in body


def test_the_check_finds_what_the_sdk_would_swallow() -> None:
    wrong = b'{"savingsPlanId": 7, "extra": "x"}'
    assert sorted(faults_of("savingsplans", "CreateSavingsPlan", wrong)) == [
        "CreateSavingsPlan.extra is unknown",
        "CreateSavingsPlan.savingsPlanId is int, not string",
    ]
    outside = b'{"searchResults": [{"paymentOption": "Some Upfront"}]}'
    found = faults_of("savingsplans", "DescribeSavingsPlansOfferings", outside)
    assert "not among the model's values" in found[0]
    unnamed = (
        b"<DescribeRegionsResponse><regionInfo><thing/></regionInfo></DescribeRegionsResponse>"
    )
    assert "is called thing" in faults_of("ec2", "DescribeRegions", unnamed)[0]


REFUSED: list[tuple[str, str, dict[str, Any], str, int]] = [
    ("savingsplans", "create_savings_plan",
     {"savingsPlanOfferingId": "0" * 8, "commitment": "1"}, "ResourceNotFoundException", 404),
    ("savingsplans", "return_savings_plan",
     {"savingsPlanId": "0" * 8}, "ResourceNotFoundException", 404),
    ("savingsplans", "describe_savings_plans",
     {"nextToken": "AAAA"}, "ValidationException", 400),
    ("pricing", "get_products", {"ServiceCode": "AmazonNothing"}, "NotFoundException", 400),
    ("pricing", "get_products",
     {"ServiceCode": "AmazonEC2", "NextToken": "AAAA"}, "InvalidNextTokenException", 400),
    ("organizations", "list_accounts", {"NextToken": "AAAA"}, "InvalidInputException", 400),
    ("ce", "get_savings_plans_coverage",
     {"TimePeriod": {"Start": "2031-01-01", "End": "2031-01-02"}},
     "DataUnavailableException", 400),
]  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED, ids=[r[1] for r in REFUSED])
def test_refusals_carry_codes_that_the_model_declares(
    cloud: SandboxCloud, refused: tuple[str, str, dict[str, Any], str, int]
) -> None:
    service, method, arguments, code, status = refused
    client = cloud.clients().reading(service)
    with pytest.raises(ClientError) as caught:
        getattr(client, method)(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    operation = client.meta.method_to_api_mapping[method]
    assert code in error_codes_of(service, operation)


def test_models_speak_the_protocols_that_the_sandbox_speaks() -> None:
    spoken = {
        name: service_model(name).metadata["protocol"]
        for name in (
            *("savingsplans", "pricing", "ce", "organizations", "sts", "ec2", "iam", "s3"),
            *RESERVED,
        )
    }
    assert spoken == {
        "savingsplans": "rest-json",
        "pricing": "json",
        "ce": "json",
        "organizations": "json",
        "sts": "query",
        "ec2": "ec2",
        "iam": "query",
        "s3": "rest-xml",
        "rds": "query",
        "elasticache": "query",
        "redshift": "query",
        "opensearch": "rest-json",
        "memorydb": "smithy-rpc-v2-cbor",
    }
    # MemoryDB speaks JSON too, and that is what the SDK chooses.
    assert service_model("memorydb").resolved_protocol == "json"
