"""How an Azure reservation lives: decides what a quote promises and what a purchase makes of it.

Two steps: a quote mints the order's id and holds its price for a while, the purchase names that id.
An id that no quote minted, or whose quote has run out, is refused; an id that is bought already is
never bought again. A purchase is a long-running operation: it gets on with time, or with being
asked about, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from service.domain.hours import HOUR, TERM_HOURS, floor_hour
from service.sandbox.azure.catalog import AzureCatalog, Machine
from service.sandbox.faults import ApiError

PENDING = ("Creating", "PendingResourceHold", "PendingBilling")
"""What an unfinished order says of itself, one after the other."""
SESSION_TIMED_OUT = (
    "Session timed out - Call CalculatePrice again to get a new reservation order id."
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What was asked for. ``scopes`` are subscriptions or resource groups, empty when shared."""

    region: str
    arm_name: str
    months: int
    monthly: bool
    quantity: int
    display_name: str
    scopes: tuple[str, ...]
    renew: bool
    flexible: bool
    billing_scope: str
    intended: bool = True
    """False where Azure itself made it: by a renewal."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A price that holds until ``until`` for the order that it names."""

    order_id: str
    terms: Terms
    machine: Machine
    unit_usd: Decimal
    until: datetime


@dataclass(frozen=True, slots=True)
class Segment:
    """A time in which a reservation had one quantity."""

    start: datetime
    end: datetime
    quantity: int


@dataclass(slots=True)
class Order:
    """One reservation order. ``unit_usd`` is one machine's price for the whole term."""

    order_id: str
    terms: Terms
    machine: Machine
    unit_usd: Decimal
    asked_at: datetime
    origin: str
    reads: int = 0
    outcome: str | None = None
    paid_at: datetime | None = None
    payment_fails: bool = False
    hidden_until: datetime | None = None
    hidden_reads: int = 0
    reservations: list[Reservation] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Azure's word for where the order stands."""
        return self.outcome or PENDING[min(self.reads, len(PENDING) - 1)]

    @property
    def monthly_usd(self) -> Decimal:
        """What one machine of the order costs each month."""
        return self.unit_usd / self.terms.months

    def held(self, at: datetime) -> int:
        """How many machines of the order are, or will be, paid for at that time."""
        return sum(
            segment.quantity
            for one in self.reservations
            for segment in one.segments()
            if segment.start <= at < segment.end
        )

    def is_hidden(self, now: datetime) -> bool:
        """Whether this reading does not see the order yet; counts as one reading."""
        if self.hidden_until is not None and now < self.hidden_until:
            return True
        if self.hidden_reads > 0:
            self.hidden_reads -= 1
            return True
        return False


@dataclass(slots=True)
class Reservation:
    """One reservation of an order. ``closed`` are the times before the present quantity."""

    reservation_id: str
    order: Order
    quantity: int
    display_name: str
    scopes: tuple[str, ...]
    renew: bool
    flexible: bool
    start: datetime
    end: datetime
    since: datetime
    outcome: str | None = None
    closed: list[Segment] = field(default_factory=list)
    links: dict[str, object] = field(default_factory=dict)
    changed_at: datetime | None = None

    @property
    def resource_id(self) -> str:
        """The full path under which Azure and its bills know it."""
        return (
            f"/providers/Microsoft.Capacity/reservationOrders/{self.order.order_id}"
            f"/reservations/{self.reservation_id}"
        )

    @property
    def state(self) -> str:
        """Azure's word for where the reservation stands."""
        return self.outcome or self.order.state

    @property
    def is_live(self) -> bool:
        """Paid for and still there."""
        return self.state == "Succeeded"

    @property
    def is_original(self) -> bool:
        """Made by a purchase, not out of other reservations."""
        return not {"splitSource", "mergeSources"} & set(self.links)

    def resize(self, quantity: int, now: datetime) -> None:
        """From this hour on there are ``quantity`` machines."""
        hour = floor_hour(now)
        if hour > self.since:
            self.closed.append(Segment(self.since, hour, self.quantity))
        self.since, self.quantity, self.changed_at = hour, quantity, now

    def finish(self, outcome: str, now: datetime) -> None:
        """It is no more: split, merged, cancelled or expired."""
        self.resize(self.quantity, now)
        self.outcome = outcome

    def segments(self) -> Iterable[Segment]:
        """Every time in which it was paid for."""
        yield from self.closed
        if self.is_live and self.end > self.since:
            yield Segment(self.since, self.end, self.quantity)

    def remaining_usd(self, quantity: int, now: datetime) -> Decimal:
        """What is left to pay or to use up of ``quantity`` machines, of the term's price."""
        hours = TERM_HOURS[self.order.terms.months]
        left = max(Decimal((self.end - now) / HOUR), Decimal(0))
        share = min(left / hours, Decimal(1))
        return (self.order.unit_usd * quantity * share).quantize(Decimal("0.01"))


