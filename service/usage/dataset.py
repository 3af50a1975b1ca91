"""Reads a dataset folder (docs/tables.md) into one frozen value, strictly.

Decides what a well-formed dataset is: every column there, every cell parsed, every key once,
every usage row priced, every holding's offer known, and no hour missing. Rates, commitments and
prices are exact decimals; quantities are float64 (the nearest to what is written).

An hour is missing, a gap, when no row of the whole usage table falls in it although rows fall
before and after: a billing export always has something in an hour. A line that has no row in
an hour in which others have one used nothing in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import MAXYEAR, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.billing.exact import decimal_places
from service.billing.moves import names_group
from service.domain.errors import InputError
from service.domain.hours import HOUR, HourRange, iso
from service.domain.ids import AccountId
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from service.usage.columns import Column, Table, as_hour, find_table, read_table
from service.usage.price_tables import (
    PROVIDERS,
    filled,
    one_of,
    read_holdings,
    read_offers,
    read_skus,
)


def load_dataset(folder: Path) -> Dataset:
    """The dataset in ``folder``; ``InputError`` names the file, row and column of any fault."""
    skus = read_skus(read_table(find_table(folder, "skus")))
    offerings = read_offers(read_table(find_table(folder, "offers")))
    commitments = read_holdings(read_table(find_table(folder, "holdings")), offerings)
    grouped = any(names_group(word) for one in commitments for word in one.scope or ())
    usage = read_usage(read_table(find_table(folder, "usage")), skus, resource_groups=grouped)
    return Dataset(usage=usage, skus=skus, offerings=offerings, commitments=commitments)


def read_usage(table: Table, skus: Mapping[SkuKey, Sku], *, resource_groups: bool = False) -> Usage:
    """Usage dense from its first to its last hour.

    Rows of one line that differ only in ``resource`` add up; those of several resource groups too,
    unless ``resource_groups`` asks for lines of their own.
    """
    hour = table.column("hour")
    hour.require_filled()
    hours = hour.parse(_hour_used, "Write the start of an hour in UTC, as 2026-01-31T13:00:00Z")
    labels = [
        filled(table.column("provider")),
        filled(table.column("account")),
        table.column("region"),
        table.column("zone"),
        filled(table.column("sku")),
    ]
    if resource_groups:
        labels.append(_resource_groups(table, labels[0]))
    words = [[*column.parse(str, "Write it as text"), ""] for column in labels]
    labels[0].parse(one_of(PROVIDERS), f"Use one of {', '.join(PROVIDERS)}")
    quantity = table.quantities("quantity")
    _check_tags(table)
    if not table.rows:
        raise InputError(
            "the table has no rows", file=table.file, remedy="Give at least one hour of usage"
        )
    keys, line_of_row = _combine([column.codes for column in labels])
    lines = tuple(
        UsageLine(
            words[0][key[0]], AccountId(words[1][key[1]]), words[2][key[2]],
            words[3][key[3]], words[4][key[4]], words[5][key[5]] if resource_groups else "",
        )
        for key in keys
    )  # fmt: skip
    _require_priced(lines, line_of_row, skus, labels[4])
    span, index_of_code = _span(hours)
    hour_of_row = index_of_code[hour.codes]
    _refuse_duplicates(table, hour_of_row, line_of_row)
    _refuse_gaps(table, span, hour_of_row)
    order = sorted(range(len(lines)), key=lambda position: lines[position])
    rank = np.empty(len(lines), dtype=np.int64)
    rank[order] = np.arange(len(lines))
    dense = _dense(hour_of_row, rank[line_of_row], quantity, span.count, len(lines))
    return Usage(hours=span, lines=tuple(lines[position] for position in order), quantity=dense)


def _hour_used(value: object) -> datetime:
    hour = as_hour(value)
    if hour.year == MAXYEAR:
        msg = f"{value} is the calendar's last year: no month follows it"
        raise ValueError(msg)
    return hour


def _resource_groups(table: Table, provider: Column) -> Column:
    """The column in lower case, as Azure does not tell case apart; only Azure has such groups."""
    column = table.column("resource_group")
    words = [str(word).lower() for word in column.values]
    distinct = {word: code for code, word in enumerate(dict.fromkeys(words))}
    codes = np.array([*(distinct[word] for word in words), -1], dtype=np.int64)[column.codes]
    azure = [code for code, word in enumerate(provider.values) if word == "azure"]
    foreign = (codes >= 0) & ~np.isin(provider.codes, azure)
    if foreign.any():
        raise column.fault(
            int(np.argmax(foreign)), "only Azure has resource groups", "Leave the cell empty"
        )
    return replace(column, codes=codes, values=tuple(distinct))


def _combine(codes: Sequence[NDArray[np.int64]]) -> tuple[list[list[int]], NDArray[np.int64]]:
    """Distinct tuples of codes, and for each row which of them it holds."""
    key, bound = _tuple_keys(codes)
    if bound <= _SMALL:
        first = np.full(bound, -1, dtype=np.int64)
        first[key[::-1]] = np.arange(len(key) - 1, -1, -1)
        present = np.flatnonzero(first >= 0)
        position = np.empty(bound, dtype=np.int64)
        position[present] = np.arange(len(present))
        first, which = first[present], position[key]
    else:
        _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return [[int(column[row]) for column in codes] for row in first], which


_SMALL = 1 << 25  # a lookup table of this many entries is cheaper than sorting millions of rows


def _tuple_keys(codes: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], int]:
    """One number below the returned bound for each row's tuple of codes (each ≥ -1)."""
    key = np.zeros(len(codes[0]), dtype=np.int64)
    bound = 1
    for column in codes:
        width = int(column.max(initial=-1)) + 2
        if bound * width >= 1 << 62:
            _, key = np.unique(key, return_inverse=True)
            bound = len(key)
        key = key * width + (column + 1)
        bound *= width
    return key, bound


