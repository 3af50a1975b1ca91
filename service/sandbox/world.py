"""The sandbox's one world: accounts, usage, prices, holdings and time, all from one seed.

Decides what exists and when; ``savings_plans`` and ``reservations`` decide how a purchase
lives, ``accrual`` what it costs, ``server`` how it is asked for. Everything that touches a
world holds ``world.lock``, since the server answers in threads.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from service.domain.commitments import Commitment, Offering
from service.domain.errors import InputError, InvariantError
from service.domain.hours import DAY_HOURS, HourRange, floor_hour, require_utc
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Dataset, Usage
from service.sandbox.accrual import Accrual
from service.sandbox.catalog import Catalog, shipped_catalog
from service.sandbox.clock import VirtualClock
from service.sandbox.faults import FaultScript
from service.sandbox.identity import IdentityDesk
from service.sandbox.nodes import OWN_NAME_PREFIX, NodeLedger
from service.sandbox.rates import PROVIDER
from service.sandbox.reservation_changes import ReservationChanges
from service.sandbox.reservations import ReservationLedger
from service.sandbox.savings_plans import SavingsPlanLedger
from service.sandbox.tables import shipped_tables
from service.sandbox.traces import shipped_usage

INTENT_TAG = "tenor:intent"
_PAID_STATES = frozenset({"payment-pending", "active", "retired", "pending-return", "queued"})


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """How a world begins.

    ``start`` is the first virtual instant, ``history_days`` the usage before it,
    ``horizon_days`` how far time can go. Delays and lags are in virtual hours: until a payment
    goes through, until a return or a modification is done, from a day's end until its billing
    data first appears (least and most), and from then until each restatement; the last is the
    truth.
    ``external_id`` is what roles ask for, ``page_size`` the most that one answer lists.
    ``databases`` lets the organisation use managed nodes too: databases, caches and the like.
    """

    seed: int = 7
    start: datetime = datetime(2026, 3, 2, tzinfo=UTC)
    history_days: int = 120
    horizon_days: int = 800
    payment_delay_hours: float = 0.5
    return_delay_hours: float = 2.0
    modify_delay_hours: float = 0.1
    export_lag_hours: tuple[int, int] = (24, 48)
    restate_after_hours: tuple[int, ...] = (30,)
    external_id: str | None = None
    page_size: int = 100
    databases: bool = False


@dataclass(frozen=True, slots=True)
class WorldSnapshot:
    """Where a world stands. ``paid_by_intent`` lists the purchases that each intent ended in."""

    now: datetime
    states: Mapping[str, str]
    paid_by_intent: Mapping[str, tuple[str, ...]]
    double_purchases: int
    commitments_active: int
    committed_usd_per_hour: Decimal
    upfront_usd: Decimal


class World:
    """A seeded AWS organisation. ``lock`` guards all of it.

    ``denied``: IAM actions that nobody is granted; ``granted_on``: those that IAM grants on one
    pattern of resources alone; ``exports_folder``: what S3 serves.
    """

    def __init__(self, options: WorldOptions, catalog: Catalog, usage: Usage) -> None:
        self.options = options
        self.catalog = catalog
        self.usage = usage
        self.lock = threading.RLock()
        self.clock = VirtualClock(require_utc(options.start))
        self.faults = FaultScript(options.seed)
        self.accounts, self.payer = _accounts(usage)
        # Practice ids, not secrets: seeded, so that a run repeats exactly.
        self._ids = random.Random(options.seed)  # noqa: S311
        self.identity = IdentityDesk(self.accounts, self.payer, options.external_id, self.new_id)
        payment_delay = timedelta(hours=options.payment_delay_hours)
        self.savings_plans = SavingsPlanLedger(
            payment_delay, timedelta(hours=options.return_delay_hours), self.new_id
        )
        self.reservations = ReservationLedger(payment_delay, self.new_id)
        self.reservation_changes = ReservationChanges(
            self.reservations, timedelta(hours=options.modify_delay_hours)
        )
        self.nodes = NodeLedger(payment_delay, self.new_id)
        self.accrual = Accrual(self)
        self.exports_folder: Path | None = None
        self.denied: set[str] = set()
        self.granted_on = {
            "s3:ListBucket": "arn:aws:s3:::sandbox-exports",
            "s3:GetObject": "arn:aws:s3:::sandbox-exports/*",
        }

    @classmethod
    def generated(cls, options: WorldOptions | None = None) -> World:
        """A world with the shipped catalogue and workloads, its usage drawn from the seed."""
        chosen = options or WorldOptions()
        first = floor_hour(chosen.start).replace(hour=0) - timedelta(days=chosen.history_days)
        days = chosen.history_days + chosen.horizon_days
        hours = HourRange(first, days * DAY_HOURS)
        return cls(
            chosen, shipped_catalog(), shipped_usage(chosen.seed, hours, databases=chosen.databases)
        )

    @classmethod
    def from_dataset(cls, dataset: Dataset, options: WorldOptions) -> World:
        """A world whose usage, prices and offers are a dataset's; its holdings are not taken.

        ``options.start`` must lie inside the usage. Only AWS datasets are understood.
        """
        hours = dataset.usage.hours
        if not hours.start <= options.start < hours.end or options.start.hour != 0:
            problem = f"the world cannot start at {options.start.isoformat()}"
            raise InputError(problem, file="usage", remedy="Start it at a midnight in the usage.")
        if any(line.provider != PROVIDER for line in dataset.usage.lines):
            problem = "the sandbox can be AWS only"
            raise InputError(problem, file="usage", remedy="Leave other providers' rows out.")
        locations = {key.region: key.region for key in dataset.skus}
        shipped = {name: row["location"] for name, row in shipped_tables()["regions"].items()}
        catalog = Catalog(
            skus=dataset.skus,
            offerings=dataset.offerings,
            convertible=frozenset(),
            locations={**locations, **shipped},
        )
        return cls(options, catalog, dataset.usage)

    def new_id(self) -> UUID:
        """The next id of this world's own sequence."""
        return UUID(int=self._ids.getrandbits(128), version=4)

    def now(self) -> datetime:
        """The current virtual instant."""
        return self.clock.now()

    def after_hours(self, hours: float) -> datetime:
        """The virtual instant ``hours`` from now."""
        return self.clock.now() + timedelta(hours=hours)

    def advance(self, hours: float) -> datetime:
        """Let ``hours`` pass: payments go through, terms end. Returns the new instant."""
        with self.lock:
            now = self.after_hours(hours)
            if now > self.usage.hours.end:
                msg = f"the world's usage ends at {self.usage.hours.end.isoformat()}"
                raise InvariantError(msg)
            self.clock.advance(now - self.clock.now())
            self.settle()
            return now

    def settle(self) -> None:
        """Let everything that is due by now happen; idempotent."""
        now = self.clock.now()
        self.savings_plans.settle(now)
        self.reservations.settle(now)
        self.reservation_changes.settle(now, self.catalog)
        self.nodes.settle(now)

    def change_price(self, offering: OfferingId, factor: Decimal) -> None:
        """From now on the offering costs ``factor`` times as much; owned plans keep their rate."""
        with self.lock:
            self.catalog = self.catalog.with_price_factor(offering, factor)

    def charged(self) -> tuple[Commitment, ...]:
        """Every commitment that was ever paid for, over the time it is charged."""
        plans = (plan.charged() for plan in self.savings_plans.plans.values())
        reservations = (r.charged() for r in self.reservations.reservations.values())
        nodes = (node.charged() for node in self.nodes.nodes.values())
        charged = (*plans, *reservations, *nodes)
        return tuple(commitment for commitment in charged if commitment is not None)

    def upfront_due(self) -> Mapping[CommitmentId, Decimal]:
        """What each commitment was charged at once when it began, in dollars."""
        plans = self.savings_plans.plans.values()
        reservations = self.reservations.reservations.values()
        return (
            {plan.plan_id: plan.upfront_usd for plan in plans}
            | {one.reservation_id: one.upfront_due_usd for one in reservations}
            | {one.identity: one.upfront_due_usd for one in self.nodes.nodes.values()}
        )

    def dataset(self, hours: HourRange) -> Dataset:
        """What a bill over ``hours`` needs: usage, prices, and what was owned, at its own rates."""
        first, last = self.usage.hours.clip(hours.start, hours.end)
        if last - first != hours.count:
            msg = f"the world's usage does not reach over {hours}"
            raise InvariantError(msg)
        owned = {plan.plan_id: plan.offering for plan in self.savings_plans.plans.values()}
        owned |= {r.reservation_id: r.offering for r in self.reservations.reservations.values()}
        owned |= {node.identity: node.offering for node in self.nodes.nodes.values()}
        offerings: dict[OfferingId, Offering] = {}
        commitments: list[Commitment] = []
        for commitment in self.charged():
            offering = owned[commitment.commitment]
            if offerings.setdefault(offering.offering, offering) is not offering:
                # A price change splits an offering in two: what was bought keeps its rate.
                name = OfferingId(f"{offering.offering} {commitment.commitment}")
                offerings[name] = replace(offering, offering=name)
                commitment = replace(commitment, offering=name)  # noqa: PLW2901
            commitments.append(commitment)
        usage = Usage(hours, self.usage.lines, self.usage.quantity[first:last])
        return Dataset(usage, self.catalog.skus, offerings, tuple(commitments))

    def double_purchases(self) -> int:
        """How many intents ended in more than one commitment that costs money."""
        with self.lock:
            return sum(len(ids) > 1 for ids in self.paid_by_intent().values())

    def paid_by_intent(self) -> Mapping[str, tuple[str, ...]]:
        """Commitments that cost money, or will, by intent tag (plans without it: by token).

        A reservation is bought without token or tag; one never tagged stands under its own id.
        """
        now = self.clock.now()
        found: dict[str, tuple[str, ...]] = {}
        for plan in self.savings_plans.plans.values():
            if plan.state(now) in _PAID_STATES:
                intent = plan.tags.get(INTENT_TAG, f"token {plan.token}")
                found[intent] = (*found.get(intent, ()), plan.plan_id)
        for reservation in self.reservations.reservations.values():
            if reservation.state(now) in _PAID_STATES:
                key = f"untagged {reservation.reservation_id}"
                intent = reservation.tags.get(INTENT_TAG, key)
                found[intent] = (*found.get(intent, ()), reservation.reservation_id)
        for node in self.nodes.nodes.values():
            if node.state(now) in _PAID_STATES:
                named = node.name.startswith(OWN_NAME_PREFIX)
                intent = node.name.removeprefix(OWN_NAME_PREFIX)
                key = intent if named else f"unnamed {node.identity}"
                found[key] = (*found.get(key, ()), node.identity)
        return found

    def snapshot(self) -> WorldSnapshot:
        """Everything a test or a report asks about holdings, at one instant."""
        with self.lock:
            now = self.clock.now()
            plans = tuple(self.savings_plans.plans.values())
            reservations = tuple(self.reservations.reservations.values())
            active = [plan for plan in plans if plan.state(now) == "active"]
            states = {plan.plan_id: plan.state(now) for plan in plans} | {
                r.reservation_id: r.state(now) for r in reservations
            }
            states |= {node.identity: node.state(now) for node in self.nodes.nodes.values()}
            return WorldSnapshot(
                now=now,
                states={str(name): state for name, state in states.items()},
                paid_by_intent=self.paid_by_intent(),
                double_purchases=self.double_purchases(),
                commitments_active=sum(state == "active" for state in states.values()),
                committed_usd_per_hour=sum(
                    (plan.commitment_usd_per_hour for plan in active), Decimal(0)
                ),
                upfront_usd=sum(
                    (p.upfront_usd for p in plans if p.paid_at and not p.return_asked_at),
                    Decimal(0),
                ),
            )


def _accounts(usage: Usage) -> tuple[Mapping[str, AccountId], AccountId]:
    """The organisation's accounts by name, and its management account."""
    shipped = {name: AccountId(number) for name, number in shipped_tables()["accounts"].items()}
    used = {line.account for line in usage.lines}
    if used <= set(shipped.values()):
        return shipped, shipped["payer"]
    return {"payer": shipped["payer"], **{str(a): a for a in sorted(used)}}, shipped["payer"]
