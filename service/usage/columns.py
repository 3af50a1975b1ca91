"""Strict reading of one table's columns: what is a name, a number, an instant, and what is not.

A table is Parquet, CSV or gzipped CSV. Every cell is read as what it is, never guessed: an error
names the file, the 1-based row, the column and what to do. Text columns are dictionary-encoded, so
that a cell is parsed once however many million rows repeat it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InputError
from service.domain.hours import floor_hour

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

SUFFIXES = (".parquet", ".csv", ".csv.gz")


def find_table(folder: Path, name: str) -> Path:
    """The one file of ``folder`` that holds table ``name``; ``InputError`` for none or several."""
    if not folder.is_dir():
        raise InputError(
            "there is no such folder",
            file=str(folder),
            remedy="Give a folder that holds usage, skus, offers and holdings",
        )
    found = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    found = [path for path in found if path.is_file()]
    if not found:
        raise InputError(
            f"the dataset has no table {name}",
            file=str(folder),
            remedy=f"Add {name}.parquet, {name}.csv or {name}.csv.gz",
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            f"table {name} is there {len(found)} times: {names}",
            file=str(folder),
            remedy="Keep one of them",
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class Column:
    """A dictionary-encoded column: row ``i`` holds ``values[codes[i]]``, or nothing at code -1."""

    file: str
    name: str
    codes: NDArray[np.int64]
    values: tuple[object, ...]

    def fault(self, row: int, problem: str, remedy: str) -> InputError:
        """The error for the cell in (0-based) ``row``."""
        return InputError(problem, file=self.file, row=row + 1, column=self.name, remedy=remedy)

    def parse(self, parser: Callable[[object], T], remedy: str) -> list[T]:
        """Every distinct value parsed; ``ValueError`` becomes an error at its first row."""
        parsed = []
        for code, value in enumerate(self.values):
            try:
                parsed.append(parser(value))
            except ValueError as error:
                row = int(np.argmax(self.codes == code))
                raise self.fault(row, str(error), remedy) from error
        return parsed

    def require_filled(self) -> None:
        """Raise ``InputError`` at the first empty cell."""
        empty = self.codes < 0
        if empty.any():
            raise self.fault(int(np.argmax(empty)), "the cell is empty", "Give it a value")

    def texts(self, *, required: bool) -> list[str]:
        """Every row's text; empty cells are ``""`` unless ``required``."""
        if required:
            self.require_filled()
        words = [*self.parse(_as_text, "Write it as text"), ""]
        return [words[code] for code in self.codes]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a dataset as read from ``file``; columns are encoded when asked for."""

    file: str
    data: pa.Table

    @property
    def rows(self) -> int:
        """Number of data rows."""
        return int(self.data.num_rows)

    def has(self, name: str) -> bool:
        """True when the file has the column."""
        return name in self.data.column_names

    def column(self, name: str) -> Column:
        """The column, dictionary-encoded; missing columns raise ``InputError``."""
        import pyarrow.compute as pc  # noqa: PLC0415

        if not self.has(name):
            raise InputError(
                "the column is missing", file=self.file, column=name, remedy=f"Add column {name}"
            )
        chunks = self.data[name].combine_chunks()
        encoded = chunks if _is_dictionary(chunks) else pc.dictionary_encode(chunks)
        if hasattr(encoded, "combine_chunks"):
            encoded = encoded.combine_chunks()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        words = encoded.dictionary.to_pylist()
        blank = [code for code, word in enumerate(words) if word is None or word == ""]
        if blank:
            codes = np.where(np.isin(codes, blank), -1, codes)
            words = ["" if word is None else word for word in words]
            keep = [code for code in range(len(words)) if code not in set(blank)]
            renumbered = np.full(len(words) + 1, -1, dtype=np.int64)
            renumbered[keep] = np.arange(len(keep))
            codes = renumbered[codes]
            words = [words[code] for code in keep]
        return Column(self.file, name, codes, tuple(words))

    def quantities(self, name: str) -> NDArray[np.float64]:
        """A column of numbers from 0 to ``LARGEST`` as float64, or ``InputError``."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        if not self.has(name):
            raise InputError(
                "the column is missing", file=self.file, column=name, remedy=f"Add column {name}"
            )
        cells = self.data[name]
        if pa.types.is_dictionary(cells.type):
            cells = cells.cast(cells.type.value_type)
        if pa.types.is_floating(cells.type) or pa.types.is_integer(cells.type):
            numbers = cells.cast(pa.float64(), safe=False)
        else:
            numbers = self._numbers_from_text(name, cells)
        values: NDArray[np.float64] = pc.fill_null(numbers, float("nan")).to_numpy()
        wrong = ~((values >= 0) & (values <= float(LARGEST)))
        if wrong.any():
            row = int(np.argmax(wrong))
            cell = cells[row].as_py()
            problem = "the cell is empty" if cell is None else f"{cell} is not a quantity"
            raise InputError(
                problem, file=self.file, row=row + 1, column=name, remedy=_QUANTITY_REMEDY
            )
        return values

    def _numbers_from_text(self, name: str, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        import pyarrow as pa  # noqa: PLC0415

        words = cells.cast(pa.string())
        try:
            return words.cast(pa.float64())
        except pa.ArrowInvalid as error:
            for row, word in enumerate(words.to_pylist()):
                try:
                    as_decimal(word or "0")
                except ValueError as fault:
                    raise InputError(
                        str(fault),
                        file=self.file,
                        row=row + 1,
                        column=name,
                        remedy=_QUANTITY_REMEDY,
                    ) from error
            return pa.chunked_array(
                [[None if word is None else float(word) for word in words.to_pylist()]]
            )


_QUANTITY_REMEDY = "Write a finite number that is not negative, 1e15 at most"


def read_table(path: Path) -> Table:
    """Read a whole table. ``InputError`` when the file is not what its name says."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        data = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    names = data.column_names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "the column is there twice", file=path.name, column=twice, remedy="Keep one of them"
        )
    return Table(path.name, data)


_ROW = re.compile(r"Row #(\d+): ")


def _unreadable(path: Path, error: Exception) -> InputError:
    import pyarrow as pa  # noqa: PLC0415

    problem = " ".join(str(error).split())
    if path.suffix != ".parquet" and "parse error" in problem:
        # Only one thread counts rows as it reads.
        try:
            _read_csv(path, threads=False)
        except pa.ArrowInvalid as again:
            problem = " ".join(str(again).split())
    row = _ROW.search(problem)
    return InputError(
        f"the file cannot be read: {_ROW.sub('', problem).rstrip('.')}",
        file=path.name,
        row=None if row is None else int(row[1]) - 1,
        remedy="Write it again as its ending says",
    )


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pq.read_schema(path)
    texts = [field.name for field in schema if field.type in {pa.string(), pa.large_string()}]
    # partitioning=None: the folder's own name is no column of the table.
    return pq.read_table(path, read_dictionary=texts, partitioning=None)


def _read_csv(path: Path, *, threads: bool = True) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.csv as pacsv  # noqa: PLC0415

    with pa.input_stream(str(path), compression="detect") as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        header = next(csv.reader(lines), [])
    encoded = pa.dictionary(pa.int32(), pa.string())
    wide = {"quantity", "resource", "tags"}
    return pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(use_threads=threads),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.string() if name in wide else encoded for name in header},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
    )


def _is_dictionary(cells: Any) -> bool:  # noqa: ANN401 - pyarrow ships no types
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_dictionary(cells.type))


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    msg = f"{value!r} is not text"
    raise ValueError(msg)


_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
LARGEST = Decimal(10) ** 15
MOST_PLACES = 40


def as_decimal(value: object) -> Decimal:
    """Exact decimal of a decimal, an integer, decimal text, or a float's shortest decimal.

    ``ValueError`` for what is negative, not finite, above ``LARGEST`` or finer than ``MOST_PLACES``
    decimals: no rate or commitment is, and exact arithmetic on it need not end.
    """
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, str | float):
        words = repr(value) if isinstance(value, float) else value.strip()
        if not _NUMBER.fullmatch(words) and words.lower().lstrip("+-") not in _NOT_FINITE:
            msg = f"{value!r} is not a number"
            raise ValueError(msg)
        number = Decimal(words)
    else:
        msg = f"{value!r} is not a number"
        raise ValueError(msg)  # noqa: TRY004 - a cell's fault, like any other
    if not number.is_finite():
        msg = f"{value} is not a finite number"
        raise ValueError(msg)
    if number < 0:
        msg = f"{value} is negative"
        raise ValueError(msg)
    if number > LARGEST or int(number.as_tuple().exponent) < -MOST_PLACES:
        msg = f"{value} is above {LARGEST:.0e} or has more than {MOST_PLACES} decimals"
        raise ValueError(msg)
    return number


_NOT_FINITE = frozenset({"nan", "inf", "infinity"})


def as_hour(value: object) -> datetime:
    """The aware UTC start of an hour; naive, off-the-hour and non-UTC instants are refused."""
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value.strip())
        except ValueError:
            msg = f"{value!r} is not an ISO 8601 instant"
            raise ValueError(msg) from None
        if instant.tzinfo is not None and instant.utcoffset():
            msg = f"{value} is not in UTC"
            raise ValueError(msg)
    elif isinstance(value, datetime):
        instant = value
    else:
        msg = f"{value!r} is not an instant"
        raise ValueError(msg)  # noqa: TRY004 - a cell's fault, like any other
    if instant.tzinfo is None:
        msg = f"{value} is naive: it has no time zone"
        raise ValueError(msg)
    if instant != floor_hour(instant):
        msg = f"{value} is not the start of an hour"
        raise ValueError(msg)
    return floor_hour(instant)
