"""EC2 Reserved Instances as AWS keeps them: decides each reservation's life.

Unlike a Savings Plan there is no client token: two calls are two purchases. queued →
queued-deleted | payment-pending → active | payment-failed; active → retired at the end, or when
an exchange or a modification puts others in its place (``reservation_changes``).
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
from service.sandbox.calendar import same_month
from service.sandbox.faults import ApiError

RESERVED_KINDS = frozenset({Kind.AWS_RI_REGIONAL, Kind.AWS_RI_ZONAL})
_PER_PLACE_AND_MONTH = 20
_QUEUE_AHEAD_MAX = timedelta(days=3 * 365)


@dataclass(slots=True)
class ReservationRecord:
    """``count`` instances' worth of one offering, for a region or for one of its zones.

    ``fixed_usd``: what one instance cost at once, as AWS shows it. ``upfront_due_usd``: what was
    charged at once for all of it. Both differ from the offering's where it was not bought but
    made from others.
    """

    reservation_id: CommitmentId
    account: AccountId
    region: str
    offering: Offering
    convertible: bool
    count: int
    asked_at: datetime
    start: datetime
    end: datetime
    fixed_usd: Decimal
    upfront_due_usd: Decimal
    is_purchase: bool = True
    tags: dict[str, str] = field(default_factory=dict)
    payment_fails: bool = False
    hidden_until: datetime | None = None
    hidden_reads: int = 0
    deleted: bool = False
    paid_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """The provider's word for where the reservation stands."""
        if self.deleted:
            return "queued-deleted"
        if self.failed_at is not None:
            return "payment-failed"
        if self.paid_at is not None:
            over = now >= self.end or self.replaced_at is not None
            return "retired" if over else "active"
        return "queued" if now < self.start else "payment-pending"

    def charged(self) -> Commitment | None:
        """What the bill sees, once it is paid."""
        if self.paid_at is None:
            return None
        # A purchase is charged from the hour in which its payment goes through.
        start = max(floor_hour(self.start), floor_hour(self.paid_at))
        end = self.end if self.replaced_at is None else floor_hour(self.replaced_at)
        if end <= start:
            return None
        return Commitment(
            commitment=self.reservation_id,
            offering=self.offering.offering,
            account=self.account,
            scope=None,
            zone=self.offering.zone,
            quantity=Decimal(self.count),
            start=start,
            end=end,
            state=CommitmentState.ACTIVE,
        )


@dataclass(slots=True)
class ReservationLedger:
    """All EC2 reservations of the world. Callers hold the world's lock."""

    payment_delay: timedelta
    new_id: Callable[[], UUID]
    reservations: dict[CommitmentId, ReservationRecord] = field(default_factory=dict)

    def purchase(
        self,
        *,
        account: AccountId,
        region: str,
        offering_id: str,
        count: int,
        purchase_time: datetime | None,
        offerings: Mapping[OfferingId, Offering],
        convertible: frozenset[OfferingId],
        now: datetime,
    ) -> ReservationRecord:
        """Buy or queue ``count`` instances; every call is a purchase of its own."""
        offering = find_offering(offerings, offering_id, region)
        if count < 1:
            raise ApiError("InvalidParameterValue", "The instance count must be at least 1.")
        if purchase_time is not None and offering.kind is not Kind.AWS_RI_REGIONAL:
            raise ApiError("InvalidParameterValue", "Only regional reservations can be queued.")
        if purchase_time is not None and not now < purchase_time <= now + _QUEUE_AHEAD_MAX:
            raise ApiError(
                "InvalidParameterValue", "The purchase time must be within three years from now."
            )
        self._check_quota(account, offering, count, now)
        start = (purchase_time or now).replace(microsecond=0)
        record = ReservationRecord(
            reservation_id=CommitmentId(str(self.new_id())),
            account=account,
            region=region,
            offering=offering,
            convertible=offering.offering in convertible,
            count=count,
            asked_at=now,
            start=start,
            end=start + TERM_HOURS[offering.term_months] * HOUR,
            fixed_usd=offering.upfront_usd,
            upfront_due_usd=offering.upfront_usd * count,
        )
        self.reservations[record.reservation_id] = record
        return record

    def _check_quota(
        self, account: AccountId, offering: Offering, count: int, now: datetime
    ) -> None:
        """Twenty instances a month for a region, and twenty for each of its zones."""
        place = (account, offering.region, offering.zone)
        this_month = sum(
            record.count
            for record in self.reservations.values()
            if (record.account, record.region, record.offering.zone) == place
            and same_month(record.asked_at, now)
            and record.is_purchase
            and not record.deleted
        )
        if this_month + count > _PER_PLACE_AND_MONTH:
            where = offering.zone or offering.region
            raise ApiError(
                "ReservedInstancesLimitExceeded",
                f"{this_month} of {_PER_PLACE_AND_MONTH} are bought in {where} this month.",
            )

    def owned_by(self, account: AccountId, region: str) -> list[ReservationRecord]:
        """The account's reservations in one region, in every state, hidden ones too."""
        return [
            record
            for record in self.reservations.values()
            if (record.account, record.region) == (account, region)
        ]

    def find(self, account: AccountId, region: str, reservation_id: str) -> ReservationRecord:
        """The account's reservation of that id in that region; ``ApiError`` when there is none."""
        record = self.reservations.get(CommitmentId(reservation_id))
        if record is None or (record.account, record.region) != (account, region):
            raise ApiError("InvalidReservedInstancesId", f"The id {reservation_id} does not exist.")
        return record

    def delete_queued(
        self, account: AccountId, region: str, reservation_id: str, now: datetime
    ) -> str | None:
        """Drop one queued purchase; the provider's failure code, or ``None`` when done."""
        try:
            record = self.find(account, region, reservation_id)
        except ApiError:
            return "reserved-instances-id-invalid"
        if record.state(now) != "queued":
            return "reserved-instances-not-in-queued-state"
        record.deleted = True
        return None

    def settle(self, now: datetime) -> None:
        """Let payments that are due by ``now`` happen."""
        for record in self.reservations.values():
            due = record.start + self.payment_delay
            if record.deleted or record.paid_at or record.failed_at or now < due:
                continue
            if record.payment_fails:
                record.failed_at = due
            else:
                record.paid_at = due

    def listed(self, account: AccountId, region: str, now: datetime) -> list[ReservationRecord]:
        """What one listing shows; counts as one more listing for those that still lag."""
        shown: list[ReservationRecord] = []
        for record in self.owned_by(account, region):
            lagging = record.hidden_until is not None and now < record.hidden_until
            if lagging or record.hidden_reads > 0:
                record.hidden_reads = max(record.hidden_reads - 1, 0)
                continue
            shown.append(record)
        return shown


def find_offering(
    offerings: Mapping[OfferingId, Offering], offering_id: str, region: str
) -> Offering:
    """The EC2 offering of that id in that region; ``ApiError`` when it is not on sale there."""
    offering = offerings.get(OfferingId(offering_id))
    if offering is None or offering.kind not in RESERVED_KINDS or offering.region != region:
        raise ApiError(
            "InvalidReservedInstancesOfferingId", f"{offering_id} is not on sale in {region}."
        )
    return offering
