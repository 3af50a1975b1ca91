"""How results are shown: one JSON object for programs, tables and progress for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from service.domain.hours import iso
from service.domain.money import text

PIPE_WIDTH = 240


class Advance(Protocol):
    """Tells a progress bar that some of its work is done."""

    def __call__(self, steps: int = 1) -> None:
        """Count ``steps`` more pieces of work as done."""
        ...


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, datetime):
        return iso(value)
    msg = f"{type(value).__name__} has no form in JSON"
    raise TypeError(msg)


def to_json(result: Mapping[str, object]) -> str:
    """One JSON object: decimals as decimal text, instants as ISO 8601 with a ``Z``.

    Raises ``ValueError`` for NaN or infinity: neither is JSON.
    """
    return json.dumps(result, default=_plain, allow_nan=False)


def print_json(result: Mapping[str, object]) -> None:
    """Write ``result`` to standard output as one line of JSON, and nothing else."""
    sys.stdout.write(to_json(result) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table for people to standard output; numbers are aligned right."""
    shown = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        numeric = all(
            isinstance(row[position], int | float | Decimal) for row in rows if row[position] != ""
        )
        # Too narrow a terminal folds cells; cut off, two strategies or ids could look the same.
        shown.add_column(column, justify="right" if rows and numeric else "left", overflow="fold")
    for row in rows:
        cells = (
            _plain(cell) if isinstance(cell, Decimal | datetime) else str(cell) for cell in row
        )
        shown.add_row(*cells)
    # In a pipe there is no width to fit into: nothing may be cut off.
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(shown)


@contextmanager
def progress(description: str, total: int) -> Iterator[Advance]:
    """Show a progress bar on standard error while inside; nothing at all in a pipe."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task(description, total=total)

        def advance(steps: int = 1) -> None:
            bar.advance(task, steps)

        yield advance
