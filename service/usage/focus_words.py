"""What FOCUS rows say of SKUs, accounts, resource groups and commitments, as SQL.

FOCUS names a SKU by an id that says nothing of what it bills; each provider says that in columns of
its own: AWS in x_UsageType and x_Operation, Microsoft in x_SkuMeterCategory, x_SkuMeterSubcategory,
x_SkuMeterName and the details (x_SkuDetails, since 1.1 SkuPriceDetails), Google in the service's
name and the SKU's description. Several words are joined by ``SEPARATOR``; ``naming`` reads them.
"""

from __future__ import annotations

from service.usage.rows import text_cell
from service.usage.sources import Part

SEPARATOR = "\x1f"
_GLUE = "chr(31)"
_GROUP = "/subscriptions/[^/]+/resourcegroups/([^/]+)"
_OWNER = r"^arn:[^:]*:[^:]*:[^:]*:(\d{12}):"


def focus_words(part: Part, provider: str) -> dict[str, str]:
    """The cells ``usage_type`` and ``operation``; ``provider`` is SQL for the row's provider."""
    category = text_cell(part, "x_SkuMeterCategory")
    group = text_cell(part, "x_SkuMeterSubcategory")
    meter = _first(part, "x_SkuMeterName", "SkuMeter")
    details = _first(part, "x_SkuDetails", "SkuPriceDetails")
    size = f"""nullif(regexp_extract({details}, '"ServiceType"\\s*:\\s*"([^"]+)"', 1), '')"""
    service = text_cell(part, "ServiceName")
    description = _first(part, "x_SkuDescription", "SkuMeter", "ChargeDescription")
    return {
        "usage_type": f"CASE {provider} "
        f"WHEN 'azure' THEN {_joined(category, group, meter)} "
        f"WHEN 'gcp' THEN {_joined(service, description)} "
        f"ELSE {text_cell(part, 'x_UsageType')} END",
        "operation": f"CASE {provider} WHEN 'azure' THEN {size} WHEN 'gcp' THEN NULL "
        f"ELSE {text_cell(part, 'x_Operation')} END",
    }


def focus_commitment(part: Part, account: str) -> dict[str, str]:
    """The cells that tell of the row's commitment; ``account`` is SQL for the row's account.

    AWS's ids tell the owner. Else what is unused, or the purchase itself, is billed to the owner.
    """
    commitment = text_cell(part, "CommitmentDiscountId")
    category = f"lower({text_cell(part, 'CommitmentDiscountCategory')})"
    return {
        "commitment": commitment,
        "commitment_account": f"CASE WHEN starts_with({commitment}, 'arn:') "
        f"THEN nullif(regexp_extract({commitment}, '{_OWNER}', 1), '') "
        f"WHEN {text_cell(part, 'CommitmentDiscountStatus')} = 'Unused' "
        f"OR {text_cell(part, 'ChargeCategory')} = 'Purchase' THEN {account} END",
        "commitment_category": f"CASE WHEN {category} IN ('spend', 'usage') THEN {category} END",
    }


def account_sql(account: str) -> str:
    """An account as it is; Azure's ``/subscriptions/ID`` is the subscription's id alone."""
    return f"regexp_replace({account}, '^/subscriptions/([^/]+)$', '\\1', 'i')"


def resource_group_sql(part: Part) -> str:
    """The resource group as told or as the resource's path names it, in lower case."""
    path = f"nullif(regexp_extract({text_cell(part, 'ResourceId')}, '{_GROUP}', 1, 'i'), '')"
    return f"lower(coalesce({text_cell(part, 'x_ResourceGroupName')}, {path}))"


def _first(part: Part, *columns: str) -> str:
    return f"coalesce({', '.join(text_cell(part, column) for column in columns)})"


def _joined(*words: str) -> str:
    """The words with the separator between; NULL where the first or the last is not told."""
    inner = f" || {_GLUE} || ".join(f"coalesce({word}, '')" for word in words)
    return f"CASE WHEN {words[0]} IS NOT NULL AND {words[-1]} IS NOT NULL THEN {inner} END"
