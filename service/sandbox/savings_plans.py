"""Savings Plans as AWS keeps them: decides each plan's life from purchase to end.

queued → queued-deleted | payment-pending → active | payment-failed; active → retired, or
pending-return → returned. Only an active plan discounts usage. Rules follow the Savings Plans
user guide: the client token makes creation repeatable, a return is free within seven days of
the purchase, inside its calendar month, up to $100 an hour and ten a year.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from service.domain.commitments import Commitment, CommitmentState, Offering, Payment
from service.domain.hours import HOUR, TERM_HOURS, floor_hour
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.sandbox.calendar import month_end, same_month
from service.sandbox.faults import ApiError

_COMMITMENT = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,5})?\Z")
_WHOLE = re.compile(r"[0-9]{1,12}(?:\.0+)?\Z")
_COMMITMENT_MIN, _COMMITMENT_MAX = Decimal("0.001"), Decimal(1_000_000)
_UPFRONT_SHARE_MIN, _UPFRONT_SHARE_MAX = Decimal("0.5"), Decimal("0.99")
_QUEUE_AHEAD_MAX = timedelta(days=3 * 365)
_RETURN_WINDOW = timedelta(days=7)
_RETURN_COMMITMENT_MAX = Decimal(100)
_RETURNS_PER_YEAR = 10
_TAGS_MAX = 50


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """``CreateSavingsPlan`` as it was sent; equal requests are the same request."""

    account: AccountId
    offering: OfferingId
    commitment: str
    upfront: str | None
    purchase_time: datetime | None
    tags: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class PlanRecord:
    """One Savings Plan. ``paid_at``/``failed_at``/``return_asked_at`` are ``None`` until then."""

    plan_id: CommitmentId
    request: PlanRequest
    token: str
    offering: Offering
    commitment_usd_per_hour: Decimal
    upfront_usd: Decimal
    asked_at: datetime
    start: datetime
    end: datetime
    tags: dict[str, str]
    payment_fails: bool = False
    hidden_until: datetime | None = None
    hidden_reads: int = 0
    deleted: bool = False
    paid_at: datetime | None = None
    failed_at: datetime | None = None
    return_asked_at: datetime | None = None
    returned_at: datetime | None = None
    return_token: str | None = None

    @property
    def arn(self) -> str:
        """The plan's ARN: no region, the owner's account."""
        return f"arn:aws:savingsplans::{self.request.account}:savingsplan/{self.plan_id}"

    def state(self, now: datetime) -> str:
        """The provider's word for where the plan stands."""
        if self.deleted:
            return "queued-deleted"
        if self.failed_at is not None:
            return "payment-failed"
        if self.returned_at is not None:
            return "returned"
        if self.return_asked_at is not None:
            return "pending-return"
        if self.paid_at is not None:
            return "retired" if now >= self.end else "active"
        return "queued" if now < self.start else "payment-pending"

    def returnable_until(self, now: datetime) -> datetime | None:
        """Until when a free return is open; ``None`` when there is none."""
        if self.state(now) != "active" or self.commitment_usd_per_hour > _RETURN_COMMITMENT_MAX:
            return None
        until = min(self.start + _RETURN_WINDOW, month_end(self.start))
        return until if now < until else None

    def charged(self) -> Commitment | None:
        """What the bill sees: the term from payment to the end or the return, if any of it."""
        if self.paid_at is None:
            return None
        # The hour in which payment goes through is the first one charged.
        start = max(self.start, floor_hour(self.paid_at))
        end = self.end
        if self.return_asked_at is not None:
            end = min(end, floor_hour(self.return_asked_at))
        if end <= start:
            return None
        return Commitment(
            commitment=self.plan_id,
            offering=self.offering.offering,
            account=self.request.account,
            scope=None,
            zone=None,
            quantity=self.commitment_usd_per_hour,
            start=start,
            end=end,
            state=CommitmentState.ACTIVE,
        )


