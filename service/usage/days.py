"""What is known of one provider's day of usage, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NamedCommitment:
    """A commitment that a day's rows name: what it covered, left unused, or cost.

    ``account`` owns it and ``category`` is ``spend`` or ``usage``; ``None`` where not told.
    """

    commitment: str
    account: str | None
    category: str | None


@dataclass(frozen=True, slots=True)
class SeenCommitment:
    """A commitment that exports name, and the first and last of the days asked about that do."""

    provider: str
    commitment: str
    account: str | None
    category: str | None
    first_day: date
    last_day: date


class DayOfUsage(Protocol):
    """One provider's day as an export brings it; see ``service.usage.ingest.ExportDay``."""

    @property
    def provider(self) -> str: ...  # noqa: D102 - as in ExportDay
    @property
    def day(self) -> date: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def hours_mask(self) -> int: ...  # noqa: D102
    @property
    def hour_weights(self) -> tuple[Decimal | None, ...]: ...  # noqa: D102
    @property
    def eligible_usd(self) -> Decimal: ...  # noqa: D102
    @property
    def total_usd(self) -> Decimal: ...  # noqa: D102
    @property
    def commitments(self) -> tuple[NamedCommitment, ...]: ...  # noqa: D102
    @property
    def shape(self) -> str: ...  # noqa: D102
    @property
    def write(self) -> Callable[[Path], None]:
        """Writes the day's rows into a new Parquet file."""
        ...


@dataclass(frozen=True, slots=True)
class UsageDay:
    """One row of the manifest of stored usage; dollars are on-demand equivalents.

    ``file`` is relative to the usage folder. Bit ``h`` of ``hours_mask`` is set, and
    ``hour_weights[h]`` given, when the provider has a row in hour ``h`` of the day. ``shape`` is
    what the hours were estimated from, empty where the export told them itself.
    """

    provider: str
    day: date
    file: str
    digest: str
    rows: int
    hours_present: int
    hours_mask: int
    first_hour: datetime
    last_hour: datetime
    seen_at: datetime
    eligible_usd: Decimal
    total_usd: Decimal
    hour_weights: tuple[Decimal | None, ...]
    shape: str = ""


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What one ingest changed. All but ``added`` and ``replaced`` count unchanged days too.

    ``estimated``: days whose hours were estimated.
    """

    added: int
    replaced: int
    unchanged: int
    rows: int
    eligible_usd: Decimal
    total_usd: Decimal
    newest_hour: datetime | None
    estimated: int = 0


@dataclass(frozen=True, slots=True)
class ObservedPrice:
    """What an export shows a SKU to cost, per ``unit``, in the newest hour that tells.

    ``list_usd`` is the public on-demand rate, ``contracted_usd`` what this customer pays on demand;
    ``None`` where the export does not say.
    """

    provider: str
    region: str
    sku: str
    unit: str
    list_usd: Decimal | None
    contracted_usd: Decimal | None
