"""AWS's words for what the catalogue holds: usage types, products, payment and plan names."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from service.domain.commitments import Kind, Offering, Payment
from service.domain.usage import Sku
from service.usage.aws_sku import describe_sku, split_sku

PAYMENT_WORDS = {
    Payment.NO_UPFRONT: "No Upfront",
    Payment.PARTIAL_UPFRONT: "Partial Upfront",
    Payment.ALL_UPFRONT: "All Upfront",
}
PLAN_WORDS = {
    Kind.AWS_COMPUTE_SP: "Compute",
    Kind.AWS_EC2_INSTANCE_SP: "EC2Instance",
    Kind.AWS_DATABASE_SP: "Database",
    Kind.AWS_SAGEMAKER_SP: "SageMaker",
}
TERM_SECONDS = {12: 31_536_000, 36: 94_608_000}
SERVICE_CODES = {
    "ec2": "AmazonEC2",
    "fargate": "AmazonECS",
    "lambda": "AWSLambda",
    "rds": "AmazonRDS",
    "elasticache": "AmazonElastiCache",
    "memorydb": "AmazonMemoryDB",
    "opensearch": "AmazonES",
    "redshift": "AmazonRedshift",
    "dynamodb": "AmazonDynamoDB",
    "sagemaker": "AmazonSageMaker",
}
PRODUCT_TYPES = {
    "ec2": "EC2",
    "fargate": "Fargate",
    "lambda": "Lambda",
    "rds": "RDS",
    "elasticache": "ElastiCache",
    "dynamodb": "DynamoDB",
    "sagemaker": "SageMaker",
}
PLAN_SERVICE_CODES = {
    Kind.AWS_COMPUTE_SP: "ComputeSavingsPlans",
    Kind.AWS_EC2_INSTANCE_SP: "ComputeSavingsPlans",
    Kind.AWS_DATABASE_SP: "DatabaseSavingsPlans",
    Kind.AWS_SAGEMAKER_SP: "MachineLearningSavingsPlans",
}
PLAN_PRODUCTS = {
    Kind.AWS_COMPUTE_SP: ["EC2", "Fargate", "Lambda"],
    Kind.AWS_EC2_INSTANCE_SP: ["EC2"],
    Kind.AWS_DATABASE_SP: ["RDS", "ElastiCache", "DynamoDB"],
    Kind.AWS_SAGEMAKER_SP: ["SageMaker"],
}
PLATFORM_WORDS = {"linux": "Linux/UNIX", "windows": "Windows"}
_HOME_PREFIX = "USE1-"


class WireSku(NamedTuple):
    """How AWS writes a SKU."""

    usage_type: str
    operation: str
    service_code: str
    product_type: str
    instance_type: str | None
    product_description: str | None


def wire_sku(sku: Sku) -> WireSku:
    """The SKU in AWS's words. In us-east-1 EC2 and Lambda leave the region's code out."""
    usage_type, operation = split_sku(sku.key.sku)
    facts = describe_sku(sku.key.sku)
    if sku.service != "fargate":
        usage_type = usage_type.removeprefix(_HOME_PREFIX)
    return WireSku(
        usage_type=usage_type,
        operation=operation,
        service_code=SERVICE_CODES.get(sku.service, "AmazonEC2"),
        product_type=PRODUCT_TYPES.get(sku.service, "EC2"),
        instance_type=facts.instance_type,
        product_description=PLATFORM_WORDS.get(sku.platform or "", sku.platform),
    )


def offering_description(offering: Offering) -> str:
    """The sentence that AWS describes an offering in."""
    years = offering.term_months // 12
    head = f"{years} year {PAYMENT_WORDS[offering.payment]}"
    if offering.family is not None:
        return f"{head} {offering.family} EC2 Instance Savings Plan in {offering.region}"
    return f"{head} {PLAN_WORDS[offering.kind]} Savings Plan"


def instant_text(instant: datetime) -> str:
    """An instant as savingsplans writes it, to the millisecond."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000Z")


SERVICE_NAMES = {
    "ec2": "Amazon Elastic Compute Cloud - Compute",
    "fargate": "Amazon Elastic Container Service",
    "lambda": "AWS Lambda",
    "rds": "Amazon Relational Database Service",
    "elasticache": "Amazon ElastiCache",
    "memorydb": "Amazon MemoryDB",
    "opensearch": "Amazon OpenSearch Service",
    "redshift": "Amazon Redshift",
    "dynamodb": "Amazon DynamoDB",
    "sagemaker": "Amazon SageMaker",
}
"""Service dimension values of Cost Explorer and of billing exports."""
