"""Which IAM actions each mode needs, and how each can be proven without doing anything.

``docs/permissions/aws-*.json`` are made of these rows; a test holds both against the calls that
the adapters make. Copilot buys what a person signed, with the same credentials as autopilot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.errors import InputError

MODES = ("observe", "copilot", "autopilot")
FREE = frozenset({"sts:GetCallerIdentity"})
"""Calls that need no permission."""


class Proof(StrEnum):
    """By what a permission is proven: the read itself, EC2's dry run, or IAM's own judgement."""

    READ = "read"
    DRY_RUN = "dry_run"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Needed:
    """One action. ``client``, ``method`` and ``arguments`` are what proves it, where one call can.

    ``buys``: only needed where something is bought or changed. ``optional``: needed for one source
    of usage or for proofs only; without it the rest works.
    """

    action: str
    proof: Proof
    client: str = ""
    method: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    buys: bool = False
    optional: bool = False


def _read(action: str, client: str, method: str, **arguments: object) -> Needed:
    return Needed(action, Proof.READ, client, method, arguments)


def _buys(action: str) -> Needed:
    return Needed(action, Proof.SIMULATED, buys=True)


def _dry_run(action: str, method: str, **arguments: object) -> Needed:
    return Needed(action, Proof.DRY_RUN, "ec2", method, arguments, buys=True)


_RI = "00000000-0000-4000-8000-000000000000"
"""An id that no reservation has: a dry run judges the permission, not the reservation."""
_EXCHANGE = {"ReservedInstanceIds": [_RI], "TargetConfigurations": [{"OfferingId": _RI}]}

NEEDED: tuple[Needed, ...] = (
    _read("organizations:ListAccounts", "organizations", "list_accounts", MaxResults=1),
    _read("pricing:GetProducts", "pricing", "get_products", ServiceCode="AmazonEC2", MaxResults=1),
    _read(
        "savingsplans:DescribeSavingsPlansOfferings",
        "savingsplans",
        "describe_savings_plans_offerings",
        maxResults=1,
    ),
    _read(
        "savingsplans:DescribeSavingsPlansOfferingRates",
        "savingsplans",
        "describe_savings_plans_offering_rates",
        maxResults=1,
    ),
    _read(
        "savingsplans:DescribeSavingsPlans", "savingsplans", "describe_savings_plans", maxResults=1
    ),
    Needed("savingsplans:DescribeSavingsPlanRates", Proof.SIMULATED),
    Needed("ce:GetSavingsPlansUtilization", Proof.SIMULATED),
    _read("ec2:DescribeRegions", "ec2", "describe_regions"),
    _read("ec2:DescribeReservedInstances", "ec2", "describe_reserved_instances"),
    _read(
        "ec2:DescribeReservedInstancesOfferings",
        "ec2",
        "describe_reserved_instances_offerings",
        IncludeMarketplace=False,
        MaxResults=5,
    ),
    _read(
        "ec2:DescribeReservedInstancesModifications",
        "ec2",
        "describe_reserved_instances_modifications",
    ),
    Needed(
        "ec2:GetReservedInstancesExchangeQuote",
        Proof.DRY_RUN,
        "ec2",
        "get_reserved_instances_exchange_quote",
        _EXCHANGE,
    ),
    _read(
        "rds:DescribeReservedDBInstancesOfferings",
        "rds",
        "describe_reserved_db_instances_offerings",
        MaxRecords=20,
    ),
    _read(
        "rds:DescribeReservedDBInstances", "rds", "describe_reserved_db_instances", MaxRecords=20
    ),
    _read(
        "elasticache:DescribeReservedCacheNodesOfferings",
        "elasticache",
        "describe_reserved_cache_nodes_offerings",
        MaxRecords=20,
    ),
    _read(
        "elasticache:DescribeReservedCacheNodes",
        "elasticache",
        "describe_reserved_cache_nodes",
        MaxRecords=20,
    ),
    _read(
        "memorydb:DescribeReservedNodesOfferings",
        "memorydb",
        "describe_reserved_nodes_offerings",
        MaxResults=20,
    ),
    _read("memorydb:DescribeReservedNodes", "memorydb", "describe_reserved_nodes", MaxResults=20),
    _read(
        "es:DescribeReservedInstanceOfferings",
        "opensearch",
        "describe_reserved_instance_offerings",
        MaxResults=30,
    ),
    _read(
        "es:DescribeReservedInstances", "opensearch", "describe_reserved_instances", MaxResults=30
    ),
    _read(
        "redshift:DescribeReservedNodeOfferings",
        "redshift",
        "describe_reserved_node_offerings",
        MaxRecords=20,
    ),
    _read("redshift:DescribeReservedNodes", "redshift", "describe_reserved_nodes", MaxRecords=20),
    Needed("s3:ListBucket", Proof.SIMULATED, optional=True),
    Needed("s3:GetObject", Proof.SIMULATED, optional=True),
    Needed("ce:GetCostAndUsage", Proof.SIMULATED, optional=True),
    Needed("iam:SimulatePrincipalPolicy", Proof.SIMULATED, optional=True),
    _buys("savingsplans:CreateSavingsPlan"),
    _buys("savingsplans:TagResource"),
    _buys("savingsplans:ReturnSavingsPlan"),
    _buys("savingsplans:DeleteQueuedSavingsPlan"),
    _dry_run(
        "ec2:PurchaseReservedInstancesOffering",
        "purchase_reserved_instances_offering",
        ReservedInstancesOfferingId=_RI,
        InstanceCount=1,
    ),
    _dry_run(
        "ec2:CreateTags",
        "create_tags",
        Resources=[_RI],
        Tags=[{"Key": "tenor:intent", "Value": "dry-run"}],
    ),
    _dry_run(
        "ec2:DeleteQueuedReservedInstances",
        "delete_queued_reserved_instances",
        ReservedInstancesIds=[_RI],
    ),
    _dry_run(
        "ec2:AcceptReservedInstancesExchangeQuote",
        "accept_reserved_instances_exchange_quote",
        **_EXCHANGE,
    ),
    _buys("ec2:ModifyReservedInstances"),
    _buys("rds:PurchaseReservedDBInstancesOffering"),
    _buys("rds:AddTagsToResource"),
    _buys("elasticache:PurchaseReservedCacheNodesOffering"),
    _buys("elasticache:AddTagsToResource"),
    _buys("memorydb:PurchaseReservedNodesOffering"),
    _buys("memorydb:TagResource"),
    _buys("es:PurchaseReservedInstanceOffering"),
    _buys("redshift:PurchaseReservedNodeOffering"),
)

TAGGING: Mapping[str, str] = {
    "savingsplans:CreateSavingsPlan": "savingsplans:TagResource",
    "rds:PurchaseReservedDBInstancesOffering": "rds:AddTagsToResource",
    "elasticache:PurchaseReservedCacheNodesOffering": "elasticache:AddTagsToResource",
    "memorydb:PurchaseReservedNodesOffering": "memorydb:TagResource",
}
"""Purchases that carry a tag, and the action that AWS asks for besides."""


def needed_for(mode: str) -> tuple[Needed, ...]:
    """What ``mode`` needs; ``InputError`` when it is not a mode."""
    if mode not in MODES:
        raise InputError(
            f"{mode!r} is not a mode", file="the policy", remedy=f"Use one of {', '.join(MODES)}."
        )
    return tuple(one for one in NEEDED if mode != MODES[0] or not one.buys)


_SIDS = (
    ("ReadCommitments", False, False),
    ("BuyAndUndo", True, False),
)


def policy_document(mode: str) -> dict[str, object]:
    """The IAM policy that grants ``mode`` what it needs; ``EXPORT-BUCKET`` is to be filled in."""
    needed = needed_for(mode)
    statements: list[dict[str, object]] = []
    for sid, buys, optional in _SIDS:
        actions = [one.action for one in needed if (one.buys, one.optional) == (buys, optional)]
        if actions:
            statements.append({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": "*"})
    statements += [
        {
            "Sid": "ListExports",
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": "arn:aws:s3:::EXPORT-BUCKET",
        },
        {
            "Sid": "ReadExports",
            "Effect": "Allow",
            "Action": ["s3:GetObject"],
            "Resource": "arn:aws:s3:::EXPORT-BUCKET/*",
        },
        {
            "Sid": "UsageWithoutExports",
            "Effect": "Allow",
            "Action": ["ce:GetCostAndUsage"],
            "Resource": "*",
        },
        {
            "Sid": "ProvePermissions",
            "Effect": "Allow",
            "Action": ["iam:SimulatePrincipalPolicy"],
            "Resource": "arn:aws:iam::*:role/tenor",
        },
    ]
    return {"Version": "2012-10-17", "Statement": statements}
