"""What a cloud's own books say of the purchases of the whole service, while it makes them.

The service's ledger and reasoning are never asked: only the world, its usage and the billing code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from service.billing.bill import Bill, bill
from service.domain.commitments import Commitment
from service.domain.hours import HOUR, HourRange, floor_hour
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.domain.purchases import PurchaseOrder
from service.domain.usage import Dataset
from tests.purchase.simulation.clouds import SimCloud

WASTED_RATIO = Decimal("0.6")
"""What loses more than this share of its cost on all that was used of late was of no use."""

WINDOWS_DAYS = (28, 7)


class Books:
    """Watches every sale: no cap is passed by it, and usage was there for what was sold."""

    def __init__(self, sim: SimCloud, problem: Callable[[str], None]) -> None:
        self.sim = sim
        self.problem = problem
        self.cap_usd = Decimal(0)
        self.strangers = 0
        self._looked_at: set[CommitmentId] = set()
        self._by_strangers: set[CommitmentId] = set()
        self._before: dict[CommitmentId, Decimal] = {}

    def owned(self) -> dict[CommitmentId, Decimal]:
        """What every commitment obliges to, in USD per hour."""
        found = self.sim.owned()
        return {name: one.commit_usd_per_hour for name, one in found.items()}

    def sold(self, order: PurchaseOrder) -> None:
        """Something may have been sold just now: then the total is within the cap."""
        owned = self.owned()
        fresh = owned.keys() - self._before.keys()
        self._before = owned
        known = sum(
            (usd for name, usd in owned.items() if name not in self._by_strangers), Decimal(0)
        )
        if fresh and round(known, 6) > self.cap_usd:
            self.problem(f"{order.kind} passed the cap: {known:.4f} of {self.cap_usd} USD/h")

    def buy_at_console(self, usd_per_hour: Decimal) -> None:
        """Somebody buys a plan without Tenor."""
        self.strangers += 1
        ware = next(one for one in self.sim.wares if one.kind.is_spend)
        order = PurchaseOrder(
            intent=IntentId(f"stranger-{self.strangers}"),
            token=ClientToken(f"console-{self.strangers}"),
            account=self.sim.account,
            offering=ware.offering,
            kind=ware.kind,
            term_months=12,
            payment=ware.payment,
            quantity=usd_per_hour,
            upfront_usd=Decimal(0),
        )
        before = self.owned().keys()
        self.sim.at_console(order)
        self._by_strangers |= self.owned().keys() - before

    def look_at_new(self) -> None:
        """Judge what began since the last look, by what was used before it did."""
        world, now = self.sim.world, self.sim.now()
        usage = world.usage.hours
        whole = world.dataset(HourRange(usage.start, (floor_hour(now) - usage.start) // HOUR))
        fresh = [one for one in whole.commitments if one.commitment not in self._looked_at]
        self._looked_at |= {one.commitment for one in fresh}
        for start in sorted({one.start for one in fresh}):
            new = [one for one in fresh if one.start == start and not self._is_strange(one)]
            wasted = [self._wasted_ratio(whole, new, start, days) for days in WINDOWS_DAYS]
            if new and min(wasted) > WASTED_RATIO:
                names = ", ".join(one.commitment for one in new)
                self.problem(f"bought without use: {names} lost {min(wasted):.2f} of its cost")

    def _is_strange(self, one: Commitment) -> bool:
        return any(
            one.commitment.replace("order/", "orders/").startswith(name)
            for name in self._by_strangers
        )

    def _wasted_ratio(
        self, whole: Dataset, new: list[Commitment], start: datetime, days: int
    ) -> Decimal:
        """What ``new`` would have lost in the days before ``start`` beside all else, by cost."""
        first = floor_hour(start) - timedelta(days=days)
        hours = HourRange(first, days * 24)
        begin = (first - whole.usage.hours.start) // HOUR
        usage = replace(
            whole.usage, hours=hours, quantity=whole.usage.quantity[begin : begin + hours.count]
        )
        lasting = [
            replace(one, start=first, end=hours.end)
            for one in whole.commitments
            if one.start <= start < one.end
        ]
        rest = [one for one in lasting if one.commitment not in {each.commitment for each in new}]
        with_it, without_it = (
            bill(replace(whole, usage=usage, commitments=tuple(some))) for some in (lasting, rest)
        )
        cost = with_it.commitment_usd - without_it.commitment_usd
        return _loss(with_it, without_it) / cost if cost > 0 else Decimal(0)


def _loss(with_it: Bill, without_it: Bill) -> Decimal:
    return with_it.total_usd - without_it.total_usd
