"""What AWS's usage types of managed nodes say: databases, caches, search, warehouses, SageMaker.

Instance classes are spelt out (``db.m5.2xl`` is ``db.m5.2xlarge``), because bills and reservations
differ in that. What the words mean is data: ``aws_tables.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

import yaml

_SHORT_SIZE = re.compile(r"(.*\.\d*)xl\Z")
_SEARCH = (".search", ".elasticsearch")
_DYNAMODB = frozenset(
    {
        "ReadRequestUnits",
        "WriteRequestUnits",
        "ReadCapacityUnit-Hrs",
        "WriteCapacityUnit-Hrs",
    }
)


@dataclass(frozen=True, slots=True)
class AwsNode:
    """A managed node's hour. ``weight``: of its units against a plain node of its size.

    ``instance_type`` and ``family`` are ``None`` where the usage has no class; ``family`` carries
    the class's own prefix (``db.m5``, ``cache.r6g``).
    """

    service: str
    instance_type: str | None
    family: str | None
    platform: str | None
    weight: Decimal | None


@dataclass(frozen=True, slots=True)
class _Tables:
    database_engines: Mapping[str, str]
    deployments: Mapping[str, Decimal]
    engines: Mapping[str, Mapping[str, tuple[str, Decimal]]]


def node_of(bare_type: str, operation: str) -> AwsNode | None:
    """The managed node that a usage type (without region) and operation bill, if it is one."""
    word, _, after = bare_type.partition(":")
    if word in _tables().deployments:
        return _database(word, after, operation)
    if word == "NodeUsage":
        return _memory_node(after, operation)
    if word == "ESInstance" and operation == "ESDomain":
        return _search_node(after)
    if word == "Node" and operation.startswith("RunComputeNode"):
        return _node("redshift", after, after.partition(".")[0], None, None)
    return _without_class(bare_type, after, operation)


def _search_node(after: str) -> AwsNode:
    for ending in _SEARCH:
        after = after.removesuffix(ending)
    return _node("opensearch", after, after.partition(".")[0], None, None)


def _without_class(bare_type: str, after: str, operation: str) -> AwsNode | None:
    if bare_type == "Aurora:ServerlessV2Usage":
        return AwsNode("rds", None, None, _tables().database_engines.get(operation), None)
    if after.startswith("ml."):
        return AwsNode("sagemaker", None, None, None, None)
    return AwsNode("dynamodb", None, None, None, None) if bare_type in _DYNAMODB else None


def spelt_out(instance_type: str) -> str:
    """An instance class with its size as reservations write it."""
    short = _SHORT_SIZE.match(instance_type)
    return f"{short.group(1)}xlarge" if short else instance_type


def _database(word: str, after: str, operation: str) -> AwsNode | None:
    tables = _tables()
    engine = tables.database_engines.get(operation)
    if engine is None or not after.startswith("db."):
        return None
    return _node("rds", after, after.rpartition(".")[0], engine, tables.deployments[word])


def _memory_node(after: str, operation: str) -> AwsNode | None:
    service = {"cache": "elasticache", "db": "memorydb"}.get(after.partition(".")[0])
    if service is None:
        return None
    known = _tables().engines[service].get(operation)
    if known is None:
        return None
    return _node(service, after, after.rpartition(".")[0], *known)


def _node(
    service: str, instance: str, family: str, platform: str | None, weight: Decimal | None
) -> AwsNode:
    return AwsNode(service, spelt_out(instance), family, platform, weight)


@cache
def _tables() -> _Tables:
    raw = yaml.safe_load(files(__package__).joinpath("aws_tables.yaml").read_text("utf-8"))
    return _Tables(
        database_engines=raw["database_engines"],
        deployments={word: Decimal(n) for word, n in raw["database_deployments"].items()},
        engines={
            service: {op: (row["engine"], Decimal(row["weight"])) for op, row in raw[name].items()}
            for service, name in (("elasticache", "cache_engines"), ("memorydb", "memory_engines"))
        },
    )


def node_usage(service: str, instance_type: str, platform: str | None, *, multi_az: bool) -> str:
    """Usage type (without region) and operation, joined by ``/``, of a plain node's hour.

    ``KeyError`` for an engine that is not in the tables.
    """
    tables = _tables()
    if service == "rds":
        by_engine = {engine: operation for operation, engine in tables.database_engines.items()}
        word = "Multi-AZUsage" if multi_az else "InstanceUsage"
        return f"{word}:{instance_type}/{by_engine[str(platform)]}"
    if service in tables.engines:
        # Of several operations of one engine the first is the usual one.
        known = tables.engines[service].items()
        operations = {engine: operation for operation, (engine, _) in reversed(list(known))}
        return f"NodeUsage:{instance_type}/{operations[platform or 'redis']}"
    plain = {"opensearch": "ESInstance:{}/ESDomain", "redshift": "Node:{}/RunComputeNode:0001"}
    return plain[service].format(instance_type)
