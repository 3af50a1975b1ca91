"""Reserved nodes of RDS, ElastiCache, MemoryDB, OpenSearch and Redshift, as AWS keeps them.

A purchase may carry a name of the buyer's own, which exists once in an account, region and
service; Redshift takes none. payment-pending → active | payment-failed; active → retired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering
from service.domain.hours import HOUR, TERM_HOURS, floor_hour
from service.domain.ids import AccountId, CommitmentId, OfferingId

OWN_NAME_PREFIX = "tenor-"


@dataclass(slots=True)
class NodeRecord:
    """``count`` nodes' worth of one offering. ``identity`` is how a bill names it."""

    identity: CommitmentId
    name: str
    account: AccountId
    offering: Offering
    count: int
    start: datetime
    end: datetime
    tags: dict[str, str] = field(default_factory=dict)
    payment_fails: bool = False
    hidden_until: datetime | None = None
    hidden_reads: int = 0
    paid_at: datetime | None = None
    failed_at: datetime | None = None

    @property
    def upfront_due_usd(self) -> Decimal:
        """What was charged at once."""
        return self.offering.upfront_usd * self.count

    def state(self, now: datetime) -> str:
        """The provider's word for where the reservation stands."""
        if self.failed_at is not None:
            return "payment-failed"
        if self.paid_at is not None:
            return "retired" if now >= self.end else "active"
        return "payment-pending"

    def charged(self) -> Commitment | None:
        """What the bill sees, once it is paid."""
        if self.paid_at is None:
            return None
        return Commitment(
            commitment=self.identity,
            offering=self.offering.offering,
            account=self.account,
            scope=None,
            zone=None,
            quantity=Decimal(self.count),
            start=max(floor_hour(self.start), floor_hour(self.paid_at)),
            end=self.end,
            state=CommitmentState.ACTIVE,
        )


class NameTakenError(Exception):
    """The buyer's own name is taken already."""


class NotSoldError(Exception):
    """There is no such offering for this service in this region."""


@dataclass(slots=True)
class NodeLedger:
    """All node reservations of the world. Callers hold the world's lock."""

    payment_delay: timedelta
    new_id: Callable[[], UUID]
    nodes: dict[CommitmentId, NodeRecord] = field(default_factory=dict)

    def purchase(
        self,
        kind: Kind,
        *,
        account: AccountId,
        region: str,
        offering_id: str,
        name: str | None,
        identity: Callable[[str], str],
        count: int,
        tags: Mapping[str, str],
        offerings: Mapping[OfferingId, Offering],
        now: datetime,
    ) -> NodeRecord:
        """Buy ``count`` nodes; ``identity`` makes a name into what the reservation is known by."""
        offering = offerings.get(OfferingId(offering_id))
        if offering is None or (offering.kind, offering.region) != (kind, region):
            raise NotSoldError(offering_id)
        given = (name or f"ri-{self.new_id()}").lower()
        if any(one.name == given for one in self.owned_by(kind, account, region)):
            raise NameTakenError(given)
        start = now.replace(microsecond=0)
        record = NodeRecord(
            identity=CommitmentId(identity(given)),
            name=given,
            account=account,
            offering=offering,
            count=count,
            start=start,
            end=start + TERM_HOURS[offering.term_months] * HOUR,
            tags=dict(tags),
        )
        self.nodes[record.identity] = record
        return record

    def owned_by(self, kind: Kind, account: AccountId, region: str) -> list[NodeRecord]:
        """The account's reservations of one service and region, hidden ones too."""
        return [
            record
            for record in self.nodes.values()
            if (record.offering.kind, record.offering.region, record.account)
            == (kind, region, account)
        ]

    def listed(
        self, kind: Kind, account: AccountId, region: str, now: datetime
    ) -> list[NodeRecord]:
        """What one listing shows; counts as one more listing for those that still lag."""
        shown: list[NodeRecord] = []
        for record in self.owned_by(kind, account, region):
            lagging = record.hidden_until is not None and now < record.hidden_until
            if lagging or record.hidden_reads > 0:
                record.hidden_reads = max(record.hidden_reads - 1, 0)
                continue
            shown.append(record)
        return shown

    def settle(self, now: datetime) -> None:
        """Let payments that are due by ``now`` happen."""
        for record in self.nodes.values():
            due = record.start + self.payment_delay
            if record.paid_at or record.failed_at or now < due:
                continue
            if record.payment_fails:
                record.failed_at = due
            else:
                record.paid_at = due
