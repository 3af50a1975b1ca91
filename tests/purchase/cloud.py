"""A cloud in one file: sells commitments, forgets nothing, fails as it is told to.

Its file outlives the process that called it, so that a test can kill the caller at any step and
ask afterwards what was really sold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.hours import Clock
from service.domain.ids import AccountId, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import (
    Bought,
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

PROVIDER = "aws"
ACCOUNT = AccountId("111111111111")
UPFRONT_USD_PER_UNIT = Decimal(100)


class Fault(StrEnum):
    """How a purchase goes wrong, and whether the commitment exists afterwards."""

    NONE = "none"
    REFUSE = "refuse"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_AFTER = "error_after"


SOLD_ANYWAY = {Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER}


@dataclass(frozen=True)
class Sale:
    """One commitment that the cloud sold."""

    commitment: CommitmentId
    intent: IntentId
    token: str
    offering: OfferingId
    quantity: Decimal


class FileCloud:
    """One account of the cloud. ``tagged``: what it sells carries the intent's id."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        account: AccountId = ACCOUNT,
        fault: Fault = Fault.NONE,
        lag: timedelta = timedelta(0),
        idempotency: Idempotency = Idempotency.NATIVE,
        tagged: bool = True,
        rate: Decimal = Decimal(1),
    ) -> None:
        self._path = path
        self._clock = clock
        self._account = account
        self.fault = fault
        self._lag = lag
        self._idempotency = idempotency
        self._tagged = tagged
        self.rate = rate
        self.renewing: set[CommitmentId] = set()
        self.hidden: set[CommitmentId] = set()
        """What this very client does not see listed yet."""
        with self._open() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS sold (commitment INTEGER PRIMARY KEY, intent TEXT,"
                " token TEXT, account TEXT, offering TEXT, kind TEXT, term INTEGER, payment TEXT,"
                " quantity TEXT, at TEXT, state TEXT)"
            )
            database.execute("CREATE TABLE IF NOT EXISTS calls (intent TEXT, token TEXT)")

    def identity(self) -> Identity:
        return Identity(PROVIDER, self._account, "tester")

    def accounts(self) -> Sequence[AccountId]:
        return [self._account]

    def prices(self, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]) -> Sequence[Sku]:
        raise NotImplementedError

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        raise NotImplementedError

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        raise NotImplementedError

    def idempotency(self, kind: Kind) -> Idempotency:
        del kind
        return self._idempotency

    def quote(self, order: PurchaseOrder) -> Quote:
        return Quote(
            offering=order.offering,
            quantity=order.quantity,
            commit_usd_per_hour=CommitUsdPerHour(order.quantity * self.rate),
            upfront_usd=order.quantity * UPFRONT_USD_PER_UNIT,
            quoted_at=self._clock.now(),
        )

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        stopped = still_wanted()
        if stopped is not None:
            return stopped
        with self._open() as database:
            database.execute("INSERT INTO calls VALUES (?, ?)", (order.intent, order.token))
        if self.fault is Fault.REFUSE:
            return Refused("QuotaExceeded", "no more")
        if self.fault is Fault.TIMEOUT_BEFORE:
            return Unknown("timed out")
        commitment = self._sell(order)
        if self.fault in SOLD_ANYWAY:
            return Unknown(self.fault.value)
        return Bought(commitment)

    def inventory(self) -> Sequence[InventoryItem]:
        shown_before = self._clock.now() - self._lag
        with self._open() as database:
            rows = database.execute(
                "SELECT * FROM sold WHERE account = ? ORDER BY commitment", (self._account,)
            ).fetchall()
        items = [self._item(row) for row in rows]
        return [
            item
            for item in items
            if item.commitment.start <= shown_before
            and item.commitment.commitment not in self.hidden
        ]

    def sales(self) -> list[Sale]:
        """Everything ever sold, in every account."""
        with self._open() as database:
            rows = database.execute("SELECT * FROM sold ORDER BY commitment").fetchall()
        return [
            Sale(
                CommitmentId(f"sp-{row['commitment']}"),
                IntentId(row["intent"]),
                row["token"],
                OfferingId(row["offering"]),
                Decimal(row["quantity"]),
            )
            for row in rows
        ]

    def calls(self) -> list[tuple[str, str]]:
        """Every call that reached the cloud, as (intent, token)."""
        with self._open() as database:
            return [tuple(row) for row in database.execute("SELECT intent, token FROM calls")]

    def set_state(self, commitment: CommitmentId, state: CommitmentState) -> None:
        """Let a commitment's state change, as a provider does by itself."""
        with self._open() as database:
            database.execute(
                "UPDATE sold SET state = ? WHERE commitment = ?",
                (state.value, int(commitment.removeprefix("sp-"))),
            )

    def lengthen(self, commitment: CommitmentId, term_months: int) -> None:
        """Let a commitment last longer, in place: it keeps its id and its start."""
        with self._open() as database:
            database.execute(
                "UPDATE sold SET term = ? WHERE commitment = ?",
                (term_months, int(commitment.removeprefix("sp-"))),
            )

    def forget(self, commitment: CommitmentId) -> None:
        """Let a commitment vanish."""
        with self._open() as database:
            key = int(commitment.removeprefix("sp-"))
            database.execute("DELETE FROM sold WHERE commitment = ?", (key,))

    def sell_to_somebody(self, order: PurchaseOrder) -> CommitmentId:
        """Sell without a call of ours: a person in the provider's own console."""
        return self._sell(order)

    def _sell(self, order: PurchaseOrder) -> CommitmentId:
        with self._open() as database:
            if self._idempotency is Idempotency.NATIVE:
                known = database.execute(
                    "SELECT commitment FROM sold WHERE token = ?", (order.token,)
                ).fetchone()
                if known is not None:
                    return CommitmentId(f"sp-{known['commitment']}")
            row = database.execute(
                "INSERT INTO sold (intent, token, account, offering, kind, term, payment,"
                " quantity, at, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING commitment",
                (
                    order.intent,
                    order.token,
                    order.account,
                    order.offering,
                    order.kind.value,
                    order.term_months,
                    order.payment.value,
                    str(order.quantity),
                    self._clock.now().isoformat(),
                    CommitmentState.ACTIVE.value,
                ),
            ).fetchone()
            return CommitmentId(f"sp-{row['commitment']}")

    def _item(self, row: sqlite3.Row) -> InventoryItem:
        start = datetime.fromisoformat(row["at"])
        quantity = Decimal(row["quantity"])
        name = CommitmentId(f"sp-{row['commitment']}")
        return InventoryItem(
            commitment=Commitment(
                commitment=name,
                offering=OfferingId(row["offering"]),
                account=AccountId(row["account"]),
                scope=None,
                zone=None,
                quantity=quantity,
                start=start,
                end=start + timedelta(days=365) * row["term"] / 12,
                state=CommitmentState(row["state"]),
            ),
            kind=Kind(row["kind"]),
            term_months=row["term"],
            payment=Payment(row["payment"]),
            region=None,
            family=None,
            commit_usd_per_hour=CommitUsdPerHour(quantity * self.rate),
            upfront_usd=quantity * UPFRONT_USD_PER_UNIT,
            intent=IntentId(row["intent"]) if self._tagged and row["intent"] else None,
            returnable_until=None,
            renews=name in self.renewing,
        )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as database:
            database.row_factory = sqlite3.Row
            with database:
                yield database
