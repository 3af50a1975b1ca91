"""The sandbox's three worlds behind the port, without a wire: for years in seconds.

What lives, and how, is decided by the worlds' own state machines; here is only the port, and what
goes wrong on the way. The adapters and the wire have their own proof: every crash point over HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    Altered,
)
from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.hours import TERM_HOURS, Clock
from service.domain.ids import AccountId, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    Idempotency,
    InventoryItem,
    Outcome,
    PurchaseOrder,
    Quote,
    Refused,
    Unknown,
)
from service.domain.usage import Sku, SkuKey
from service.providers.port import Identity, ShownPrice, StillWanted, always_wanted
from service.sandbox.faults import ApiError

NOTHING = Decimal(0)


class Mishap(StrEnum):
    """What goes wrong with the next call."""

    NONE = "none"
    REFUSE = "refuse"
    THROTTLE = "throttle"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_AFTER = "error_after"
    LAG = "lag"


AFTER = {Mishap.TIMEOUT_AFTER, Mishap.ERROR_AFTER}
NEVER = {Mishap.REFUSE, Mishap.THROTTLE}


@dataclass(frozen=True)
class Ware:
    """One thing that is sold: a unit's hourly commitment, and its cash at once, in USD."""

    offering: OfferingId
    kind: Kind
    usd_per_hour: Decimal
    payment: Payment = Payment.NO_UPFRONT
    upfront_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Owned:
    """What one commitment obliges to, as the world itself has it: USD per hour, and cash paid."""

    commit_usd_per_hour: Decimal
    upfront_usd: Decimal


