"""Which capacity floats over instance sizes: what the offer says, less the provider's exceptions.

The exceptions are dated rows of ``size_flexibility.yaml``; each hour goes by those that hold in it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources

import yaml

from service.domain.commitments import Kind, Offering
from service.domain.errors import InvariantError
from service.domain.hours import HourRange
from service.domain.usage import Sku


@dataclass(frozen=True, slots=True)
class FixedSize:
    """One exception: what it says, whom it names, and from when until when."""

    rule: str
    kinds: frozenset[Kind]
    attribute: str | None
    values: tuple[str, ...]
    start: datetime | None
    end: datetime | None
    source: str

    def names(self, offering: Offering, unit: Sku, at: datetime) -> bool:
        """True when the reservation does not float at that instant."""
        if offering.kind not in self.kinds:
            return False
        if (self.start is not None and at < self.start) or (
            self.end is not None and at >= self.end
        ):
            return False
        if self.attribute is None:
            return True
        word = _attribute(offering, unit, self.attribute)
        return any(fnmatchcase(word, value) for value in self.values)


def fixed_size_rule(offering: Offering, unit: Sku | None, at: datetime) -> FixedSize | None:
    """The exception that keeps an offering with size flexibility from floating, if any."""
    if not offering.size_flexible or unit is None:
        return None
    return next((row for row in fixed_sizes() if row.names(offering, unit, at)), None)


def is_flexible(offering: Offering, unit: Sku | None, at: datetime) -> bool:
    """True when the offering floats over sizes and its SKU has a size to float from."""
    if not offering.size_flexible or unit is None or unit.size_units is None:
        return False
    return fixed_size_rule(offering, unit, at) is None


def rule_changes(kinds: Collection[Kind], hours: HourRange) -> list[int]:
    """The hours, by number, in which rules for any of ``kinds`` begin or cease; never the first."""
    dates = {
        instant
        for row in fixed_sizes()
        if not row.kinds.isdisjoint(kinds)
        for instant in (row.start, row.end)
        if instant is not None and hours.start < instant < hours.end
    }
    return sorted(hours.index(instant) for instant in dates)


@cache
def fixed_sizes() -> tuple[FixedSize, ...]:
    """The exceptions as shipped."""
    rows = yaml.safe_load(
        resources.files("service.billing").joinpath("size_flexibility.yaml").read_text("utf-8")
    )
    return tuple(
        FixedSize(
            rule=row["rule"],
            kinds=frozenset(Kind(kind) for kind in row["kinds"]),
            attribute=row.get("attribute"),
            values=tuple(value.lower() for value in row.get("values", ())),
            start=_instant(row.get("from")),
            end=_instant(row.get("until")),
            source=row["source"],
        )
        for row in rows
    )


def _instant(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _attribute(offering: Offering, unit: Sku, name: str) -> str:
    words = {
        "family": offering.family or unit.family,
        "platform": offering.platform or unit.platform,
        "tenancy": offering.tenancy or unit.tenancy,
    }
    if name not in words:
        msg = f"no exception can be judged by {name}"
        raise InvariantError(msg)
    return (words[name] or "").lower()
