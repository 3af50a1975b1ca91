"""Resource commitments: decides how one lives from its purchase to the end of its term.

``CREATING`` until its operation is done, ``NOT_YET_ACTIVE`` until the next midnight Pacific time,
``ACTIVE`` to the end, then ``EXPIRED``, unless it renews itself. Merging makes one of several at
the next midnight, which cancels these; splitting moves resources to a new one at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from service.sandbox.gcp.operations import Operation, OperationError
from service.sandbox.gcp.pacific import next_midnight, term_end

MB_PER_GB = 1_024
Rates = tuple[Decimal, Decimal]
"""Dollars an hour of one vCPU, and of one GB."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a commitment commits to, and at which rates."""

    vcpus: int
    memory_mb: int
    rates_usd: Rates

    @property
    def usd_per_hour(self) -> Decimal:
        """Dollars an hour."""
        vcpu_usd, gb_usd = self.rates_usd
        return self.vcpus * vcpu_usd + Decimal(self.memory_mb) / MB_PER_GB * gb_usd


@dataclass(frozen=True, slots=True)
class Period:
    """Contents from ``start`` on, until the next period's start or the commitment's end."""

    start: datetime
    contents: Contents


@dataclass(slots=True)
class CommitmentRecord:
    """One commitment. ``plan_months`` and ``renews`` can change, and so can contents over time."""

    number: int
    project: str
    region: str
    name: str
    family: str
    commitment_type: str
    plan_months: int
    description: str
    renews: bool
    created_at: datetime
    start: datetime
    end: datetime
    periods: list[Period]
    operation: Operation
    merge_sources: tuple[str, ...] = ()
    split_source: str | None = None
    cancelled_at: datetime | None = None
    hidden_until: datetime | None = None
    hidden_reads: int = 0

    @property
    def key(self) -> str:
        """Project, region and name: unique while it exists."""
        return f"{self.project}/{self.region}/{self.name}"

    @property
    def made_of_others(self) -> bool:
        """It holds what was bought before, merged or split."""
        return bool(self.merge_sources) or self.split_source is not None

    def status(self, now: datetime) -> str:
        """Google's word for where it stands."""
        if self.operation.done_at is None:
            return "CREATING"
        if self.cancelled_at is not None and now >= self.cancelled_at:
            return "CANCELLED"
        if now < self.start:
            return "NOT_YET_ACTIVE"
        return "ACTIVE" if now < self.end else "EXPIRED"

    def contents(self, now: datetime) -> Contents:
        """What is committed to at ``now``, or at its start when that is yet to come."""
        begun = [one for one in self.periods if one.start <= now]
        return (begun or self.periods)[-1 if begun else 0].contents

    def change(self, at: datetime, contents: Contents) -> None:
        """From ``at`` on it commits to ``contents``."""
        kept = [one for one in self.periods if one.start < at]
        self.periods = [*kept, Period(max(at, self.start), contents)]

    def charged(self) -> Iterator[tuple[int, datetime, datetime, Contents]]:
        """Number, start, end and contents of each period that is charged."""
        if self.operation.failed:
            return
        ended = self.end if self.cancelled_at is None else min(self.end, self.cancelled_at)
        for index, period in enumerate(self.periods):
            following = self.periods[index + 1].start if index + 1 < len(self.periods) else ended
            end = min(following, ended)
            if period.start < end:
                yield index, period.start, end, period.contents

    def settle(self, now: datetime) -> None:
        """Renew at the end of the term where that is asked for."""
        while self.renews and self.cancelled_at is None and self.end <= now:
            self.end = term_end(self.end, self.plan_months)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An insert, as asked for, with the rates that it would be charged at."""

    project: str
    region: str
    name: str
    family: str
    commitment_type: str
    plan_months: int
    description: str
    renews: bool
    contents: Contents
    merge_sources: tuple[str, ...] = ()
    split_source: str | None = None


@dataclass(slots=True)
class CommitmentLedger:
    """All resource commitments, by project, region and name. ``quota_vcpus``: each region's."""

    quota_vcpus: int
    records: dict[str, CommitmentRecord] = field(default_factory=dict)
    failed: list[CommitmentRecord] = field(default_factory=list)

    def add(self, wanted: Wanted, number: int, operation: Operation, now: datetime) -> None:
        """Write the purchase down; it counts when its operation is done without an error."""
        start = next_midnight(now)
        record = CommitmentRecord(
            number=number,
            project=wanted.project,
            region=wanted.region,
            name=wanted.name,
            family=wanted.family,
            commitment_type=wanted.commitment_type,
            plan_months=wanted.plan_months,
            description=wanted.description,
            renews=wanted.renews,
            created_at=now,
            start=start,
            end=term_end(start, wanted.plan_months),
            periods=[Period(start, wanted.contents)],
            operation=operation,
            merge_sources=wanted.merge_sources,
            split_source=wanted.split_source,
        )
        self.records[record.key] = record
        operation.finish = lambda: self._finish(record)

    def settle(self, now: datetime) -> None:
        """Let everything that is due by ``now`` happen; idempotent."""
        for record in [*self.records.values()]:
            record.operation.settle(now)
            self.sweep(record)
            record.settle(now)

    def sweep(self, record: CommitmentRecord) -> None:
        """A commitment whose operation failed is gone, and its name is free again."""
        if record.operation.failed and self.records.get(record.key) is record:
            del self.records[record.key]
            self.failed.append(record)

    def _finish(self, record: CommitmentRecord) -> OperationError | None:
        if record.merge_sources:
            self._merge(record)
        elif record.split_source is not None:
            self._split(record, self.records[record.split_source])
        elif self._owned_vcpus(record) > self.quota_vcpus:
            message = f"Quota 'COMMITMENTS' exceeded. Limit: {self.quota_vcpus} in {record.region}."
            return OperationError("QUOTA_EXCEEDED", message)
        return None

    def _owned_vcpus(self, record: CommitmentRecord) -> int:
        """Committed vCPUs of the record's project and region, itself included."""
        return sum(
            other.periods[-1].contents.vcpus
            for other in self.records.values()
            if (other.project, other.region) == (record.project, record.region)
            and other.cancelled_at is None
            and other.end > record.created_at
        )

    def _merge(self, record: CommitmentRecord) -> None:
        """The latest end holds; what each source was bought at stays what is paid for it."""
        sources = [self.records[key] for key in record.merge_sources]
        record.end = max(source.end for source in sources)
        for source in sources:
            source.cancelled_at = record.start

    def _split(self, record: CommitmentRecord, source: CommitmentRecord) -> None:
        record.end = source.end
        taken, held = record.periods[0].contents, source.periods[-1].contents
        rest = replace(
            held, vcpus=held.vcpus - taken.vcpus, memory_mb=held.memory_mb - taken.memory_mb
        )
        source.change(record.start, rest)


def merged(sources: Sequence[Contents]) -> Contents:
    """All of ``sources`` in one, at rates that leave the sum as it was."""
    vcpus = sum(one.vcpus for one in sources)
    memory_mb = sum(one.memory_mb for one in sources)
    vcpu_usd = sum((one.vcpus * one.rates_usd[0] for one in sources), Decimal(0))
    gb_usd = sum((one.memory_mb * one.rates_usd[1] for one in sources), Decimal(0))
    return Contents(
        vcpus,
        memory_mb,
        (
            vcpu_usd / vcpus if vcpus else Decimal(0),
            gb_usd / memory_mb if memory_mb else Decimal(0),
        ),
    )
