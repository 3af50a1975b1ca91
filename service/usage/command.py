"""``tenor ingest``: read an export into the store and say what changed."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.usage.refresh import Refreshed

PROVIDERS = ("aws", "azure", "gcp")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``ingest`` to the command line."""
    parser = commands.add_parser(
        "ingest",
        help="read a billing export (FOCUS, CUR 2.0) or a dataset into the usage store",
        description="Reads hourly usage from FOCUS 1.0-1.4, CUR 2.0 or Google exports (Parquet, "
        "CSV, CSV.gz; one file or a folder) or a dataset folder. A day that is there already is "
        "replaced. Nothing is stored unless every row can be read.",
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="file or folder to read")
    parser.add_argument(
        "--store-url", help="database (default: TENOR_DATABASE_URL or sqlite:///var/tenor.db)"
    )
    parser.add_argument(
        "--usage-dir", type=Path, help="usage files (default: usage below TENOR_DATA_DIR or var)"
    )
    parser.add_argument(
        "--provider",
        action="append",
        choices=PROVIDERS,
        help="read this provider's rows only, set others aside; may be repeated",
    )
    parser.add_argument(
        "--allow-smaller",
        action="store_true",
        help="let a day be replaced by one with fewer hours or half its rows",
    )
    parser.add_argument(
        "--all", action="store_true", help="read every file again, not only those that changed"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Ingest ``options.source`` and print the summary; exit status 0.

    Raises ``InputError`` and ``RefusedError``, having stored nothing.
    """
    from service.report.render import print_json, progress  # noqa: PLC0415 - imports wait for run
    from service.settings import read_settings  # noqa: PLC0415
    from service.store.engine import open_engine  # noqa: PLC0415
    from service.store.migrate import upgrade  # noqa: PLC0415
    from service.store.usage_days import UsageDays  # noqa: PLC0415
    from service.usage.hourly_charges import shaping_for  # noqa: PLC0415
    from service.usage.ingest import find_parts  # noqa: PLC0415
    from service.usage.refresh import refresh  # noqa: PLC0415

    settings = read_settings(os.environ, database_url=options.store_url)
    folder = options.usage_dir or settings.usage_dir
    source: Path = options.source
    parts = find_parts(source)
    engine = open_engine(settings.database_url)
    try:
        upgrade(engine)
        with progress("Reading", len(parts)) as advance:
            refreshed = refresh(
                UsageDays(engine, folder),
                source,
                now=datetime.now(UTC),
                providers=options.provider,
                allow_smaller=options.allow_smaller,
                everything=options.all,
                shaping=shaping_for(
                    source if source.is_dir() else source.parent,
                    daily_rows=settings.azure_daily_rows,
                    tolerance_ratio=settings.azure_shape_tolerance_ratio,
                ),
                watch=lambda _done, _total: advance(),
            )
    finally:
        engine.dispose()
    result = _result(refreshed)
    if options.json:
        print_json(result)
    else:
        _print_summary(result)
    return 0


def _result(refreshed: Refreshed) -> dict[str, object]:
    summary = refreshed.summary
    eligible_ratio = summary.eligible_usd / summary.total_usd if summary.total_usd else None
    return {
        "formats": list(refreshed.formats),
        "files_read": refreshed.parts_read,
        "files_unchanged": refreshed.parts_unchanged,
        "source_rows": refreshed.source_rows,
        "set_aside": dict(refreshed.set_aside),
        "days_added": summary.added,
        "days_replaced": summary.replaced,
        "days_unchanged": summary.unchanged,
        "rows": summary.rows,
        "on_demand_equivalent_usd": summary.total_usd,
        "eligible_usd": summary.eligible_usd,
        "eligible_ratio": None if eligible_ratio is None else round(eligible_ratio, 6),
        "newest_hour": summary.newest_hour,
        "prices_observed": len(refreshed.prices),
        "days_with_estimated_hours": summary.estimated,
        "days_not_stored": [
            {"day": one.day.isoformat(), "rule": one.rule, "detail": one.detail}
            for one in refreshed.unshaped
        ],
    }


def _print_summary(result: dict[str, object]) -> None:
    from service.report.render import print_table  # noqa: PLC0415

    rows = []
    for name, value in result.items():
        shown = value
        if isinstance(value, dict):
            shown = ", ".join(f"{count} {reason}" for reason, count in value.items()) or "none"
        elif isinstance(value, list):
            shown = ", ".join(map(_worded, value)) or "none"
        elif value is None:
            shown = "unknown"
        rows.append((name.replace("_", " "), shown))
    print_table("Usage ingested", ("what", "value"), rows)
    if result["days_with_estimated_hours"]:
        sys.stderr.write(
            "tenor: Azure tells these days whole; their hours are estimated from hourly charges, "
            "but for machines that ran all day.\n"
        )
    if result["eligible_ratio"] == 0:
        sys.stderr.write(
            "tenor: no usage is recognised as coverable. AWS FOCUS exports need the columns "
            "x_UsageType and x_Operation.\n"
        )


def _worded(value: object) -> str:
    return f"{value['day']} ({value['rule']})" if isinstance(value, dict) else str(value)
