"""Hourly usage and prices as the core sees them: labelled arrays, never guessed, never filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.domain.commitments import Commitment, Offering
from service.domain.errors import InvariantError
from service.domain.hours import HourRange
from service.domain.ids import AccountId, OfferingId


class SkuKey(NamedTuple):
    """Key of the price list."""

    provider: str
    region: str
    sku: str


@dataclass(frozen=True, slots=True)
class Sku:
    """One line of the on-demand price list. Prices are dollars per ``unit``.

    ``size_units``: normalised units in one quantity unit (AWS factor, Azure ratio), ``None``
    when not size-flexible. ``on_demand_usd`` is what this customer pays, ``list_usd`` the
    public rate.
    """

    key: SkuKey
    service: str
    family: str | None
    size_units: Decimal | None
    platform: str | None
    tenancy: str | None
    unit: str
    on_demand_usd: Decimal
    list_usd: Decimal


class UsageLine(NamedTuple):
    """What one column of the usage array measures. ``zone`` is empty when not known.

    ``resource_group`` (Azure, lower case) is set only where a commitment's scope names a group.
    ``level``: usage of days whose hours are estimated, but for this part, which is proven for each
    of them; a SKU's other usage then is a line of its own.
    """

    provider: str
    account: AccountId
    region: str
    zone: str
    sku: str
    resource_group: str = ""
    level: bool = False

    def __repr__(self) -> str:
        """As before there was ``level``, where it is not set: digests are made of this."""
        told = zip(self._fields, self, strict=True)
        words = (f"{name}={word!r}" for name, word in told if name != "level" or word)
        return f"UsageLine({', '.join(words)})"

    @property
    def key(self) -> SkuKey:
        """The line's key in the price list."""
        return SkuKey(self.provider, self.region, self.sku)


@dataclass(frozen=True, slots=True)
class Usage:
    """Quantities used: ``quantity[h, l]`` in hour ``h`` on line ``l``, in the SKU's unit.

    float64, finite, ≥ 0, shape ``(hours.count, len(lines))``; lines are unique. Hours without
    rows are true zeros: whoever builds this has checked that no hour is missing.
    """

    hours: HourRange
    lines: tuple[UsageLine, ...]
    quantity: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.quantity.shape != (self.hours.count, len(self.lines)):
            msg = f"usage shape {self.quantity.shape} does not match its labels"
            raise InvariantError(msg)
        if len(set(self.lines)) != len(self.lines):
            msg = "usage lines are not unique"
            raise InvariantError(msg)
        if not np.isfinite(self.quantity).all() or (self.quantity < 0).any():
            msg = "usage holds a negative or non-finite quantity"
            raise InvariantError(msg)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything one computation needs: usage, its price list, offerings, commitments owned.

    Every usage line's key is in ``skus``; every commitment's offering is in ``offerings``.
    """

    usage: Usage
    skus: Mapping[SkuKey, Sku]
    offerings: Mapping[OfferingId, Offering]
    commitments: tuple[Commitment, ...]
