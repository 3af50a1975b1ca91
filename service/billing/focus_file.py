"""Writes a bill's FOCUS 1.2 rows as CSV or Parquet: whole, or not at all.

In CSV, names that a spreadsheet would take for a formula stand behind an apostrophe.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from service.billing.bill import Bill
from service.billing.exact import Floats
from service.billing.focus import MOST_USD, NONE, FocusRows, Ints, focus_rows, too_dear
from service.billing.sharing import ORGANISATION, Sharing
from service.domain.hours import HOUR, iso
from service.domain.money import NANO_PER_USD, text
from service.domain.usage import Dataset
from service.domain.wording import for_spreadsheets

_MONEY = pa.decimal128(38, 9)
_BLOCK_ROWS = 1 << 18
_PRICE_PLACES = 15

_SERVICE_CATEGORIES = {
    "ec2": "Compute", "fargate": "Compute", "lambda": "Compute", "vm": "Compute",
    "compute": "Compute", "rds": "Databases", "elasticache": "Databases", "sql": "Databases",
    "redshift": "Analytics", "opensearch": "Analytics", "memorydb": "Databases",
    "dynamodb": "Databases", "sagemaker": "AI and Machine Learning",
}  # fmt: skip
_PUBLISHERS = {"aws": "AWS", "azure": "Microsoft", "gcp": "Google Cloud"}


def write_focus(
    dataset: Dataset, result: Bill, path: Path, *, sharing: Sharing = ORGANISATION
) -> int:
    """Write the rows of ``result`` to ``path`` (.csv or .parquet) and return how many."""
    rows = focus_rows(dataset, result, sharing=sharing)
    columns = _Columns(dataset, text=path.suffix == ".csv")
    aside = path.with_name(f".{path.name}.part")
    try:
        with _writer(aside, path.suffix, columns.table(rows, slice(0, 0)).schema) as writer:
            for first in range(0, len(rows.hour), _BLOCK_ROWS):
                writer.write_table(columns.table(rows, slice(first, first + _BLOCK_ROWS)))
        os.replace(aside, path)  # noqa: PTH105 - whole or not at all
    finally:
        aside.unlink(missing_ok=True)
    return len(rows.hour)


def _writer(path: Path, suffix: str, schema: pa.Schema) -> Any:  # noqa: ANN401 - pyarrow ships no types
    if suffix == ".csv":
        return pacsv.CSVWriter(path, schema)
    return pq.ParquetWriter(path, schema, compression="zstd")


class _Columns:
    """Builds blocks of rows. Labels are looked up in short lists by line and commitment.

    The last entry of each list is for rows without one, so that index -1 finds it.
    """

    def __init__(self, dataset: Dataset, *, text: bool) -> None:
        self._text = text
        usage = dataset.usage
        skus = [dataset.skus[line.key] for line in usage.lines]
        held = [dataset.offerings[one.offering] for one in dataset.commitments]
        starts = [usage.hours.hour(index) for index in range(usage.hours.count + 1)]
        months = [start.replace(day=1, hour=0) for start in starts]
        nexts = [(month + 32 * 24 * HOUR).replace(day=1) for month in months]
        self._hours = [iso(start) for start in starts]
        self._months = [iso(month) for month in months]
        self._nexts = [iso(month) for month in nexts]
        self._by_line: dict[str, list[str | None]] = {
            "ProviderName": [*(_PUBLISHERS[line.provider] for line in usage.lines), None],
            "SubAccountId": [*(line.account for line in usage.lines), None],
            "RegionId": [*(line.region or None for line in usage.lines), None],
            "AvailabilityZone": [*(line.zone or None for line in usage.lines), None],
            "SkuId": [*(line.sku for line in usage.lines), None],
            "SkuPriceId": [*(line.sku for line in usage.lines), None],
            "ServiceName": [*(sku.service for sku in skus), None],
            "PricingUnit": [*(sku.unit for sku in skus), None],
        }
        self._by_commitment: dict[str, list[str | None]] = {
            "ProviderName": [*(_PUBLISHERS[one.provider] for one in held), None],
            "SubAccountId": [*(one.account for one in dataset.commitments), None],
            "RegionId": [*(one.region for one in held), None],
            "CommitmentDiscountId": [*(one.commitment for one in dataset.commitments), None],
            "CommitmentDiscountName": [*(one.offering for one in held), None],
            "CommitmentDiscountType": [*(one.kind.value for one in held), None],
            "CommitmentDiscountCategory": [
                *("Spend" if one.kind.is_spend else "Usage" for one in held), None
            ],
            "CommitmentDiscountUnit": [
                *("USD" if one.kind.is_spend else "Units" for one in held), None
            ],
            "ServiceName": [*(_held_service(dataset, one) for one in held), None],
            # Of what is not used: what was bought, and how much of it.
            "SkuId": [*(one.offering if one.kind.is_spend else min(one.rates_usd) for one in held),
                      None],
            "SkuPriceId": [*(one.offering for one in held), None],
            "PricingUnit": [*("USD" if one.kind.is_spend else "Units" for one in held), None],
        }  # fmt: skip
        if text:
            for names in (*self._by_line.values(), *self._by_commitment.values()):
                names[:] = [None if name is None else for_spreadsheets(name) for name in names]
        self._list = [*(sku.list_usd for sku in skus), Decimal(0)]
        self._contracted = [*(sku.on_demand_usd for sku in skus), Decimal(0)]

    def table(self, rows: FocusRows, block: slice) -> pa.Table:
        """The rows of ``block`` as a table of FOCUS columns."""
        hour, line, held = rows.hour[block], rows.line[block], rows.commitment[block]
        used, unused = (line != NONE) & (held != NONE), line == NONE
        quantity, cost = rows.quantity[block], rows.effective_nano_usd[block]
        service = self._either("ServiceName", line, held)
        columns: dict[str, Any] = {
            "ChargePeriodStart": self._instants(self._hours, hour),
            "ChargePeriodEnd": self._instants(self._hours, hour + 1),
            "BillingPeriodStart": self._instants(self._months, hour),
            "BillingPeriodEnd": self._instants(self._nexts, hour),
            "ProviderName": self._either("ProviderName", line, held),
            "PublisherName": self._either("ProviderName", line, held),
            "InvoiceIssuerName": self._either("ProviderName", line, held),
            "BillingAccountId": _same("organisation", len(hour)),
            "BillingAccountName": _same("organisation", len(hour)),
            "InvoiceId": pa.nulls(len(hour), pa.string()),
            "ResourceId": pa.nulls(len(hour), pa.string()),
            "SubAccountName": self._either("SubAccountId", line, held),
            "RegionName": self._either("RegionId", line, held),
            "Tags": pa.nulls(len(hour), pa.string()),
            "SubAccountId": self._either("SubAccountId", line, held),
            "RegionId": self._either("RegionId", line, held),
            "AvailabilityZone": _look_up(self._by_line["AvailabilityZone"], line),
            "ServiceName": service,
            "ServiceCategory": _categories(service),
            "SkuId": self._either("SkuId", line, held),
            "SkuPriceId": self._either("SkuPriceId", line, held),
            "ChargeCategory": _same("Usage", len(hour)),
            "ChargeClass": pa.nulls(len(hour), pa.string()),
            "ChargeFrequency": _same("Usage-Based", len(hour)),
            "ChargeDescription": _choose(
                ["Usage on demand", "Usage covered by a commitment", "Commitment not used"],
                used + 2 * unused,
            ),
            "PricingCategory": _choose(["Standard", "Committed"], (held != NONE).astype(int)),
            "PricingUnit": self._either("PricingUnit", line, held),
            "PricingQuantity": np.where(unused, rows.commitment_quantity[block], quantity),
            "ConsumedUnit": _look_up(self._by_line["PricingUnit"], line),
            "ConsumedQuantity": _where(~unused, quantity),
            "CommitmentDiscountStatus": _choose([None, "Used", "Unused"], used + 2 * unused),
            "CommitmentDiscountQuantity": _where(held != NONE, rows.commitment_quantity[block]),
            "BillingCurrency": _same("USD", len(hour)),
            "ListUnitPrice": self._prices(self._list, line),
            "ContractedUnitPrice": self._prices(self._contracted, line),
            "ListCost": self._costs(self._list, line, quantity),
            "ContractedCost": self._costs(self._contracted, line, quantity),
            "BilledCost": self._money(np.where(held == NONE, cost, 0)),
            "EffectiveCost": self._money(cost),
        }
        for name in self._by_commitment:
            if name.startswith("CommitmentDiscount"):
                columns[name] = _look_up(self._by_commitment[name], held)
        return pa.table({name: columns[name] for name in sorted(columns)})

    def _either(self, name: str, line: Ints, held: Ints) -> Any:  # noqa: ANN401
        own, lent = self._by_line[name], self._by_commitment[name]
        return _look_up([*own, *lent], np.where(line == NONE, held + len(own), line))

    def _instants(self, words: Sequence[str], hour: Ints) -> Any:  # noqa: ANN401
        cells = _look_up(list(words), hour)
        if self._text:
            return cells
        zoned = pa.timestamp("us", tz="UTC")
        return cells.cast(pa.string()).cast(zoned)

    def _prices(self, prices: Sequence[Decimal], line: Ints) -> Any:  # noqa: ANN401
        """Unit prices; 0 for what was not used, whose list and contracted cost is nothing."""
        kind = pa.string() if self._text else _price_type(prices)
        words = [text(price) if self._text else price for price in prices]
        return pa.array(words, type=kind).take(pa.array(line % len(prices)))

    def _costs(self, prices: Sequence[Decimal], line: Ints, quantity: Floats) -> Any:  # noqa: ANN401
        usd = quantity * np.array([float(price) for price in prices])[line]
        if usd.max(initial=0.0) > MOST_USD:
            raise too_dear()
        return self._money(np.rint(usd * 1e9).astype(np.int64))

    def _money(self, nanos: Ints) -> Any:  # noqa: ANN401
        if self._text:
            whole, rest = np.divmod(nanos, NANO_PER_USD)
            digits = pc.utf8_lpad(pa.array(rest).cast(pa.string()), 9, padding="0")
            return pc.binary_join_element_wise(pa.array(whole).cast(pa.string()), digits, ".")
        words = np.empty((len(nanos), 2), dtype="<i8")
        words[:, 0], words[:, 1] = nanos, nanos >> 63
        return pa.Array.from_buffers(_MONEY, len(nanos), [None, pa.py_buffer(words.tobytes())])


def _price_type(prices: Sequence[Decimal]) -> Any:  # noqa: ANN401
    """Fifteen decimals, and more where a price has more."""
    places = max(-int(price.as_tuple().exponent) for price in prices)
    return (
        pa.decimal128(38, _PRICE_PLACES) if places <= _PRICE_PLACES else pa.decimal256(76, places)
    )


def _held_service(dataset: Dataset, offering: Any) -> str:  # noqa: ANN401
    names = [
        sku.service
        for key, sku in dataset.skus.items()
        if key.provider == offering.provider and key.sku in offering.rates_usd
    ]
    return min(names, default=str(offering.kind))


def _look_up(words: list[str | None], index: Ints) -> Any:  # noqa: ANN401
    values = pa.array(words, type=pa.string())
    return values.take(pa.array(np.where(index < 0, index + len(words), index)))


def _choose(words: list[str | None], index: Any) -> Any:  # noqa: ANN401
    return pa.array(words, type=pa.string()).take(pa.array(np.asarray(index, dtype=np.int64)))


def _same(word: str, count: int) -> Any:  # noqa: ANN401
    return pa.array([word], type=pa.string()).take(pa.array(np.zeros(count, dtype=np.int64)))


def _where(there: Any, values: Floats) -> Any:  # noqa: ANN401
    return pa.array(values, mask=~there)


def _categories(service: Any) -> Any:  # noqa: ANN401
    names = service.dictionary_encode()
    found: Callable[[str], str] = lambda name: _SERVICE_CATEGORIES.get(name, "Other")  # noqa: E731
    words = pa.array([found(name) for name in names.dictionary.to_pylist()], type=pa.string())
    return words.take(names.indices)
