"""A well-formed dataset as CSV text, and ways to spoil one cell of it."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path

TABLES: Mapping[str, str] = {
    "usage": """\
hour,provider,account,region,zone,sku,quantity,resource,tags
2026-03-01T00:00:00Z,aws,111,us-east-1,us-east-1a,m5.large,2,i-1,"{""team"": ""web""}"
2026-03-01T00:00:00Z,aws,111,us-east-1,us-east-1a,m5.large,0.1,i-2,
2026-03-01T00:00:00Z,aws,222,us-east-1,us-east-1b,m5.xlarge,1,,
2026-03-01T01:00:00Z,aws,111,us-east-1,us-east-1a,m5.large,0.2,i-1,
2026-03-01T01:00:00Z,aws,111,us-east-1,us-east-1a,m5.large,0.1,i-2,
""",
    "skus": """\
provider,region,sku,service,family,size_units,platform,tenancy,unit,on_demand_usd,list_usd
aws,us-east-1,m5.large,ec2,m5,4,linux,shared,Hrs,0.096,0.1
aws,us-east-1,m5.xlarge,ec2,m5,8,linux,shared,Hrs,0.192,0.2
""",
    "offers": """\
offer,provider,kind,term_months,payment,region,family,platform,tenancy,zone,size_flexible,sku,rate_usd,upfront_usd,min_quantity,step
plan,aws,aws_compute_sp,12,no_upfront,,,,,,,m5.large,0.07,0,0.001,0.001
plan,aws,aws_compute_sp,12,no_upfront,,,,,,,m5.xlarge,0.15,0,0.001,0.001
ri,aws,aws_ri_regional,36,all_upfront,us-east-1,m5,linux,shared,,true,m5.large,0.05,1314,1,1
""",
    "holdings": """\
commitment,offer,account,scope,zone,quantity,start,end,state
sp-1,plan,111,shared,,0.1,2026-01-01T00:00:00Z,2027-01-01T00:00:00Z,active
ri-1,ri,222,"111,222",,1,2026-01-01T00:00:00Z,2029-01-01T00:00:00Z,active
""",
}


def write(folder: Path, tables: Mapping[str, str] = TABLES, *, zipped: bool = False) -> Path:
    """Write the tables as CSV and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        if zipped:
            (folder / f"{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def write_parquet(folder: Path, tables: Mapping[str, str] = TABLES) -> Path:
    """Write the tables as Parquet: instants with a zone, exact decimals, text."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.csv as pacsv  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        header = next(csv.reader(io.StringIO(text)))
        table = pacsv.read_csv(
            io.BytesIO(text.encode()),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        for index, column in enumerate(header):
            cells = table[column]
            if column in {"hour", "start", "end"}:
                cells = cells.cast(pa.timestamp("us", tz="UTC"))
            elif column == "quantity" and name == "usage":
                cells = cells.cast(pa.float64())
            elif column.endswith("_usd") or column in {"quantity", "step", "size_units"}:
                cells = cells.cast(pa.decimal128(18, 6))
            elif column == "term_months":
                cells = cells.cast(pa.int32())
            elif column == "size_flexible":
                cells = pc.equal(cells, "true")
            table = table.set_column(index, column, cells)
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def with_cell(table: str, row: int, column: str, value: str) -> dict[str, str]:
    """The tables with one cell (1-based data row) replaced."""
    rows = list(csv.reader(io.StringIO(TABLES[table])))
    rows[row][rows[0].index(column)] = value
    return {**TABLES, table: _text(rows)}


def without_column(table: str, column: str) -> dict[str, str]:
    """The tables with one column left out."""
    rows = list(csv.reader(io.StringIO(TABLES[table])))
    index = rows[0].index(column)
    return {**TABLES, table: _text([row[:index] + row[index + 1 :] for row in rows])}


def with_row(table: str, *cells: str) -> dict[str, str]:
    """The tables with one row more."""
    rows = list(csv.reader(io.StringIO(TABLES[table])))
    return {**TABLES, table: _text([*rows, list(cells)])}


def without_row(table: str, row: int) -> dict[str, str]:
    """The tables with one row (1-based) less."""
    rows = list(csv.reader(io.StringIO(TABLES[table])))
    return {**TABLES, table: _text(rows[:row] + rows[row + 1 :])}


def _text(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
