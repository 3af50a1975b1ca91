"""What can be done to Azure reservations: decides on a split, a merge, a return, an exchange.

Refunds: what is cancelled may come to a limit within any twelve months; what an exchange gives back
does not count. Exchanges: what is bought must be worth at least what was left of what is returned.
Both are quoted first, and the quote's session is good once and for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from service.sandbox.azure.orders import Order, OrderBook, Quoted, Reservation, Terms
from service.sandbox.faults import ApiError

_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Giving:
    """So many machines of a reservation to give back, and what they are worth now."""

    reservation: Reservation
    quantity: int
    remaining_usd: Decimal
    refund_usd: Decimal


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that stands against it, in Azure's words."""

    code: str
    message: str


@dataclass(slots=True)
class ReturnSession:
    """A quoted return."""

    giving: Giving
    consumed_usd: Decimal
    errors: tuple[Refusal, ...]
    until: datetime
    used: bool = False


@dataclass(slots=True)
class ExchangeSession:
    """A quoted exchange, and the orders that it became."""

    giving: tuple[Giving, ...]
    taking: tuple[Quoted, ...]
    errors: tuple[Refusal, ...]
    until: datetime
    orders: list[Order] = field(default_factory=list)
    used: bool = False

    @property
    def refunds_usd(self) -> Decimal:
        """What comes back."""
        return sum((one.refund_usd for one in self.giving), Decimal(0))

    @property
    def purchases_usd(self) -> Decimal:
        """What is bought, for the whole of its terms."""
        return sum((one.unit_usd * one.terms.quantity for one in self.taking), Decimal(0))


