"""What a backtest can buy, and the rules of its walk: the menu, the step, the lag, the warm-up.

Capacity is in on-demand dollars per hour: one unit of an offer covers $1/h of on-demand spend
and costs ``rate_ratio`` dollars in every hour of its term, used or not.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import InputError
from service.domain.hours import WEEK_HOURS
from service.plan.ladder_terms import Term

YEAR_HOURS = 52 * WEEK_HOURS
"""Twelve months in a backtest: 52 weeks, so that terms end where a weekly step begins."""

WEEKS_PER_TERM = {12: 52, 36: 156, 60: 260}


DEFAULT_MENU = (Term("12m-no-upfront", YEAR_HOURS, 0.73),)


@dataclass(frozen=True, slots=True)
class Walk:
    """When decisions fall: at ``warmup_hours``, then every ``step_hours``.

    Each sees only the hours before its instant less ``lag_hours``.
    """

    step_hours: int = WEEK_HOURS
    lag_hours: int = 24
    warmup_hours: int = 13 * WEEK_HOURS

    def instants(self, hours: int) -> tuple[int, ...]:
        """Indices of the hours at which a decision falls, of ``hours`` in all."""
        return tuple(range(self.warmup_hours, hours, self.step_hours))


def read_menu(path: Path) -> tuple[Term, ...]:
    """A menu as CSV with columns ``offer, term_months, rate`` (others are ignored).

    ``rate`` is the hour's price as a share of on demand, upfront amortised in. Raises
    ``InputError``.
    """
    if not path.is_file():
        raise InputError("there is no such file", file=str(path), remedy="Give a menu as CSV.")
    with path.open(encoding="utf-8", newline="") as text:
        lines = csv.DictReader(text)
        for column in ("offer", "term_months", "rate"):
            if column not in (lines.fieldnames or ()):
                raise InputError(
                    "the column is missing",
                    file=str(path),
                    column=column,
                    remedy="Write the columns offer, term_months, rate.",
                )
        terms = [_term(line, str(path), row) for row, line in enumerate(lines, start=1)]
    return _checked(terms, str(path))


def _checked(terms: Sequence[Term], file: str) -> tuple[Term, ...]:
    if not terms:
        raise InputError("no offers", file=file, remedy="Give at least one offer.")
    if len({term.offer for term in terms}) < len(terms):
        raise InputError(
            "an offer stands twice", file=file, column="offer", remedy="Name each offer once."
        )
    return tuple(terms)


def _term(line: dict[str, str | None], file: str, row: int) -> Term:
    offer = line["offer"] or ""
    if not offer:
        raise InputError("empty", file=file, row=row, column="offer", remedy="Name the offer.")
    try:
        weeks = WEEKS_PER_TERM[int(line["term_months"] or "")]
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{line['term_months']!r} is not a term",
            file=file,
            row=row,
            column="term_months",
            remedy=f"Write one of {', '.join(map(str, WEEKS_PER_TERM))}.",
        ) from error
    try:
        rate = float(line["rate"] or "")
    except ValueError:
        rate = float("nan")
    if not 0 < rate < 1:
        raise InputError(
            f"{line['rate']!r} is not a rate between 0 and 1",
            file=file,
            row=row,
            column="rate",
            remedy="Write the offer's price as a share of on demand, such as 0.73.",
        )
    return Term(offer, weeks * WEEK_HOURS, rate)
