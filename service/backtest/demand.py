"""Reads a demand file: hourly quantities by region and SKU, strictly, never filling by guess.

One unit costs $1 an hour on demand, so a region's quantities summed are its hourly on-demand
spend. A SKU's missing hours mean zero; all pools share the file's hours, first to last.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InputError
from service.domain.hours import HOUR, HourRange, floor_hour

COLUMNS = ("hour", "region", "sku", "quantity")


@dataclass(frozen=True, slots=True)
class PoolDemand:
    """One region's demand: ``quantity[hour, sku]`` in $/h on demand, float64, ≥ 0."""

    region: str
    hours: HourRange
    skus: tuple[str, ...]
    quantity: NDArray[np.float64]

    @property
    def usd_per_hour(self) -> NDArray[np.float64]:
        """The pool's hourly on-demand spend, shape ``(hours.count,)``."""
        return np.asarray(self.quantity.sum(axis=1), dtype=np.float64)


def read_demand(path: Path) -> tuple[PoolDemand, ...]:
    """The pools of a demand file (CSV, CSV.gz or Parquet), by region name.

    Raises ``InputError`` for a missing file or column, an instant that is unreadable, naive or
    off the hour, a quantity that is unreadable, negative or not finite, and a key given twice.
    """
    if not path.is_file():
        raise InputError(
            "there is no such file", file=str(path), remedy="Give the path of a demand file."
        )
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    return _pools(rows, str(path))


def _csv_rows(path: Path) -> Iterator[Sequence[str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as text:
            lines = csv.reader(text)
            header = next(lines, [])
            places = _places(header, str(path))
            for row, line in enumerate(lines, start=1):
                if len(line) != len(header):
                    raise InputError(
                        f"{len(line)} cells where the header has {len(header)}",
                        file=str(path),
                        row=row,
                        remedy="Write one cell per column.",
                    )
                yield [line[place] for place in places]
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, csv.Error) as error:
        raise InputError(
            f"not readable as text ({error})", file=str(path), remedy="Write it as UTF-8 CSV."
        ) from error


def _parquet_rows(path: Path) -> Iterator[Sequence[str]]:
    import pyarrow as pa  # noqa: PLC0415 - heavy, and only Parquet needs it
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"not readable as Parquet ({error})", file=str(path), remedy="Write it again."
        ) from error
    places = _places(table.column_names, str(path))
    columns = [table.column(place).to_pylist() for place in places]
    for cells in zip(*columns, strict=True):
        yield [
            cell.isoformat() if isinstance(cell, datetime) else "" if cell is None else str(cell)
            for cell in cells
        ]


def _places(header: Sequence[str], file: str) -> list[int]:
    for column in COLUMNS:
        if column not in header:
            raise InputError(
                "the column is missing",
                file=file,
                column=column,
                remedy=f"Write the columns {', '.join(COLUMNS)}.",
            )
    return [header.index(column) for column in COLUMNS]


def _pools(rows: Iterable[Sequence[str]], file: str) -> tuple[PoolDemand, ...]:
    instants: dict[str, datetime] = {}
    cells: dict[tuple[str, str], dict[datetime, float]] = {}
    for number, (hour, region, sku, quantity) in enumerate(rows, start=1):
        instant = instants.get(hour)
        if instant is None:
            instant = instants[hour] = _instant(hour, file, number)
        for column, name in (("region", region), ("sku", sku)):
            if not name:
                raise InputError("empty", file=file, row=number, column=column, remedy="Name it.")
        series = cells.setdefault((region, sku), {})
        if instant in series:
            raise InputError(
                f"{hour}, {region}, {sku} stands twice",
                file=file,
                row=number,
                column="hour",
                remedy="Write each hour of a SKU once.",
            )
        series[instant] = _quantity(quantity, file, number)
    if not cells:
        raise InputError("no rows", file=file, remedy="Give at least one hour of demand.")
    start, last = min(instants.values()), max(instants.values())
    hours = HourRange(start, (last - start) // HOUR + 1)
    return tuple(
        _pool(region, hours, {sku: s for (r, sku), s in cells.items() if r == region})
        for region in sorted({region for region, _ in cells})
    )


def _pool(region: str, hours: HourRange, series: dict[str, dict[datetime, float]]) -> PoolDemand:
    skus = tuple(sorted(series))
    quantity = np.zeros((hours.count, len(skus)))
    for place, sku in enumerate(skus):
        for instant, amount in series[sku].items():
            quantity[(instant - hours.start) // HOUR, place] = amount
    return PoolDemand(region, hours, skus, quantity)


def _instant(cell: str, file: str, row: int) -> datetime:
    remedy = "Write the start of the hour in UTC, as 2024-01-31T23:00:00Z."
    try:
        instant = datetime.fromisoformat(cell)
    except ValueError as error:
        raise InputError(
            f"{cell!r} is not an instant", file=file, row=row, column="hour", remedy=remedy
        ) from error
    if instant.tzinfo is None:
        raise InputError(
            f"{cell!r} names no time zone", file=file, row=row, column="hour", remedy=remedy
        )
    instant = instant.astimezone(UTC)
    if instant != floor_hour(instant):
        raise InputError(
            f"{cell!r} is not on the hour", file=file, row=row, column="hour", remedy=remedy
        )
    return instant


def _quantity(cell: str, file: str, row: int) -> float:
    remedy = "Write an amount of at least 0."
    try:
        quantity = float(cell)
    except ValueError as error:
        raise InputError(
            f"{cell!r} is not a number", file=file, row=row, column="quantity", remedy=remedy
        ) from error
    if not math.isfinite(quantity) or quantity < 0:
        raise InputError(
            f"{cell!r} is not an amount", file=file, row=row, column="quantity", remedy=remedy
        )
    return quantity
