"""One day's bill as AWS exports it: FOCUS 1.2 columns and AWS's own ``x_`` columns.

Source: FOCUS 1.2, Cost and Usage dataset; AWS Data Exports, table FOCUS_1_2_AWS. Usage covered
by a commitment is billed at 0 and keeps its effective cost; what a commitment costs by the hour
or at once is a Purchase row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.billing.focus import NONE
from service.domain.commitments import Kind, Offering
from service.domain.hours import HOUR, TERM_HOURS
from service.domain.money import nano
from service.domain.usage import Sku
from service.sandbox.accrual import DayBill
from service.sandbox.calendar import month_end
from service.sandbox.node_catalog import NODE_KINDS
from service.sandbox.wire.words import (
    PLAN_SERVICE_CODES,
    SERVICE_CODES,
    SERVICE_NAMES,
    wire_sku,
)

Ints = NDArray[np.int64]
Words = Sequence[str | None]
_MONEY = pa.decimal128(38, 9)
_TIME = pa.timestamp("us", tz="UTC")
_PROVIDER = "Amazon Web Services"
_PLAN_SERVICE = "Savings Plans for AWS Compute usage"


def day_table(day: DayBill, payer: str, purchases: Sequence[Purchase]) -> Any:  # noqa: ANN401 - pyarrow ships no types
    """All rows of one day as one pyarrow table, ordered by hour."""
    usage = _usage_rows(day, payer)
    if not purchases:
        return usage
    bought = _purchase_rows(day.day, payer, purchases, usage.schema)
    return pa.concat_tables([usage, bought])


class Purchase:
    """One charge of buying: once, or for every hour of the day that it is due in."""

    def __init__(self, offering: Offering, commitment: str, account: str) -> None:
        self.offering = offering
        self.commitment = commitment
        self.account = account
        self.hours: list[datetime] = []
        self.usd = Decimal(0)
        self.recurring = True


def _usage_rows(day: DayBill, payer: str) -> Any:  # noqa: ANN401
    rows, dataset = day.rows, day.dataset
    count = len(rows.hour)
    lines = dataset.usage.lines
    skus = [dataset.skus[line.key] for line in lines]
    wires = [wire_sku(sku) for sku in skus]
    owned = dataset.commitments
    held = [dataset.offerings[one.offering] for one in owned]
    line, hold = rows.line, rows.commitment
    unused = line == NONE
    cost = rows.effective_nano_usd
    list_usd = np.array([float(sku.list_usd) for sku in skus] + [0.0])
    price_usd = np.array([float(sku.on_demand_usd) for sku in skus] + [0.0])
    starts = [day.day + hour * HOUR for hour in range(24)]
    either = _Either(line, hold, len(lines))
    columns: dict[str, Any] = {
        "ChargePeriodStart": _instants(starts, rows.hour),
        "ChargePeriodEnd": _instants([start + HOUR for start in starts], rows.hour),
        "SubAccountId": either.of([one.account for one in lines], [one.account for one in owned]),
        "RegionId": either.of([one.region for one in lines], [one.region for one in held]),
        "AvailabilityZone": _pick([one.zone or None for one in lines], line),
        "ServiceName": either.of(
            [SERVICE_NAMES.get(sku.service, sku.service) for sku in skus],
            [_held_service(one) for one in held],
        ),
        "ServiceCategory": _same("Compute", count),
        "SkuId": _pick([_sku_id(sku) for sku in skus], line),
        "SkuPriceId": _pick([f"{_sku_id(sku)}.JRTCKXETXF.6YS6EN2CT7" for sku in skus], line),
        "ChargeCategory": _same("Usage", count),
        "ChargeFrequency": _same("Usage-Based", count),
        "ChargeDescription": either.of(
            [f"{one.usage_type} per {sku.unit}" for one, sku in zip(wires, skus, strict=True)],
            [f"Unused commitment of {one.commitment}" for one in owned],
        ),
        "PricingCategory": _choose(("Standard", "Committed"), hold != NONE),
        "PricingQuantity": pa.array(rows.quantity, mask=unused),
        "PricingUnit": _pick([sku.unit for sku in skus], line),
        "ConsumedQuantity": pa.array(rows.quantity, mask=unused),
        "ConsumedUnit": _pick([sku.unit for sku in skus], line),
        "ListUnitPrice": pa.array(list_usd[line], mask=unused),
        "ContractedUnitPrice": pa.array(price_usd[line], mask=unused),
        "ListCost": _money(_nanos(rows.quantity * list_usd[line])),
        "ContractedCost": _money(_nanos(rows.quantity * price_usd[line])),
        "BilledCost": _money(np.where(hold == NONE, cost, 0)),
        "EffectiveCost": _money(cost),
        "x_UsageType": either.of([one.usage_type for one in wires], [None] * len(owned)),
        "x_Operation": either.of([one.operation for one in wires], [None] * len(owned)),
        "x_ServiceCode": either.of(
            [SERVICE_CODES.get(sku.service, sku.service) for sku in skus],
            [_held_code(one) for one in held],
        ),
    }
    return _finished(columns | _commitment_columns(day), count, day.day, payer)


def _commitment_columns(day: DayBill) -> dict[str, Any]:
    """What covered each row, where anything did, and how much of the commitment it took."""
    rows, owned = day.rows, day.dataset.commitments
    held = [day.dataset.offerings[one.offering] for one in owned]
    hold, unused = rows.commitment, rows.line == NONE
    covered = (rows.line != NONE) & (hold != NONE)
    return {
        "CommitmentDiscountId": _pick([one.commitment for one in owned], hold),
        "CommitmentDiscountName": _pick([one.offering for one in owned], hold),
        "CommitmentDiscountType": _pick([_held_type(one) for one in held], hold),
        "CommitmentDiscountCategory": _pick(
            ["Spend" if one.kind.is_spend else "Usage" for one in held], hold
        ),
        "CommitmentDiscountQuantity": pa.array(rows.commitment_quantity, mask=hold == NONE),
        "CommitmentDiscountUnit": _pick(
            ["USD" if one.kind.is_spend else "Hrs" for one in held], hold
        ),
        "CommitmentDiscountStatus": _choose((None, "Used", "Unused"), covered + 2 * unused),
    }


def _purchase_rows(
    day: datetime,
    payer: str,
    purchases: Sequence[Purchase],
    schema: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    rows = [(one, hour) for one in purchases for hour in one.hours]
    costs = np.array([nano(one.usd) for one, _ in rows], dtype=np.int64)
    count = len(rows)
    zero = _money(np.zeros(count, dtype=np.int64))
    columns: dict[str, Any] = {
        "ChargePeriodStart": pa.array([hour for _, hour in rows], type=_TIME),
        "ChargePeriodEnd": pa.array([hour + HOUR for _, hour in rows], type=_TIME),
        "SubAccountId": _texts([one.account for one, _ in rows]),
        "RegionId": _texts([one.offering.region for one, _ in rows]),
        "ServiceName": _texts([_held_service(one.offering) for one, _ in rows]),
        "ServiceCategory": _same("Compute", count),
        "ChargeCategory": _same("Purchase", count),
        "ChargeFrequency": _texts(
            ["Recurring" if one.recurring else "One-Time" for one, _ in rows]
        ),
        "ChargeDescription": _texts([f"Commitment {one.commitment}" for one, _ in rows]),
        "PricingCategory": _same("Committed", count),
        "PricingQuantity": pa.array(np.ones(count)),
        "BilledCost": _money(costs),
        "EffectiveCost": zero,
        "ListCost": _money(costs),
        "ContractedCost": _money(costs),
        "CommitmentDiscountId": _texts([one.commitment for one, _ in rows]),
        "CommitmentDiscountName": _texts([one.offering.offering for one, _ in rows]),
        "CommitmentDiscountType": _texts([_held_type(one.offering) for one, _ in rows]),
        "CommitmentDiscountCategory": _texts(
            ["Spend" if one.offering.kind.is_spend else "Usage" for one, _ in rows]
        ),
        "x_ServiceCode": _texts([_held_code(one.offering) for one, _ in rows]),
    }
    absent = {
        field.name: pa.nulls(count, field.type) for field in schema if field.name not in columns
    }
    table = _finished({**absent, **columns}, count, day, payer)
    return table.select(schema.names).cast(schema)


def hourly_usd(offering: Offering, quantity: Decimal) -> Decimal:
    """What a commitment is billed each hour, after what was paid upfront."""
    if offering.kind.is_spend:
        return quantity - offering.upfront_usd * quantity / TERM_HOURS[offering.term_months]
    (rate,) = offering.rates_usd.values()
    return (rate - offering.upfront_usd / TERM_HOURS[offering.term_months]) * quantity


def _finished(columns: dict[str, Any], count: int, day: datetime, payer: str) -> Any:  # noqa: ANN401
    """The table with the columns that are the same in every row."""
    month = day.replace(day=1)
    same = {
        "ProviderName": _PROVIDER,
        "PublisherName": _PROVIDER,
        "InvoiceIssuerName": _PROVIDER,
        "BillingAccountId": payer,
        "BillingAccountType": "Payer",
        "SubAccountType": "Linked",
        "BillingCurrency": "USD",
        "PricingCurrency": "USD",
        "InvoiceId": f"sandbox-{month:%Y-%m}",
    }
    columns |= {name: _same(word, count) for name, word in same.items()}
    columns["ChargeClass"] = pa.nulls(count, pa.string())
    first, last = np.zeros(count, dtype=np.int64), month_end(day)
    columns["BillingPeriodStart"] = _instants([month], first)
    columns["BillingPeriodEnd"] = _instants([last], first)
    return pa.table({name: columns[name] for name in sorted(columns)})


class _Either:
    """Looks words up by usage line, or by commitment in rows that have no line."""

    def __init__(self, line: Ints, hold: Ints, lines: int) -> None:
        self._index = np.where(line == NONE, hold + lines, line)

    def of(self, by_line: Words, by_commitment: Words) -> Any:  # noqa: ANN401
        return _texts([*by_line, *by_commitment]).take(pa.array(self._index))


def _pick(words: Words, index: Ints) -> Any:  # noqa: ANN401
    """The words at ``index``; nothing where it is ``NONE``."""
    return _texts([*words, None]).take(pa.array(np.where(index == NONE, len(words), index)))


def _choose(words: Words, index: Any) -> Any:  # noqa: ANN401
    return _texts(words).take(pa.array(np.asarray(index, dtype=np.int64)))


def _texts(words: Words) -> Any:  # noqa: ANN401
    return pa.array(list(words), type=pa.string())


def _same(word: str, count: int) -> Any:  # noqa: ANN401
    return _texts([word]).take(pa.array(np.zeros(count, dtype=np.int64)))


def _instants(instants: Sequence[datetime], index: Ints) -> Any:  # noqa: ANN401
    return pa.array(list(instants), type=_TIME).take(pa.array(index))


def _nanos(usd: NDArray[np.float64]) -> Ints:
    return np.rint(usd * 1e9).astype(np.int64)


def _money(nanos: Ints) -> Any:  # noqa: ANN401
    """Whole nano-dollars as decimals: the low and the high half of each 128-bit number."""
    halves = np.empty((len(nanos), 2), dtype="<i8")
    halves[:, 0], halves[:, 1] = nanos, nanos >> 63
    return pa.Array.from_buffers(_MONEY, len(nanos), [None, pa.py_buffer(halves.tobytes())])


def _sku_id(sku: Sku) -> str:
    return sku.key.sku.upper().replace("/", "-").replace(":", "-")


def _held_service(offering: Offering) -> str:
    return _PLAN_SERVICE if offering.kind.is_spend else SERVICE_NAMES[_reserved(offering)]


def _held_code(offering: Offering) -> str:
    code = PLAN_SERVICE_CODES.get(offering.kind)
    return SERVICE_CODES[_reserved(offering)] if code is None else code


def _reserved(offering: Offering) -> str:
    """The service that a reservation is of."""
    return next((name for name, kind in NODE_KINDS.items() if kind is offering.kind), "ec2")


def _held_type(offering: Offering) -> str:
    words = {
        Kind.AWS_COMPUTE_SP: "Compute Savings Plan",
        Kind.AWS_EC2_INSTANCE_SP: "EC2 Instance Savings Plan",
        Kind.AWS_DATABASE_SP: "Database Savings Plan",
        Kind.AWS_SAGEMAKER_SP: "SageMaker Savings Plan",
    }
    return words.get(offering.kind, "Reserved Instance")