def _span(hours: Sequence[datetime]) -> tuple[HourRange, NDArray[np.int64]]:
    start, last = min(hours), max(hours)
    span = HourRange(start, (last - start) // HOUR + 1)
    return span, np.array([span.index(hour) for hour in hours], dtype=np.int64)


def _require_priced(
    lines: Sequence[UsageLine],
    line_of_row: NDArray[np.int64],
    skus: Mapping[SkuKey, Sku],
    column: Column,
) -> None:
    unpriced = [position for position, line in enumerate(lines) if line.key not in skus]
    if not unpriced:
        return
    row = int(np.argmax(np.isin(line_of_row, unpriced)))
    key = lines[int(line_of_row[row])].key
    raise column.fault(
        row,
        f"{key.provider} {key.region} {key.sku} is not in the price list",
        "Add its row to skus",
    )


def _refuse_duplicates(
    table: Table, hour_of_row: NDArray[np.int64], line_of_row: NDArray[np.int64]
) -> None:
    parts = [hour_of_row, line_of_row]
    parts += [
        table.column(name).codes for name in ("resource", "resource_group") if table.has(name)
    ]
    row = _first_repeat(parts)
    if row is not None:
        raise InputError(
            "this hour, provider, account, region, zone, sku and resource has a row already",
            file=table.file,
            row=row + 1,
            column="sku",
            remedy="Add the quantities up in one row, or name the resource",
        )


def _first_repeat(codes: Sequence[NDArray[np.int64]]) -> int | None:
    """The first row whose tuple of codes stood in an earlier row."""
    key, bound = _tuple_keys(codes)
    if bound <= _SMALL and np.bincount(key).max(initial=0) <= 1:
        return None
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order[1:]] == key[order[:-1]]]
    return int(again.min()) if len(again) else None


def _refuse_gaps(table: Table, span: HourRange, hour_of_row: NDArray[np.int64]) -> None:
    missing = np.flatnonzero(np.bincount(hour_of_row, minlength=span.count) == 0)
    if len(missing):
        raise InputError(
            f"{len(missing)} hours between the first and the last have no rows at all, the first"
            f" is {iso(span.hour(int(missing[0])))}",
            file=table.file,
            column="hour",
            remedy="Export those hours too; write a row of quantity 0 where nothing was used",
        )


def _dense(
    hour_of_row: NDArray[np.int64],
    line_of_row: NDArray[np.int64],
    quantity: NDArray[np.float64],
    hours: int,
    lines: int,
) -> NDArray[np.float64]:
    cell = hour_of_row * lines + line_of_row
    if np.bincount(cell, minlength=hours * lines).max(initial=0) <= 1:
        dense = np.zeros(hours * lines)
        dense[cell] = quantity
        return dense.reshape(hours, lines)
    # Rows add up as the decimals they are written as: 0.1 + 0.2 is 0.3.
    places = decimal_places(quantity)
    scale = 1.0 if places is None else 10.0**places
    whole = quantity if places is None else np.rint(quantity * scale)
    total = np.bincount(cell, weights=whole, minlength=hours * lines)
    return (total / scale).reshape(hours, lines)


def _check_tags(table: Table) -> None:
    if table.has("tags"):
        table.column("tags").parse(_json_object, "Write a JSON object")


def _json_object(value: object) -> object:
    try:
        parsed = json.loads(value) if isinstance(value, str) else dict(value)  # type: ignore[call-overload]
    except (ValueError, TypeError):
        msg = f"{value!r} is not JSON"
        raise ValueError(msg) from None
    if not isinstance(parsed, dict):
        msg = f"{value!r} is not a JSON object"
        raise ValueError(msg)  # noqa: TRY004 - a cell's fault, like any other
    return parsed
