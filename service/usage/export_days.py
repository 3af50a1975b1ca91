"""Splits a summed export into days: decides what is written of each, and what is known of it.

The same usage gives the same bytes, whatever the order of rows and files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from service.usage.days import NamedCommitment
from service.usage.parts_seen import ProviderDay
from service.usage.sources import literal

if TYPE_CHECKING:
    import duckdb

_HOURS = 24

_HourFigures = tuple[int, int, Decimal, Decimal, Decimal]
"""Of one hour: its number, rows, weight, eligible dollars, all dollars."""


@dataclass(frozen=True, slots=True)
class ExportDay:
    """One provider's day of an export.

    ``hours_mask`` has bit ``h`` set when hour ``h`` has a row. ``hour_weights[h]`` measures
    eligible usage in that hour for plausibility only: dollars at observed prices, an unpriced unit
    counting as one; ``None`` without rows. ``eligible_usd`` and ``total_usd`` count priced
    usage at what it costs on demand. ``commitments`` are those that the day's rows name, sorted.
    ``shape``: what its hours were estimated from; empty where the export tells its hours itself.
    ``write`` puts the day's rows, sorted, into a Parquet file; the same rows give the same bytes.
    """

    provider: str
    day: date
    rows: int
    hours_mask: int
    hour_weights: tuple[Decimal | None, ...]
    eligible_usd: Decimal
    total_usd: Decimal
    commitments: tuple[NamedCommitment, ...]
    write: Callable[[Path], None] = field(repr=False, compare=False)
    shape: str = ""


def export_days(
    database: duckdb.DuckDBPyConnection,
    commitments: Mapping[ProviderDay, Sequence[NamedCommitment]],
    shapes: Mapping[ProviderDay, str],
) -> tuple[ExportDay, ...]:
    """The days of the tables ``summed`` and ``eligible``, by provider and day.

    ``shapes``: what the hours were estimated from, of the days whose rows were whole days'.
    """
    hours = database.execute(
        # Products of floats differ in no bit from run to run; exact sums keep it so.
        "SELECT provider, CAST(hour AS DATE) AS day, hour(hour), CAST(sum(parts) AS BIGINT), "  # noqa: S608
        "sum(CAST(CASE WHEN e.sku IS NULL THEN 0 ELSE quantity * coalesce(price, 1) END "
        "AS DECIMAL(38,9))), "
        "sum(CAST(CASE WHEN e.sku IS NULL THEN 0 ELSE quantity * coalesce(price, 0) END "
        "AS DECIMAL(38,9))), "
        "sum(CAST(quantity * coalesce(price, 0) AS DECIMAL(38,9))) "
        "FROM (SELECT hour, provider, sku, parts, CAST(quantity AS DOUBLE) AS quantity, "
        f"CAST(coalesce(contracted_usd, list_usd) AS DOUBLE) AS price FROM {_whole(bool(shapes))}) "
        "LEFT JOIN eligible e USING (provider, sku) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    by_day: dict[ProviderDay, list[_HourFigures]] = {}
    for provider, day, hour, *figures in hours:
        by_day.setdefault((provider, day), []).append((hour, *figures))
    return tuple(
        _day(database, key, figures, tuple(commitments.get(key, ())), shapes.get(key, ""))
        for key, figures in by_day.items()
    )


def _whole(has_level: bool) -> str:  # noqa: FBT001 - which of two tables
    """SQL for the rows of ``summed``, with the parts of usage that is level in part added up.

    So both parts cost what the usage costs, to the last digit.
    """
    if not has_level:
        return "(SELECT *, 1 AS parts FROM summed)"
    return (
        "(SELECT hour, provider, sku, sum(quantity) AS quantity, max(list_usd) AS list_usd, "
        "max(contracted_usd) AS contracted_usd, count(*) AS parts FROM summed "
        "GROUP BY hour, provider, account, region, zone, resource_group, sku)"
    )


def _day(
    database: duckdb.DuckDBPyConnection,
    key: ProviderDay,
    hours: Sequence[_HourFigures],
    commitments: tuple[NamedCommitment, ...],
    shape: str,
) -> ExportDay:
    provider, day = key
    weights: list[Decimal | None] = [None] * _HOURS
    for hour, _, weight, _, _ in hours:
        weights[hour] = weight

    # Days whose hours are told have no such column: all of their usage is known.
    level = "level, " if shape else ""

    def write(path: Path) -> None:
        database.execute(
            "COPY (SELECT hour, provider, account, resource_group, region, zone, sku, "  # noqa: S608
            f"{level}service, unit, CAST(quantity AS DOUBLE) AS quantity, list_usd, contracted_usd "
            f"FROM summed WHERE provider = {literal(provider)} "
            f"AND hour >= DATE {literal(str(day))} "
            f"AND hour < DATE {literal(str(day))} + INTERVAL 1 DAY "
            f"ORDER BY sku, account, resource_group, region, zone, {level}hour) "
            f"TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        )

    return ExportDay(
        provider=provider,
        day=day,
        rows=sum(rows for _, rows, *_ in hours),
        hours_mask=sum(1 << hour for hour, *_ in hours),
        hour_weights=tuple(weights),
        eligible_usd=sum((eligible for *_, eligible, _ in hours), Decimal(0)),
        total_usd=sum((total for *_, total in hours), Decimal(0)),
        commitments=commitments,
        write=write,
        shape=shape,
    )
