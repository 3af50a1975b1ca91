"""AWS Cost and Usage Report 2.0 rows: which are hourly usage, of what, how much, at what price.

Usage is billed as ``Usage`` (on demand), ``DiscountedUsage`` (a reserved instance covers it) or
``SavingsPlanCoveredUsage``: each used quantity is one of the three, so it counts once. Everything
else is money: negations, fees, taxes, credits, discounts. Source: AWS Data Exports user guide, CUR
2.0 table dictionary, line item columns.
"""

from __future__ import annotations

from collections.abc import Collection

from service.domain.errors import InputError
from service.usage.rows import (
    ADVICE_ONLY,
    ADVICE_ONLY_SQL,
    Check,
    RowForm,
    currency_check,
    double_cell,
    instant_cell,
    price_cell,
    quantity_cell,
    quantity_checks,
    required,
    span_checks,
    text_cell,
)
from service.usage.sources import Part

REQUIRED = (
    *("line_item_line_item_type", "line_item_usage_start_date", "line_item_usage_end_date"),
    *("line_item_usage_account_id", "line_item_usage_type", "line_item_operation"),
    *("line_item_usage_amount", "line_item_currency_code"),
)
COMMITMENTS = ("savings_plan_savings_plan_a_r_n", "reservation_reservation_a_r_n")
USAGE = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
MONEY = (
    *("Fee", "RIFee", "Tax", "Credit", "Refund", "Adjustment", "Rounding"),
    *("SavingsPlanNegation", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee"),
    "Discount",
)


def is_cur(columns: Collection[str]) -> bool:
    """Whether the columns are those of CUR 2.0."""
    return any(column.startswith("line_item_") for column in columns)


def cur_version(part: Part) -> str:
    """``2.0``; ``InputError`` naming a missing column."""
    missing = [column for column in REQUIRED if column not in part.columns]
    if missing:
        raise InputError(
            "the column is missing",
            file=part.file,
            column=missing[0],
            remedy=f"Export CUR 2.0 with all of {', '.join(REQUIRED)}",
        )
    return "2.0"


def cur_form(part: Part, providers: Collection[str] | None) -> RowForm:
    """How the part's rows are read; all of them are AWS's."""
    asides = [("not usage", f"line_type IN {MONEY} OR line_type LIKE '%Discount'")]
    asides.append((ADVICE_ONLY, ADVICE_ONLY_SQL))
    if providers is not None and "aws" not in providers:
        asides.insert(0, ("other provider", "true"))
    return RowForm(
        cells=_cells(part), asides=tuple(asides), checks=_CHECKS, telling=("not usage", ADVICE_ONLY)
    )


def _cells(part: Part) -> dict[str, str]:
    line_type = text_cell(part, "line_item_line_item_type")
    rates = [
        price_cell(part, column)
        for column in ("line_item_net_unblended_rate", "line_item_unblended_rate")
    ]
    rate = f"coalesce({', '.join(rates)})"
    listed = price_cell(part, "pricing_public_on_demand_rate")
    region = [text_cell(part, column) for column in ("product_region_code", "product_region")]
    plan, reservation = (text_cell(part, column) for column in COMMITMENTS)
    commitment = f"coalesce({plan}, {reservation})"
    return {
        "line_type": line_type,
        "hour": instant_cell(part, "line_item_usage_start_date"),
        "ends_at": instant_cell(part, "line_item_usage_end_date"),
        "provider": "'aws'",
        "account": text_cell(part, "line_item_usage_account_id"),
        "region": f"coalesce({', '.join(region)})",
        "zone": text_cell(part, "line_item_availability_zone"),
        "usage_type": text_cell(part, "line_item_usage_type"),
        "operation": text_cell(part, "line_item_operation"),
        "native_sku": "CAST(NULL AS VARCHAR)",
        "unit": text_cell(part, "pricing_unit"),
        "currency": text_cell(part, "line_item_currency_code"),
        "quantity": quantity_cell(part, "line_item_usage_amount"),
        "quantity_double": double_cell(part, "line_item_usage_amount"),
        "list_usd": f"CASE WHEN {listed} > 0 THEN {listed} END",
        # Only uncovered usage is charged at what this customer pays on demand.
        "contracted_usd": f"CASE WHEN {line_type} = 'Usage' AND {rate} > 0 THEN {rate} END",
        "commitment": commitment,
        # The fifth word of an ARN is the account that owns what it names.
        "commitment_account": f"nullif(split_part({commitment}, ':', 5), '')",
        "commitment_category": f"CASE WHEN {plan} IS NOT NULL THEN 'spend' "
        f"WHEN {reservation} IS NOT NULL THEN 'usage' END",
    }


_CHECKS = (
    Check(
        "category",
        f"line_type IS NULL OR line_type NOT IN {USAGE}",
        "line_item_line_item_type",
        "{value} is not a line item type that Tenor knows",
        f"Usage is one of {', '.join(USAGE)}",
    ),
    *span_checks("line_item_usage_start_date", "line_item_usage_end_date"),
    currency_check("line_item_currency_code"),
    *quantity_checks("line_item_usage_amount"),
    required("line_item_usage_account_id", "account", "account"),
    required("line_item_usage_type", "usage_type", "sku"),
)
