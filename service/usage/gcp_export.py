"""Google Cloud's own billing export (BigQuery, gcp_billing_export_resource_v1) as usage rows.

Read from a copy of the table's rows: Parquet with its nested records, JSON lines, or CSV whose
columns are named by their path (``service.description`` or ``service_description``). Usage is what
has cost type ``regular``; commitment fees are billed as SKUs of their own and are money, as are
taxes and roundings; adjustments restate earlier usage. Usage that a commitment covers is a row like
any other, with a credit or a consumption model, and counts once, in pricing units. Source: Cloud
Billing, "Structure of Detailed data export" and "Structure of Standard data export".
"""

from __future__ import annotations

from collections.abc import Collection

from service.usage.focus_words import SEPARATOR
from service.usage.rows import (
    PRICE_TYPE,
    QUANTITY_TYPE,
    Check,
    RowForm,
    currency_check,
    quantity_checks,
    required,
    span_checks,
)
from service.usage.sources import Part, name

_NOTHING = "CAST(NULL AS VARCHAR)"
_TYPES = ("regular", "tax", "adjustment", "rounding_error")


def is_gcp_export(columns: Collection[str]) -> bool:
    """Whether the columns are those of Google's billing export."""
    return "usage_start_time" in columns and any(
        word in columns for word in ("sku", "sku.id", "sku_id", "sku.description")
    )


def gcp_form(part: Part, providers: Collection[str] | None) -> RowForm:
    """How the part's rows are read; all of them are Google's."""
    asides = [
        ("not usage", "cost_type IN ('tax', 'rounding_error') OR starts_with(what, 'Commitment')"),
        ("correction", "cost_type = 'adjustment'"),
    ]
    if providers is not None and "gcp" not in providers:
        asides.insert(0, ("other provider", "true"))
    return RowForm(cells=_cells(part), asides=tuple(asides), checks=_CHECKS, telling=("not usage",))


def _cells(part: Part) -> dict[str, str]:
    service, what = _field(part, "service", "description"), _field(part, "sku", "description")
    amount = f"TRY_CAST({_field(part, 'usage', 'amount_in_pricing_units')} AS DOUBLE)"
    block = f"coalesce(TRY_CAST({_field(part, 'price', 'pricing_unit_quantity')} AS DOUBLE), 1)"
    own = _price(_field(part, "price", "effective_price_default"), block)
    charged = _price(_field(part, "price", "effective_price"), block)
    commitment = _field(part, "subscription", "instance_id")
    return {
        "cost_type": f"coalesce({_plain(part, 'cost_type')}, 'regular')",
        "what": f"coalesce({what}, '')",
        "hour": _instant(_plain(part, "usage_start_time")),
        "ends_at": _instant(_plain(part, "usage_end_time")),
        "provider": "'gcp'",
        "account": _field(part, "project", "id"),
        "region": f"coalesce({_field(part, 'location', 'region')}, "
        f"{_field(part, 'location', 'location')})",
        "zone": _field(part, "location", "zone"),
        "usage_type": f"{service} || '{SEPARATOR}' || {what}",
        "operation": _NOTHING,
        "native_sku": _field(part, "sku", "id"),
        "unit": _field(part, "usage", "pricing_unit"),
        "currency": _plain(part, "currency"),
        "quantity": f"TRY_CAST({amount} AS {QUANTITY_TYPE})",
        "quantity_double": amount,
        "list_usd": _price(_field(part, "price", "list_price"), block),
        # Under a commitment's consumption model the price charged is the commitment's.
        "contracted_usd": f"coalesce({own}, CASE WHEN {commitment} IS NULL THEN {charged} END)",
        "commitment": commitment,
        "commitment_account": f"CASE WHEN starts_with({what}, 'Commitment') "
        f"THEN {_field(part, 'project', 'id')} END",
    }


def _plain(part: Part, column: str) -> str:
    if column not in part.columns:
        return _NOTHING
    return _text(f"CAST({name(column)} AS VARCHAR)")


def _field(part: Part, record: str, field: str) -> str:
    """A field of a nested record, however the copy keeps it; NULL when it is not there."""
    for flat in (f"{record}.{field}", f"{record}_{field}"):
        if flat in part.columns:
            return _plain(part, flat)
    kind = part.columns.get(record)
    if kind is None:
        return _NOTHING
    if kind.startswith("STRUCT("):
        if f"{field} " not in kind and f'"{field}" ' not in kind:
            return _NOTHING
        return _text(f"CAST(struct_extract({name(record)}, '{field}') AS VARCHAR)")
    return _text(f"json_extract_string(TRY_CAST({name(record)} AS JSON), '$.{field}')")


def _text(sql: str) -> str:
    return f"nullif(trim({sql}), '')"


def _instant(text: str) -> str:
    """Instants in Google's exports are UTC, written with ``UTC``, ``Z``, an offset or nothing."""
    plain = f"regexp_replace({text}, ' UTC$', 'Z')"
    return f"(TRY_CAST({plain} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"


def _price(amount: str, block: str) -> str:
    price = f"TRY_CAST(TRY_CAST({amount} AS DOUBLE) / nullif({block}, 0) AS {PRICE_TYPE})"
    return f"CASE WHEN {price} > 0 THEN {price} END"


_CHECKS = (
    Check(
        "category",
        f"cost_type NOT IN {_TYPES}",
        "cost_type",
        "{value} is not a cost type that Tenor knows",
        f"Use one of {', '.join(_TYPES)}",
    ),
    *span_checks("usage_start_time", "usage_end_time"),
    currency_check("currency"),
    *quantity_checks("usage"),
    required("project", "account", "account"),
    required("sku", "coalesce(usage_type, native_sku)", "sku"),
)
