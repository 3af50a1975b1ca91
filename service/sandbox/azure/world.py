"""The sandbox's Azure: subscriptions, usage, prices, holdings and time, all from one seed.

Decides what exists and when; ``orders``, ``changes`` and ``savings_plans`` decide how a purchase
lives, ``wire`` how it is asked for. Everything that touches a world holds ``world.lock``, since the
server answers in threads. Its clock may be another cloud's too: what is due by now happens whenever
the world is looked at, whoever moved the clock.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, TERM_HOURS, HourRange, floor_hour, require_utc
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Dataset, Usage
from service.sandbox.accrual import Accrual
from service.sandbox.azure.catalog import COMMITMENT_STEP, PROVIDER, AzureCatalog, shipped_catalog
from service.sandbox.azure.changes import Changes
from service.sandbox.azure.orders import OrderBook, Reservation
from service.sandbox.azure.savings_plans import Plan, PlanBook
from service.sandbox.azure.traces import shipped_usage
from service.sandbox.clock import VirtualClock
from service.sandbox.faults import FaultScript

INTENT_PREFIX = "tenor-"
_PAID = frozenset({"Creating", "PendingResourceHold", "PendingBilling", "Succeeded", "Expired"})


@dataclass(frozen=True, slots=True)
class AzureWorldOptions:
    """How a world begins.

    ``start`` is the first virtual instant, ``history_days`` the usage before it, ``horizon_days``
    how far time can go. ``operation_hours`` and ``operation_reads``: a purchase is done after so
    much virtual time, or after it was asked about so often. ``quote_hours``: how long a calculated
    price, and the session of a return or exchange, holds. ``poll_style``: ``location`` (202 and a
    Location) or ``body`` (200 and a provisioning state). Exports appear within ``export_lag_hours``
    of a day's end and are restated after so many hours more; ``daily_exports``: with a row a day,
    as Azure's are, not an hour. Hourly charges are told ``charges_lag_hours`` after their day's
    end. ``page_size`` is the most that one
    answer lists. ``granted``: the actions that the sandbox's principal may do, ``*`` for any run of
    characters. ``monthly_totals``: the total of a monthly plan is told of the whole ``term``, or of
    one ``payment``. ``clock``: another sandbox's clock, to share its time.
    """

    seed: int = 7
    start: datetime = datetime(2026, 3, 2, tzinfo=UTC)
    history_days: int = 120
    horizon_days: int = 800
    operation_hours: float = 0.5
    operation_reads: int = 2
    quote_hours: float = 1.0
    poll_style: str = "location"
    refund_limit_usd: Decimal = Decimal(50_000)
    export_lag_hours: tuple[int, int] = (24, 48)
    restate_after_hours: tuple[int, ...] = (30,)
    daily_exports: bool = False
    charges_lag_hours: int = 48
    page_size: int = 50
    granted: tuple[str, ...] = ("*",)
    monthly_totals: str = "term"
    clock: VirtualClock | None = None


@dataclass(frozen=True, slots=True)
class AzureSnapshot:
    """Where a world stands. ``paid_by_intent`` lists the purchases that each intent ended in."""

    now: datetime
    states: Mapping[str, str]
    paid_by_intent: Mapping[str, tuple[str, ...]]
    double_purchases: int
    commitments_active: int
    committed_usd_per_hour: Decimal
    upfront_usd: Decimal
    refunds_consumed_usd: Decimal


class AzureWorld:
    """A seeded Azure tenant. ``lock`` guards all of it."""

    def __init__(self, options: AzureWorldOptions, catalog: AzureCatalog, usage: Usage) -> None:
        self.options = options
        self.catalog = catalog
        self.usage = usage
        self.lock = threading.RLock()
        self.clock = options.clock or VirtualClock(require_utc(options.start))
        self.faults = FaultScript(options.seed)
        self.tenant = catalog.tables["tenant"]
        self.subscriptions = catalog.tables["subscriptions"]
        self.payer = AccountId(self.subscriptions["billing"])
        self.granted = options.granted
        # What scopes, in lower case, tell of their own: orders are listed as far as one may see.
        self.granted_at: dict[str, tuple[str, ...]] = {}
        self.registered = {"Microsoft.Capacity", "Microsoft.BillingBenefits"}
        # Practice ids, not secrets: seeded, so that a run repeats exactly.
        self._ids = random.Random(f"azure {options.seed}")  # noqa: S311
        takes = timedelta(hours=options.operation_hours)
        holds = timedelta(hours=options.quote_hours)
        self.book = OrderBook(catalog, self.new_id, holds, takes, options.operation_reads)
        self.changes = Changes(self.book, options.refund_limit_usd, holds)
        self.plans = PlanBook(catalog, self.new_id, takes, options.operation_reads)
        self.operations: dict[str, object] = {}
        self.accrual = Accrual(self)

    @classmethod
    def generated(cls, options: AzureWorldOptions | None = None) -> AzureWorld:
        """A world with the shipped catalogue and workloads, its usage drawn from the seed."""
        chosen = options or AzureWorldOptions()
        if chosen.clock is not None:
            chosen = replace(chosen, start=chosen.clock.now())
        first = floor_hour(chosen.start).replace(hour=0) - timedelta(days=chosen.history_days)
        days = chosen.history_days + chosen.horizon_days
        hours = HourRange(first, days * DAY_HOURS)
        return cls(chosen, shipped_catalog(), shipped_usage(chosen.seed, hours))

    def new_id(self) -> UUID:
        """The next id of this world's own sequence."""
        return UUID(int=self._ids.getrandbits(128), version=4)

    def now(self) -> datetime:
        """The current virtual instant."""
        return self.clock.now()

    def advance(self, hours: float) -> datetime:
        """Let ``hours`` pass: operations end, terms end. Returns the new instant."""
        with self.lock:
            now = self.now() + timedelta(hours=hours)
            if now > self.usage.hours.end:
                msg = f"the world's usage ends at {self.usage.hours.end.isoformat()}"
                raise InvariantError(msg)
            self.clock.advance(now - self.now())
            self.settle()
            return now

    def settle(self) -> None:
        """Let everything that is due by now happen; idempotent."""
        with self.lock:
            self.book.settle(self.now())
            self.plans.settle(self.now())

    def change_price(self, region: str, arm_name: str, factor: Decimal) -> None:
        """From now on the size costs ``factor`` times as much to reserve or to plan for."""
        with self.lock:
            self.catalog.raise_price(region, arm_name, factor)

    def dataset(self, hours: HourRange) -> Dataset:
        """What a bill over ``hours`` needs: usage, prices, and what was owned, at its own rates."""
        first, last = self.usage.hours.clip(hours.start, hours.end)
        if last - first != hours.count:
            msg = f"the world's usage does not reach over {hours}"
            raise InvariantError(msg)
        owned = [*self._owned_reservations(), *self._owned_plans()]
        return Dataset(
            Usage(hours, self.usage.lines, self.usage.quantity[first:last]),
            self.catalog.skus,
            {offering.offering: offering for _, offering in owned},
            tuple(commitment for commitment, _ in owned),
        )

    def _owned_reservations(self) -> Iterator[tuple[Commitment, Offering]]:
        for one in self.book.reservations():
            if one.order.paid_at is None:
                continue
            offering = reservation_offering(one)
            segments = list(one.segments())
            for number, segment in enumerate(segments):
                # Only the last keeps the name: bills know a reservation by it.
                past = "" if number == len(segments) - 1 else f" before {segment.end:%Y-%m-%dT%H}"
                commitment = Commitment(
                    commitment=CommitmentId(one.resource_id + past),
                    offering=offering.offering,
                    account=self.payer,
                    scope=scope_of(one.scopes),
                    zone=None,
                    quantity=Decimal(segment.quantity),
                    start=segment.start,
                    end=segment.end,
                    state=CommitmentState.ACTIVE,
                )
                yield commitment, offering

    def _owned_plans(self) -> Iterator[tuple[Commitment, Offering]]:
        for plan in self.plans.plans:
            if plan.paid_at is None:
                continue
            offering = plan_offering(plan)
            commitment = Commitment(
                commitment=CommitmentId(plan.resource_id),
                offering=offering.offering,
                account=self.payer,
                scope=scope_of(plan.terms.scopes),
                zone=None,
                quantity=plan.terms.usd_per_hour,
                start=plan.start,
                end=plan.end,
                state=CommitmentState.ACTIVE,
            )
            yield commitment, offering

    def double_purchases(self) -> int:
        """How many intents ended in more than one purchase that costs money."""
        with self.lock:
            return sum(len(ids) > 1 for ids in self.paid_by_intent().values())

    def paid_by_intent(self) -> Mapping[str, tuple[str, ...]]:
        """Orders that cost money, or will, by the intent that their names carry.

        Exchanges count under their own intent. What Azure renews by itself has none.
        """
        self.settle()
        found: dict[str, tuple[str, ...]] = {}
        for order in self.book.orders.values():
            if order.state in _PAID and order.terms.intended:
                intent = order.terms.display_name.removeprefix(INTENT_PREFIX)
                found[intent] = (*found.get(intent, ()), order.order_id)
        for plan in self.plans.plans:
            if plan.state in _PAID and plan.renew_source is None:
                intent = plan.terms.display_name.removeprefix(INTENT_PREFIX)
                found[intent] = (*found.get(intent, ()), plan.order_id)
        return found

    def snapshot(self) -> AzureSnapshot:
        """Everything a test or a report asks about holdings, at one instant."""
        with self.lock:
            self.settle()
            reservations = self.book.reservations()
            states = {one.resource_id: one.state for one in reservations}
            states |= {one.resource_id: one.state for one in self.plans.plans}
            live = [one for one in reservations if one.is_live]
            plans = [one for one in self.plans.plans if one.state == "Succeeded"]
            committed = [one.order.unit_usd * one.quantity / _hours(one) for one in live]
            committed += [one.terms.usd_per_hour for one in plans]
            upfront = [
                one.order.unit_usd * one.quantity for one in live if not one.order.terms.monthly
            ]
            upfront += [one.upfront_usd for one in plans]
            return AzureSnapshot(
                now=self.now(),
                states=states,
                paid_by_intent=self.paid_by_intent(),
                double_purchases=self.double_purchases(),
                commitments_active=len(live) + len(plans),
                committed_usd_per_hour=sum(committed, Decimal(0)),
                upfront_usd=sum(upfront, Decimal(0)),
                refunds_consumed_usd=self.changes.consumed_usd(self.now()),
            )


