"""Finds the first row that nobody may read past, and says what is wrong with it.

The ingest itself only learns that a part holds faults; the row is looked for afterwards, in a
second, ordered reading of that one file, so that good exports pay nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.domain.errors import InputError, InvariantError
from service.usage.rows import SPAN_FAULTS, RowForm
from service.usage.sources import Part, literal, name

if TYPE_CHECKING:
    import duckdb


def first_fault(
    connection: duckdb.DuckDBPyConnection,
    part: Part,
    form: RowForm,
    forgiven_types: Sequence[str],
) -> InputError:
    """The error for the part's first fatal row.

    ``forgiven_types`` are usage types whose faults of time are forgiven. Raises ``InvariantError``
    when no row is at fault: the caller has seen one.
    """
    # Rows are numbered in the file's order only when one thread reads it.
    connection.execute("SET threads = 1")
    spans = ", ".join(literal(code) for code in SPAN_FAULTS)
    types = ", ".join(literal(usage_type) for usage_type in forgiven_types) or "NULL"
    found = connection.execute(
        "SELECT tenor_row, fault, date_diff('hour', hour, ends_at) FROM ("  # noqa: S608
        f"{form.judged(part, numbered=True)}) WHERE fault IS NOT NULL AND NOT "
        f"(fault IN ({spans}) AND coalesce(usage_type IN ({types}), false)) "
        "ORDER BY tenor_row LIMIT 1"
    ).fetchall()
    if not found:
        msg = f"{part.file} holds a fault that cannot be found again"
        raise InvariantError(msg)
    row, code, span_hours = found[0]
    check = next(check for check in form.checks if check.code == code)
    value = None
    if check.column in part.columns:
        cell = connection.execute(
            f"SELECT CAST({name(check.column)} AS VARCHAR) FROM "  # noqa: S608
            f"{part.relation(numbered=True)} WHERE tenor_row = ?",
            [row],
        ).fetchall()
        value = cell[0][0]
    shown = "an empty cell" if value is None or not value.strip() else f"'{value}'"
    return InputError(
        check.problem.format(value=shown, hours=span_hours),
        file=part.file,
        row=row,
        column=check.column,
        remedy=check.remedy,
    )
