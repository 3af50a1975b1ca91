"""What goes wrong between the whole service and its clouds, beyond what the wire itself does.

Reads are throttled now and then, and a process may end right after a cloud has answered. Calls are
counted by intent, and whoever watches is told of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from service.clouds import Cloud
from service.domain.alterations import AlterationKind, AlterationOrder, AlterationOutcome
from service.domain.alterations import AlterationQuote as ChangeQuote
from service.domain.commitments import Kind, Offering
from service.domain.errors import ProviderError
from service.domain.ids import AccountId
from service.domain.purchases import (
    Evidence,
    Idempotency,
    InventoryItem,
    Outcome,
    PurchaseOrder,
    Quote,
)
from service.domain.usage import Sku, SkuKey
from service.providers.port import (
    Identity,
    ProviderAlterer,
    ProviderBuyer,
    ProviderFinder,
    ProviderReader,
    ShownPrice,
    StillWanted,
)

Trouble = Callable[[str], None]
"""Told what is about to be read or was just answered; may raise."""


@dataclass(frozen=True)
class Reading:
    """The adapter's reader, throttled when ``trouble`` says so."""

    reader: ProviderReader
    trouble: Trouble
    as_of: Callable[[], object]
    """Names the state of the cloud: what was listed in it is not asked for again."""
    read_before: dict[object, Any] = field(default_factory=dict)
    """What was read of listings, and of price lists, until somebody clears this."""

    def identity(self) -> Identity:
        return self.reader.identity()

    def accounts(self) -> Sequence[AccountId]:
        return self.reader.accounts()

    def prices(self, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]) -> Sequence[Sku]:
        self.trouble("prices")
        asked = ("prices", tuple(keys), tuple(sorted(shown.items())))
        if asked not in self.read_before:
            self.read_before[asked] = self.reader.prices(keys, shown)
        read: Sequence[Sku] = self.read_before[asked]
        return read

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        asked = ("offerings", tuple(keys))
        if asked not in self.read_before:
            self.read_before[asked] = self.reader.offerings(keys)
        read: Sequence[Offering] = self.read_before[asked]
        return read

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        return self.reader.owned_offerings(items, keys)

    def inventory(self) -> Sequence[InventoryItem]:
        self.trouble("inventory")
        asked = ("inventory", self.as_of())
        if asked not in self.read_before:
            self.read_before[asked] = self.reader.inventory()
        read: Sequence[InventoryItem] = self.read_before[asked]
        return read


@dataclass(frozen=True)
class Buying:
    """The adapter's buyer, its calls counted; ``trouble`` is told once the cloud has answered."""

    buyer: ProviderBuyer
    called: dict[str, int]
    trouble: Trouble
    sold: Callable[[PurchaseOrder], None]

    def idempotency(self, kind: Kind) -> Idempotency:
        return self.buyer.idempotency(kind)

    def quote(self, order: PurchaseOrder) -> Quote:
        return self.buyer.quote(order)

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted) -> Outcome:
        self.called[order.intent] = self.called.get(order.intent, 0) + 1
        outcome = self.buyer.buy(order, still_wanted=still_wanted)
        self.sold(order)
        self.trouble("bought")
        return outcome


@dataclass(frozen=True)
class Altering:
    """The same of the adapter's alterer."""

    alterer: ProviderAlterer
    called: dict[str, int]
    trouble: Trouble

    def ways(self, item: InventoryItem, now: Any) -> frozenset[AlterationKind]:  # noqa: ANN401
        return self.alterer.ways(item, now)

    def quote_alteration(self, order: AlterationOrder) -> ChangeQuote:
        return self.alterer.quote_alteration(order)

    def alter(self, order: AlterationOrder, *, still_wanted: StillWanted) -> AlterationOutcome:
        self.called[order.intent] = self.called.get(order.intent, 0) + 1
        outcome = self.alterer.alter(order, still_wanted=still_wanted)
        self.trouble("altered")
        return outcome


@dataclass(frozen=True)
class Finding:
    """The adapter's finder, throttled when ``trouble`` says so."""

    finder: ProviderFinder
    trouble: Trouble

    def look_up(self, order: PurchaseOrder) -> Evidence:
        self.trouble("look_up")
        return self.finder.look_up(order)


def troubled(
    cloud: Cloud,
    *,
    called: dict[str, int],
    trouble: Trouble,
    sold: Callable[[PurchaseOrder], None],
    as_of: Callable[[], object],
    read_before: dict[object, Any],
) -> Cloud:
    """``cloud`` with all of that between it and the service."""
    return replace(
        cloud,
        reader=Reading(cloud.reader, trouble, as_of, read_before),
        buyer=Buying(cloud.buyer, called, trouble, sold),
        finder=None if cloud.finder is None else Finding(cloud.finder, trouble),
        alterer=None if cloud.alterer is None else Altering(cloud.alterer, called, trouble),
    )


def throttled(provider: str, operation: str) -> ProviderError:
    """What a provider says that was asked too often."""
    return ProviderError(
        provider=provider, operation=operation, code="Throttled", detail="asked too often"
    )
