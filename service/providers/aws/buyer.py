"""``ProviderBuyer`` for one AWS account: quotes, buys once, says what it knows."""

from __future__ import annotations

from service.domain.commitments import Kind
from service.domain.errors import InvariantError
from service.domain.hours import Clock
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import Idempotency, Outcome, PurchaseOrder, Quote, Refused
from service.providers.aws import reservations, savings_plans
from service.providers.aws.account import OwnAccount
from service.providers.aws.clients import AwsClients
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.aws.words import upfront_usd

_NATIVE = frozenset(savings_plans.SOLD_KINDS)
_LOOKUP = reservations.KINDS


class AwsBuyer:
    """Buys in one AWS account and in no other: an order for another account is refused."""

    def __init__(self, clients: AwsClients, *, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._own = OwnAccount(clients)

    def idempotency(self, kind: Kind) -> Idempotency:
        """``NATIVE`` for Savings Plans (client token), ``LOOKUP`` for reservations (no token)."""
        if kind in _NATIVE:
            return Idempotency.NATIVE
        if kind in _LOOKUP:
            return Idempotency.LOOKUP
        msg = f"{kind} cannot be bought through this adapter"
        raise InvariantError(msg)

    def quote(self, order: PurchaseOrder) -> Quote:
        """What the order would cost now; ``ProviderError`` when it is not on sale as ordered.

        A Savings Plan's obligation is the commitment itself, so its quote cannot show that a
        covered SKU's rate has changed: compare ``AwsReader.offerings`` for that.
        """
        if order.kind in _LOOKUP:
            terms = ReservationTerms.of_offering(order.offering)
            price = reservations.price(self._clients, terms)
            hourly = price.amortised_usd_per_hour * order.quantity
            upfront = price.upfront_usd * order.quantity
        else:
            savings_plans.on_sale(self._clients, order)
            hourly = order.quantity
            upfront = upfront_usd(order.quantity, order.term_months, order.payment)
        return Quote(
            offering=order.offering,
            quantity=order.quantity,
            commit_usd_per_hour=CommitUsdPerHour(hourly),
            upfront_usd=upfront,
            quoted_at=self._clock.now(),
        )

    def buy(self, order: PurchaseOrder) -> Outcome:
        """Buy in exactly one attempt on the wire; see ``outcome`` for what each error proves."""
        refused = self._own.refusal(order.account)
        if refused is not None:
            return refused
        if order.kind in _NATIVE:
            return savings_plans.purchase(self._clients, order)
        if order.kind in _LOOKUP:
            return reservations.purchase(self._clients, order)
        return Refused(code="kind", detail=f"{order.kind} cannot be bought through this adapter")