class SimCloud:
    """One world behind the port. Its quotes are what it sells at."""

    provider = ""
    wares: tuple[Ware, ...] = ()

    def __init__(self, world: Any, account: AccountId) -> None:  # noqa: ANN401 - one of three
        self.world = world
        self.account = account
        self.mishap = Mishap.NONE
        self.lag_hours = 1.0
        self.called: Counter[str] = Counter()
        self.listing: Callable[[], Sequence[InventoryItem]] = self._listed_now
        self.on_sale: Callable[[PurchaseOrder, CommitmentId], None] = _nobody_watches
        self.on_change: Callable[[AlterationOrder], None] = _nobody_asks

    @property
    def clock(self) -> Clock:
        clock: Clock = self.world.clock
        return clock

    def now(self) -> datetime:
        return self.clock.now()

    def advance(self, hours: float) -> None:
        self.world.advance(hours)

    # What Tenor reads.

    def identity(self) -> Identity:
        return Identity(self.provider, self.account, "tester")

    def accounts(self) -> Sequence[AccountId]:
        return [self.account]

    def prices(self, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]) -> Sequence[Sku]:
        raise NotImplementedError

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        raise NotImplementedError

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        raise NotImplementedError

    def inventory(self) -> Sequence[InventoryItem]:
        return self.listing()

    def _listed_now(self) -> Sequence[InventoryItem]:
        with self.world.lock:
            self.world.settle()
            return self.listed()

    def listed(self) -> list[InventoryItem]:
        raise NotImplementedError

    # What Tenor does.

    def idempotency(self, kind: Kind) -> Idempotency:
        del kind
        return Idempotency.NATIVE

    def ware(self, offering: OfferingId) -> Ware:
        return next(one for one in self.wares if one.offering == offering)

    def ware_of(self, item: InventoryItem) -> Ware:
        alike = [one for one in self.wares if one.kind is item.kind]
        same = [one for one in alike if one.offering == item.commitment.offering]
        return (same or alike)[0]

    def sources(self, item: InventoryItem, kind: AlterationKind) -> tuple[CommitmentId, ...]:
        """What has to be given for ``kind``, beginning with ``item``."""
        del kind
        return (item.commitment.commitment,)

    def quote(self, order: PurchaseOrder) -> Quote:
        ware = self.ware(order.offering)
        return Quote(
            offering=order.offering,
            quantity=order.quantity,
            commit_usd_per_hour=CommitUsdPerHour(order.quantity * ware.usd_per_hour),
            upfront_usd=order.quantity * ware.upfront_usd,
            quoted_at=self.now(),
            reference=self.mint(order),
            companion=None if order.companion is None else self.beside(ware, order.quantity),
        )

    def beside(self, ware: Ware, quantity: Decimal) -> Companion | None:
        """What one purchase of ``ware`` brings beside it, at a part of the ware's price."""
        del ware, quantity
        return None

    def mint(self, order: PurchaseOrder) -> str | None:
        del order
        return None

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        self.called[order.intent] += 1
        stopped = still_wanted() or self._stops()
        if stopped is not None:
            return stopped
        try:
            with self.world.lock:
                self.world.settle()
                name, record = self.sell(order)
        except ApiError as error:
            known = "AlreadyExists" in error.code or "already" in error.message
            return Unknown(error.message) if known else Refused(error.code, error.message)
        self.on_sale(order, name)
        if self.mishap is Mishap.LAG:
            record.hidden_until = self.now() + timedelta(hours=self.lag_hours)
        return Unknown(self.mishap.value) if self.mishap in AFTER else Bought(name)

    def sell(self, order: PurchaseOrder) -> tuple[CommitmentId, Any]:
        raise NotImplementedError

    def look_up(self, order: PurchaseOrder) -> Evidence:
        del order
        return Absent("no such question here")

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        del item, now
        return frozenset()

    def quote_alteration(self, order: AlterationOrder) -> AlterationQuote:
        return AlterationQuote(
            allowed=True,
            detail="",
            pay_usd=NOTHING,
            refund_usd=NOTHING,
            source_value_usd=NOTHING,
            target_value_usd=NOTHING,
            targets=order.targets,
            reference=None,
            quoted_at=self.now(),
        )

    def alter(
        self, order: AlterationOrder, *, still_wanted: StillWanted = always_wanted
    ) -> AlterationOutcome:
        self.called[order.intent] += 1
        stopped = still_wanted() or self._stops()
        if stopped is not None:
            return stopped
        try:
            with self.world.lock:
                self.world.settle()
                made = self.change(order)
        except ApiError as error:
            return Refused(error.code, error.message)
        self.on_change(order)
        if self.mishap in AFTER:
            return Unknown(self.mishap.value)
        return Altered(made, NOTHING, NOTHING)

    def change(self, order: AlterationOrder) -> tuple[CommitmentId, ...]:
        raise NotImplementedError

    def _stops(self) -> Refused | Unknown | None:
        if self.mishap in NEVER:
            return Refused(self.mishap.value, "not now")
        if self.mishap is Mishap.TIMEOUT_BEFORE:
            return Unknown("timed out")
        return None

    def at_console(self, order: PurchaseOrder) -> CommitmentId:
        """Somebody buys without Tenor: nothing says whose purchase it was."""
        with self.world.lock:
            self.world.settle()
            name, record = self.sell(order)
            self.untag(record)
        return name

    def untag(self, record: Any) -> None:  # noqa: ANN401 - a record of any world
        raise NotImplementedError

    # What the checker knows, from the world itself.

    def with_cash(self) -> None:
        """Sell for cash at once as well."""
        raise NotImplementedError

    def owned(self) -> dict[CommitmentId, Owned]:
        """All that is owned, pending and queued included, whoever bought it and whoever knows."""
        raise NotImplementedError

    def paid(self) -> dict[str, tuple[str, ...]]:
        return dict(self.world.snapshot().paid_by_intent)

    def _shown(self, record: Any) -> bool:  # noqa: ANN401 - a record of any world
        return record.hidden_until is None or self.now() >= record.hidden_until


def _nobody_watches(_: PurchaseOrder, __: CommitmentId) -> None:
    """Sales are looked up in the world itself."""


def _nobody_asks(_: AlterationOrder) -> None:
    """Changes are looked up in the world itself."""


def item(
    name: str,
    ware: Ware,
    quantity: Decimal,
    *,
    account: AccountId,
    term: tuple[datetime, datetime],
    state: CommitmentState,
    intent: str | None,
    **more: Any,  # noqa: ANN401 - further fields of the item
) -> InventoryItem:
    """One commitment as a listing shows it."""
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(name),
            offering=ware.offering,
            account=account,
            scope=None,
            zone=None,
            quantity=quantity,
            start=term[0],
            end=term[1],
            state=state,
        ),
        kind=ware.kind,
        term_months=12,
        payment=ware.payment,
        region=None,
        family=None,
        commit_usd_per_hour=CommitUsdPerHour(quantity * ware.usd_per_hour),
        upfront_usd=quantity * ware.upfront_usd,
        intent=None if intent is None else IntentId(intent),
        returnable_until=None,
        **more,
    )


YEAR_HOURS = TERM_HOURS[12]
