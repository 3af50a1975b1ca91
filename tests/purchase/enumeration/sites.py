"""Three sandbox clouds with the real SDKs and adapters, and what can be done in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from service.domain.alterations import AlterationKind, AlterationOrder, Altered, Target
from service.domain.commitments import Offering
from service.domain.hours import TERM_HOURS, Clock
from service.domain.ids import (
    AccountId,
    ClientToken,
    CommitmentId,
    IntentId,
    LineId,
    OfferingId,
)
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion, PlanLine
from service.domain.purchases import Bought, InventoryItem, PurchaseOrder
from service.providers.port import (
    ProviderAlterer,
    ProviderBuyer,
    ProviderFinder,
    ProviderReader,
    always_wanted,
)
from service.sandbox.faults import Fault, FaultKind

AWS_REGION = "us-east-1"


@dataclass(frozen=True)
class Reach:
    """One cloud behind the port, spoken to over HTTP."""

    reader: ProviderReader
    buyer: ProviderBuyer
    finder: ProviderFinder | None
    alterer: ProviderAlterer
    close: Callable[[], None]


def reach(provider: str, endpoint: str, clock: Clock) -> Reach:
    """Clients of this process's own. The SDKs are imported here, once per process."""
    if provider == "aws":
        return _reach_aws(endpoint, clock)
    if provider == "azure":
        return _reach_azure(endpoint, clock)
    return _reach_gcp(endpoint, clock)


def _reach_aws(endpoint: str, clock: Clock) -> Reach:
    from service.providers.aws.alterer import AwsAlterer  # noqa: PLC0415 - loads the SDK
    from service.providers.aws.buyer import AwsBuyer  # noqa: PLC0415
    from service.providers.aws.clients import AwsClients  # noqa: PLC0415
    from service.providers.aws.reader import AwsReader  # noqa: PLC0415
    from service.sandbox.access import sandbox_access  # noqa: PLC0415

    clients = AwsClients(sandbox_access(endpoint))
    return Reach(
        reader=AwsReader(clients, regions=[AWS_REGION], zones=[AWS_REGION + "a"]),
        buyer=AwsBuyer(clients, clock=clock),
        finder=None,
        alterer=AwsAlterer(clients, clock=clock),
        close=clients.close,
    )


def _reach_azure(endpoint: str, clock: Clock) -> Reach:
    from service.providers.azure.cloud import azure_cloud  # noqa: PLC0415 - loads the SDK
    from service.sandbox.azure.access import sandbox_access  # noqa: PLC0415

    parts = azure_cloud(sandbox_access(endpoint), clock)
    return Reach(parts.reader, parts.buyer, parts.finder, parts.alterer, parts.close)


def _reach_gcp(endpoint: str, clock: Clock) -> Reach:
    from service.providers.gcp.cloud import gcp_cloud  # noqa: PLC0415 - loads the SDK
    from service.sandbox.gcp.access import sandbox_access  # noqa: PLC0415

    parts = gcp_cloud(sandbox_access(endpoint), clock)
    return Reach(parts.reader, parts.buyer, parts.finder, parts.alterer, parts.close)


@dataclass(frozen=True)
class Purchase:
    """One kind of purchase: how its offering is known, how much is bought, which call buys.

    ``pause_hours``: how long to wait after each case, where the provider sells so many a month.
    ``starts_in``: bought now, it begins so much later. ``beside``: how many units of what is sold
    with it only are bought for each of its own. ``same_steps``: another kind is bought by the same
    steps, so that the ordinary suite runs those cases only in which the call's fate matters.
    """

    name: str
    fits: Callable[[Offering], bool]
    quantity: str
    operation: str
    pause_hours: float = 0
    starts_in: timedelta | None = None
    beside: int = 0
    same_steps: bool = False


@dataclass(frozen=True)
class Change:
    """One kind of alteration: what it needs to exist, what it makes, which call does it.

    ``first``: what is done to the source before. ``rounds`` and ``round_hours``: how often, and
    how far apart, the service looks until the cloud must have done it, or not.
    """

    name: str
    kind: AlterationKind
    source: Purchase
    operation: str
    sources: int = 1
    makes: Callable[[Offering, InventoryItem], tuple[Target, ...]] = lambda _o, _i: ()
    wait_hours: float = 1
    renew: bool | None = None
    first: Change | None = None
    rounds: int = 2
    round_hours: float = 1


