"""BigQuery, as far as reading the billing export needs it: queries on one table, page by page.

A query is run as it is written, by an SQL engine that knows the same words; the export is its only
table. Answers are in BigQuery's own JSON: cells as text, instants as microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from service.domain.errors import InvariantError
from service.sandbox.faults import ApiError
from service.sandbox.gcp.export_rows import SCHEMA
from service.sandbox.gcp.wire.call import BAD_REQUEST, Call, Handler, Json, not_found
from service.sandbox.gcp.world import GcpWorld

DATASET, TABLE = "billing", "gcp_billing_export_resource_v1"
EXPORT_TABLE = f"{DATASET}.{TABLE}"
PAGE = 5_000
_RESULTS_KEPT = 8
_MICROSECONDS = 1_000_000
_TYPES = (
    (pa.types.is_string, "STRING"),
    (pa.types.is_int64, "INTEGER"),
    (pa.types.is_float64, "FLOAT"),
    (pa.types.is_decimal, "NUMERIC"),
    (pa.types.is_timestamp, "TIMESTAMP"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_struct, "RECORD"),
)


def query(world: GcpWorld, call: Call) -> Json:
    """Run a query and answer with its first page."""
    table = f"{world.buyer_project}.{EXPORT_TABLE}"
    text = str(call.body.get("query", ""))
    named = re.findall(r"`([^`]+)`", text)
    if any(one != table for one in named) or not named:
        raise not_found(f"Table {named}")
    rows = _run(world, text, call.body.get("queryParameters", ()))
    job = world.new_id().hex
    world.query_results[job] = rows
    for old in [*world.query_results][:-_RESULTS_KEPT]:
        del world.query_results[old]
    return _page(world, job, 0, call.body.get("maxResults"))


def get_job(world: GcpWorld, call: Call) -> Json:
    """A query, which is always done."""
    job = call.path["job"]
    if job not in world.query_results:
        raise not_found(f"Job {job}")
    destination = {"projectId": world.buyer_project, "datasetId": "_results", "tableId": job}
    return {
        "kind": "bigquery#job",
        "id": f"{world.buyer_project}:US.{job}",
        "jobReference": {"projectId": world.buyer_project, "jobId": job, "location": "US"},
        "configuration": {"jobType": "QUERY", "query": {"destinationTable": destination}},
        "status": {"state": "DONE"},
        "statistics": {"query": {"statementType": "SELECT"}},
    }


def results(world: GcpWorld, call: Call) -> Json:
    """A further page of a query's rows."""
    job = call.path["job"]
    if job not in world.query_results:
        raise not_found(f"Job {job}")
    token = call.query.get("pageToken", "0")
    if not token.isdigit():
        raise ApiError("invalid", "Invalid page token.", BAD_REQUEST)
    return _page(world, job, int(token), call.query.get("maxResults"))


def get_table(world: GcpWorld, call: Call) -> Json:
    """The export's table: partitioned by the day that rows were written on."""
    _require(call)
    reference = {"projectId": world.buyer_project, "datasetId": DATASET, "tableId": TABLE}
    return {
        "kind": "bigquery#table",
        "id": f"{world.buyer_project}:{EXPORT_TABLE}",
        "tableReference": reference,
        "schema": {"fields": [_field(one) for one in SCHEMA]},
        "timePartitioning": {"type": "DAY"},
        "type": "TABLE",
    }


def test_permissions(world: GcpWorld, call: Call) -> Json:
    """The permissions asked about that the caller has on the table."""
    _require(call)
    asked = [str(one) for one in call.body.get("permissions", ())]
    return {"permissions": [one for one in asked if one not in world.denied_permissions]}


OPERATIONS: Mapping[str, Handler] = {
    "bigquery.jobs.query": query,
    "bigquery.jobs.get": get_job,
    "bigquery.jobs.getQueryResults": results,
    "bigquery.tables.get": get_table,
    "bigquery.tables.testIamPermissions": test_permissions,
}


def _require(call: Call) -> None:
    if (call.path["dataset"], call.path["table"]) != (DATASET, TABLE):
        raise not_found(f"Table {call.path['dataset']}.{call.path['table']}")


def _run(world: GcpWorld, text: str, parameters: Any) -> pa.Table:  # noqa: ANN401  # JSON
    values = {
        one["name"]: datetime.fromisoformat(one["parameterValue"]["value"]) for one in parameters
    }
    spelled = re.sub(r"`[^`]+`", "export", text)
    spelled = spelled.replace("_PARTITIONTIME", "date_trunc('day', export_time)")
    spelled = re.sub(r"@(\w+)", r"$\1", spelled)
    if world.export_table is None:
        msg = "the world has no billing export"
        raise InvariantError(msg)
    export = world.export_table()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("export", export)
        try:
            found: pa.Table = connection.execute(spelled, values).to_arrow_table()
        except duckdb.Error as error:
            raise ApiError("invalidQuery", str(error), BAD_REQUEST) from error
    return found


def _page(world: GcpWorld, job: str, first: int, wanted: Any) -> Json:  # noqa: ANN401  # JSON
    rows = world.query_results[job]
    size = min(int(wanted or PAGE), PAGE)
    shown = rows.slice(first, size)
    answer: dict[str, Any] = {
        "kind": "bigquery#queryResponse",
        "jobReference": {"projectId": world.buyer_project, "jobId": job, "location": "US"},
        "jobComplete": True,
        "schema": {"fields": [_field(one) for one in rows.schema]},
        "totalRows": str(rows.num_rows),
        "rows": [{"f": [_cell(one) for one in row.values()]} for row in shown.to_pylist()],
        "totalBytesProcessed": "0",
        "cacheHit": False,
    }
    more = first + size < rows.num_rows
    return answer | ({"pageToken": str(first + size)} if more else {})


def _field(field: pa.Field) -> Json:
    of, mode = field.type, "NULLABLE"
    if pa.types.is_list(of):
        of, mode = of.value_type, "REPEATED"
    word = next(word for is_it, word in _TYPES if is_it(of))
    shown: dict[str, Any] = {"name": field.name, "type": word, "mode": mode}
    if word == "RECORD":
        shown["fields"] = [_field(one) for one in of]
    return shown


def _cell(value: Any) -> Json:  # noqa: ANN401  # any cell
    return {"v": _value(value)}


def _value(value: Any) -> Any:  # noqa: ANN401  # any cell
    if isinstance(value, dict):
        return {"f": [_cell(one) for one in value.values()]}
    if isinstance(value, list):
        return [_cell(one) for one in value]
    return None if value is None else _text(value)


def _text(value: object) -> str:
    match value:
        case datetime():
            return str(round(value.timestamp() * _MICROSECONDS))
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)
