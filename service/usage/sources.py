"""Which files an export consists of, and how DuckDB sees each: decides what is readable at all.

A part is one Parquet, CSV or gzipped CSV file, or JSON lines of Google's export. Parts are never
guessed at: a gzip stream is checked to its end (DuckDB stops silently where one was cut off), a CSV
row must have as many cells as its header, and text stays text until a column's own rule parses it.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.errors import InputError

if TYPE_CHECKING:
    import duckdb

LINES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
SUFFIXES = (".parquet", ".csv", ".csv.gz", *LINES)
LINE_COLUMNS = {
    **dict.fromkeys(("service", "sku", "project", "location", "usage", "price"), "JSON"),
    "subscription": "JSON",
    **dict.fromkeys(("usage_start_time", "usage_end_time", "currency", "cost_type"), "VARCHAR"),
}
"""What is read of a line of JSON: only Google's export comes so."""
_PERIOD_FOLDER = re.compile(r"billing_period=", re.IGNORECASE)
_CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
_CSV_CELLS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an export. ``columns`` maps each column's name to its DuckDB type."""

    path: Path
    columns: Mapping[str, str]

    @property
    def file(self) -> str:
        """The file's name as errors show it."""
        return str(self.path)

    def relation(self, *, numbered: bool = False) -> str:
        """SQL that reads this part; ``numbered`` adds the 1-based data row as ``tenor_row``."""
        path = literal(str(self.path))
        if self.path.name.lower().endswith(".parquet"):
            number = ", file_row_number + 1 AS tenor_row" if numbered else ""
            options = ", file_row_number = true" if numbered else ""
            return f"(SELECT *{number} FROM read_parquet({path}{options}, hive_partitioning=false))"  # noqa: S608
        number = ", row_number() OVER () AS tenor_row" if numbered else ""
        if self.path.name.lower().endswith(LINES):
            kinds = ", ".join(f"{literal(key)}: '{kind}'" for key, kind in self.columns.items())
            return (
                f"(SELECT *{number} FROM read_json({path}, format='newline_delimited', "  # noqa: S608
                f"hive_partitioning=false, columns={{{kinds}}}))"
            )
        names = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in self.columns)
        return (
            f"(SELECT *{number} FROM read_csv({path}, auto_detect=false, header=true, "  # noqa: S608
            f"delim=',', quote='\"', escape='\"', hive_partitioning=false, columns={{{names}}}))"
        )


def literal(text: str) -> str:
    """``text`` as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def name(column: str) -> str:
    """``column`` as a quoted SQL name."""
    return '"' + column.replace('"', '""') + '"'


def find_files(source: Path) -> tuple[Path, ...]:
    """The data files of ``source``, a file or a folder read recursively, in a fixed order.

    Hidden files and files of other kinds (manifests) are passed over. Raises ``InputError`` when
    nothing readable is there, or when one billing period is there in several versions.
    """
    if source.is_file():
        if not _is_data(source):
            raise InputError(
                "is neither Parquet, CSV nor JSON lines",
                file=str(source),
                remedy="Give a .parquet, .csv, .csv.gz or .jsonl file, or a folder of them",
            )
        return (source,)
    if not source.is_dir():
        raise InputError(
            "there is no such file or folder", file=str(source), remedy="Check the path"
        )
    found = sorted(
        path
        for path in source.rglob("*")
        if path.is_file() and _is_data(path) and not _hidden(path.relative_to(source))
    )
    if not found:
        raise InputError(
            "the folder holds no export",
            file=str(source),
            remedy="Put .parquet, .csv, .csv.gz or .jsonl files in it",
        )
    _refuse_versions(source, found)
    return tuple(found)


def open_part(connection: duckdb.DuckDBPyConnection, path: Path) -> Part:
    """The file at ``path`` with its columns; ``InputError`` when it cannot be read."""
    import duckdb  # noqa: PLC0415 - heavy; only commands that read usage pay for it

    if path.name.lower().endswith(".parquet"):
        try:
            described = connection.execute(
                f"DESCRIBE SELECT * FROM read_parquet({literal(str(path))}, hive_partitioning=false)"  # noqa: E501, S608
            ).fetchall()
        except duckdb.Error as error:
            raise unreadable(path, error) from error
        return Part(path, {row[0]: row[1] for row in described})
    if path.name.lower().endswith(LINES):
        if path.name.lower().endswith(".gz"):
            _check_gzip(path)
        return Part(path, LINE_COLUMNS)
    return Part(path, dict.fromkeys(_csv_header(path), "VARCHAR"))


def unreadable(path: Path, error: Exception) -> InputError:
    """The ``InputError`` for a file that DuckDB gives up on, with the row where it tells one."""
    message = str(error)
    line = _CSV_LINE.search(message)
    if line:
        return InputError(
            _csv_problem(message),
            file=str(path),
            row=max(int(line.group(1)) - 1, 1),
            remedy="Export the file again, as comma-separated UTF-8",
        )
    return InputError(
        f"the file cannot be read: {message.splitlines()[0]}",
        file=str(path),
        remedy="Export or copy the file again",
    )


def _csv_problem(message: str) -> str:
    cells = _CSV_CELLS.search(message)
    if cells:
        return f"the row has {cells.group(2)} cells, the header {cells.group(1)}"
    if "Invalid unicode" in message:
        return "the row is not UTF-8"
    if "unterminated quote" in message:
        return "a quoted cell is never closed"
    return "the row is no comma-separated text"


def _is_data(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _hidden(path: Path) -> bool:
    return any(step.startswith((".", "_")) for step in path.parts)


def _refuse_versions(source: Path, found: list[Path]) -> None:
    """AWS can keep every refresh of a month in a folder of its own: together they count twice."""
    versions: dict[Path, set[Path]] = {}
    for path in found:
        for folder in path.relative_to(source).parents:
            if _PERIOD_FOLDER.match(folder.name):
                versions.setdefault(folder, set()).add(path.relative_to(source).parent)
    for period, folders in versions.items():
        if len(folders) > 1:
            listed = ", ".join(sorted(folder.as_posix() for folder in folders))
            raise InputError(
                f"one billing period is there {len(folders)} times: {listed}",
                file=str(source / period),
                remedy="Keep the newest version of the period only, or let the export overwrite",
            )


def _csv_header(path: Path) -> list[str]:
    zipped = path.name.lower().endswith(".gz")
    if zipped:
        _check_gzip(path)
    opener = gzip.open if zipped else open
    try:
        # Bytes that are no UTF-8 may follow in the rows; there DuckDB tells which one.
        with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as lines:
            header = next(csv.reader(lines), [])
    except csv.Error as error:
        raise unreadable(path, error) from error
    columns = [column.strip() for column in header]
    if not any(columns):
        raise InputError(
            "the file is empty", file=str(path), remedy="Export it again, with a header"
        )
    for column in columns:
        if columns.count(column) > 1:
            raise InputError(
                "the column is there twice", file=str(path), column=column, remedy="Keep one"
            )
    return columns


def _check_gzip(path: Path) -> None:
    """Read the whole stream once: a copy cut off between two lines looks complete to DuckDB."""
    try:
        with gzip.open(path, "rb") as stream:
            while stream.read(_READ_BYTES):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"the compressed file is damaged or cut off ({error})",
            file=str(path),
            remedy="Copy or export it again",
        ) from error
