"""How people are told of products, clouds and amounts: on pages, in alerts, in spreadsheets.

Amounts are rounded to what a person reads; whoever computes with one takes it from the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from service.domain.commitments import Kind

ABSENT = "–"
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")

KIND_NAMES: Mapping[Kind, str] = {
    Kind.AWS_COMPUTE_SP: "AWS Compute Savings Plan",
    Kind.AWS_EC2_INSTANCE_SP: "AWS EC2 Instance Savings Plan",
    Kind.AWS_DATABASE_SP: "AWS Database Savings Plan",
    Kind.AWS_SAGEMAKER_SP: "AWS SageMaker Savings Plan",
    Kind.AWS_RI_REGIONAL: "AWS regional Reserved Instance",
    Kind.AWS_RI_ZONAL: "AWS zonal Reserved Instance",
    Kind.AWS_RDS_RI: "AWS RDS Reserved Instance",
    Kind.AWS_ELASTICACHE_RI: "AWS ElastiCache reserved node",
    Kind.AWS_OPENSEARCH_RI: "AWS OpenSearch Reserved Instance",
    Kind.AWS_REDSHIFT_RI: "AWS Redshift reserved node",
    Kind.AWS_MEMORYDB_RI: "AWS MemoryDB reserved node",
    Kind.AZURE_RESERVATION: "Azure reservation",
    Kind.AZURE_SAVINGS_PLAN: "Azure savings plan",
    Kind.GCP_RESOURCE_CUD: "Google resource-based commitment",
    Kind.GCP_FLEXIBLE_CUD: "Google flexible commitment",
}
"""What each kind is called by those who sell it."""

PROVIDER_NAMES = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}
"""What each cloud is called."""

_UNITS = {
    Kind.GCP_RESOURCE_CUD: "vCPUs",
    **dict.fromkeys(
        (
            Kind.AWS_RI_REGIONAL,
            Kind.AWS_RI_ZONAL,
            Kind.AWS_RDS_RI,
            Kind.AWS_OPENSEARCH_RI,
        ),
        "instances",
    ),
    **dict.fromkeys((Kind.AWS_ELASTICACHE_RI, Kind.AWS_REDSHIFT_RI, Kind.AWS_MEMORYDB_RI), "nodes"),
}
_SMALL_USD = 10
_LARGE_USD = 100_000


def usd(amount: Decimal | None) -> str:
    """Dollars with thousands separated: cents in everyday amounts, mills in small rates."""
    if amount is None:
        return ABSENT
    size = abs(amount)
    if size and size < _SMALL_USD:
        places = 4 if amount != amount.quantize(Decimal("0.01")) else 2
    else:
        places = 0 if size >= _LARGE_USD else 2
    sign = "−" if amount < 0 else ""
    return f"{sign}${size:,.{places}f}"


def cents(amount: Decimal | None) -> str:
    """A sum of dollars, which nobody pays less than a cent of; rates are shown by ``usd``."""
    return usd(None if amount is None else amount.quantize(Decimal("0.01")))


def kind_name(kind: Kind) -> str:
    """What a kind of commitment is called."""
    return KIND_NAMES[kind]


def unit_name(kind: Kind, quantity: Decimal | None = None) -> str:
    """What ``quantity`` of a kind of commitment counts, where it is not dollars an hour."""
    many = _UNITS.get(kind, "units")
    return many.removesuffix("s") if quantity == 1 else many


def provider_name(provider: str) -> str:
    """What a cloud is called."""
    return PROVIDER_NAMES.get(provider, provider)


def counted(count: int, one: str) -> str:
    """So many of ``one``, whose plural ends in s."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def for_spreadsheets(cell: str) -> str:
    """``cell`` of text for CSV: behind an apostrophe where a spreadsheet would run it.

    Names come from a cloud's tags and accounts, which others write.
    """
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell
