"""One day's bill as Cost Management exports it: FOCUS 1.2-preview columns, Azure's ``x_`` ones too.

Source: Azure's FOCUS 1.2-preview schema. Usage covered by a commitment is billed at 0 and keeps its
effective cost; what is not used of a commitment is a row of its own, and what a commitment costs
when it is paid is a Purchase. Azure exports days, and so does a world that is told to; else it
exports hours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.billing.focus import NONE, FocusRows
from service.domain.commitments import Offering, Payment
from service.domain.hours import HOUR
from service.domain.money import nano
from service.domain.usage import UsageLine
from service.sandbox.accrual import DAY, DayBill
from service.sandbox.azure.access import BILLING_ACCOUNT
from service.sandbox.azure.machines import by_machine
from service.sandbox.calendar import month_end

if TYPE_CHECKING:
    from service.sandbox.azure.world import AzureWorld

Ints = NDArray[np.int64]
Words = Sequence[str | None]
_MONEY = pa.decimal128(38, 9)
_TIME = pa.timestamp("us", tz="UTC")
_MICROSOFT = "Microsoft"
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Charge:
    """One payment for a commitment: at once, or a month's part."""

    commitment: str
    offering: Offering
    at: datetime
    usd: Decimal
    recurring: bool


def payments(commitment: str, offering: Offering, start: datetime, units: Decimal) -> list[Charge]:
    """What a commitment of ``units`` is paid for, and when; whole nano-dollars."""
    if offering.payment is Payment.ALL_UPFRONT:
        return [Charge(commitment, offering, start, offering.upfront_usd * units, recurring=False)]
    (rate, *others) = offering.rates_usd.values()
    hourly = units if offering.kind.is_spend or others else rate * units
    parts = offering.term_months
    monthly = hourly * 8_760 * offering.term_months / _MONTHS / parts
    return [
        Charge(commitment, offering, start + timedelta(days=365 * number / _MONTHS), monthly, True)  # noqa: FBT003
        for number in range(parts)
    ]


def day_table(day: DayBill, world: AzureWorld, paid: Sequence[Charge]) -> Any:  # noqa: ANN401 - pyarrow ships no types
    """All rows of one day as one pyarrow table, ordered by hour."""
    usage = _usage_rows(day, world)
    return pa.concat_tables([usage, _paid_rows(day.day, world, paid, usage.schema)])


def _usage_rows(day: DayBill, world: AzureWorld) -> Any:  # noqa: ANN401
    daily, dataset = world.options.daily_exports, day.dataset
    if daily:
        told = by_machine(day, frozenset(world.catalog.tables["scale_sets"]))
        rows, resources, span = told.rows, _texts(told.resources), DAY
    else:
        rows, span = day.rows, HOUR
        resources = _pick([_resource(one) for one in dataset.usage.lines], rows.line)
    count, lines, owned = len(rows.hour), dataset.usage.lines, dataset.commitments
    held = [dataset.offerings[one.offering] for one in owned]
    skus = [dataset.skus[line.key] for line in lines]
    machines = [_machine(world, line) for line in lines]
    unused = rows.line == NONE
    price = np.array([float(sku.on_demand_usd) for sku in skus] + [0.0])
    starts = [day.day + hour * HOUR for hour in range(24)]
    either = _Either(rows.line, rows.commitment, len(lines))
    cost = rows.effective_nano_usd
    at_list = _money(np.rint(rows.quantity * price[rows.line] * 1e9).astype(np.int64))
    columns: dict[str, Any] = {
        "ChargePeriodStart": _instants(starts, rows.hour),
        "ChargePeriodEnd": _instants([start + span for start in starts], rows.hour),
        "SubAccountId": either.of(
            [f"/subscriptions/{one.account}" for one in lines],
            [f"/subscriptions/{one.account}" for one in owned],
        ),
        "RegionId": either.of([one.region for one in lines], [one.region for one in held]),
        "ResourceId": resources,
        "x_ResourceGroupName": _pick([one.resource_group for one in lines], rows.line),
        "ChargeCategory": _same("Usage", count),
        "ChargeFrequency": _same("Usage-Based", count),
        "ChargeDescription": either.of(
            [one.meter for one in machines], [f"Unused {one.commitment}" for one in owned]
        ),
        "PricingCategory": _choose(("Standard", "Committed"), rows.commitment != NONE),
        "PricingQuantity": pa.array(rows.quantity, mask=unused),
        "PricingUnit": _same("Hours", count),
        "ConsumedQuantity": pa.array(rows.quantity, mask=unused),
        "ConsumedUnit": _same("Hours", count),
        "ListUnitPrice": pa.array(price[rows.line], mask=unused),
        "ContractedUnitPrice": pa.array(price[rows.line], mask=unused),
        "ListCost": at_list,
        "ContractedCost": at_list,
        "BilledCost": _money(np.where(rows.commitment == NONE, cost, 0)),
        "EffectiveCost": _money(cost),
        "SkuId": _pick([one.meter_id for one in machines], rows.line),
        "SkuPriceId": either.of([one.meter_id for one in machines], ["unused"] * len(owned)),
        "SkuMeter": _pick([one.meter for one in machines], rows.line),
        "x_SkuMeterId": _pick([one.meter_id for one in machines], rows.line),
        "x_SkuMeterCategory": _same("Virtual Machines", count),
        "x_SkuMeterSubcategory": _pick([one.product for one in machines], rows.line),
        "x_SkuMeterName": _pick([one.meter for one in machines], rows.line),
        "x_SkuDetails": _pick([one.details for one in machines], rows.line),
    }
    columns |= _commitment_columns(day, rows, held)
    return _finished(columns, count, day.day)


def _commitment_columns(day: DayBill, rows: FocusRows, held: Sequence[Offering]) -> dict[str, Any]:
    """What covered each row, where anything did, and how much of the commitment it took."""
    owned = day.dataset.commitments
    hold, unused = rows.commitment, rows.line == NONE
    covered = (rows.line != NONE) & (hold != NONE)
    spend = [one.kind.is_spend for one in held]
    return {
        # Of a reservation that changed its size, bills know the present name only.
        "CommitmentDiscountId": _pick([one.commitment.partition(" ")[0] for one in owned], hold),
        "CommitmentDiscountName": _pick([one.commitment.rpartition("/")[2] for one in owned], hold),
        "CommitmentDiscountType": _pick([_type(one) for one in held], hold),
        "CommitmentDiscountCategory": _pick(["Spend" if one else "Usage" for one in spend], hold),
        "CommitmentDiscountQuantity": pa.array(rows.commitment_quantity, mask=hold == NONE),
        "CommitmentDiscountUnit": _pick(["USD" if one else "Hours" for one in spend], hold),
        "CommitmentDiscountStatus": _choose((None, "Used", "Unused"), covered + 2 * unused),
    }


def _paid_rows(day: datetime, world: AzureWorld, paid: Sequence[Charge], schema: Any) -> Any:  # noqa: ANN401
    count = len(paid)
    costs = _money(np.array([nano(one.usd) for one in paid], dtype=np.int64))
    ids = _texts([one.commitment for one in paid])
    columns: dict[str, Any] = {
        "ChargePeriodStart": pa.array([one.at for one in paid], type=_TIME),
        "ChargePeriodEnd": pa.array([one.at + HOUR for one in paid], type=_TIME),
        "SubAccountId": _same(f"/subscriptions/{world.payer}", count),
        "RegionId": _texts([one.offering.region for one in paid]),
        "ChargeCategory": _same("Purchase", count),
        "ChargeFrequency": _texts(["Recurring" if one.recurring else "One-Time" for one in paid]),
        "ChargeDescription": ids,
        "PricingCategory": _same("Committed", count),
        "PricingQuantity": pa.array(np.ones(count)),
        "PricingUnit": _same("1", count),
        "BilledCost": costs,
        "EffectiveCost": _money(np.zeros(count, dtype=np.int64)),
        "ListCost": costs,
        "ContractedCost": costs,
        "SkuPriceId": _same("purchase", count),
        "CommitmentDiscountId": ids,
        "CommitmentDiscountType": _texts([_type(one.offering) for one in paid]),
        "CommitmentDiscountCategory": _texts(
            ["Spend" if one.offering.kind.is_spend else "Usage" for one in paid]
        ),
    }
    missing = {f.name: pa.nulls(count, f.type) for f in schema if f.name not in columns}
    table = _finished({**missing, **columns}, count, day)
    return table.select(schema.names).cast(schema)


@dataclass(frozen=True, slots=True)
class _Meter:
    """How a bill writes what a line used."""

    meter: str
    product: str
    meter_id: str
    details: str


def _machine(world: AzureWorld, line: UsageLine) -> _Meter:
    size, _, licence = line.sku.partition(" ")
    machine, windows = world.catalog.machines[line.region, size], bool(licence)
    product = machine.product(windows=windows).removeprefix("Virtual Machines ")
    details = json.dumps({"UsageType": "ComputeHR", "ServiceType": size, "VCPUs": machine.vcpus})
    return _Meter(machine.meter, product, machine.meter_id(windows=windows), details)


def _resource(line: UsageLine) -> str:
    return (
        f"/subscriptions/{line.account}/resourcegroups/{line.resource_group}"
        f"/providers/microsoft.compute/virtualmachinescalesets/{line.sku.split(' ')[0].lower()}"
    )


def _type(offering: Offering) -> str:
    return "Savings Plan" if offering.kind.is_spend else "Reservation"


def _finished(columns: dict[str, Any], count: int, day: datetime) -> Any:  # noqa: ANN401
    """The table with the columns that are the same in every row."""
    month = day.replace(day=1)
    same = {
        "ProviderName": _MICROSOFT,
        "PublisherName": _MICROSOFT,
        "InvoiceIssuerName": _MICROSOFT,
        "BillingAccountId": BILLING_ACCOUNT,
        "BillingAccountType": "Billing Account",
        "SubAccountType": "Subscription",
        "BillingCurrency": "USD",
        "PricingCurrency": "USD",
        "ServiceCategory": "Compute",
        "ServiceName": "Virtual Machines",
    }
    columns |= {name: _same(word, count) for name, word in same.items()}
    for name in ("ChargeClass", "InvoiceId", "Tags"):
        columns[name] = pa.nulls(count, pa.string())
    first = np.zeros(count, dtype=np.int64)
    columns["BillingPeriodStart"] = _instants([month], first)
    columns["BillingPeriodEnd"] = _instants([month_end(day)], first)
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


def _money(nanos: Ints) -> Any:  # noqa: ANN401
    """Whole nano-dollars as decimals: the low and the high half of each 128-bit number."""
    halves = np.empty((len(nanos), 2), dtype="<i8")
    halves[:, 0], halves[:, 1] = nanos, nanos >> 63
    return pa.Array.from_buffers(_MONEY, len(nanos), [None, pa.py_buffer(halves.tobytes())])
