"""Which services and operations the sandbox AWS answers."""

from __future__ import annotations

from collections.abc import Mapping

from service.sandbox.wire import (
    account_services,
    cost_and_usage,
    cost_explorer,
    ec2,
    nodes,
    pricing,
    s3,
    savingsplans,
)
from service.sandbox.wire.call import Handler

OPERATIONS: Mapping[str, Mapping[str, Handler]] = {
    "savingsplans": savingsplans.OPERATIONS,
    "pricing": pricing.OPERATIONS,
    "ec2": ec2.OPERATIONS,
    "ce": {**cost_explorer.OPERATIONS, **cost_and_usage.OPERATIONS},
    "sts": account_services.STS_OPERATIONS,
    "iam": account_services.IAM_OPERATIONS,
    "organizations": account_services.ORGANIZATIONS_OPERATIONS,
    "rds": nodes.RDS_OPERATIONS,
    "elasticache": nodes.ELASTICACHE_OPERATIONS,
    "redshift": nodes.REDSHIFT_OPERATIONS,
    "es": nodes.OPENSEARCH_OPERATIONS,
    "memorydb": nodes.MEMORYDB_OPERATIONS,
    "s3": s3.OPERATIONS,
}
"""By the name that a request is signed for, the operations by their own."""
