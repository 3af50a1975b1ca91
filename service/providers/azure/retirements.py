"""Which reservations Azure has stopped selling: dated data, see ``retirements.yaml``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class Retirement:
    """From ``valid_from`` on, ``sizes`` are not reserved for ``months``."""

    sizes: re.Pattern[str]
    months: frozenset[int]
    valid_from: date


def is_retired(arm_sku_name: str, months: int, on: date) -> bool:
    """Whether reservations of the size for the term are no longer sold on that day."""
    return any(
        months in one.months and on >= one.valid_from and one.sizes.fullmatch(arm_sku_name)
        for one in retirements()
    )


@cache
def retirements() -> tuple[Retirement, ...]:
    """The rows shipped beside this module, read once."""
    raw = yaml.safe_load(files(__package__).joinpath("retirements.yaml").read_text("utf-8"))
    return tuple(
        Retirement(
            sizes=re.compile(row["sizes"]),
            months=frozenset(row["months"]),
            valid_from=row["valid_from"],
        )
        for row in raw["retirements"]
    )