@dataclass(slots=True)
class SavingsPlanLedger:
    """All plans of the world. Callers hold the world's lock and have settled time first."""

    payment_delay: timedelta
    return_delay: timedelta
    new_id: Callable[[], UUID]
    plans: dict[CommitmentId, PlanRecord] = field(default_factory=dict)
    _tokens: dict[tuple[AccountId, str], PlanRecord] = field(default_factory=dict)

    def create(
        self,
        request: PlanRequest,
        *,
        token: str,
        offerings: Mapping[OfferingId, Offering],
        now: datetime,
    ) -> tuple[PlanRecord, bool]:
        """Buy or queue a plan, or find the one that the token already bought.

        Returns the plan and whether it is new. Raises ``ApiError`` with the provider's codes.
        """
        known = self._tokens.get((request.account, token))
        if known is not None:
            if known.request != request:
                raise ApiError(
                    "ValidationException",
                    "The client token was already used with other parameters.",
                )
            return known, False
        offering = offerings.get(request.offering)
        if offering is None or not offering.kind.is_spend:
            raise ApiError(
                "ResourceNotFoundException", f"Offering {request.offering} does not exist.", 404
            )
        commitment = _commitment(request.commitment)
        start = _start(request.purchase_time, now)
        if len(request.tags) > _TAGS_MAX:
            raise ApiError("ServiceQuotaExceededException", "Too many tags.", 402)
        record = PlanRecord(
            plan_id=CommitmentId(str(self.new_id())),
            request=request,
            token=token,
            offering=offering,
            commitment_usd_per_hour=commitment,
            upfront_usd=_upfront(request.upfront, commitment, offering),
            asked_at=now,
            start=start,
            end=start + TERM_HOURS[offering.term_months] * HOUR,
            tags=dict(request.tags),
        )
        self.plans[record.plan_id] = record
        self._tokens[request.account, token] = record
        return record, True

    def find(self, account: AccountId, plan_id: str) -> PlanRecord:
        """The account's plan of that id; 404 when there is none."""
        record = self.plans.get(CommitmentId(plan_id))
        if record is None or record.request.account != account:
            raise ApiError(
                "ResourceNotFoundException", f"Savings Plan {plan_id} does not exist.", 404
            )
        return record

    def delete_queued(self, account: AccountId, plan_id: str, now: datetime) -> None:
        """Drop a queued purchase; nothing was ever charged for it."""
        record = self.find(account, plan_id)
        if record.state(now) != "queued":
            raise ApiError("ValidationException", "Only a queued Savings Plan can be deleted.")
        record.deleted = True

    def give_back(self, account: AccountId, plan_id: str, token: str, now: datetime) -> None:
        """Return an active plan inside its free window; asking twice with one token is one."""
        record = self.find(account, plan_id)
        if record.return_token is not None and record.return_token == token:
            return
        if record.state(now) != "active":
            raise ApiError("ValidationException", "Only an active Savings Plan can be returned.")
        if record.returnable_until(now) is None:
            raise ApiError("ValidationException", "The Savings Plan is not eligible for return.")
        returned_this_year = sum(
            1
            for other in self.plans.values()
            if other.request.account == account
            and other.return_asked_at is not None
            and other.return_asked_at.year == now.year
        )
        if returned_this_year >= _RETURNS_PER_YEAR:
            raise ApiError(
                "ServiceQuotaExceededException", "All returns of this year are used.", 402
            )
        record.return_asked_at = now
        record.return_token = token

    def settle(self, now: datetime) -> None:
        """Let payments and returns that are due by ``now`` happen."""
        for record in self.plans.values():
            self._settle_payment(record, now)
            asked = record.return_asked_at
            if asked is not None and now >= asked + self.return_delay:
                record.returned_at = record.returned_at or asked + self.return_delay

    def _settle_payment(self, record: PlanRecord, now: datetime) -> None:
        due = record.start + self.payment_delay
        settled = record.paid_at is not None or record.failed_at is not None
        if record.deleted or settled or now < due:
            return
        # A queued purchase must be invoiced within the calendar month that it starts in.
        too_late = record.request.purchase_time is not None and not same_month(record.start, due)
        if record.payment_fails or too_late:
            record.failed_at = due
        else:
            record.paid_at = due

    def listed(self, now: datetime, *, fresh: bool) -> list[PlanRecord]:
        """Every plan that a listing shows; ``fresh`` counts this as one more listing."""
        shown: list[PlanRecord] = []
        for record in self.plans.values():
            lagging = record.hidden_until is not None and now < record.hidden_until
            if lagging or record.hidden_reads > 0:
                if fresh and record.hidden_reads > 0:
                    record.hidden_reads -= 1
                continue
            shown.append(record)
        return shown


def _commitment(text: str) -> Decimal:
    if not _COMMITMENT.match(text):
        raise ApiError(
            "ValidationException", "The commitment must be a decimal with at most 5 places."
        )
    amount = Decimal(text)
    if not _COMMITMENT_MIN <= amount <= _COMMITMENT_MAX:
        raise ApiError("ValidationException", "The commitment must be 0.001 to 1000000.")
    return amount


def _upfront(text: str | None, commitment: Decimal, offering: Offering) -> Decimal:
    total = commitment * TERM_HOURS[offering.term_months]
    if offering.payment is Payment.PARTIAL_UPFRONT:
        if text is None:
            return (total * _UPFRONT_SHARE_MIN).quantize(Decimal("0.01"))
        if not _WHOLE.match(text):
            raise ApiError("ValidationException", "The upfront payment must be a whole number.")
        amount = Decimal(text)
        # The whole dollar nearest to a half may lie just under it.
        least = (total * _UPFRONT_SHARE_MIN).to_integral_value()
        if not least <= amount <= total * _UPFRONT_SHARE_MAX:
            raise ApiError(
                "ValidationException", "The upfront payment must be 50% to 99% of the plan."
            )
        return amount
    if text is not None:
        raise ApiError(
            "ValidationException", "An upfront payment amount is for Partial Upfront only."
        )
    return total if offering.payment is Payment.ALL_UPFRONT else Decimal(0)


def _start(purchase_time: datetime | None, now: datetime) -> datetime:
    start = (purchase_time or now).replace(microsecond=0)
    if purchase_time is not None and not now < start <= now + _QUEUE_AHEAD_MAX:
        raise ApiError(
            "ValidationException", "The purchase time must be within three years from now."
        )
    return start
