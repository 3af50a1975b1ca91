"""The common form that every export's rows take, and what makes a row unusable.

A format says, as SQL, how its columns become the cells of the common form (``CELLS``), which rows
are no hourly usage (``asides``: counted, never used) and which rows nobody may read past
(``checks``: the first one found ends the ingest). Rows then aggregate in DuckDB; none is ever
pulled into Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.usage.sources import Part, name

QUANTITY_TYPE = "DECIMAL(38,15)"
"""Exact sums: the order of rows, files and threads cannot change a total."""

PRICE_TYPE = "DECIMAL(18,12)"

LABELS = (
    *("hour", "provider", "account", "region", "zone"),
    *("resource_group", "usage_type", "operation", "native_sku", "unit", "spread", "machine"),
)
NAMED = ("commitment", "commitment_account", "commitment_category")
"""What a row tells of the commitment that it concerns: kept also of what is no usage."""

ADVICE_ONLY = "covered by reserved capacity of DynamoDB"
"""Why usage is set aside that is paid for already by what Tenor neither lists nor buys: AWS has no
call that lists reserved capacity, so what it covers can only be told from the bill."""

ADVICE_ONLY_SQL = "regexp_matches(coalesce(commitment, ''), '^arn:aws[a-z-]*:dynamodb:')"

NUMBERS = ("quantity", "list_usd", "contracted_usd")
CELLS = (*LABELS, *NAMED, *NUMBERS, "ends_at", "currency", "quantity_double")

SPAN_FAULTS = ("azure_day", "whole_day", "several_hours", "off_the_hour")
"""Faults of time that are forgiven where no commitment could cover the usage."""


@dataclass(frozen=True, slots=True)
class Check:
    """A fault: SQL ``condition`` over the cells, the export's ``column``, and what to say."""

    code: str
    condition: str
    column: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RowForm:
    """How one part's rows become the common form; all values are SQL expressions.

    ``cells`` covers ``CELLS`` and whatever else ``asides`` and ``checks`` need; resource groups,
    commitments, ``spread`` (how a whole day's row is spread over its hours) and ``machine`` (the
    one that such a row is of) may be left out.
    ``telling``: the ``asides`` whose rows name commitments too.
    """

    cells: Mapping[str, str]
    asides: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    telling: tuple[str, ...] = ()

    def judged(self, part: Part, *, numbered: bool = False) -> str:
        """SQL for all rows with ``aside`` and ``fault``, each NULL where the row is good."""
        told = dict.fromkeys(
            (*NAMED, "resource_group", "spread", "machine"), "CAST(NULL AS VARCHAR)"
        )
        told |= self.cells
        cells = ", ".join(f"{sql} AS {cell}" for cell, sql in told.items())
        number = ", tenor_row" if numbered else ""
        asides = _case([(condition, reason) for reason, condition in self.asides])
        faults = _case([(check.condition, check.code) for check in self.checks])
        return (
            f"SELECT *, CASE WHEN aside IS NULL THEN {faults} END AS fault FROM ("  # noqa: S608
            f"SELECT *, {asides} AS aside FROM ("
            f"SELECT {cells}{number} FROM {part.relation(numbered=numbered)}))"
        )

    def staged(self, part: Part, number: int) -> str:
        """SQL for the part's rows summed by label; rows set aside collapse into one a reason."""
        labels = ", ".join(f"CASE WHEN aside IS NULL THEN {cell} END AS {cell}" for cell in LABELS)
        reasons = ", ".join(f"'{reason}'" for reason in ("", *self.telling))
        tells = f"commitment IS NOT NULL AND coalesce(aside, '') IN ({reasons})"
        seen = {"seen_provider": "provider", "seen_day": "CAST(hour AS DATE)"}
        seen |= {cell: cell for cell in NAMED}
        named = ", ".join(
            f"CASE WHEN {tells} THEN {sql} END AS {cell}" for cell, sql in seen.items()
        )
        return (
            f"SELECT {number} AS part, aside, fault, {labels}, {named}, "  # noqa: S608
            "sum(CASE WHEN aside IS NULL THEN quantity END) AS quantity, "
            "max(CASE WHEN aside IS NULL THEN list_usd END) AS list_usd, "
            "max(CASE WHEN aside IS NULL THEN contracted_usd END) AS contracted_usd, "
            "count(*) AS row_count, FALSE AS level "
            f"FROM ({self.judged(part)}) GROUP BY ALL"
        )


STAGED_COLUMNS = (
    "part INTEGER, aside VARCHAR, fault VARCHAR, hour TIMESTAMP, provider VARCHAR, "
    "account VARCHAR, region VARCHAR, zone VARCHAR, resource_group VARCHAR, usage_type VARCHAR, "
    "operation VARCHAR, native_sku VARCHAR, unit VARCHAR, spread VARCHAR, machine VARCHAR, "
    "seen_provider VARCHAR, seen_day DATE, commitment VARCHAR, commitment_account VARCHAR, "
    f"commitment_category VARCHAR, quantity {QUANTITY_TYPE}, list_usd {PRICE_TYPE}, "
    f"contracted_usd {PRICE_TYPE}, row_count BIGINT, level BOOLEAN"
)


def _case(branches: list[tuple[str, str]]) -> str:
    if not branches:
        return "CAST(NULL AS VARCHAR)"
    whens = " ".join(f"WHEN {condition} THEN '{result}'" for condition, result in branches)
    return f"CASE {whens} END"


