"""Which part of a day's usage is proven to have run through all of it: decides what is level.

A machine that was billed q of a day's 24 hours was off for 24 - q of them, so that it ran at least
q - 23 of every hour. That much is level usage: a lower bound that holds in every hour, whatever
else the day was. All rows of one machine and size count together, whatever covered them: which
hours a reservation took of it does not matter. Only rows of one machine prove anything; two
machines for half a day are 24 hours too. More hours than a day has contradict themselves and prove
nothing. The level part and the rest of a row add up to it exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.domain.hours import DAY_HOURS
from service.usage.rows import LABELS, QUANTITY_TYPE

if TYPE_CHECKING:
    import duckdb

COVERED, STEADY, MIXED, OTHER = "covered", "steady", "mixed", "other"
"""What a whole day's row is: covered by a commitment; else a machine's level part, nothing of which
is covered, or some of which is; else anything."""

_MOST_HOURS = 24.1
"""What rounding may make of a day; more is no day of one machine."""

_EXACT_HOURS = 1e-9


def split_level(database: duckdb.DuckDBPyConnection, whole_day_skus: str) -> None:
    """Put a level row and the rest in the place of each row of a machine that proves something.

    ``whole_day_skus`` is SQL that joins the staged rows to the table of that name, as ``n``, with
    the column ``size``: a machine is judged by size, whatever the licence. Afterwards no staged row
    names a machine, and rows that only differ in that are one.
    """
    database.execute(
        "CREATE OR REPLACE TEMP TABLE proven AS "  # noqa: S608
        "SELECT staged.provider, staged.hour, machine, n.size, sum(quantity) AS hours, "
        f"bool_or(spread = '{COVERED}') AS mixed FROM staged "
        f"JOIN whole_day_skus n ON {whole_day_skus} "
        "WHERE aside IS NULL AND spread IS NOT NULL AND machine IS NOT NULL "
        "GROUP BY ALL "
        f"HAVING sum(quantity) > {DAY_HOURS - 1} AND sum(quantity) <= {_MOST_HOURS}"
    )
    share = (
        f"({DAY_HOURS} * least(CAST(p.hours AS DOUBLE) - {DAY_HOURS - 1}, 1) "
        "/ CAST(p.hours AS DOUBLE))"
    )
    level = (
        f"CASE WHEN abs(CAST(p.hours AS DOUBLE) - {DAY_HOURS}) < {_EXACT_HOURS} THEN quantity "
        f"ELSE least(quantity, CAST(CAST(quantity AS DOUBLE) * {share} AS {QUANTITY_TYPE})) END"
    )
    database.execute(
        "CREATE OR REPLACE TEMP TABLE halves AS "  # noqa: S608
        f"SELECT staged.*, p.mixed, CASE WHEN p.hours IS NOT NULL THEN {level} "
        f"ELSE CAST(0 AS {QUANTITY_TYPE}) END AS proof "
        f"FROM staged LEFT JOIN whole_day_skus n ON {whole_day_skus} LEFT JOIN proven p "
        "ON p.provider = staged.provider AND p.hour = staged.hour "
        "AND p.machine = staged.machine AND p.size = n.size"
    )
    uncovered = f"CASE WHEN spread = '{COVERED}' THEN spread WHEN mixed THEN '{MIXED}' "
    uncovered += f"ELSE '{STEADY}' END"
    kept = "* EXCLUDE (mixed, proof) REPLACE (CAST(NULL AS VARCHAR) AS machine"
    whole = ", ".join(("part", "aside", "fault", *LABELS, "level"))
    named = "seen_provider, seen_day, commitment, commitment_account, commitment_category"
    database.execute(
        f"CREATE OR REPLACE TABLE staged AS SELECT {whole}, {named}, "  # noqa: S608
        "sum(quantity) AS quantity, max(list_usd) AS list_usd, "
        "max(contracted_usd) AS contracted_usd, CAST(sum(row_count) AS BIGINT) AS row_count FROM ("
        f"SELECT {kept}, TRUE AS level, proof AS quantity, {uncovered} AS spread) "
        "FROM halves WHERE proof > 0 UNION ALL BY NAME "
        # Each row was read once, whatever it became.
        f"SELECT {kept}, CAST(quantity - proof AS {QUANTITY_TYPE}) AS quantity, "
        "CASE WHEN proof > 0 THEN 0 ELSE row_count END AS row_count) "
        "FROM halves WHERE quantity > proof OR proof = 0) GROUP BY ALL"
    )
    database.execute("DROP TABLE halves")