@dataclass(slots=True)
class Changes:
    """The desk for alterations of one world. Callers hold the world's lock."""

    book: OrderBook
    refund_limit_usd: Decimal
    session_lasts: timedelta
    returns: dict[str, ReturnSession] = field(default_factory=dict)
    exchanges: dict[str, ExchangeSession] = field(default_factory=dict)
    refunded: list[tuple[datetime, Decimal]] = field(default_factory=list)

    def consumed_usd(self, now: datetime) -> Decimal:
        """What returns have cancelled within the last twelve months."""
        return sum((usd for at, usd in self.refunded if at > now - _YEAR), Decimal(0))

    def find(self, resource_id: str) -> Reservation:
        """The live reservation of that path; ``ApiError`` when there is none."""
        one = next(
            (r for r in self.book.reservations() if r.resource_id.lower() == resource_id.lower()),
            None,
        )
        if one is None:
            raise ApiError("InvalidReservationId", f"{resource_id} is not a reservation.")
        if not one.is_live:
            message = f"{resource_id} is {one.state}."
            raise ApiError("OperationCannotBePerformedInCurrentState", message)
        return one

    def split(
        self, resource_id: str, quantities: Sequence[int], now: datetime
    ) -> Sequence[Reservation]:
        """Make two of one; the quantities must add up."""
        one = self.find(resource_id)
        if len(quantities) != 2 or min(quantities) < 1 or sum(quantities) != one.quantity:  # noqa: PLR2004
            message = f"{list(quantities)} do not add up to {one.quantity}."
            raise ApiError("InvalidRequestContent", message)
        one.finish("Split", now)
        parts = [self._part(one, quantity) for quantity in quantities]
        for part in parts:
            part.links["splitSource"] = one.resource_id
        one.links["splitDestinations"] = [part.resource_id for part in parts]
        return (one, *parts)

    def merge(self, resource_ids: Sequence[str], now: datetime) -> Sequence[Reservation]:
        """Make one of two that came from one split, or at least from one order."""
        found = [self.find(resource_id) for resource_id in resource_ids]
        alike = {(id(one.order), one.scopes, one.flexible, one.end) for one in found}
        if len(found) != 2 or found[0] is found[1] or len(alike) != 1:  # noqa: PLR2004
            message = "Two reservations of one order and one scope can be merged."
            raise ApiError("InvalidRequestContent", message)
        for one in found:
            one.finish("Merged", now)
        whole = self._part(found[0], sum(one.quantity for one in found))
        whole.links["mergeSources"] = [one.resource_id for one in found]
        for one in found:
            one.links["mergeDestination"] = whole.resource_id
        return (*found, whole)

    def _part(self, one: Reservation, quantity: int) -> Reservation:
        part = Reservation(
            reservation_id=str(self.book.new_id()),
            order=one.order,
            quantity=quantity,
            display_name=one.display_name,
            scopes=one.scopes,
            renew=one.renew,
            flexible=one.flexible,
            start=one.start,
            end=one.end,
            since=one.since,
        )
        one.order.reservations.append(part)
        return part

    def quote_return(
        self, resource_id: str, quantity: int, now: datetime
    ) -> tuple[str, ReturnSession]:
        """What giving back ``quantity`` machines would bring; the session's id and it."""
        giving = self._giving(resource_id, quantity, now)
        consumed = self.consumed_usd(now)
        errors: tuple[Refusal, ...] = ()
        if consumed + giving.remaining_usd > self.refund_limit_usd:
            message = (
                f"{consumed} of {self.refund_limit_usd} is consumed; "
                f"{giving.remaining_usd} more is too much."
            )
            errors = (Refusal("RefundLimitExceeded", message),)
        session = ReturnSession(giving, consumed, errors, now + self.session_lasts)
        name = str(self.book.new_id())
        self.returns[name] = session
        return name, session

    def give_back(self, name: str, resource_id: str, quantity: int, now: datetime) -> Reservation:
        """Return what the session quoted."""
        session = self.returns.get(name)
        if session is None or session.used or now > session.until:
            raise ApiError("InvalidRequestContent", "The refund session is not valid.")
        one = session.giving.reservation
        if (one.resource_id.lower(), session.giving.quantity) != (resource_id.lower(), quantity):
            raise ApiError("InvalidRequestContent", "The session is for another return.")
        if session.errors:
            raise ApiError(session.errors[0].code, session.errors[0].message)
        again = self._giving(resource_id, quantity, now)
        if self.consumed_usd(now) + again.remaining_usd > self.refund_limit_usd:
            raise ApiError("RefundLimitExceeded", "The refund limit is reached.")
        session.used = True
        self.refunded.append((now, again.remaining_usd))
        _take(one, quantity, now)
        return one

    def quote_exchange(
        self, giving: Sequence[tuple[str, int]], taking: Sequence[Terms], now: datetime
    ) -> tuple[str, ExchangeSession]:
        """What an exchange would come to; the session's id and it."""
        gives = tuple(self._giving(path, quantity, now) for path, quantity in giving)
        takes = tuple(self.book.quote(terms, now) for terms in taking)
        session = ExchangeSession(gives, takes, (), now + self.session_lasts)
        left = sum((one.remaining_usd for one in gives), Decimal(0))
        if session.purchases_usd < left:
            message = f"The purchases come to {session.purchases_usd}, {left} is left to exchange."
            session.errors = (Refusal("ExchangeValueTooLow", message),)
        name = str(self.book.new_id())
        self.exchanges[name] = session
        return name, session

    def exchange(self, name: str, now: datetime) -> ExchangeSession:
        """Do what the session quoted, all of it at once."""
        session = self.exchanges.get(name)
        if session is None or session.used or now > session.until:
            raise ApiError("InvalidRequestContent", "The exchange session is not valid.")
        if session.errors:
            raise ApiError("InvalidRequestContent", session.errors[0].message)
        for one in session.giving:  # another alteration may have come first
            self._giving(one.reservation.resource_id, one.quantity, now)
        session.used = True
        for quoted in session.taking:
            session.orders.append(self.book.place(quoted, quoted.terms, now, origin="exchange"))
        made = [order.reservations[0].resource_id for order in session.orders]
        for one in session.giving:
            _take(one.reservation, one.quantity, now)
            if one.reservation.state == "Cancelled" and made:
                one.reservation.links["swapDestination"] = made[0]
        for order in session.orders:
            order.reservations[0].links["swapSource"] = session.giving[0].reservation.resource_id
        return session

    def _giving(self, resource_id: str, quantity: int, now: datetime) -> Giving:
        one = self.find(resource_id)
        if not 1 <= quantity <= one.quantity:
            message = f"{quantity} of {one.quantity} cannot be returned."
            raise ApiError("InvalidRefundQuantity", message)
        remaining = one.remaining_usd(quantity, now)
        refund = Decimal(0) if one.order.terms.monthly else remaining
        return Giving(one, quantity, remaining, refund)


def _take(one: Reservation, quantity: int, now: datetime) -> None:
    if quantity == one.quantity:
        one.finish("Cancelled", now)
    else:
        one.resize(one.quantity - quantity, now)
