"""Orders of flexible commitments: decides how one lives from placing to the end of its term.

An order waits until its operation is done; its commitment begins with the next hour. An order that
fails is deleted: afterwards no list knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from service.sandbox.gcp.operations import Operation
from service.sandbox.gcp.pacific import next_hour, term_end


@dataclass(slots=True)
class OrderRecord:
    """One order of ``usd_per_hour`` of discounted spend."""

    order_id: str
    display_name: str
    offer: str
    term_months: int
    discount_ratio: Decimal
    usd_per_hour: Decimal
    region: str
    created_at: datetime
    operation: Operation
    start: datetime
    end: datetime
    hidden_until: datetime | None = None
    hidden_reads: int = 0

    def status(self, now: datetime) -> str:
        """Where it stands: ``PENDING``, ``QUEUED``, ``ACTIVE`` or ``EXPIRED``."""
        if self.operation.done_at is None:
            return "PENDING"
        if now < self.start:
            return "QUEUED"
        return "ACTIVE" if now < self.end else "EXPIRED"


@dataclass(slots=True)
class OrderLedger:
    """All orders by id."""

    records: dict[str, OrderRecord] = field(default_factory=dict)
    failed: list[OrderRecord] = field(default_factory=list)

    def add(self, record: OrderRecord) -> None:
        """Write an order down."""
        self.records[record.order_id] = record

    def settle(self, now: datetime) -> None:
        """Let operations end that are due by ``now``; idempotent."""
        for record in [*self.records.values()]:
            record.operation.settle(now)
            self.sweep(record)

    def sweep(self, record: OrderRecord) -> None:
        """A failed order is deleted."""
        if record.operation.failed and self.records.get(record.order_id) is record:
            del self.records[record.order_id]
            self.failed.append(record)


def term_of(created_at: datetime, months: int) -> tuple[datetime, datetime]:
    """Start and end of a flexible commitment that is ordered at ``created_at``."""
    start = next_hour(created_at)
    return start, term_end(start, months)
