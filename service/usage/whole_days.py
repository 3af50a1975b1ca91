"""Rows of whole days, spread over their hours inside the ingest's scratch database.

Which hours get how much is decided by ``level_usage`` and ``day_shapes``; this says it in SQL. The
parts of a quantity add up to it exactly: each is the difference of two cumulative amounts, and the
last of those is the quantity itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from service.domain.commitments import Kind
from service.domain.hours import DAY_HOURS
from service.usage.azure_sku import describe_sku
from service.usage.day_shapes import (
    DISAGREE,
    LEVEL,
    NO_CHARGES,
    DayCost,
    Disagreement,
    Shaping,
    Shares,
    UnshapedDay,
    covered_shares,
    shares_of,
)
from service.usage.eligibility import coverable_by
from service.usage.level_usage import COVERED, MIXED, OTHER, STEADY, split_level
from service.usage.rows import QUANTITY_TYPE

if TYPE_CHECKING:
    import duckdb

NOT_COVERABLE = "not hourly, and no commitment covers it"
_ASIDES = {
    NO_CHARGES: "a day whose hourly charges are not known",
    DISAGREE: "a day that its hourly charges contradict",
}
_IS_NAMED = (
    "n.provider = staged.provider AND n.usage_type = staged.usage_type "
    "AND n.operation = coalesce(staged.operation, '')"
)


def set_aside_uncoverable(database: duckdb.DuckDBPyConnection) -> None:
    """Set rows of whole days aside that no commitment could cover; marks what a plan could.

    Needs the tables ``staged`` and ``named``; leaves ``whole_day_skus``.
    """
    named = database.execute(
        "SELECT n.provider, n.usage_type, n.operation, n.sku, "  # noqa: S608
        f"CAST(max(staged.hour) AS DATE) FROM staged JOIN named n ON {_IS_NAMED} "
        "WHERE staged.aside IS NULL AND staged.spread IS NOT NULL GROUP BY ALL"
    ).fetchall()
    database.execute(
        "CREATE OR REPLACE TEMP TABLE whole_day_skus "
        "(provider VARCHAR, usage_type VARCHAR, operation VARCHAR, planned BOOLEAN, size VARCHAR)"
    )
    for provider, usage_type, operation, sku, day in named:
        kinds = coverable_by(provider, sku, day)
        if kinds:
            planned = Kind.AZURE_SAVINGS_PLAN in kinds
            size = describe_sku(sku).arm_sku_name or sku
            database.execute(
                "INSERT INTO whole_day_skus VALUES (?, ?, ?, ?, ?)",
                [provider, usage_type, operation, planned, size],
            )
    database.execute(
        f"UPDATE staged SET aside = '{NOT_COVERABLE}' "  # noqa: S608
        "WHERE aside IS NULL AND spread IS NOT NULL AND NOT EXISTS "
        f"(SELECT 1 FROM whole_day_skus n WHERE {_IS_NAMED})"
    )


def spread_whole_days(
    database: duckdb.DuckDBPyConnection, shaping: Shaping
) -> tuple[UnshapedDay, ...]:
    """Put rows of hours in the place of rows of whole days; the days that could not be spread.

    Those are set aside whole, by reason.
    """
    split_level(database, _IS_NAMED)
    unshaped, shares = [], {}
    for provider, day, cost in _costs(database):
        found = _shares(shaping, day, cost)
        if isinstance(found, UnshapedDay):
            unshaped.append(found)
            database.execute(
                "UPDATE staged SET aside = ? "
                "WHERE aside IS NULL AND provider = ? AND CAST(hour AS DATE) = ?",
                [_ASIDES[found.rule], provider, day],
            )
        else:
            shares[provider, day] = {
                _PROVEN: LEVEL,
                OTHER: found,
                COVERED: covered_shares(found, cost),
            }
    _spread(database, shares)
    return tuple(unshaped)


def _shares(shaping: Shaping, day: date, cost: DayCost) -> Shares | UnshapedDay:
    charges = shaping.day(day)
    if charges is None:
        return UnshapedDay("azure", day, NO_CHARGES, "its hourly charges are not known")
    found = shares_of(charges, cost, shaping.tolerance_ratio)
    if isinstance(found, Disagreement):
        return UnshapedDay("azure", day, DISAGREE, found.detail)
    return found


def _costs(database: duckdb.DuckDBPyConnection) -> list[tuple[str, date, DayCost]]:
    """What each day of whole rows cost on demand where a plan could cover it; see ``DayCost``."""
    sums = (
        "coalesce(sum(CAST(CAST(quantity AS DOUBLE) * coalesce(price, 0) AS DECIMAL(38,9))) "
        f"FILTER (planned AND {condition}), 0)"
        for condition in (
            f"spread = '{STEADY}'",
            f"spread IN ('{OTHER}', '{MIXED}')",
            f"spread = '{MIXED}'",
            f"spread = '{COVERED}' AND NOT level",
        )
    )
    rows = database.execute(
        f"SELECT provider, CAST(hour AS DATE), {', '.join(sums)} "  # noqa: S608
        "FROM (SELECT staged.*, n.planned, "
        "CAST(coalesce(contracted_usd, list_usd) AS DOUBLE) AS price "
        f"FROM staged JOIN whole_day_skus n ON {_IS_NAMED} "
        "WHERE aside IS NULL AND spread IS NOT NULL) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return [(provider, day, DayCost(*map(Decimal, usd))) for provider, day, *usd in rows]


_PROVEN = "level"
"""The shape of level usage; other usage has its own, by what it is."""


def _spread(
    database: duckdb.DuckDBPyConnection,
    shares: Mapping[tuple[str, date], Mapping[str, Shares]],
) -> None:
    database.execute(
        "CREATE OR REPLACE TEMP TABLE shares (provider VARCHAR, day DATE, shape VARCHAR, "
        "offset_hours INTEGER, low DOUBLE, high DOUBLE)"
    )
    rows = [
        (provider, day, shape, hour, float(before), float(until))
        for (provider, day), shapes in shares.items()
        for shape, spread in shapes.items()
        for hour, (before, until) in enumerate(zip((Decimal(0), *spread[:-1]), spread, strict=True))
    ]
    if rows:
        import pyarrow as pa  # noqa: PLC0415 - only commands that read usage pay for it

        columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
        names = [f"column_{number}" for number in range(len(columns))]
        database.register("shares_to_fill", pa.table(columns, names=names))
        database.execute("INSERT INTO shares SELECT * FROM shares_to_fill")
        database.unregister("shares_to_fill")
    database.execute(
        "CREATE OR REPLACE TABLE staged AS "  # noqa: S608
        "SELECT * FROM staged WHERE spread IS NULL OR aside IS NOT NULL UNION ALL BY NAME "
        "SELECT staged.* REPLACE ("
        "CAST(hour + to_hours(offset_hours) AS TIMESTAMP) AS hour, "
        f"CAST({used_until('high')} - {used_until('low')} AS {QUANTITY_TYPE}) AS quantity, "
        # Each row was read once, whatever it became.
        f"CAST(CASE offset_hours WHEN {DAY_HOURS - 1} THEN row_count ELSE 0 END AS BIGINT) "
        "AS row_count) FROM staged JOIN shares ON staged.provider = shares.provider "
        "AND CAST(staged.hour AS DATE) = shares.day "
        f"AND shape = CASE WHEN staged.level THEN '{_PROVEN}' ELSE staged.spread END "
        "WHERE staged.aside IS NULL AND staged.spread IS NOT NULL"
    )


def used_until(share: str) -> str:
    """How much of the quantity has been used when this share of the day has passed."""
    part = f"CAST(CAST(quantity AS DOUBLE) * {share} AS {QUANTITY_TYPE})"
    return f"CASE WHEN {share} >= 1 THEN quantity ELSE least(quantity, {part}) END"
