"""Decides what DynamoDB's reserved capacity would save: a figure for people, never a purchase.

AWS sells such capacity in its console alone. Provisioned units that run on, hour by hour, may be
reserved in blocks of 100 for one or three years: a sum at purchase and a price for every hour,
used or not. What is stored as usage is what no reserved capacity covers yet (docs/usage.md), so
the figure is for what to buy beyond what is owned.

The size is the best single level over the hours seen, as the ladder has it
(``service.plan.ladder_bounds.best_level``): the quantile of them at the discount, which is the
number of units that enough hours use to pay for the unused rest. No forecast, no cost of capital.
Source of the rules: DynamoDB developer guide, "Reserved capacity". Rates are data,
``reserved_capacity.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, ROUND_UP, Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InputError
from service.domain.hours import TERM_HOURS
from service.domain.usage import SkuKey, Usage, UsageLine
from service.forecast.registers import entries_of, text_of
from service.plan.ladder_bounds import best_level
from service.usage.aws_sku import describe_sku

BLOCK_UNITS = 100
TERMS_MONTHS = (12, 36)
CAPACITY_OF = {"ReadCapacityUnit-Hrs": "read", "WriteCapacityUnit-Hrs": "write"}
"""Usage types of the standard table class in one region. The infrequent-access class
(``IA-ReadCapacityUnit-Hrs``) and replicated writes (``ReplWriteCapacityUnit-Hrs``) cannot be
reserved, nor can requests that are paid one by one."""
ALL_ACCOUNTS = "*"

_SHIPPED = "reserved_capacity.yaml"
_KEYS = ("region", "capacity", "term_months", "upfront_usd", "usd_per_hour", "as_of")
_NANO, _RATIO = Decimal("1e-9"), Decimal("1e-6")

Series = NDArray[np.float64]
Rates = Mapping[tuple[str, str, int], "ReservedRate"]
"""By region, capacity (``read`` or ``write``) and term in months."""


@dataclass(frozen=True, slots=True)
class ReservedRate:
    """What a block of 100 units costs at purchase, and in every hour of the term."""

    region: str
    capacity: str
    term_months: int
    upfront_usd: Decimal
    usd_per_hour: Decimal
    as_of: date

    @property
    def unit_usd_per_hour(self) -> Decimal:
        """What one unit costs an hour, the sum at purchase spread over the term."""
        return (self.upfront_usd / TERM_HOURS[self.term_months] + self.usd_per_hour) / BLOCK_UNITS


@dataclass(frozen=True, slots=True)
class Advice:
    """What to reserve for one term; 0 units where no block pays. Terms are alternatives.

    ``break_even_ratio``: the share of hours that a unit must be used in to pay. ``used_ratio``: the
    share of the reserved unit-hours that would have been used. ``savings_usd_per_hour``: against
    on demand, on average over the hours seen, the sum at purchase included.
    """

    account: str
    region: str
    capacity: str
    term_months: int
    units: int
    upfront_usd: Decimal
    usd_per_hour: Decimal
    on_demand_usd_per_hour: Decimal
    break_even_ratio: Decimal
    used_ratio: Decimal
    savings_usd_per_hour: Decimal
    rate_as_of: date


@dataclass(frozen=True, slots=True)
class NotAdvised:
    """Provisioned capacity in use on which no figure can be given, and why."""

    account: str
    region: str
    capacity: str
    term_months: int
    reason: str


@dataclass(frozen=True, slots=True)
class CapacityAdvice:
    """All that was found, by account, region, capacity and term."""

    advice: tuple[Advice, ...]
    not_advised: tuple[NotAdvised, ...]


@dataclass(frozen=True, slots=True)
class _Pool:
    account: str
    region: str
    capacity: str
    units: Series
    on_demand_usd: Decimal | None


def advise(
    usage: Usage, on_demand_usd: Mapping[SkuKey, Decimal], rates: Rates, *, shared: bool = False
) -> CapacityAdvice:
    """What reserved capacity would have paid best over the hours of ``usage``.

    ``on_demand_usd``: the price of a unit's hour by SKU; of several the least counts. Each account
    for itself; ``shared`` sums them, as reserved capacity reaches all accounts of an organisation
    that shares its discounts.
    """
    advice: list[Advice] = []
    missing: list[NotAdvised] = []
    for pool in _pools(usage, on_demand_usd, shared=shared):
        for term_months in TERMS_MONTHS:
            rate = rates.get((pool.region, pool.capacity, term_months))
            why = _missing(pool, rate, term_months)
            if rate is None or pool.on_demand_usd is None:
                missing.append(
                    NotAdvised(pool.account, pool.region, pool.capacity, term_months, why)
                )
            else:
                advice.append(_advised(pool, rate, pool.on_demand_usd))
    return CapacityAdvice(tuple(advice), tuple(missing))


def _missing(pool: _Pool, rate: ReservedRate | None, term_months: int) -> str:
    if rate is None:
        return f"no rate known for region {pool.region}, {term_months} months"
    return "no on-demand price known" if pool.on_demand_usd is None else ""


def _pools(
    usage: Usage, on_demand_usd: Mapping[SkuKey, Decimal], *, shared: bool
) -> Sequence[_Pool]:
    places: dict[tuple[str, str, str], list[int]] = {}
    for place, line in enumerate(usage.lines):
        capacity = _capacity(line)
        if capacity is not None and usage.quantity[:, place].any():
            account = ALL_ACCOUNTS if shared else str(line.account)
            places.setdefault((account, line.region, capacity), []).append(place)
    pools = []
    for (account, region, capacity), those in sorted(places.items()):
        told = [on_demand_usd.get(usage.lines[place].key, Decimal(0)) for place in those]
        known = [price for price in told if price > 0]
        units = usage.quantity[:, those].sum(axis=1)
        pools.append(_Pool(account, region, capacity, units, min(known) if known else None))
    return pools


def _capacity(line: UsageLine) -> str | None:
    return CAPACITY_OF.get(describe_sku(line.sku).bare_type) if line.provider == "aws" else None


def _advised(pool: _Pool, rate: ReservedRate, on_demand_usd: Decimal) -> Advice:
    break_even = rate.unit_usd_per_hour / on_demand_usd
    units, used, saved = 0, Decimal(0), Decimal(0)
    if break_even < 1:
        for candidate in _blocks_beside(pool.units, best_level(pool.units, float(1 - break_even))):
            taken = _average(np.minimum(pool.units, candidate))
            saving = on_demand_usd * taken - rate.unit_usd_per_hour * candidate
            if saving > saved:
                units, used, saved = candidate, taken, saving
    bought = Decimal(units // BLOCK_UNITS)
    return Advice(
        account=pool.account,
        region=pool.region,
        capacity=pool.capacity,
        term_months=rate.term_months,
        units=units,
        upfront_usd=bought * rate.upfront_usd,
        usd_per_hour=bought * rate.usd_per_hour,
        on_demand_usd_per_hour=(_average(pool.units) * on_demand_usd).quantize(_NANO, ROUND_DOWN),
        break_even_ratio=break_even.quantize(_RATIO, ROUND_UP),
        used_ratio=(used / units if units else used).quantize(_RATIO, ROUND_DOWN),
        savings_usd_per_hour=saved.quantize(_NANO, ROUND_DOWN),
        rate_as_of=rate.as_of,
    )


def _blocks_beside(seen: Series, level: float) -> Sequence[int]:
    """Whole blocks below and above the best level, and the hours' own levels on its either side.

    The saving is concave in the level and best at one of those hours' levels, between which the
    quantile interpolates; so the best number of whole blocks is among these.
    """
    around = (float(seen[seen <= level].max()), level, float(seen[seen >= level].min()))
    below = {int(one // BLOCK_UNITS) for one in around}
    return sorted({(one + more) * BLOCK_UNITS for one in below for more in (0, 1)})


def _average(units: Series) -> Decimal:
    """The units used in an average hour, to a billionth of one."""
    return Decimal(str(round(float(units.mean()), 9)))


@cache
def shipped_rates() -> Rates:
    """The rates shipped with Tenor, read once."""
    text = files(__package__).joinpath(_SHIPPED).read_text("utf-8")
    return _parsed(text, file=_SHIPPED)


def read_rates(path: Path) -> Rates:
    """Rates from a file in the shipped one's form. ``InputError`` names the entry as the row."""
    return _parsed(text_of(path), file=str(path))


