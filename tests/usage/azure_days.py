"""Small exports of Azure's days: a row for each machine and day, as Cost Management writes them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

DAY = date(2026, 9, 1)
ACCOUNT = "5b000000-0000-4000-8000-000000000011"
MACHINES = "virtualMachines"
SCALE_SET = "virtualMachineScaleSets"


@dataclass(frozen=True)
class DayRow:
    """One row. ``covered``: by a commitment. ``kind`` is the resource's."""

    quantity: str = "24"
    name: str = "vm1"
    size: str = "Standard_D2s_v5"
    kind: str = MACHINES
    covered: bool = False
    usd: str = "0.1"
    day: date = DAY
    unit: str = "Hours"
    block: str = ""
    category: str = "Virtual Machines"
    product: str = "Dsv5 Series"


def at(hour: int, day: date = DAY) -> datetime:
    """An hour of a day, UTC."""
    return datetime.combine(day, time.min, UTC) + timedelta(hours=hour)


def charges_of(usd: Iterable[str], day: date = DAY) -> dict[datetime, Decimal]:
    """Charges of hours that follow each other, from midnight of ``day``."""
    return {at(hour, day): Decimal(one) for hour, one in enumerate(usd)}


def write_days(path: Path, rows: Iterable[DayRow]) -> Path:
    """The rows as a FOCUS 1.2 export in CSV."""
    told = [_row(row) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, told[0])
        writer.writeheader()
        writer.writerows(told)
    return path


def _row(row: DayRow) -> Mapping[str, str]:
    group = f"/subscriptions/{ACCOUNT}/resourceGroups/web"
    meter = row.size.removeprefix("Standard_").replace("_", " ")
    return {
        "ProviderName": "Microsoft",
        "BillingAccountId": "1",
        "SubAccountId": f"/subscriptions/{ACCOUNT}",
        "RegionId": "eastus",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargePeriodStart": at(0, row.day).strftime("%Y-%m-%dT%H:%MZ"),
        "ChargePeriodEnd": at(24, row.day).strftime("%Y-%m-%dT%H:%MZ"),
        "CommitmentDiscountId": "/reservation/1" if row.covered else "",
        "CommitmentDiscountStatus": "Used" if row.covered else "",
        "PricingQuantity": row.quantity,
        "PricingUnit": row.unit,
        "ListUnitPrice": row.usd,
        "ContractedUnitPrice": row.usd,
        "SkuPriceId": "price",
        "InvoiceId": "",
        "ResourceId": f"{group}/providers/Microsoft.Compute/{row.kind}/{row.name}",
        "x_PricingBlockSize": row.block,
        "x_SkuMeterCategory": row.category,
        "x_SkuMeterSubcategory": row.product,
        "x_SkuMeterName": meter,
        "x_SkuDetails": json.dumps({"ServiceType": row.size}),
    }
