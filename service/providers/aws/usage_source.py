"""Where AWS usage comes from, by the settings: exports on S3, Cost Explorer, or files at hand."""

from __future__ import annotations

from collections.abc import Mapping

from service.domain.hours import Clock
from service.providers.aws.clients import AwsClients
from service.providers.aws.cost_explorer import CostExplorerUsage
from service.providers.aws.exports import AwsExports, S3Location
from service.providers.port import ProviderExports


def aws_exports(
    clients: AwsClients, *, clock: Clock, s3: str | None, cost_explorer_requests: int = 0
) -> ProviderExports | None:
    """What brings usage into the exports' folder; ``None`` where files are put there by others.

    ``s3``: ``s3://bucket/prefix`` of an export, which wins. ``cost_explorer_requests``: how many
    paid requests one fetch may make of Cost Explorer; 0 asks it nothing.
    """
    if s3 is not None:
        return AwsExports(clients, S3Location.of(s3))
    if cost_explorer_requests > 0:
        return CostExplorerUsage(clients, clock=clock, requests_max=cost_explorer_requests)
    return None


def needed_by(exports: ProviderExports | None) -> tuple[str, ...]:
    """The IAM actions that a source of usage needs."""
    if isinstance(exports, AwsExports):
        return ("s3:ListBucket", "s3:GetObject")
    return ("ce:GetCostAndUsage",) if isinstance(exports, CostExplorerUsage) else ()


def granted_on(exports: ProviderExports | None) -> Mapping[str, str]:
    """By action what it is granted on, in S3, where that is not everything."""
    if not isinstance(exports, AwsExports):
        return {}
    at = exports.location
    return {"s3:ListBucket": at.bucket, "s3:GetObject": f"{at.bucket}/{at.prefix}*"}