def text_cell(part: Part, column: str) -> str:
    """The column as trimmed text; empty and the word NULL are nothing. NULL when not there."""
    if column not in part.columns:
        return "CAST(NULL AS VARCHAR)"
    return f"nullif(nullif(trim(CAST({name(column)} AS VARCHAR)), ''), 'NULL')"


def instant_cell(part: Part, column: str) -> str:
    """The column as a UTC ``TIMESTAMP``; text without a zone is UTC, as FOCUS and CUR say."""
    kind = part.columns.get(column, "VARCHAR")
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"({name(column)} AT TIME ZONE 'UTC')"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"CAST({name(column)} AS TIMESTAMP)"
    text = text_cell(part, column)
    # Without an offset the plain cast is right, and twice as fast; with one it would drop it.
    plain = (
        f"CASE WHEN length({text}) = 19 OR ends_with({text}, 'Z') "
        f"THEN TRY_CAST({text} AS TIMESTAMP) END"
    )
    # Azure leaves the seconds out (2024-09-18T22:00Z), which no cast takes.
    seconds = f"regexp_replace({text}, '(T\\d\\d:\\d\\d)(Z|[+-]\\d\\d)', '\\1:00\\2')"
    return (
        f"coalesce({plain}, coalesce(TRY_CAST({text} AS TIMESTAMPTZ), "
        f"TRY_CAST({seconds} AS TIMESTAMPTZ)) AT TIME ZONE 'UTC')"
    )


def quantity_cell(part: Part, column: str) -> str:
    """The column as a quantity; NULL where it is empty, no number, NaN, infinite or enormous.

    By way of a float, which is what it becomes in the core, and thirty times as fast.
    """
    return f"TRY_CAST({double_cell(part, column)} AS {QUANTITY_TYPE})"


def price_cell(part: Part, column: str) -> str:
    """The column as an exact price; NULL where it is empty or no finite number."""
    return f"TRY_CAST({_number(part, column)} AS {PRICE_TYPE})"


def double_cell(part: Part, column: str) -> str:
    """The column as a float, which tells NaN and infinity from text that is no number."""
    return f"TRY_CAST({_number(part, column)} AS DOUBLE)"


def _number(part: Part, column: str) -> str:
    if part.columns.get(column, "VARCHAR") == "VARCHAR":
        return text_cell(part, column)
    return name(column)


def of_blocks(part: Part, column: str, sql: str, kind: str, operator: str) -> str:
    """``sql``, a number of type ``kind``, for single units where ``column`` tells a block's size.

    ``operator``: ``*`` for how many blocks were used, ``/`` for what one costs. As it is where the
    column is not there, empty, or 1.
    """
    if column not in part.columns:
        return sql
    block = double_cell(part, column)
    scaled = f"TRY_CAST(CAST({sql} AS DOUBLE) {operator} {block} AS {kind})"
    return f"CASE WHEN {block} > 0 AND {block} <> 1 THEN {scaled} ELSE {sql} END"


def quantity_checks(column: str) -> tuple[Check, ...]:
    """Faults of a quantity cell."""
    return (
        Check(
            "not_finite",
            "quantity IS NULL AND quantity_double IS NOT NULL",
            column,
            "{value} is not a finite quantity",
            "Give the amount used, or leave the row out",
        ),
        Check(
            "no_quantity",
            "quantity IS NULL",
            column,
            "{value} is not a quantity",
            "Give the amount used as a number",
        ),
        Check(
            "negative",
            "quantity < 0",
            column,
            "{value} is negative",
            "Usage is never negative; mark corrections as such so that they are set aside",
        ),
    )


HOURLY = "Export with hourly granularity: Tenor decides by the hour"


def span_checks(start: str, end: str) -> tuple[Check, ...]:
    """Faults of a row's period: it must be exactly one clock hour."""
    return (
        Check("no_start", "hour IS NULL", start, "{value} is not an instant", _INSTANT),
        Check("no_end", "ends_at IS NULL", end, "{value} is not an instant", _INSTANT),
        Check(
            "whole_day",
            "hour + INTERVAL 24 HOUR <= ends_at",
            end,
            "the charge spans {hours} hours (daily data or coarser), to {value}",
            HOURLY,
        ),
        Check(
            "several_hours",
            "hour + INTERVAL 1 HOUR <> ends_at",
            end,
            "the charge spans {hours} hours instead of one, to {value}",
            HOURLY,
        ),
        Check(
            "off_the_hour",
            "hour <> date_trunc('hour', hour)",
            start,
            "{value} is not the start of an hour",
            HOURLY,
        ),
    )


_INSTANT = "Write instants as ISO 8601, such as 2026-01-31T13:00:00Z"


def required(column: str, cell: str, code: str) -> Check:
    """Fault of an empty cell."""
    return Check(
        code, f"{cell} IS NULL", column, "the cell is empty", "Every usage row needs a value here"
    )


CURRENCY_REMEDY = "Tenor computes in US dollars: export in USD"


def currency_check(column: str) -> Check:
    """Fault of an amount in another currency than US dollars."""
    return Check(
        "currency",
        "currency IS NULL OR currency <> 'USD'",
        column,
        "the currency is {value}, not USD",
        CURRENCY_REMEDY,
    )
