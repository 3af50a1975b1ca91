"""Decides how tables leave: FOCUS columns as CSV, Parquet or JSON, by ``format`` or ``Accept``.

A cell of text that a spreadsheet would take for a formula leaves in CSV behind an apostrophe, for
names come from a cloud's tags, which others write. Numbers and instants are never touched.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from service.domain.hours import iso
from service.domain.money import text
from service.domain.wording import for_spreadsheets


class Format(StrEnum):
    """The forms that a table can leave in."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"

    @property
    def media_type(self) -> str:
        """What the form is called in ``Content-Type`` and ``Accept``."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.JSON: "application/json",
}
_MONEY_DIGITS, _MONEY_PLACES = 38, 15


def format_of(wanted: Format | None, accept: str, among: Sequence[Format]) -> Format:
    """``wanted``, else the first that ``Accept`` names, else the first of ``among``."""
    if wanted is not None:
        return wanted
    for item in accept.split(","):
        name = item.partition(";")[0].strip().lower()
        for one in among:
            if name == one.media_type.partition(";")[0]:
                return one
    return among[0]


def written(records: Sequence[Mapping[str, object]], columns: Sequence[str], form: Format) -> bytes:
    """``records`` as a file; amounts exact, instants UTC, what is not known empty or null."""
    if form is Format.CSV:
        return _csv(records, columns)
    if form is Format.JSON:
        rows = [{name: _plain(record[name]) for name in columns} for record in records]
        return json.dumps({"items": rows}, ensure_ascii=False).encode()
    return _parquet(records, columns)


def _plain(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return text(value)
    return iso(value) if isinstance(value, datetime) else str(value)


def _cell(value: object) -> str:
    """``value`` in CSV; text that begins like a formula behind an apostrophe."""
    plain = _plain(value) or ""
    return for_spreadsheets(plain) if isinstance(value, str) else plain


def _csv(records: Sequence[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    stream = io.StringIO(newline="")
    rows = csv.writer(stream, lineterminator="\r\n")
    rows.writerow(columns)
    for record in records:
        rows.writerow([_cell(record[name]) for name in columns])
    return stream.getvalue().encode()


def _parquet(records: Sequence[Mapping[str, object]], columns: Sequence[str]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - slow to import, and only for this
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = {
        Decimal: pa.decimal128(_MONEY_DIGITS, _MONEY_PLACES),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    places = Decimal(1).scaleb(-_MONEY_PLACES)
    arrays = []
    for name in columns:
        values = [record[name] for record in records]
        kind = next((kinds[type(one)] for one in values if type(one) in kinds), pa.string())
        exact = [one.quantize(places) if isinstance(one, Decimal) else one for one in values]
        arrays.append(pa.array(exact, type=kind))
    stream = io.BytesIO()
    pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), stream, compression="zstd")
    return stream.getvalue()
