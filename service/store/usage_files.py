"""Reads stored usage files: decides which lines a decision sees and lays them out dense.

Filtering and joining happen in DuckDB; what reaches Python is line numbers, hour numbers and
quantities, a month of files at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from service.domain.hours import HourRange
from service.domain.ids import AccountId
from service.domain.usage import Usage, UsageLine
from service.usage.days import ObservedPrice
from service.usage.eligibility import is_eligible
from service.usage.rows import QUANTITY_TYPE
from service.usage.sources import literal

if TYPE_CHECKING:
    import duckdb

FILES_AT_ONCE = 31
MEMORY_LIMIT_MB = 2_048


def load_usage(
    files: Sequence[Path],
    hours: HourRange,
    *,
    eligible_only: bool,
    resource_groups: bool = False,
    level: bool = False,
) -> Usage:
    """Dense usage of ``hours`` from day files, one line per label, sorted by label.

    ``resource_groups`` tells Azure's resource groups apart, ``level`` the level part of usage from
    the rest; else they add up.
    Raises ``FileNotFoundError`` when a file is gone.
    """
    _require_files(files)
    with _database() as database:
        apart = (*("resource_group",) * resource_groups, *("level",) * level)
        stored = _stored(database, files, hours, apart)
        lines = _lines(database, stored, hours, eligible_only=eligible_only)
        quantity = np.zeros((hours.count, len(lines)), dtype=np.float64)
        if lines:
            for start in range(0, len(files), FILES_AT_ONCE):
                some = files[start : start + FILES_AT_ONCE]
                rows = _stored(database, some, hours, apart)
                _fill(database, quantity, rows, hours)
    return Usage(hours=hours, lines=lines, quantity=quantity)


def load_prices(files: Sequence[Path], hours: HourRange) -> tuple[ObservedPrice, ...]:
    """What the files show each SKU to cost, in its newest hour of ``hours`` that tells."""
    _require_files(files)
    with _database() as database:
        # One pass finds the newest hours, a second reads them: far cheaper than sorting all.
        rows = database.execute(
            f"WITH known AS {_rows(files, hours, union=True)}, "  # noqa: S608
            "newest AS (SELECT provider, region, sku, "
            "max(hour) FILTER (list_usd IS NOT NULL) AS list_hour, "
            "max(hour) FILTER (contracted_usd IS NOT NULL) AS contracted_hour "
            "FROM known GROUP BY ALL) "
            "SELECT provider, region, sku, max(unit), "
            "max(list_usd) FILTER (hour = list_hour), "
            "max(contracted_usd) FILTER (hour = contracted_hour) "
            "FROM known JOIN newest USING (provider, region, sku) "
            "WHERE hour = list_hour OR hour = contracted_hour GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    return tuple(ObservedPrice(*row) for row in rows if row[4] is not None or row[5] is not None)


@contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb  # noqa: PLC0415 - heavy; only what reads usage pays for it

    with duckdb.connect() as database:
        database.execute(f"SET memory_limit = '{MEMORY_LIMIT_MB}MB'")
        yield database


def _require_files(files: Sequence[Path]) -> None:
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(path)


def _rows(files: Sequence[Path], hours: HourRange, *, union: bool = False) -> str:
    named = ", union_by_name=true" if union else ""
    listed = ", ".join(literal(str(path)) for path in files)
    return (
        f"(SELECT * FROM read_parquet([{listed}], hive_partitioning=false{named}) "  # noqa: S608
        f"WHERE hour >= {_instant(hours.start)} AND hour < {_instant(hours.end)})"
    )


_ADDED = {"resource_group": "''", "service": "''", "level": "FALSE"}
"""Columns that came later, or only some files have, and what they are where they are not."""


def _stored(
    database: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    hours: HourRange,
    apart: Sequence[str],
) -> str:
    """SQL for the rows with all columns that a line is made of; see ``_ADDED``.

    Rows of several resource groups add up, exactly, and so do the level part of usage and the rest,
    unless they are told ``apart``.
    """
    rows = _rows(files, hours, union=True)
    known = {row[0] for row in database.execute(f"DESCRIBE {rows}").fetchall()}
    told = {
        column: f"coalesce({column}, {nothing})" if column in known else nothing
        for column, nothing in _ADDED.items()
    }
    cells = ", ".join(f"{sql} AS {column}" for column, sql in told.items())
    whole = f"(SELECT hour, provider, account, region, zone, sku, {cells}, quantity FROM {rows})"  # noqa: S608
    joined = [name for name in ("resource_group", "level") if name in known and name not in apart]
    differing = " OR ".join(f"{name} <> {_ADDED[name]}" for name in joined)
    asked = f"SELECT 1 FROM {whole} WHERE {differing} LIMIT 1"  # noqa: S608
    if not joined or not database.execute(asked).fetchall():
        return whole
    kept = ", ".join(
        f"{_ADDED[name] if name in joined else name} AS {name}"
        for name in ("resource_group", "level")
    )
    return (
        f"(SELECT hour, provider, account, region, zone, sku, {kept}, "  # noqa: S608
        f"max(service) AS service, CAST(sum(CAST(quantity AS {QUANTITY_TYPE})) AS DOUBLE) "
        f"AS quantity FROM {whole} GROUP BY ALL)"
    )


def _instant(instant: datetime) -> str:
    return f"TIMESTAMP {literal(instant.strftime('%Y-%m-%d %H:%M:%S'))}"


def _lines(
    database: duckdb.DuckDBPyConnection,
    rows: str,
    hours: HourRange,
    *,
    eligible_only: bool,
) -> tuple[UsageLine, ...]:
    found = database.execute(
        "SELECT provider, account, region, zone, sku, resource_group, level, "  # noqa: S608
        "max(service) "
        f"FROM {rows} GROUP BY ALL"
    ).fetchall()
    if eligible_only:
        on = (hours.end - timedelta(hours=1)).date()
        services = {(row[0], row[4]): row[-1] for row in sorted(found, key=lambda row: row[-1])}
        kept = {
            (provider, sku)
            for (provider, sku), service in services.items()
            if is_eligible(provider, sku, on, service=service)
        }
        found = [row for row in found if (row[0], row[4]) in kept]
    lines = tuple(
        sorted(
            UsageLine(provider, AccountId(account), region, zone, sku, group, part)
            for provider, account, region, zone, sku, group, part, _ in found
        )
    )
    database.execute(
        "CREATE TABLE lines (line INTEGER, provider VARCHAR, account VARCHAR, region VARCHAR, "
        "zone VARCHAR, sku VARCHAR, resource_group VARCHAR, level BOOLEAN)"
    )
    _insert_lines(database, lines)
    return lines


def _insert_lines(database: duckdb.DuckDBPyConnection, lines: Sequence[UsageLine]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - executemany takes a millisecond a row

    if not lines:
        return
    names = UsageLine._fields
    columns = list(zip(*lines, strict=True))
    table = pa.table(
        {
            "line": pa.array(range(len(lines)), pa.int32()),
            **{
                name: pa.array(column, pa.bool_() if name == "level" else pa.string())
                for name, column in zip(names, columns, strict=True)
            },
        }
    )
    database.register("given", table)
    database.execute("INSERT INTO lines SELECT * FROM given")
    database.unregister("given")


def _fill(
    database: duckdb.DuckDBPyConnection,
    quantity: NDArray[np.float64],
    rows: str,
    hours: HourRange,
) -> None:
    """Put the quantities of ``rows`` where they belong."""
    columns = database.execute(
        "SELECT line, date_diff('hour', "  # noqa: S608
        f"{_instant(hours.start)}, hour) AS hour_index, quantity FROM {rows} "
        "JOIN lines USING (provider, account, region, zone, sku, resource_group, level)"
    ).fetchnumpy()
    at_hour = np.asarray(columns["hour_index"], dtype=np.int64)
    at_line = np.asarray(columns["line"], dtype=np.int64)
    quantity[at_hour, at_line] = columns["quantity"]
