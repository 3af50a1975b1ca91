"""A negotiated price sheet: what this customer pays, by meter; decides how its rows are read.

The price sheet export of Cost Management (enterprise agreements and customer agreements write their
headers in different cases), as CSV, gzipped CSV or Parquet, a file or a folder of parts. A unit
such as ``100 Hours`` prices a hundred at once. Rows in other currencies than dollars, without a
meter or a price, of higher tiers and out of date are passed over; a file without the columns is an
error.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO

from service.domain.errors import InputError
from service.providers.azure.words import CURRENCY, TERM_MONTHS, block_of

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_REQUIRED = ("meterid", "unitprice", "unitofmeasure", "pricetype")
Rows = Iterable[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class PriceSheet:
    """Dollars by kind of price, meter (lower case) and months of the term (0 for on demand)."""

    prices: Mapping[tuple[str, str, int], Decimal]

    def on_demand_usd(self, meter: str) -> Decimal | None:
        """What one unit costs this customer on demand."""
        return self.prices.get(("consumption", meter.lower(), 0))

    def plan_usd(self, meter: str, months: int) -> Decimal | None:
        """What one unit takes of a savings plan's commitment."""
        return self.prices.get(("savingsplan", meter.lower(), months))

    def reservation_usd(self, meter: str, months: int) -> Decimal | None:
        """What one reservation costs for the whole term."""
        return self.prices.get(("reservation", meter.lower(), months))


NO_SHEET = PriceSheet({})


def load_price_sheet(path: Path, now: datetime) -> PriceSheet:
    """The prices of ``path`` that hold at ``now``; ``InputError`` when it cannot be read."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if _is_data(p))
    if not files:
        raise InputError(
            "there is no price sheet",
            file=str(path),
            column="TENOR_AZURE_PRICE_SHEET",
            remedy="Give a CSV or Parquet file of a price sheet export, or a folder of them.",
        )
    newest: dict[tuple[str, str, int], tuple[datetime, Decimal]] = {}
    for file in files:
        for number, row in enumerate(_rows(file), start=1):
            found = _price(file, number, row, now)
            if found is not None:
                name, since, usd = found
                if name not in newest or newest[name][0] <= since:
                    newest[name] = (since, usd)
    return PriceSheet({name: usd for name, (_, usd) in newest.items()})


def _is_data(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def _price(
    file: Path, number: int, row: Mapping[str, str], now: datetime
) -> tuple[tuple[str, str, int], datetime, Decimal] | None:
    kind = row["pricetype"].replace(" ", "").lower()
    meter = row["meterid"].lower()
    currency = row.get("currency") or row.get("currencycode") or CURRENCY
    since, until = _instant(row.get("effectivestartdate")), _instant(row.get("effectiveenddate"))
    if (
        not meter
        or currency != CURRENCY
        or not row["unitprice"]
        or (since is not None and since > now)
        or (until is not None and until <= now)
        or (row.get("tierminimumunits") or "0").strip("0.") != ""
    ):
        return None
    months = TERM_MONTHS.get(row.get("term") or "", 0)
    block = Decimal(1) if kind == "reservation" else _block(file, number, row["unitofmeasure"])
    try:
        usd = Decimal(row["unitprice"]) / block
    except InvalidOperation as error:
        raise _fault(file, number, "UnitPrice", f"{row['unitprice']!r} is no price") from error
    return (kind, meter, months), since or datetime.min.replace(tzinfo=UTC), usd


def _block(file: Path, number: int, unit: str) -> Decimal:
    block = block_of(unit)
    if block is None:
        raise _fault(file, number, "UnitOfMeasure", f"{unit!r} does not begin with a number")
    return block


def _instant(word: str | None) -> datetime | None:
    if not word:
        return None
    for form in ("%m/%d/%Y", "%m/%d/%Y %H:%M:%S"):
        try:
            return datetime.strptime(word, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        parsed = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", word))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _rows(file: Path) -> Iterator[Mapping[str, str]]:
    try:
        yield from _parquet_rows(file) if file.suffix == ".parquet" else _csv_rows(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"the price sheet cannot be read: {error}",
            file=str(file),
            remedy="Export it again.",
        ) from error


def _csv_rows(file: Path) -> Iterator[Mapping[str, str]]:
    with _opened(file) as lines:
        reader = csv.reader(lines)
        names = _names(file, next(reader, []))
        for cells in reader:
            yield dict(zip(names, cells, strict=False))


def _opened(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _parquet_rows(file: Path) -> Iterator[Mapping[str, str]]:
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(file, partitioning=None)
    except pa.ArrowInvalid as error:
        raise OSError(str(error)) from error
    names = _names(file, table.column_names)
    for batch in table.to_batches():
        columns = [column.to_pylist() for column in batch.columns]
        for cells in zip(*columns, strict=True):
            yield {n: "" if c is None else str(c) for n, c in zip(names, cells, strict=True)}


def _names(file: Path, header: Iterable[str]) -> list[str]:
    names = [name.strip().lower().replace(" ", "") for name in header]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InputError(
            "the column is missing",
            file=str(file),
            column=missing[0],
            remedy="Give a price sheet as Cost Management exports it.",
        )
    return names


def _fault(file: Path, number: int, column: str, problem: str) -> InputError:
    return InputError(
        problem, file=str(file), row=number, column=column, remedy="Export the price sheet again."
    )