@dataclass(slots=True)
class OrderBook:
    """All quotes and reservation orders of the world. Callers hold the world's lock."""

    catalog: AzureCatalog
    new_id: Callable[[], UUID]
    quote_lasts: timedelta
    operation_takes: timedelta
    operation_reads: int
    quotes: dict[str, Quoted] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)

    def quote(self, terms: Terms, now: datetime) -> Quoted:
        """A price, and the id of the order that it would become."""
        machine = self._machine(terms, now)
        quoted = Quoted(
            order_id=str(self.new_id()),
            terms=terms,
            machine=machine,
            unit_usd=self.catalog.reservation_usd(machine, terms.months),
            until=now + self.quote_lasts,
        )
        self.quotes[quoted.order_id] = quoted
        return quoted

    def purchase(self, order_id: str, terms: Terms, now: datetime) -> Order:
        """Buy what was quoted as ``order_id``; a second time is refused, and buys nothing."""
        if order_id in self.orders:
            message = f"A reservation order with id {order_id} already exists."
            raise ApiError("ReservationOrderIdAlreadyExists", message, 409)
        quoted = self.quotes.get(order_id)
        if quoted is None or now > quoted.until:
            raise ApiError("InvalidRequestContent", SESSION_TIMED_OUT)
        # Names, scope and renewal may differ from the quote's; what is priced may not.
        if _priced(quoted.terms) != _priced(terms):
            message = "The purchase request does not match the calculated price."
            raise ApiError("InvalidRequestContent", message)
        self._machine(terms, now)
        return self.place(quoted, terms, now, origin="purchase")

    def place(self, quoted: Quoted, terms: Terms, now: datetime, *, origin: str) -> Order:
        """Enter an order with its one reservation; it is paid when its operation ends."""
        order_id = quoted.order_id
        order = Order(order_id, terms, quoted.machine, quoted.unit_usd, now, origin)
        hour = floor_hour(now)
        order.reservations.append(
            Reservation(
                reservation_id=str(self.new_id()),
                order=order,
                quantity=terms.quantity,
                display_name=terms.display_name,
                scopes=terms.scopes,
                renew=terms.renew,
                flexible=terms.flexible,
                start=hour,
                end=hour + TERM_HOURS[terms.months] * HOUR,
                since=hour,
            )
        )
        self.orders[order_id] = order
        return order

    def read(self, order: Order, now: datetime) -> None:
        """Somebody asked about the order: its operation gets on."""
        if order.outcome is None:
            order.reads += 1
            if order.reads >= self.operation_reads:
                self._end_operation(order, now)

    def reservations(self) -> list[Reservation]:
        """Every reservation of every order, oldest first."""
        return [one for order in self.orders.values() for one in order.reservations]

    def settle(self, now: datetime) -> None:
        """Let operations end and terms run out that are due by ``now``; renew what renews."""
        for order in list(self.orders.values()):
            due = order.asked_at + self.operation_takes
            if order.outcome is None and due <= now:
                self._end_operation(order, due)
        ended = [one for one in self.reservations() if one.is_live and one.end <= now]
        for one in ended:
            one.finish("Expired", one.end)
            if one.renew:
                self._renew(one)
        if any(one.end + self.operation_takes <= now for one in ended if one.renew):
            self.settle(now)

    def _end_operation(self, order: Order, at: datetime) -> None:
        order.outcome = "BillingFailed" if order.payment_fails else "Succeeded"
        if not order.payment_fails:
            order.paid_at = at

    def _renew(self, one: Reservation) -> None:
        if not self.catalog.is_sold(one.order.machine, one.order.terms.months, one.end.date()):
            return
        terms = replace(one.order.terms, quantity=one.quantity, renew=one.renew, intended=False)
        order = self.place(self.quote(terms, one.end), terms, one.end, origin="renewal")
        order.reservations[0].links["renewSource"] = one.resource_id
        one.links["renewDestination"] = order.reservations[0].resource_id

    def _machine(self, terms: Terms, now: datetime) -> Machine:
        machine = self.catalog.machine(terms.region, terms.arm_name)
        if machine is None:
            message = f"{terms.arm_name} is not on sale in {terms.region}."
            raise ApiError("InvalidRequestContent", message)
        if not self.catalog.is_sold(machine, terms.months, now.date()):
            message = f"{terms.arm_name} is not sold for P{terms.months // 12}Y."
            raise ApiError("UnsupportedReservationTerm", message)
        if terms.quantity < 1:
            raise ApiError("InvalidRequestContent", "The quantity must be at least 1.")
        return machine


def _priced(terms: Terms) -> tuple[object, ...]:
    return (terms.region, terms.arm_name, terms.months, terms.monthly, terms.quantity)