def _parsed(text: str, *, file: str) -> Rates:
    rates: dict[tuple[str, str, int], ReservedRate] = {}
    for row, entry in enumerate(entries_of(text, file=file, what="rates"), 1):
        rate = _rate(entry, file, row)
        key = (rate.region, rate.capacity, rate.term_months)
        if key in rates:
            raise InputError(
                f"the rate of {' '.join(map(str, key))} months is there twice",
                file=file,
                row=row,
                remedy="Give each region, capacity and term once.",
            )
        rates[key] = rate
    return rates


def _rate(entry: object, file: str, row: int) -> ReservedRate:
    if not isinstance(entry, dict) or set(entry) != set(_KEYS):
        raise InputError(
            "not a rate", file=file, row=row, remedy=f"Give exactly {', '.join(_KEYS)}."
        )
    faults = {
        "region": not isinstance(entry["region"], str) or not entry["region"],
        "capacity": entry["capacity"] not in CAPACITY_OF.values(),
        "term_months": entry["term_months"] not in TERMS_MONTHS,
        "as_of": type(entry["as_of"]) is not date,
    }
    for column, faulty in faults.items():
        if faulty:
            raise _fault(entry, column, file, row)
    return ReservedRate(
        region=entry["region"],
        capacity=entry["capacity"],
        term_months=int(entry["term_months"]),
        upfront_usd=_usd(entry, "upfront_usd", file, row),
        usd_per_hour=_usd(entry, "usd_per_hour", file, row),
        as_of=entry["as_of"],
    )


def _usd(entry: Mapping[str, object], column: str, file: str, row: int) -> Decimal:
    try:
        usd = Decimal(entry[column]) if isinstance(entry[column], str) else None  # type: ignore[arg-type]
    except InvalidOperation:
        usd = None
    if usd is None or not usd.is_finite() or usd < 0:
        raise _fault(entry, column, file, row)
    return usd


def _fault(entry: Mapping[str, object], column: str, file: str, row: int) -> InputError:
    remedies = {
        "region": "Write a region's name, such as us-east-1.",
        "capacity": "Write read or write.",
        "term_months": "Write 12 or 36.",
        "as_of": "Write a day, such as 2026-01-31.",
    }
    return InputError(
        f"{entry[column]!r} is not usable",
        file=file,
        row=row,
        column=column,
        remedy=remedies.get(column, 'Write dollars for 100 units in quotes, such as "0.0128".'),
    )
