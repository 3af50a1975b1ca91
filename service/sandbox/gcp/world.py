"""The sandbox's Google Cloud: projects under one billing account, all from one seed.

Decides what exists and when; ``commitments`` and ``orders`` decide how a purchase lives, ``bills``
what it costs, ``server`` how it is asked for. Everything that touches a world holds ``world.lock``.
Time is the clock's: whoever moved it, the world catches up when it is next asked.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.errors import InvariantError
from service.domain.hours import DAY_HOURS, HourRange, floor_hour, require_utc
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Dataset, Usage
from service.sandbox.clock import VirtualClock
from service.sandbox.faults import FaultScript
from service.sandbox.gcp.bills import Bills
from service.sandbox.gcp.catalog import PROVIDER, RAM, VCPU, Catalog, RateKey, shipped_catalog
from service.sandbox.gcp.commitments import MB_PER_GB, CommitmentLedger, CommitmentRecord, Rates
from service.sandbox.gcp.orders import OrderLedger, OrderRecord
from service.sandbox.gcp.requests import Requests
from service.sandbox.gcp.traces import shipped_usage
from service.usage.gcp_sku import machine_sku

_INTENT = re.compile(r"tenor:intent=(\S+)")
_RATE_STEP = Decimal("0.0000001")


@dataclass(frozen=True, slots=True)
class GcpWorldOptions:
    """How a world begins.

    ``start`` is the first virtual instant, ``history_days`` the usage before it,
    ``horizon_days`` how far time can go. ``clock``: time that is shared with other clouds; its
    present is the start. ``shared``: commitments discount all projects of the billing account.
    ``request_id_hours``: how long Compute Engine knows a request again, ``order_id_hours`` how
    long procurement does. Lags are hours from a day's end until its billing data first appears
    (least and most), and from then until each restatement; the last is the truth.
    """

    seed: int = 7
    start: datetime = datetime(2026, 3, 2, tzinfo=UTC)
    clock: VirtualClock | None = None
    history_days: int = 120
    horizon_days: int = 800
    shared: bool = True
    request_id_hours: float = 1.0
    order_id_hours: float = 24.0
    export_lag_hours: tuple[int, int] = (12, 30)
    restate_after_hours: tuple[int, ...] = (24,)
    page_size: int = 500


@dataclass(frozen=True, slots=True)
class GcpSnapshot:
    """Where a world stands. ``paid_by_intent`` lists the purchases that each intent ended in.

    ``made_by_intent`` lists commitments made of others, which cost nothing more.
    """

    now: datetime
    states: Mapping[str, str]
    paid_by_intent: Mapping[str, tuple[str, ...]]
    made_by_intent: Mapping[str, tuple[str, ...]]
    double_purchases: int
    commitments_active: int
    committed_usd_per_hour: Decimal
    upfront_usd: Decimal


class GcpWorld:
    """A seeded billing account. ``lock`` guards all of it."""

    def __init__(self, options: GcpWorldOptions, catalog: Catalog, usage: Usage) -> None:
        self.options = options
        self.catalog = catalog
        self.usage = usage
        self.lock = threading.RLock()
        self.clock = options.clock or VirtualClock(require_utc(options.start))
        self.started_at = self.clock.now()
        self.faults = FaultScript(options.seed)
        self.billing_account = catalog.tables["billing_account"]
        self.projects = {n: AccountId(p) for n, p in catalog.tables["projects"].items()}
        self.buyer_project = next(iter(self.projects.values()))
        # Practice ids, not secrets: seeded, so that a run repeats exactly.
        self._ids = random.Random(options.seed)  # noqa: S311
        self.commitments = CommitmentLedger(catalog.tables["quota_vcpus"])
        self.orders = OrderLedger()
        self.requests = Requests()
        self.denied_permissions: set[str] = set()  # or PROJECT:PERMISSION, of one project
        self.query_results: dict[str, Any] = {}
        self.export_table: Callable[[], Any] | None = None
        self.bills = Bills(self)

    @classmethod
    def generated(cls, options: GcpWorldOptions | None = None) -> GcpWorld:
        """A world with the shipped catalogue and workloads, its usage drawn from the seed."""
        chosen = options or GcpWorldOptions()
        start = chosen.start if chosen.clock is None else chosen.clock.now()
        first = floor_hour(start).replace(hour=0) - timedelta(days=chosen.history_days)
        hours = HourRange(first, (chosen.history_days + chosen.horizon_days) * DAY_HOURS)
        return cls(chosen, shipped_catalog(), shipped_usage(chosen.seed, hours))

    def new_id(self) -> UUID:
        """The next id of this world's own sequence."""
        return UUID(int=self._ids.getrandbits(128), version=4)

    def new_number(self) -> int:
        """The next number of this world's own sequence, as Google numbers resources."""
        return self._ids.getrandbits(62)

    def now(self) -> datetime:
        """The current virtual instant."""
        return self.clock.now()

    def after_hours(self, hours: float) -> datetime:
        """The virtual instant ``hours`` from now."""
        return self.clock.now() + timedelta(hours=hours)

    def advance(self, hours: float) -> datetime:
        """Let ``hours`` pass; returns the new instant."""
        with self.lock:
            now = self.after_hours(hours)
            if now > self.usage.hours.end:
                msg = f"the world's usage ends at {self.usage.hours.end.isoformat()}"
                raise InvariantError(msg)
            self.clock.advance(now - self.clock.now())
            self.settle()
            return now

    def settle(self) -> None:
        """Let everything that is due by the clock's now happen; idempotent."""
        with self.lock:
            now = self.clock.now()
            self.commitments.settle(now)
            self.orders.settle(now)

    def change_price(self, region: str, family: str, factor: Decimal) -> None:
        """From now on commitments of the series there cost so many times as much."""
        with self.lock:
            self.catalog = self.catalog.with_price_factor(region, family, factor)

    def rates(self, region: str, family: str, months: int) -> Rates:
        """What one vCPU and one GB of the series are sold at now."""
        rates = self.catalog.rates_usd
        return (
            rates[RateKey(region, family, VCPU, months)],
            rates[RateKey(region, family, RAM, months)],
        )

    def dataset(self, hours: HourRange) -> Dataset:
        """What a bill over ``hours`` needs: usage, prices, and what was owned, at its own rates."""
        first, last = self.usage.hours.clip(hours.start, hours.end)
        if last - first != hours.count:
            msg = f"the world's usage does not reach over {hours}"
            raise InvariantError(msg)
        owned = [*self._resource_parts(), *map(self._flexible_part, self._placed())]
        charged = [pair for pair in owned if pair[1].start < hours.end > hours.start < pair[1].end]
        usage = Usage(hours, self.usage.lines, self.usage.quantity[first:last])
        return Dataset(
            usage,
            self.catalog.skus,
            {offering.offering: offering for offering, _ in charged},
            tuple(commitment for _, commitment in charged),
        )

    def _resource_parts(self) -> Iterator[tuple[Offering, Commitment]]:
        """Each stretch of each commitment's vCPUs and memory, as what bills know."""
        for record in self.commitments.records.values():
            for index, start, end, contents in record.charged():
                gb = Decimal(contents.memory_mb) / MB_PER_GB
                amounts = ((VCPU, Decimal(contents.vcpus)), (RAM, gb))
                for (resource, amount), rate in zip(amounts, contents.rates_usd, strict=True):
                    if amount > 0:
                        name = f"{record.key}/{resource}/{index}"
                        offering = _offering(record, resource, rate, name)
                        yield offering, self._part(offering, record.project, amount, start, end)

    def _part(
        self, offering: Offering, project: str, quantity: Decimal, start: datetime, end: datetime
    ) -> Commitment:
        account = AccountId(project)
        return Commitment(
            commitment=CommitmentId(offering.offering),
            offering=offering.offering,
            account=account,
            scope=None if self.options.shared or offering.kind.is_spend else frozenset({account}),
            zone=None,
            quantity=quantity,
            start=start,
            end=end,
            state=CommitmentState.ACTIVE,
        )

    def _placed(self) -> list[OrderRecord]:
        return [one for one in self.orders.records.values() if not one.operation.failed]

    def _flexible_part(self, order: OrderRecord) -> tuple[Offering, Commitment]:
        rates = {
            f"{key.region}/{key.sku}": (sku.on_demand_usd * (1 - order.discount_ratio)).quantize(
                _RATE_STEP
            )
            for key, sku in self.catalog.skus.items()
        }
        offering = Offering(
            offering=OfferingId(f"order/{order.order_id}"),
            provider=PROVIDER,
            kind=Kind.GCP_FLEXIBLE_CUD,
            term_months=order.term_months,
            payment=Payment.NO_UPFRONT,
            region=None,
            family=None,
            platform=None,
            tenancy=None,
            zone=None,
            size_flexible=False,
            rates_usd=rates,
            upfront_usd=Decimal(0),
            min_quantity=Decimal("0.01"),
            step=Decimal("0.01"),
        )
        part = self._part(offering, self.buyer_project, order.usd_per_hour, order.start, order.end)
        return offering, part

    def paid_by_intent(self) -> Mapping[str, tuple[str, ...]]:
        """Purchases that cost money, or will, by the intent in their description or name."""
        found: dict[str, tuple[str, ...]] = {}
        for record in self.commitments.records.values():
            if not record.made_of_others and not record.operation.failed:
                _note(found, record.description, record.key)
        for order in self._placed():
            _note(found, order.display_name, f"orders/{order.order_id}")
        return found

    def made_by_intent(self) -> Mapping[str, tuple[str, ...]]:
        """Commitments made of others, by the intent in their description."""
        found: dict[str, tuple[str, ...]] = {}
        for record in self.commitments.records.values():
            if record.made_of_others and not record.operation.failed:
                _note(found, record.description, record.key)
        return found

    def double_purchases(self) -> int:
        """How many intents ended in more than one purchase."""
        with self.lock:
            return sum(len(ids) > 1 for ids in self.paid_by_intent().values())

    def snapshot(self) -> GcpSnapshot:
        """Everything a test or a report asks about holdings, at one instant."""
        with self.lock:
            self.settle()
            now = self.now()
            records = [*self.commitments.records.values()]
            states = {one.key: one.status(now) for one in records}
            states |= {f"orders/{o.order_id}": o.status(now) for o in self._placed()}
            active = [one for one in records if one.status(now) == "ACTIVE"]
            spend = [one for one in self._placed() if one.status(now) == "ACTIVE"]
            return GcpSnapshot(
                now=now,
                states=states,
                paid_by_intent=self.paid_by_intent(),
                made_by_intent=self.made_by_intent(),
                double_purchases=self.double_purchases(),
                commitments_active=len(active) + len(spend),
                committed_usd_per_hour=sum(
                    (one.contents(now).usd_per_hour for one in active), Decimal(0)
                )
                + sum((one.usd_per_hour for one in spend), Decimal(0)),
                upfront_usd=Decimal(0),
            )


def _note(found: dict[str, tuple[str, ...]], text: str, name: str) -> None:
    tag = _INTENT.search(text)
    intent = tag[1] if tag else f"untagged {name}"
    found[intent] = (*found.get(intent, ()), name)


def _offering(record: CommitmentRecord, resource: str, rate_usd: Decimal, name: str) -> Offering:
    return Offering(
        offering=OfferingId(name),
        provider=PROVIDER,
        kind=Kind.GCP_RESOURCE_CUD,
        term_months=record.plan_months,
        payment=Payment.NO_UPFRONT,
        region=record.region,
        family=record.family,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=True,
        rates_usd={machine_sku(record.family, resource): rate_usd},
        upfront_usd=Decimal(0),
        min_quantity=Decimal(1),
        step=Decimal(1),
    )
