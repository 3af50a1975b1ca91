"""Names SKUs by what exports say of them: one id for what bills and price lists call alike.

Each provider's words are read by its own module: ``aws_sku``, ``azure_sku``, ``gcp_sku``. Where an
export says nothing but an id of the provider's, that id is the SKU.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from service.usage import azure_sku, gcp_sku
from service.usage.aws_sku import aws_sku, region_of_usage_type
from service.usage.eligibility import is_eligible
from service.usage.focus_words import SEPARATOR


class Named(NamedTuple):
    """A SKU's id; its region and unit where its words tell them."""

    sku: str
    region: str | None
    unit: str | None


def name_sku(provider: str, usage_type: str, operation: str) -> Named:
    """The SKU that a provider's words mean; ``operation`` is empty where there is none."""
    if provider == "aws":
        return Named(aws_sku(usage_type, operation), region_of_usage_type(usage_type), None)
    words = usage_type.split(SEPARATOR)
    if provider == "azure":
        category, *between, meter = words
        sku = azure_sku.azure_sku(
            meter_category=category,
            meter_subcategory=" ".join(between),
            meter_name=meter,
            arm_sku_name=operation,
        )
        return Named(sku, None, azure_sku.describe_sku(sku).unit)
    sku = gcp_sku.gcp_sku(words[0], " ".join(words[1:]))
    return Named(sku, None, gcp_sku.describe_sku(sku).unit)


def could_be_covered(provider: str, usage_type: str) -> bool:
    """Whether any operation of this usage type could be covered, on any day the rules know."""
    operations = ("RunInstances", "") if provider == "aws" else ("",)
    return any(
        is_eligible(provider, name_sku(provider, usage_type, operation).sku, date.max)
        for operation in operations
    )