def _hours(one: Reservation) -> int:
    return TERM_HOURS[one.order.terms.months]


def scope_of(scopes: tuple[str, ...]) -> frozenset[AccountId] | None:
    """A scope in the domain's words: subscriptions, or ``subscription/group``; ``None`` shared."""
    if not scopes:
        return None
    words = set()
    for path in scopes:
        parts = path.strip("/").split("/")
        words.add(AccountId("/".join((parts[1], *(word.lower() for word in parts[3:4])))))
    return frozenset(words)


def reservation_offering(one: Reservation) -> Offering:
    """What a reservation is of, at the price it was bought at."""
    order, months = one.order, one.order.terms.months
    monthly = order.terms.monthly
    return Offering(
        offering=OfferingId(f"owned {one.resource_id}"),
        provider=PROVIDER,
        kind=Kind.AZURE_RESERVATION,
        term_months=months,
        payment=Payment.NO_UPFRONT if monthly else Payment.ALL_UPFRONT,
        region=order.machine.region,
        family=order.machine.group,
        platform="linux",
        tenancy=None,
        zone=None,
        size_flexible=one.flexible,
        rates_usd={order.machine.arm_name: order.unit_usd / TERM_HOURS[months]},
        upfront_usd=Decimal(0) if monthly else order.unit_usd,
        min_quantity=Decimal(1),
        step=Decimal(1),
    )


def plan_offering(plan: Plan) -> Offering:
    """What a savings plan is of, at the rates it was bought at."""
    months = plan.terms.months
    return Offering(
        offering=OfferingId(f"owned {plan.resource_id}"),
        provider=PROVIDER,
        kind=Kind.AZURE_SAVINGS_PLAN,
        term_months=months,
        payment=Payment.NO_UPFRONT if plan.terms.monthly else Payment.ALL_UPFRONT,
        region=None,
        family=None,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=False,
        rates_usd=plan.rates,
        upfront_usd=Decimal(0) if plan.terms.monthly else Decimal(TERM_HOURS[months]),
        min_quantity=COMMITMENT_STEP,
        step=COMMITMENT_STEP,
    )
