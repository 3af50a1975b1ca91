"""The one port to a cloud: what Tenor needs to know from it and to do in it.

Adapters translate and decide nothing. SDK types stop at the adapter. Reads raise
``ProviderError``; ``buy`` and ``alter`` never raise for anything that happens on the wire: they
answer with an outcome, and whatever is not a proven yes or no is ``Unknown``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
)
from service.domain.commitments import Kind, Offering
from service.domain.ids import AccountId
from service.domain.purchases import (
    Evidence,
    Idempotency,
    InventoryItem,
    Outcome,
    PurchaseOrder,
    Quote,
    Refused,
)
from service.domain.usage import Sku, SkuKey

ShownPrice = tuple[str, Decimal]
"""A unit, and the public on-demand dollars that one of it costs."""

StillWanted = Callable[[], Refused | None]
"""A last look at halt and lease. Adapters read before they spend, which may take minutes: they ask
right before the one request that spends, and answer with what stops it, if anything."""


def always_wanted() -> None:
    """Nothing stops the call: for adapters that are tried without a halt or a lease."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the credentials say we are."""

    provider: str
    account: AccountId
    principal: str


@dataclass(frozen=True, slots=True)
class PermissionProof:
    """Whether one thing that a mode needs may be done, as the provider answered.

    ``allowed`` is ``None`` where that could not be found out. ``mend`` says how to grant it.
    ``prover_failed``: it could have been found out and asking was refused, for something that
    buys; otherwise ``None`` means that the provider offers no way to ask without doing it.
    """

    action: str
    allowed: bool | None
    detail: str
    mend: str
    prover_failed: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a source of usage holds now. ``files`` lie in the folder that was asked for.

    ``newest_at``: when the provider last wrote any of it, ``None`` when there is nothing.
    ``cost_usd``: what the provider charges for having been asked.
    """

    files: tuple[Path, ...]
    changed: int
    newest_at: datetime | None
    cost_usd: Decimal = Decimal(0)


class ProviderExports(Protocol):
    """Where a cloud puts its billing exports."""

    def fetch(self, folder: Path) -> Fetched:
        """Bring what is new or restated into ``folder``, whole files only; delete what is gone."""
        ...


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


class ProviderPermissions(Protocol):
    """What the credentials may do."""

    def permissions(self, mode: str) -> Sequence[PermissionProof]:
        """Proof of each permission that ``mode`` (observe, copilot, autopilot) needs."""
        ...


class ProviderBuyer(Protocol):
    """What Tenor does in a cloud. ``purchase/execute.py`` is the only caller of ``buy``."""

    def idempotency(self, kind: Kind) -> Idempotency:
        """How a purchase of ``kind`` may be repeated."""
        ...

    def quote(self, order: PurchaseOrder) -> Quote:
        """The order's price as the provider states it now; changes nothing."""
        ...

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted) -> Outcome:
        """Buy, in exactly one attempt on the wire, with the order's token.

        ``still_wanted`` is asked right before that attempt; its refusal is the answer then.
        """
        ...


class ProviderFinder(Protocol):
    """Looks for one purchase by what only it can be known by."""

    def look_up(self, order: PurchaseOrder) -> Evidence:
        """What became of ``order``, asked for by its own reference, name or token.

        ``Bought`` or ``Refused`` only on the provider's proof; ``Unknown`` where it is there and
        neither is proven; ``Absent`` where it is not. ``ProviderError`` when it cannot be asked.
        """
        ...


class ProviderAlterer(Protocol):
    """What can be done to what is owned. ``purchase/alter.py`` is the only caller of ``alter``."""

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        """What the provider's rules allow for ``item`` now, as far as the listing shows."""
        ...

    def quote_alteration(self, order: AlterationOrder) -> AlterationQuote:
        """What the order would come to as the provider states it now; changes nothing."""
        ...

    def alter(self, order: AlterationOrder, *, still_wanted: StillWanted) -> AlterationOutcome:
        """Do it, in exactly one attempt on the wire; refuses when the price rose above the cap.

        ``still_wanted`` is asked right before that attempt; its refusal is the answer then.
        """
        ...
