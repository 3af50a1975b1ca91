"""Small exports in every format, made from one list of what was used.

One ``Charge`` is one row of a bill. The same charges written as FOCUS 1.0 to 1.4 or CUR 2.0 must
read as the same usage.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2026, 9, 1, tzinfo=UTC)
FORMATS = ("focus-1.0", "focus-1.1", "focus-1.2", "focus-1.3", "focus-1.4", "cur-2.0")
LINUX_LARGE = "USW2-BoxUsage:m5.large/RunInstances"


@dataclass(frozen=True)
class Charge:
    """One row of a bill. ``kind``: on_demand, sp (covered by a plan), ri, unused, correction."""

    at: datetime = START
    usage_type: str = "USW2-BoxUsage:m5.large"
    operation: str = "RunInstances"
    quantity: str = "1"
    account: str = "111111111111"
    region: str = "us-west-2"
    zone: str = "us-west-2a"
    kind: str = "on_demand"
    list_usd: str = "0.096"
    contracted_usd: str = "0.09"
    currency: str = "USD"
    hours: int = 1


def hours_of(count: int, charge: Charge | None = None, *, start: datetime = START) -> list[Charge]:
    """One charge an hour."""
    like = charge or Charge()
    return [
        Charge(**{**like.__dict__, "at": start + timedelta(hours=hour)}) for hour in range(count)
    ]


def focus_row(charge: Charge, version: str) -> dict[str, str]:
    """The charge as a FOCUS row; text, instants with a ``Z``."""
    covered = charge.kind in {"sp", "ri", "unused"}
    usage = charge.kind not in {"fee", "tax"}
    row = {
        "ProviderName": "AWS",
        "BillingAccountId": "999999999999",
        "SubAccountId": charge.account,
        "RegionId": charge.region,
        "AvailabilityZone": charge.zone,
        "BillingCurrency": charge.currency,
        "ChargeCategory": "Usage" if usage else {"fee": "Purchase", "tax": "Tax"}[charge.kind],
        "ChargeClass": "Correction" if charge.kind == "correction" else "",
        "ChargePeriodStart": _iso(charge.at),
        "ChargePeriodEnd": _iso(charge.at + timedelta(hours=charge.hours)),
        "CommitmentDiscountId": "arn:commitment" if covered else "",
        "CommitmentDiscountCategory": "Spend" if covered else "",
        "CommitmentDiscountStatus": {"sp": "Used", "ri": "Used", "unused": "Unused"}.get(
            charge.kind, ""
        ),
        "PricingCategory": "Committed" if covered else "Standard",
        "PricingQuantity": charge.quantity,
        "PricingUnit": "Hours",
        "ConsumedQuantity": charge.quantity,
        "ListUnitPrice": charge.list_usd,
        "ContractedUnitPrice": charge.contracted_usd,
        "SkuId": "SKU",
        "SkuPriceId": "SKU.PRICE",
        "x_ServiceCode": "AmazonEC2",
        "x_UsageType": charge.usage_type,
        "x_Operation": charge.operation,
    }
    if version >= "1.1":
        row |= {"SkuMeter": "", "CommitmentDiscountQuantity": "", "CapacityReservationId": ""}
    if version >= "1.2":
        row |= {"InvoiceId": "INV", "BillingAccountType": "payer", "SubAccountType": "linked"}
    if version >= "1.3":
        row |= {"ServiceProviderName": "AWS", "HostProviderName": "AWS", "ContractApplied": ""}
    if version >= "1.4":
        del row["ProviderName"]
    return row


CUR_TYPES = {
    "on_demand": "Usage",
    "sp": "SavingsPlanCoveredUsage",
    "ri": "DiscountedUsage",
    "unused": "SavingsPlanRecurringFee",
    "correction": "Refund",
    "fee": "RIFee",
    "tax": "Tax",
}


def cur_row(charge: Charge) -> dict[str, str]:
    """The charge as a CUR 2.0 row."""
    return {
        "line_item_line_item_type": CUR_TYPES.get(charge.kind, charge.kind),
        "line_item_usage_start_date": _iso(charge.at).replace("T", " ").replace("Z", ""),
        "line_item_usage_end_date": _iso(charge.at + timedelta(hours=charge.hours)),
        "line_item_usage_account_id": charge.account,
        "line_item_usage_type": charge.usage_type,
        "line_item_operation": charge.operation,
        "line_item_usage_amount": charge.quantity,
        "line_item_currency_code": charge.currency,
        "line_item_unblended_rate": charge.contracted_usd,
        "line_item_availability_zone": charge.zone,
        "pricing_public_on_demand_rate": charge.list_usd,
        "pricing_unit": "Hours",
        "product_region_code": charge.region,
    }


def rows_of(charges: Iterable[Charge], form: str) -> list[dict[str, str]]:
    """The charges as rows of ``form``, one of ``FORMATS``."""
    name, _, version = form.partition("-")
    if name == "cur":
        return [cur_row(charge) for charge in charges]
    return [focus_row(charge, version) for charge in charges]


def write_rows(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str] = ()) -> Path:
    """The rows as Parquet (typed), CSV or gzipped CSV, by the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(columns or rows[0])
    if path.suffix == ".parquet":
        pq.write_table(_table(rows, names), path)
        return path
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_export(path: Path, charges: Iterable[Charge], form: str = "focus-1.2") -> Path:
    """The charges as one file of ``form``."""
    return write_rows(path, rows_of(charges, form))


def _table(rows: Sequence[dict[str, str]], names: Sequence[str]) -> pa.Table:
    columns = {}
    for column in names:
        cells = [row[column] or None for row in rows]
        if column.endswith(("Start", "End", "_date")):
            instants = [_instant(cell) for cell in cells]
            kind = (
                pa.timestamp("us", tz="UTC") if column.startswith("Charge") else pa.timestamp("ms")
            )
            columns[column] = pa.array(instants, pa.timestamp("us")).cast(kind)
        elif column in {"PricingQuantity", "ConsumedQuantity", "line_item_usage_amount"}:
            columns[column] = pa.array([float(cell) if cell else None for cell in cells])
        else:
            columns[column] = pa.array(cells, pa.string())
    return pa.table(columns)


def _instant(cell: str | None) -> datetime | None:
    return None if cell is None else datetime.fromisoformat(cell.replace("Z", ""))


def _iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
