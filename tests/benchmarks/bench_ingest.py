"""Rows a second and peak memory of reading an export, against a plain Python loop over the CSV.

Run: ``python tests/benchmarks/bench_ingest.py [--rows N]``. Each reading has a process of its own
and the same rows; both give one quantity per hour, account, zone and SKU, and must agree.
The loop checks nothing that ``tenor ingest`` checks, and keeps neither prices nor files.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

SECONDS, MEGABYTES, QUANTITY = "seconds", "peak_mb", "quantity"


def make_export(folder: Path, rows: int) -> tuple[Path, Path]:
    """The same CUR 2.0 rows as Parquet and as gzipped CSV."""
    files = folder / "export.parquet", folder / "export.csv.gz"
    query = f"""
        SELECT CASE i % 3 WHEN 0 THEN 'Usage' WHEN 1 THEN 'DiscountedUsage'
            ELSE 'SavingsPlanCoveredUsage' END AS line_item_line_item_type,
        TIMESTAMP '2026-01-01' + INTERVAL 1 HOUR * (i % 720) AS line_item_usage_start_date,
        TIMESTAMP '2026-01-01' + INTERVAL 1 HOUR * (i % 720 + 1) AS line_item_usage_end_date,
        CAST(100000000000 + (i * 7) % 40 AS VARCHAR) AS line_item_usage_account_id,
        'USW2-BoxUsage:' || ['m5', 'c5', 'r5', 'm6i'][1 + i % 4] || '.' ||
            ['large', 'xlarge', '2xlarge'][1 + (i // 5) % 3] AS line_item_usage_type,
        'RunInstances' AS line_item_operation, 0.25 + (i % 4) / 4 AS line_item_usage_amount,
        'USD' AS line_item_currency_code, 'us-west-2a' AS line_item_availability_zone,
        '0.096' AS pricing_public_on_demand_rate, 'i-' || i AS line_item_resource_id
        FROM range({rows}) r(i)"""  # noqa: S608
    with duckdb.connect() as database:
        database.execute(f"COPY ({query}) TO '{files[0]}' (FORMAT parquet, COMPRESSION zstd)")
        database.execute(f"COPY ({query}) TO '{files[1]}' (FORMAT csv, HEADER)")
    return files


def read_with_tenor(path: Path) -> float:
    """Quantities of all days, after writing each day's file."""
    from service.usage.ingest import read_export  # noqa: PLC0415 - measured with its imports

    total = 0.0
    with tempfile.TemporaryDirectory() as folder, read_export(path) as export:
        for day in export.days:
            target = Path(folder) / f"{day.day}.parquet"
            day.write(target)
            total += duckdb.execute(
                f"SELECT sum(quantity) FROM read_parquet('{target}')"  # noqa: S608
            ).fetchall()[0][0]
    return total


def read_with_a_loop(path: Path) -> float:
    """Quantities summed into a dictionary, row by row."""
    sums: dict[tuple[str, ...], float] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            key = (
                row["line_item_usage_start_date"],
                row["line_item_usage_account_id"],
                row["line_item_availability_zone"],
                row["line_item_usage_type"],
                row["line_item_operation"],
            )
            sums[key] = sums.get(key, 0.0) + float(row["line_item_usage_amount"])
    return sum(sums.values())


READERS = {"tenor": read_with_tenor, "loop": read_with_a_loop}


def measure(reader: str, path: Path) -> dict[str, float]:
    """Run one reading in a process of its own."""
    answer = subprocess.run(
        [sys.executable, __file__, "--reader", reader, "--path", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def run_reader(reader: str, path: Path) -> None:
    """Read, then print seconds, peak memory and the total quantity."""
    begun = time.perf_counter()
    quantity = READERS[reader](path)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({SECONDS: seconds, MEGABYTES: peak, QUANTITY: quantity}))


def main() -> int:
    """Measure, print, and fail when the readings disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--reader", choices=READERS)
    parser.add_argument("--path", type=Path)
    options = parser.parse_args()
    if options.reader:
        run_reader(options.reader, options.path)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        parquet, zipped = make_export(Path(folder), options.rows)
        loop = measure("loop", zipped)
        rows = [
            ("python csv loop, csv.gz", loop),
            ("tenor ingest, csv.gz", measure("tenor", zipped)),
            ("tenor ingest, parquet", measure("tenor", parquet)),
        ]
    sys.stdout.write(f"{options.rows} rows\n")
    for name, found in rows:
        sys.stdout.write(
            f"{name:26} {found[SECONDS]:7.2f} s {options.rows / found[SECONDS]:12,.0f} rows/s "
            f"{found[MEGABYTES]:7.0f} MB  {loop[SECONDS] / found[SECONDS]:5.1f} × the loop\n"
        )
    agree = all(abs(found[QUANTITY] - loop[QUANTITY]) < 1e-6 * loop[QUANTITY] for _, found in rows)
    sys.stdout.write("totals agree\n" if agree else "totals DIFFER\n")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
