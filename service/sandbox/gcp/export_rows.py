"""One day's bill as rows of Google's detailed billing export.

Usage that a resource commitment covers is charged at on-demand prices and credited; usage under a
flexible commitment is charged at its discounted price, by consumption model. The commitments' own
fees are rows too; a flexible one's fee is offset by what was used of it. Source: Cloud Billing,
"Structure of Detailed data export".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from service.billing.focus import NONE
from service.domain.commitments import Commitment, Offering
from service.domain.hours import HOUR
from service.sandbox.accrual import DayBill
from service.sandbox.gcp.wire.accounts import COMPUTE_SERVICE, descriptions, sku_id
from service.sandbox.gcp.world import GcpWorld
from service.usage.gcp_sku import GB_HOURS, describe_sku

_SECONDS, _GIB = 3_600, 1_073_741_824
_PAIR = pa.struct([("id", pa.string()), ("description", pa.string())])
_LABEL = pa.struct([("key", pa.string()), ("value", pa.string())])
_INSTANT = pa.timestamp("us", tz="UTC")
_PRICE = pa.decimal128(38, 9)
_CREDIT = pa.struct(
    [
        ("name", pa.string()),
        ("amount", pa.float64()),
        ("full_name", pa.string()),
        ("id", pa.string()),
        ("type", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("billing_account_id", pa.string()),
        ("service", _PAIR),
        ("sku", _PAIR),
        ("usage_start_time", _INSTANT),
        ("usage_end_time", _INSTANT),
        (
            "project",
            pa.struct([("id", pa.string()), ("number", pa.string()), ("name", pa.string())]),
        ),
        ("labels", pa.list_(_LABEL)),
        (
            "location",
            pa.struct(
                [
                    ("location", pa.string()),
                    ("country", pa.string()),
                    ("region", pa.string()),
                    ("zone", pa.string()),
                ]
            ),
        ),
        ("export_time", _INSTANT),
        ("cost", pa.float64()),
        ("currency", pa.string()),
        ("currency_conversion_rate", pa.float64()),
        (
            "usage",
            pa.struct(
                [
                    ("amount", pa.float64()),
                    ("unit", pa.string()),
                    ("amount_in_pricing_units", pa.float64()),
                    ("pricing_unit", pa.string()),
                ]
            ),
        ),
        ("credits", pa.list_(_CREDIT)),
        ("invoice", pa.struct([("month", pa.string())])),
        ("cost_type", pa.string()),
        (
            "price",
            pa.struct(
                [
                    ("list_price", _PRICE),
                    ("effective_price", _PRICE),
                    ("effective_price_default", _PRICE),
                    ("tier_start_amount", _PRICE),
                    ("unit", pa.string()),
                    ("pricing_unit_quantity", _PRICE),
                ]
            ),
        ),
        ("cost_at_list", pa.float64()),
        ("subscription", pa.struct([("instance_id", pa.string())])),
        ("consumption_model", _PAIR),
        ("transaction_type", pa.string()),
        ("seller_name", pa.string()),
    ]
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Cell:
    """What one line used in one hour: on demand, under resource, and under flexible commitments."""

    on_demand: float = 0.0
    resource: float = 0.0
    flexible: float = 0.0
    flexible_usd: float = 0.0


def day_table(world: GcpWorld, billed: DayBill, exported_at: datetime) -> pa.Table:
    """The rows of the day, by hour."""
    rows = [*_usage_rows(world, billed), *_fee_rows(world, billed)]
    rows.sort(key=lambda row: row["usage_start_time"])
    for row in rows:
        row["export_time"] = exported_at
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _cells(billed: DayBill) -> Mapping[tuple[int, int], _Cell]:
    """By hour and line."""
    found: dict[tuple[int, int], _Cell] = {}
    kinds = [billed.dataset.offerings[c.offering].kind for c in billed.dataset.commitments]
    rows = billed.rows
    for index in np.flatnonzero(rows.line != NONE):
        key = (int(rows.hour[index]), int(rows.line[index]))
        old = found.get(key, _Cell())
        quantity, owner = float(rows.quantity[index]), int(rows.commitment[index])
        if owner == NONE:
            new = _Cell(old.on_demand + quantity, old.resource, old.flexible, old.flexible_usd)
        elif kinds[owner].is_spend:
            usd = old.flexible_usd + rows.effective_nano_usd[index] / 1e9
            new = _Cell(old.on_demand, old.resource, old.flexible + quantity, float(usd))
        else:
            new = _Cell(old.on_demand, old.resource + quantity, old.flexible, old.flexible_usd)
        found[key] = new
    return found


def _usage_rows(world: GcpWorld, billed: DayBill) -> Iterator[Row]:
    usage, texts = billed.dataset.usage, descriptions(world)
    for (hour, index), cell in _cells(billed).items():
        line = usage.lines[index]
        price = billed.dataset.skus[line.key].on_demand_usd
        text = texts[line.region, line.sku]
        base = _row(world, usage.hours.start + hour * HOUR, line.region, text)
        base["project"] = {"id": line.account, "number": "1", "name": line.account}
        base["location"]["zone"] = line.zone
        gb = describe_sku(line.sku).unit == GB_HOURS
        charged = round(cell.on_demand + cell.resource, 6)
        if charged:
            credit = -cell.resource * float(price)
            credits_given = [_credit(world, "COMMITTED_USAGE_DISCOUNT", credit)] if credit else []
            yield base | _amounts(charged, price, price, gb=gb) | {"credits": credits_given}
        if cell.flexible:
            paid = Decimal(str(round(cell.flexible_usd / cell.flexible, 9)))
            model = {"id": "sandbox-flexible", "description": "Compute Flexible CUDs"}
            yield (
                base
                | _amounts(round(cell.flexible, 6), price, paid, gb=gb)
                | {"consumption_model": model}
            )


def _fee_rows(world: GcpWorld, billed: DayBill) -> Iterator[Row]:
    hours = billed.dataset.usage.hours
    used = np.zeros((hours.count, len(billed.dataset.commitments)))
    rows = billed.rows
    some = np.flatnonzero((rows.commitment != NONE) & (rows.line != NONE))
    np.add.at(used, (rows.hour[some], rows.commitment[some]), rows.effective_nano_usd[some] / 1e9)
    for index, owned in enumerate(billed.dataset.commitments):
        offering = billed.dataset.offerings[owned.offering]
        first, last = hours.clip(owned.start, owned.end)
        for hour in range(first, last):
            at = hours.start + hour * HOUR
            yield _fee(world, (owned, offering), at, float(used[hour, index]))


def _fee(world: GcpWorld, of: tuple[Commitment, Offering], at: datetime, used_usd: float) -> Row:
    owned, offering = of
    years = offering.term_months // 12
    if offering.kind.is_spend:
        text = f"Commitment - dollar based v1: Compute Flexible for {years} Year"
        row = _row(world, at, "", text)
        row |= _amounts(float(owned.quantity), Decimal(1), Decimal(1), gb=False)
        order = owned.commitment.removeprefix("order/")
        name = f"billingAccounts/{world.billing_account}/orders/{order}"
        row["subscription"] = {"instance_id": name}
        offset = [_credit(world, "FEE_UTILIZATION_OFFSET", -used_usd)] if used_usd else []
        return row | {"credits": offset}
    ((sku, rate),) = offering.rates_usd.items()
    series = world.catalog.tables["families"][offering.family or ""]["commitment"]
    place = world.catalog.tables["regions"][offering.region or ""]["place"]
    gb = describe_sku(sku).unit == GB_HOURS
    words = f"{series} " if series else ""
    text = f"Commitment v1: {words}{'Ram' if gb else 'Cpu'} in {place} for {years} Year"
    row = _row(world, at, offering.region or "", text)
    row["project"] = {"id": owned.account, "number": "1", "name": owned.account}
    # The commitment as a whole: its vCPUs, its memory and its stretches of time are one.
    row["subscription"] = {"instance_id": owned.commitment.rsplit("/", 2)[0]}
    return row | _amounts(float(owned.quantity), rate, rate, gb=gb)


def _row(world: GcpWorld, at: datetime, region: str, text: str) -> Row:
    where = region or None
    return {
        "billing_account_id": world.billing_account,
        "service": {"id": COMPUTE_SERVICE, "description": "Compute Engine"},
        "sku": {"id": sku_id(region, text), "description": text},
        "usage_start_time": at,
        "usage_end_time": at + HOUR,
        "project": {"id": None, "number": None, "name": None},
        "labels": [],
        "location": {"location": where or "global", "country": None, "region": where, "zone": None},
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "credits": [],
        "invoice": {"month": f"{at:%Y%m}"},
        "cost_type": "regular",
        "subscription": {"instance_id": None},
        "consumption_model": {"id": None, "description": "Default"},
        "transaction_type": "GOOGLE",
        "seller_name": "Google Cloud",
    }


def _amounts(quantity: float, listed: Decimal, paid: Decimal, *, gb: bool) -> Row:
    unit = "gibibyte hour" if gb else "hour"
    scale = _SECONDS * _GIB if gb else _SECONDS
    return {
        "cost": quantity * float(paid),
        "cost_at_list": quantity * float(listed),
        "usage": {
            "amount": quantity * scale,
            "unit": "byte-seconds" if gb else "seconds",
            "amount_in_pricing_units": quantity,
            "pricing_unit": unit,
        },
        "price": {
            "list_price": listed.quantize(Decimal("1e-9")),
            "effective_price": paid.quantize(Decimal("1e-9")),
            "effective_price_default": listed.quantize(Decimal("1e-9")),
            "tier_start_amount": Decimal(0),
            "unit": unit,
            "pricing_unit_quantity": Decimal(1),
        },
    }


def _credit(world: GcpWorld, kind: str, usd: float) -> Row:
    name = kind.replace("_", " ").capitalize()
    return {
        "name": name,
        "amount": usd,
        "full_name": f"{name} ({world.billing_account})",
        "id": kind.lower(),
        "type": kind,
    }
