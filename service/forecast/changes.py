"""The planned-change register: what people know is coming and no history shows.

``changes.yaml`` is a list; each entry names ``what``, a ``scope`` (a pool's name or ``*``), the
``date`` from which it holds, exactly one of ``ratio`` (demand is multiplied by it) and
``usd_per_hour`` (is added to demand, on-demand dollars), and a ``probability``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InputError, InvariantError
from service.domain.hours import HOUR, WEEK_HOURS, require_utc
from service.forecast.registers import entries_of, text_of

Series = NDArray[np.float64]

KEYS = {"what", "scope", "date", "ratio", "usd_per_hour", "probability"}

_ENUMERATED = 6


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """From ``at`` on, with ``probability``, demand becomes demand × ``ratio`` + ``usd_per_hour``.

    ``usd_per_hour`` is in on-demand dollars per hour and may be negative; demand stays ≥ 0.
    ``suspected``: nobody registered it, it is concluded from what was seen elsewhere.
    """

    what: str
    scope: str
    at: datetime
    ratio: float
    usd_per_hour: float
    probability: float
    suspected: bool = False

    def __post_init__(self) -> None:
        require_utc(self.at)
        if not 0 <= self.probability <= 1 or self.ratio < 0:
            msg = f"not a planned change: {self.what}"
            raise InvariantError(msg)


def read_changes(path: Path) -> tuple[PlannedChange, ...]:
    """The register in ``path``. Raises ``InputError``, naming the entry's number as the row."""
    return parse_changes(text_of(path), file=str(path))


def parse_changes(text: str, *, file: str) -> tuple[PlannedChange, ...]:
    """The register that ``text`` is; ``file`` is how errors call it."""
    entries = entries_of(text, file=file, what="changes")
    return tuple(_change(entry, file, row) for row, entry in enumerate(entries, start=1))


def changes_for(changes: Sequence[PlannedChange], pool: str) -> tuple[PlannedChange, ...]:
    """Those of ``changes`` whose scope is ``pool`` or everything."""
    return tuple(change for change in changes if change.scope in {pool, "*"})


def factors(
    changes: Sequence[PlannedChange], *, begin: datetime, seen_hours: int, now: int, weeks: int
) -> tuple[Series, Series, Series]:
    """What the changes still to come make of demand in each of the coming ``weeks``.

    Chances of each scenario, shape (scenarios,), summing to 1; scales and shifts, each of shape
    (scenarios, weeks): demand becomes demand × scale + shift. Changes dated inside the hours
    seen (from ``begin``) are history. Every combination is a scenario while at most six are
    uncertain; else 64 draws, always the same.
    """
    end = begin + seen_hours * HOUR
    coming = sorted((change for change in changes if change.at >= end), key=lambda one: one.at)
    happens, chances = _scenarios([change.probability for change in coming])
    scales = np.ones((chances.size, weeks))
    shifts = np.zeros((chances.size, weeks))
    for change, occurs in zip(coming, happens, strict=True):
        week = ((change.at - begin) / HOUR - now) / WEEK_HOURS
        after = occurs[:, None] & (np.arange(weeks) + 0.5 >= week)
        scales = np.where(after, scales * change.ratio, scales)
        shifts = np.where(after, shifts * change.ratio + change.usd_per_hour, shifts)
    return chances, scales, shifts


def _scenarios(probabilities: Sequence[float]) -> tuple[NDArray[np.bool_], Series]:
    """Per change and scenario whether it happens, shape (changes, scenarios), and chances."""
    uncertain = [place for place, one in enumerate(probabilities) if 0 < one < 1]
    if len(uncertain) > _ENUMERATED:
        draws = np.random.default_rng(0).random((len(probabilities), 2**_ENUMERATED))
        drawn = draws < np.array(probabilities)[:, None]
        return drawn, np.full(drawn.shape[1], 1 / drawn.shape[1])
    codes = np.arange(2 ** len(uncertain))
    happens = np.zeros((len(probabilities), codes.size), dtype=np.bool_)
    chances = np.ones(codes.size)
    for place, probability in enumerate(probabilities):
        if probability in {0, 1}:
            happens[place] = probability == 1
            continue
        happens[place] = (codes >> uncertain.index(place)) & 1
        chances *= np.where(happens[place], probability, 1 - probability)
    return happens, chances


def _change(entry: object, file: str, row: int) -> PlannedChange:
    if not isinstance(entry, Mapping):
        raise InputError("not a mapping", file=file, row=row, remedy="Write key: value pairs.")
    for key in entry:
        if key not in KEYS:
            raise InputError(
                "an unknown key",
                file=file,
                row=row,
                column=str(key),
                remedy=f"Use only {', '.join(sorted(KEYS))}.",
            )
    if ("ratio" in entry) == ("usd_per_hour" in entry):
        raise InputError(
            "needs exactly one of ratio and usd_per_hour",
            file=file,
            row=row,
            remedy="Say what demand becomes, once.",
        )
    return PlannedChange(
        what=_text(entry, "what", file, row),
        scope=_text(entry, "scope", file, row),
        at=_instant(entry, file, row),
        ratio=_number(entry, "ratio", 1.0, bounds=(0.0, 100.0), file=file, row=row),
        usd_per_hour=_number(entry, "usd_per_hour", 0.0, bounds=(-1e12, 1e12), file=file, row=row),
        probability=_number(entry, "probability", 1.0, bounds=(0.0, 1.0), file=file, row=row),
    )


def _text(entry: Mapping[object, object], key: str, file: str, row: int) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(
            "missing or not text", file=file, row=row, column=key, remedy="Write some text."
        )
    return value


def _instant(entry: Mapping[object, object], file: str, row: int) -> datetime:
    value = entry.get("date")
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise InputError(
        "missing or not a date",
        file=file,
        row=row,
        column="date",
        remedy="Write a date, such as 2026-03-01.",
    )


def _number(
    entry: Mapping[object, object],
    key: str,
    default: float,
    *,
    bounds: tuple[float, float],
    file: str,
    row: int,
) -> float:
    value = entry.get(key, default)
    low, high = bounds
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= float(value) <= high:  # type: ignore[arg-type]
        raise InputError(
            f"{value!r} is not a number from {low:g} to {high:g}",
            file=file,
            row=row,
            column=key,
            remedy="Mend the number.",
        )
    return float(value)  # type: ignore[arg-type]
