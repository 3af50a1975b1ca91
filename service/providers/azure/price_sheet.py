"""A negotiated price sheet: what this customer pays, by meter; decides how its rows are read.

The price sheet export of Cost Management (enterprise agreements and customer agreements write their
headers in different cases), as CSV, gzipped CSV or Parquet, a file or a folder of parts. A unit
such as ``100 Hours`` prices a hundred at once; a reservation's price is the whole term's. Rows in
other currencies than dollars, without a meter or a price, of higher tiers, of the offer for
development and out of date are passed over; of several that hold at once the one counts that makes
commitments look worse. A file without the columns is an error, and so is a sheet that prices
nothing now: public prices in its place would be silent. Source: Microsoft, "Enterprise Agreement
price sheet schema" and "Microsoft Customer Agreement price sheet schema", version 2023-05-01.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO

from service.domain.errors import InputError
from service.providers.azure.words import CURRENCY, TERM_MONTHS, block_of

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_REQUIRED = ("meterid", "unitprice", "unitofmeasure", "pricetype")
_KINDS = {
    "consumption": "consumption",
    "savingsplan": "savingsplan",
    "reservedinstance": "reservation",
    "reservation": "reservation",
}
"""What sheets call a kind of price, without spaces, and we."""

_DEVELOPMENT = "ms-azr-0148p"
"""The offer for development, whose prices others do not pay."""

Name = tuple[str, str, int]
"""Kind of price, meter (lower case), months of the term."""

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
    newest: dict[Name, tuple[datetime, Decimal]] = {}
    for file in files:
        for number, row in enumerate(_rows(file), start=1):
            found = _price(file, number, row, now)
            if found is not None:
                name, since, usd = found
                newest[name] = _better(name, newest.get(name), (since, usd))
    if not newest:
        raise InputError(
            f"the price sheet holds no price in {CURRENCY} for {now.date()}",
            file=str(path),
            column="TENOR_AZURE_PRICE_SHEET",
            remedy="Download or export the sheet of the present billing period.",
        )
    return PriceSheet({name: usd for name, (_, usd) in newest.items()})


def _better(
    name: Name, known: tuple[datetime, Decimal] | None, found: tuple[datetime, Decimal]
) -> tuple[datetime, Decimal]:
    """The newer of two prices; of two as new, the worse one for whoever commits."""
    if known is None or known[0] != found[0]:
        return found if known is None or known[0] < found[0] else known
    return min(known, found) if name[0] == "consumption" else max(known, found)


def _is_data(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def _price(
    file: Path, number: int, row: Mapping[str, str], now: datetime
) -> tuple[Name, datetime, Decimal] | None:
    kind = _KINDS.get(row["pricetype"].replace(" ", "").lower())
    meter = row["meterid"].lower()
    if kind is None or not meter or not row["unitprice"] or not _is_ours(row, now):
        return None
    months = 0 if kind == "consumption" else TERM_MONTHS.get(row.get("term") or "")
    if months is None:
        return None
    block = Decimal(1) if kind == "reservation" else _block(file, number, row["unitofmeasure"])
    try:
        usd = Decimal(row["unitprice"]) / block
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0:
        raise _fault(file, number, "UnitPrice", f"{row['unitprice']!r} is no price")
    since = _instant(row.get("effectivestartdate"))
    return (kind, meter, months), since or datetime.min.replace(tzinfo=UTC), usd


def _is_ours(row: Mapping[str, str], now: datetime) -> bool:
    """Whether the row's price is in dollars, holds now, and is that of all usage."""
    currency = row.get("currency") or row.get("currencycode") or CURRENCY
    since, until = _instant(row.get("effectivestartdate")), _instant(row.get("effectiveenddate"))
    return (
        currency == CURRENCY
        and (since is None or since <= now)
        and (until is None or now < until + _whole_day(until))
        and (row.get("tierminimumunits") or "0").strip("0.") == ""
        and (row.get("offerid") or "").lower() != _DEVELOPMENT
    )


def _whole_day(until: datetime) -> timedelta:
    """A sheet that ends on a day holds on it."""
    return timedelta(days=int(until.time() == time.min))


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