@dataclass
class Site:
    """A sandbox that answers, and this process's own way to it."""

    provider: str
    cloud: Any
    refusal: str
    reached: Reach
    purchases: Sequence[Purchase]
    changes: Sequence[Change]
    payer: AccountId
    offerings: Mapping[str, Offering] = field(default_factory=dict)
    on_sale: Mapping[OfferingId, Offering] = field(default_factory=dict)
    besides: Mapping[str, Offering] = field(default_factory=dict)
    """What is sold only with an offering, by the name of whoever wants that one."""
    lines: dict[tuple[str, int], PlanLine] = field(default_factory=dict)
    number: int = 0
    known: set[CommitmentId] = field(default_factory=set)
    """What was listed when something was last ready to be altered, or a case had ended."""

    @property
    def endpoint(self) -> str:
        return str(self.cloud.endpoint_url)

    @property
    def clock(self) -> Clock:
        clock: Clock = self.cloud.world.clock
        return clock

    def advance(self, hours: float) -> None:
        self.cloud.advance(hours)

    def arm(self, operation: str, fault: FaultKind | None, *, holds_seconds: float = 0) -> None:
        """The next call of ``operation`` goes wrong, and no other."""
        self.cloud.world.faults.clear()
        if fault is None:
            return
        self.cloud.world.faults.add(
            Fault(
                operation,
                fault,
                code=self.refusal,
                lag_hours=0.5,
                lag_reads=0,
                hold_seconds=holds_seconds,
            )
        )

    def calls(self, operation: str) -> int:
        return int(self.cloud.server.calls[operation])

    def forget_returned(self) -> None:
        """As if what was returned had been in another year: AWS takes ten plans back in each."""
        if self.provider != "aws":
            return
        with self.cloud.world.lock:
            plans = self.cloud.world.savings_plans.plans
            for name in [name for name, one in plans.items() if one.returned_at is not None]:
                del plans[name]

    def paid(self) -> list[str]:
        """Every purchase that costs money, or will, however it came about."""
        found = self.cloud.snapshot().paid_by_intent
        return sorted(name for names in found.values() for name in names)

    def listed(self) -> dict[CommitmentId, InventoryItem]:
        items = self.reached.reader.inventory()
        return {item.commitment.commitment: item for item in items}

    def offering(self, wanted: Purchase) -> Offering:
        """The first offering on sale that ``wanted`` means."""
        known = self.offerings.get(wanted.name)
        if known is None:
            keys = sorted(self.cloud.world.catalog.skus)
            if self.provider == "aws":
                keys = [key for key in keys if key.region == AWS_REGION]
            else:
                keys = keys[:40]
            on_sale = self.reached.reader.offerings(keys)
            self.on_sale = {one.offering: one for one in on_sale}
            found = {
                one.name: next(filter(one.fits, on_sale), None)
                for one in (*self.purchases, *(change.source for change in self.changes))
            }
            self.offerings = {name: one for name, one in found.items() if one is not None}
            beside = {one.beside.offering: one for one in on_sale if one.beside is not None}
            self.besides = {
                name: beside[one.offering]
                for name, one in self.offerings.items()
                if one.offering in beside
            }
            known = self.offerings[wanted.name]
        return known

    def line(self, wanted: Purchase, number: int) -> PlanLine:
        """A plan line for ``wanted``, at the price of when it was first asked for."""
        if (wanted.name, number) not in self.lines:
            self.lines[wanted.name, number] = self._line(wanted, number)
        return self.lines[wanted.name, number]

    def _line(self, wanted: Purchase, number: int) -> PlanLine:
        offering, quantity = self.offering(wanted), Decimal(wanted.quantity)
        quote = self.reached.buyer.quote(self.order(wanted, f"quote-{number}"))
        hours = TERM_HOURS[offering.term_months]
        return PlanLine(
            line=LineId(f"line-{number}"),
            offering=offering.offering,
            provider=self.provider,
            kind=offering.kind,
            account=self.payer,
            region=offering.region,
            family=offering.family,
            term_months=offering.term_months,
            payment=offering.payment,
            quantity=quantity,
            commit_usd_per_hour=CommitUsdPerHour(round(quote.commit_usd_per_hour, 9)),
            upfront_usd=round(quote.upfront_usd, 9),
            total_usd=round(Decimal(quote.commit_usd_per_hour) * hours, 9),
            expected_savings_usd_per_hour=Decimal(1),
            expected_savings_low_usd_per_hour=Decimal("0.5"),
            expected_savings_high_usd_per_hour=Decimal(2),
            expected_utilization_ratio=Decimal("0.97"),
            break_even_months=Decimal(8),
            reason="steady use",
            start_at=self.start_of(wanted),
            companion=quote.companion,
        )

    def own(self, change: Change) -> None:
        """Buy what ``change`` starts from, and let it become what can be altered."""
        if change.first is not None:
            self.own(change.first)
            items = self.ready(change.first, self.listed())
            order = self.alteration(change.first, items)
            done = self.reached.alterer.alter(order, still_wanted=always_wanted)
            assert isinstance(done, Altered), done
        else:
            for _ in range(change.sources):
                self._buy(change.source)
        self.advance(change.wait_hours)

    def ready(
        self, change: Change, listed: Mapping[CommitmentId, InventoryItem]
    ) -> tuple[InventoryItem, ...]:
        """What is new in a listing and can be altered so."""
        before, self.known, now = self.known, set(listed), self.clock.now()
        found = tuple(
            item
            for name, item in listed.items()
            if name not in before and change.kind in self.reached.alterer.ways(item, now)
        )
        assert len(found) == change.sources, (change.name, found)
        return found

    def _buy(self, what: Purchase) -> None:
        self.number += 1
        order = self.order(what, f"own-{self.number}")
        quote = self.reached.buyer.quote(order)
        order = replace(
            order,
            upfront_usd=quote.upfront_usd,
            commit_usd_per_hour=quote.commit_usd_per_hour,
            reference=quote.reference,
        )
        outcome = self.reached.buyer.buy(order, still_wanted=always_wanted)
        assert isinstance(outcome, Bought), outcome

    def alteration(self, change: Change, items: Sequence[InventoryItem]) -> AlterationOrder:
        self.number += 1
        number = self.number
        offering = self.offering(change.source)
        return AlterationOrder(
            intent=IntentId(f"7e0{number:05d}-0000-4000-8000-0000000000a1"),
            token=ClientToken(f"7e0{number:05d}-0000-4000-8000-0000000000a2"),
            alteration=change.kind,
            account=self.payer,
            kind=items[0].kind,
            sources=tuple(item.commitment.commitment for item in items),
            targets=change.makes(offering, items[0]),
            most_to_pay_usd=Decimal(100_000),
            renew=change.renew,
        )

    def order(self, what: Purchase, name: str) -> PurchaseOrder:
        """An order for ``what`` that no plan asked for."""
        offering = self.offering(what)
        number = int("".join(letter for letter in name if letter.isdigit()) or 0)
        return PurchaseOrder(
            intent=IntentId(f"0e0{number:05d}-0000-4000-8000-00000000000{len(name) % 10}"),
            token=ClientToken(f"0f0{number:05d}-0000-4000-8000-00000000000{len(name) % 10}"),
            account=self.payer,
            offering=offering.offering,
            kind=offering.kind,
            term_months=offering.term_months,
            payment=offering.payment,
            quantity=Decimal(what.quantity),
            upfront_usd=Decimal(0),
            start_at=self.start_of(what),
            companion=self.companion(what),
        )

    def companion(self, what: Purchase) -> Companion | None:
        """What an order for ``what`` must bring beside it, at no price yet; ``None`` nothing."""
        if not what.beside:
            return None
        sold = self.besides[what.name]
        assert sold.beside is not None
        return Companion(
            offering=sold.offering,
            quantity=Decimal(what.quantity) * what.beside,
            commit_usd_per_hour=CommitUsdPerHour(Decimal(0)),
            unit=sold.beside.unit,
        )

    def start_of(self, what: Purchase) -> datetime | None:
        """When ``what`` would begin, bought now; ``None`` at once."""
        return None if what.starts_in is None else self.clock.now() + what.starts_in


def same_as(offering: Offering, item: InventoryItem, *quantities: str) -> tuple[Target, ...]:
    """Parcels of the source's own offering."""
    return tuple(
        Target(
            offering=None,
            quantity=Decimal(quantity),
            zone=None,
            term_months=item.term_months,
            payment=offering.payment,
        )
        for quantity in quantities
    )
