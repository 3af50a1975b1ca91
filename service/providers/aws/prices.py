"""On-demand prices from the AWS price list, for the SKUs that are used.

A SKU is a usage type and an operation, which the price list writes as ``usagetype`` and
``operation``. Prices are read as decimals from the JSON text. Tiered prices count at their
first tier, the one that all usage passes through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from service.domain.errors import InputError, ProviderError
from service.domain.usage import Sku, SkuKey
from service.providers.aws.clients import PROVIDER, AwsClients, invoke_all
from service.providers.aws.words import usage_type_spellings
from service.providers.port import ShownPrice
from service.usage.aws_sku import aws_sku, describe_sku, split_sku

# The price list API answers from a few regions only, us-east-1 being one.
_PRICING_REGION = "us-east-1"
_SERVICE_CODES = {
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
_SIZED = frozenset({"rds", "elasticache", "memorydb"})
_VALUE_CHARS_MAX = 1024
_PAGE = 100
_CURRENCY = "USD"


def prices(
    clients: AwsClients, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]
) -> list[Sku]:
    """The public on-demand price of each key, in the order given.

    Where the price list has none, the public price that AWS's own bills show is taken. Raises
    ``InputError`` for a key that neither has, ``ProviderError`` for one that is priced twice.
    """
    found: dict[str, tuple[str, Decimal]] = {}
    for service, skus in _by_service(keys, shown).items():
        for values in _packed(skus):
            listed = invoke_all(
                clients.reading("pricing", _PRICING_REGION),
                "get_products",
                {
                    "ServiceCode": service,
                    "Filters": [
                        {"Type": "ANY_OF", "Field": "usagetype", "Value": ",".join(values)}
                    ],
                    "FormatVersion": "aws_v1",
                    "MaxResults": _PAGE,
                },
                items="PriceList",
                token="NextToken",  # noqa: S106  # the name of a field
            )
            for product in listed:
                _note(json.loads(str(product), parse_float=Decimal), found)
    return [_sku(key, found.get(key.sku) or shown.get(key)) for key in keys]


def _by_service(
    keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]
) -> Mapping[str, Sequence[str]]:
    by_service: dict[str, list[str]] = {}
    for key in keys:
        service = _SERVICE_CODES.get(describe_sku(key.sku).service or "")
        if key.provider != PROVIDER or (service is None and key not in shown):
            raise _unknown(key)
        if service is not None:
            by_service.setdefault(service, []).append(key.sku)
    return by_service


def _packed(skus: Sequence[str]) -> Iterator[list[str]]:
    """Spellings of the SKUs' usage types in as few filter values as fit AWS's length limit."""
    packed: list[str] = []
    for name in sorted({name for sku in skus for name in usage_type_spellings(sku)}):
        if packed and len(",".join((*packed, name))) > _VALUE_CHARS_MAX:
            yield packed
            packed = []
        packed.append(name)
    if packed:
        yield packed


def _note(product: Mapping[str, Any], found: dict[str, tuple[str, Decimal]]) -> None:
    attributes = product["product"]["attributes"]
    # Capacity reservations have rows of their own; usage is what is "Used".
    if attributes.get("capacitystatus", "Used") != "Used":
        return
    sku = aws_sku(attributes["usagetype"], attributes["operation"])
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        # Beside the price there may be one of 0 for hours that a reservation covers.
        first = min(
            term["priceDimensions"].values(),
            key=lambda tier: (
                Decimal(tier["beginRange"]),
                -Decimal(tier["pricePerUnit"][_CURRENCY]),
            ),
        )
        price = (first["unit"], Decimal(first["pricePerUnit"][_CURRENCY]))
        known = found.setdefault(sku, price)
        if known != price:
            raise ProviderError(
                provider=PROVIDER,
                operation="pricing.get_products",
                code="ambiguous_price",
                detail=f"{sku} costs {known[1]} and {price[1]}",
            )


def _sku(key: SkuKey, priced: ShownPrice | None) -> Sku:
    if priced is None:
        raise _unknown(key)
    unit, price = priced
    facts = describe_sku(key.sku)
    flexible = (facts.platform, facts.tenancy) == ("linux", "shared") or facts.service in _SIZED
    return Sku(
        key=key,
        service=facts.service or "",
        family=facts.family,
        size_units=facts.size_units if flexible else None,
        platform=facts.platform,
        tenancy=facts.tenancy,
        unit=unit,
        on_demand_usd=price,
        list_usd=price,
    )


def _unknown(key: SkuKey) -> InputError:
    usage_type, operation = split_sku(key.sku)
    return InputError(
        f"neither AWS's price list nor the exports have an on-demand price for usage type "
        f"{usage_type}, operation {operation}",
        file="the AWS price list",
        remedy="Export the list unit price (FOCUS ListUnitPrice), which tells what it costs.",
    )
