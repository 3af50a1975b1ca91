"""``ProviderExports`` for a BigQuery billing export: decides which days to copy again.

Google adds rows to a day's usage for a while after it; each row says when it was exported. A day
whose number of rows or newest row changed is read whole and its file replaced; a day that is gone
is deleted. What was copied is noted in the folder, beside the files. Rows are added up where they
lie: what comes over the wire is hours, projects, SKUs and prices, not every machine's own rows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.errors import InputError
from service.domain.hours import Clock, iso
from service.providers.gcp.clients import (
    READ_TIMEOUT_SECONDS,
    GcpClients,
    failed,
    read_retry,
    wire_errors,
)
from service.providers.port import Fetched

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud.bigquery.schema import SchemaField
    from google.cloud.bigquery.table import Table

NOTES = ".gcp_export.json"
_TABLE = re.compile(r"[a-z][-a-z0-9:.]*\.\w+\.\w+\Z")
_FILE = "gcp-{day}.parquet"
_PAGE = 10_000
_WAIT_SECONDS = 600.0
_KEPT = timedelta(days=800)
# Google partitions the export's table by the day it wrote the rows on, which is never before their
# usage; rows that are being streamed in belong to no partition yet.
_INGESTED = "_PARTITIONTIME"
_DAYS_QUERY = """
SELECT
  DATE(usage_start_time) AS day,
  COUNT(*) AS row_count,
  MAX(export_time) AS newest
FROM `{table}`
WHERE usage_start_time >= @since AND ({written} IS NULL OR {written} >= @since)
GROUP BY day
ORDER BY day
"""
_ROWS_QUERY = """
SELECT
  {columns},
  SUM(usage.amount_in_pricing_units) AS usage_amount_in_pricing_units,
  SUM(cost) AS cost
FROM `{table}`
WHERE usage_start_time >= @begins AND usage_start_time < @ends
  AND ({written} IS NULL OR {written} >= @begins)
GROUP BY ALL
ORDER BY usage_start_time
"""
_COLUMNS = (
    *("billing_account_id", "usage_start_time", "usage_end_time", "currency", "cost_type"),
    *("service.id", "service.description", "sku.id", "sku.description", "project.id"),
    *("location.location", "location.region", "location.zone", "usage.pricing_unit"),
    *("price.list_price", "price.effective_price", "price.effective_price_default"),
    *("price.pricing_unit_quantity", "subscription.instance_id", "consumption_model.id"),
)
"""What is copied, where the table has it; a field of a record is named ``record_field``."""


@dataclass(frozen=True, slots=True)
class DaySeen:
    """What the table held of one day of usage when it was read."""

    rows: int
    newest: datetime


class GcpExports:
    """Copies the export's table into Parquet files, one for each day of usage (UTC)."""

    def __init__(self, clients: GcpClients, table: str, *, clock: Clock) -> None:
        if not _TABLE.match(table):
            raise InputError(
                f"{table!r} does not name a BigQuery table",
                file="the settings",
                column="TENOR_GCP_EXPORT_TABLE",
                remedy="Write it as project.dataset.table.",
            )
        self._clients = clients
        self._table = table
        self._clock = clock
        self._shape: tuple[str, str] | None = None

    def fetch(self, folder: Path) -> Fetched:
        """Bring what is new or restated into ``folder``, whole files only; delete what is gone."""
        folder.mkdir(parents=True, exist_ok=True)
        now = self._days()
        before = read_notes(folder / NOTES)
        changed = 0
        for day, seen in now.items():
            path = folder / _FILE.format(day=day)
            if before.get(day) != seen or not path.exists():
                # Noted after the file is there: a copy that is broken off is made again.
                _write(self._rows(day), path)
                before[day] = seen
                _write_notes(folder / NOTES, before)
                changed += 1
        for day in sorted(set(before) - set(now)):
            (folder / _FILE.format(day=day)).unlink(missing_ok=True)
            del before[day]
            _write_notes(folder / NOTES, before)
            changed += 1
        return Fetched(
            files=tuple(folder / _FILE.format(day=day) for day in sorted(now)),
            changed=changed,
            newest_at=max((seen.newest for seen in now.values()), default=None),
        )

    def _days(self) -> dict[str, DaySeen]:
        """Every day of usage in the table, how many rows it has and when the last came."""
        first = (self._clock.now() - _KEPT).replace(hour=0, minute=0, second=0, microsecond=0)
        found = self._query(_DAYS_QUERY, {"since": first}).to_pylist()
        return {
            row["day"].isoformat(): DaySeen(int(row["row_count"]), row["newest"].astimezone(UTC))
            for row in found
        }

    def _rows(self, day: str) -> pa.Table:
        begins = datetime.fromisoformat(day).replace(tzinfo=UTC)
        ends = begins + timedelta(days=1)
        return self._query(_ROWS_QUERY, {"begins": begins, "ends": ends})

    def _query(self, sql: str, instants: Mapping[str, datetime]) -> pa.Table:
        from google.cloud import bigquery  # noqa: PLC0415 - takes long

        parameters = [
            bigquery.ScalarQueryParameter(name, "TIMESTAMP", at) for name, at in instants.items()
        ]
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        client = self._clients.bigquery()
        try:
            if self._shape is None:
                found = client.get_table(self._table, retry=read_retry())
                self._shape = _written(found), columns_of(found.schema)
            written, columns = self._shape
            rows = client.query_and_wait(
                sql.format(table=self._table, written=written, columns=columns),
                job_config=config,
                page_size=_PAGE,
                api_timeout=READ_TIMEOUT_SECONDS,
                wait_timeout=_WAIT_SECONDS,
                retry=read_retry(),
                job_retry=read_retry(),
            )
            return rows.to_arrow(create_bqstorage_client=False)
        except (*wire_errors(), TimeoutError) as error:  # type: ignore[misc]
            raise failed("bigquery.query", error) from error


def _written(table: Table) -> str:
    """The column that the table's partitions are by; ``export_time`` when it has none."""
    partitioning = table.time_partitioning
    if partitioning is None:
        return "export_time"
    return str(partitioning.field or _INGESTED)


def columns_of(schema: Iterable[SchemaField]) -> str:
    """The SQL of ``_COLUMNS``, as far as the table has them: older tables lack the newer ones."""
    fields = {one.name: {inner.name for inner in one.fields} for one in schema}
    parts: list[str] = []
    for column in _COLUMNS:
        record, _, field = column.partition(".")
        if record in fields and (not field or field in fields[record]):
            parts.append(f"{column} AS {record}_{field}" if field else column)
    return ",\n  ".join(parts)


def _write(rows: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - only where files are written

    aside = path.with_name(f".{path.name}.part")
    pq.write_table(rows, aside, compression="zstd")
    os.replace(aside, path)  # noqa: PTH105  # whole or not at all


def read_notes(path: Path) -> dict[str, DaySeen]:
    """What was copied before; notes that cannot be read count as none, and all is read again."""
    try:
        noted = json.loads(path.read_text("utf-8"))
        return {
            day: DaySeen(int(one["rows"]), datetime.fromisoformat(one["newest"]))
            for day, one in noted.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_notes(path: Path, days: Mapping[str, DaySeen]) -> None:
    noted = {day: {"rows": one.rows, "newest": iso(one.newest)} for day, one in days.items()}
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(json.dumps(noted, indent=1, sort_keys=True), "utf-8")
    os.replace(aside, path)  # noqa: PTH105  # whole or not at all
