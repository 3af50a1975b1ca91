"""Decides what bills and pictures are made of: stored usage, the newest prices, what is owned.

Nothing is decided on it. Prices are those read last; what owned commitments were bought at is asked
of their provider once and remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.errors import RefusedError
from service.domain.hours import HOUR, HourRange
from service.domain.ids import OfferingId
from service.domain.usage import Dataset
from service.operate.situation import billed, names_groups, read_owned
from service.store import holdings, price_snapshots
from service.store.engine import reading
from service.wiring import Parts


@dataclass(frozen=True, slots=True)
class BilledUsage:
    """Datasets of ``parts``, for one provider each."""

    parts: Parts

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers of which usage is known."""
        return tuple(sorted({entry.provider for entry in self.parts.usage.manifest()}))

    def dataset(self, provider: str, *, hours: int, end: datetime | None = None) -> Dataset:
        """Eligible usage of ``hours`` hours before ``end`` (the newest when ``None``), as owned.

        Raises ``RefusedError`` when the usage or its prices are not known, ``ProviderError`` when
        a provider does not say what was bought at which rates.
        """
        parts = self.parts.about(provider)
        days = [entry for entry in parts.usage.manifest() if entry.provider == provider]
        if not days:
            raise RefusedError(rule="data_age", detail=f"no usage of {provider} is known")
        newest = max(entry.last_hour for entry in days) + HOUR
        stop = newest if end is None else min(end, newest)
        with reading(parts.engine) as connection:
            prices = price_snapshots.newest(connection, provider)
            listed = holdings.inventory(connection, provider=provider)
        window = HourRange(stop - hours * HOUR, hours)
        grouped = names_groups([item.commitment for item in listed], window.start)
        usage = parts.usage.load(window, provider=provider, resource_groups=grouped)
        missing = [
            line.key for line in usage.lines if prices is None or line.key not in prices.skus
        ]
        if prices is None or missing:
            detail = f"prices of {len(missing)} SKUs of {provider} are not known"
            raise RefusedError(rule="prices", detail=detail)
        owned = read_owned(parts, usage, listed)
        offerings = {**prices.offerings, **{one.offering: one for one in owned.values()}}
        return Dataset(
            usage=usage,
            skus=prices.skus,
            offerings={OfferingId(name): one for name, one in offerings.items()},
            commitments=billed(listed, owned),
        )
