"""A dataset folder as an export: its usage as it stands, priced by its own price list.

The folder is read strictly first, by the rules that ``tenor bill`` applies, so that it is refused
here for what it would be refused for there.
"""

from __future__ import annotations

from pathlib import Path

from service.domain.errors import InputError
from service.usage.columns import find_table, read_table
from service.usage.dataset import read_usage
from service.usage.price_tables import read_skus
from service.usage.rows import (
    PRICE_TYPE,
    RowForm,
    double_cell,
    instant_cell,
    price_cell,
    quantity_cell,
    text_cell,
)
from service.usage.sources import Part, literal


def is_dataset(folder: Path) -> bool:
    """Whether ``folder`` is a dataset: it holds a usage table and a price list."""
    try:
        return folder.is_dir() and all(find_table(folder, table) for table in ("usage", "skus"))
    except InputError:
        return False


def check_dataset(folder: Path) -> Path:
    """The usage file of a well-formed dataset; ``InputError`` names the first fault."""
    skus = read_skus(read_table(find_table(folder, "skus")))
    usage = find_table(folder, "usage")
    read_usage(read_table(usage), skus)
    return usage


def dataset_form(part: Part) -> RowForm:
    """How the rows of a checked usage table are read; prices come later, from the price list."""
    return RowForm(
        cells={
            "hour": instant_cell(part, "hour"),
            "ends_at": "CAST(NULL AS TIMESTAMP)",
            "provider": text_cell(part, "provider"),
            "account": text_cell(part, "account"),
            "region": text_cell(part, "region"),
            "zone": text_cell(part, "zone"),
            "resource_group": f"lower({text_cell(part, 'resource_group')})",
            "usage_type": "CAST(NULL AS VARCHAR)",
            "operation": "CAST(NULL AS VARCHAR)",
            "native_sku": text_cell(part, "sku"),
            "unit": "CAST(NULL AS VARCHAR)",
            "currency": "'USD'",
            "quantity": quantity_cell(part, "quantity"),
            "quantity_double": double_cell(part, "quantity"),
            "list_usd": f"CAST(NULL AS {PRICE_TYPE})",
            "contracted_usd": f"CAST(NULL AS {PRICE_TYPE})",
        },
        asides=(),
        checks=(),
    )


def price_list_sql(skus: Part) -> str:
    """SQL for the price list: provider, region, sku, unit, service, list_usd, contracted_usd."""
    columns = ", ".join(
        f"coalesce({text_cell(skus, key)}, {literal('')}) AS {key}"
        for key in ("provider", "region", "sku", "unit", "service")
    )
    return (
        f"SELECT {columns}, {price_cell(skus, 'list_usd')} AS list_usd, "  # noqa: S608
        f"{price_cell(skus, 'on_demand_usd')} AS contracted_usd "
        f"FROM {skus.relation()}"
    )
