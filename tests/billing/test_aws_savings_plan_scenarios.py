"""AWS's own worked examples of Savings Plans, with their numbers, page by page."""

from __future__ import annotations

from decimal import Decimal

from service.billing.bill import bill
from service.domain.commitments import Commitment, Kind
from service.domain.ids import CommitmentId
from service.domain.usage import Dataset
from tests.billing.aws_words import of, regional
from tests.billing.worlds import held, offer, sku, used, world

# --- Savings Plans user guide, "Understanding how Savings Plans apply to your usage" -------------

PLAN_SKUS = [
    sku("r5.4xlarge", "1.00", family="r5", size="32"),
    sku("m5.24xlarge-windows", "10.00", family="m5", platform="windows", tenancy="dedicated"),
    sku("fargate-vcpu", "0.04", region="us-west-1", service="fargate"),
    sku("fargate-gb", "0.004", region="us-west-1", service="fargate"),
    sku("lambda-gb-second", "0.000015", region="us-east-2", service="lambda"),
    sku("lambda-request", "0.0000002", region="us-east-2", service="lambda"),
]
PLAN_USAGE = [
    used("r5.4xlarge", 4),
    used("m5.24xlarge-windows", 1),
    used("fargate-vcpu", 400, region="us-west-1"),
    used("fargate-gb", 1600, region="us-west-1"),
    used("lambda-gb-second", 1_500_000, region="us-east-2"),
    used("lambda-request", 1_000_000, region="us-east-2"),
]
COMPUTE = offer(
    "compute",
    Kind.AWS_COMPUTE_SP,
    {
        "r5.4xlarge": "0.70",
        "m5.24xlarge-windows": "8.20",
        "fargate-vcpu": "0.03",
        "fargate-gb": "0.003",
        "lambda-gb-second": "0.00001275",
        "lambda-request": "0.0000002",
    },
)
R5 = offer(
    "r5-plan",
    Kind.AWS_EC2_INSTANCE_SP,
    {"r5.4xlarge": "0.60"},
    region="us-east-1",
    family="r5",
)
R5_RESERVED = regional("r5-reserved", "r5.4xlarge")


def plan_world(*holdings: Commitment) -> Dataset:
    return world(PLAN_SKUS, PLAN_USAGE, [COMPUTE, R5, R5_RESERVED], holdings)


def test_without_plans_the_hour_costs_59_10() -> None:
    assert bill(plan_world()).total_usd == Decimal("59.10")


def test_scenario_1_a_50_dollar_compute_plan_covers_all_usage_with_47_13() -> None:
    result = bill(plan_world(held("sp", "compute", "50.00")))
    assert result.on_demand_usd == 0
    assert result.commitments[CommitmentId("sp")].used_usd == Decimal("47.125")
    assert result.total_usd == 50


def test_scenario_2_a_2_dollar_compute_plan_goes_to_r5_and_leaves_56_24_on_demand() -> None:
    result = bill(plan_world(held("sp", "compute", "2.00")))
    assert of(result, "r5.4xlarge").covered_quantity == Decimal("2.857142857143")
    assert round(of(result, "r5.4xlarge").on_demand_usd, 2) == Decimal("1.14")
    assert round(result.on_demand_usd, 2) == Decimal("56.24")
    assert result.commitments[CommitmentId("sp")].utilization_ratio == 1


def test_scenario_3_reserved_instances_come_before_a_compute_plan_of_18_20() -> None:
    result = bill(plan_world(held("ri", "r5-reserved", "2"), held("sp", "compute", "18.20")))
    assert result.commitments[CommitmentId("ri")].utilization_ratio == 1
    assert result.commitments[CommitmentId("sp")].used_usd == Decimal("18.20")
    assert of(result, "r5.4xlarge").on_demand_quantity == 0
    assert of(result, "fargate-vcpu").on_demand_quantity == 0
    assert of(result, "fargate-gb").on_demand_quantity == 0
    assert result.on_demand_usd == Decimal("32.70")


def test_scenario_4_an_instance_plan_of_3_00_comes_before_a_compute_plan_of_16_80() -> None:
    result = bill(plan_world(held("sp", "compute", "16.80"), held("r5", "r5-plan", "3.00")))
    assert result.commitments[CommitmentId("r5")].used_usd == Decimal("2.40")
    assert result.commitments[CommitmentId("sp")].used_usd == Decimal("16.80")
    assert result.on_demand_usd == Decimal("32.70")


def test_at_equal_savings_the_lowest_plan_rate_comes_first() -> None:
    """The same page: both Fargate rates save 25%; memory has the lower rate."""
    result = bill(plan_world(held("sp", "compute", "9.00")))
    assert of(result, "r5.4xlarge").on_demand_quantity == 0
    assert of(result, "fargate-gb").on_demand_quantity == 0
    assert of(result, "fargate-vcpu").covered_quantity == Decimal("46.666666666667")


def test_98_percent_utilization_when_9_80_of_10_dollars_are_used() -> None:
    """Savings Plans user guide, "Using your utilization report"."""
    dataset = world(
        [sku("m5.large", "0.2")],
        [used("m5.large", 98)],
        [offer("compute", Kind.AWS_COMPUTE_SP, {"m5.large": "0.1"})],
        [held("sp", "compute", "10")],
    )
    assert bill(dataset).utilization_ratio == Decimal("0.98")
