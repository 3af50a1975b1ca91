"""The one port to a cloud: what Tenor needs to know from it and to do in it.

Adapters translate and decide nothing. SDK types stop at the adapter. Reads raise
``ProviderError``; ``buy`` never raises for anything that happens on the wire: it answers with an
``Outcome``, and whatever is not a proven yes or no is ``Unknown``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from service.domain.commitments import Kind, Offering
from service.domain.ids import AccountId
from service.domain.purchases import (
    Idempotency,
    InventoryItem,
    Outcome,
    PurchaseOrder,
    Quote,
)
from service.domain.usage import Sku, SkuKey

ShownPrice = tuple[str, Decimal]
"""A unit, and the public on-demand dollars that one of it costs."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credentials say we are."""

    provider: str
    account: AccountId
    principal: str


class ProviderReader(Protocol):
    """What a cloud tells, for one payer account. Every answer is complete: all pages read."""

    def identity(self) -> Identity:
        """The account and principal behind the credentials; asked before every execution."""
        ...

    def accounts(self) -> Sequence[AccountId]:
        """Every active account of the organisation."""
        ...

    def prices(self, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]) -> Sequence[Sku]:
        """The public on-demand price of each key.

        ``shown``: what bills show, for keys that the price list lacks. A key that neither has
        raises ``InputError``.
        """
        ...

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        """Everything on sale that covers any of ``keys``, with its rates for them."""
        ...

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        """What each of ``items`` is of, at the rates it was bought at, for ``keys``."""
        ...

    def inventory(self) -> Sequence[InventoryItem]:
        """All commitments in every state."""
        ...


class ProviderBuyer(Protocol):
    """What Tenor does in a cloud. ``purchase/execute.py`` is the only caller of ``buy``."""

    def idempotency(self, kind: Kind) -> Idempotency:
        """How a purchase of ``kind`` may be repeated."""
        ...

    def quote(self, order: PurchaseOrder) -> Quote:
        """The order's price as the provider states it now; changes nothing."""
        ...

    def buy(self, order: PurchaseOrder) -> Outcome:
        """Buy, in exactly one attempt on the wire, with the order's token."""
        ...
