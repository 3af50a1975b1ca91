"""``ProviderBuyer`` for one AWS account: quotes, buys once, says what it knows."""

from __future__ import annotations

from service.domain.commitments import Kind
from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import Clock
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import (
    Evidence,
    Idempotency,
    Outcome,
    PurchaseOrder,
    Quote,
    Refused,
)
from service.providers.aws import finder, nodes, reservations, savings_plans
from service.providers.aws.account import OwnAccount
from service.providers.aws.clients import PROVIDER, AwsClients
from service.providers.aws.node_services import NAMED_KINDS, NODE_KINDS
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.aws.words import upfront_usd
from service.providers.port import StillWanted, always_wanted

_PLANS = frozenset(savings_plans.SOLD_KINDS)
_NATIVE = _PLANS | NAMED_KINDS
_LOOKUP = (reservations.KINDS | NODE_KINDS) - _NATIVE


class AwsBuyer:
    """Buys in one AWS account and in no other: an order for another account is refused."""

    def __init__(self, clients: AwsClients, *, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._own = OwnAccount(clients)

    def idempotency(self, kind: Kind) -> Idempotency:
        """``NATIVE`` for Savings Plans (client token) and reservations that take our own name.

        ``LOOKUP`` for those of EC2 and Redshift: two calls buy twice.
        """
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
        if order.kind in _PLANS:
            savings_plans.on_sale(self._clients, order)
            hourly = order.quantity
            upfront = upfront_usd(order.quantity, order.term_months, order.payment)
        elif order.kind in NODE_KINDS:
            node = nodes.price(self._clients, order)
            hourly = node.amortised_usd_per_hour * order.quantity
            upfront = node.upfront_usd * order.quantity
        else:
            terms = ReservationTerms.of_offering(order.offering)
            price = reservations.price(self._clients, terms)
            hourly = price.amortised_usd_per_hour * order.quantity
            upfront = price.upfront_usd * order.quantity
        return Quote(
            offering=order.offering,
            quantity=order.quantity,
            commit_usd_per_hour=CommitUsdPerHour(hourly),
            upfront_usd=upfront,
            quoted_at=self._clock.now(),
        )

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        """Buy in exactly one attempt on the wire; see ``outcome`` for what each error proves."""
        refused = self._own.refusal(order.account)
        if refused is not None:
            return refused
        if order.kind in _PLANS:
            return savings_plans.purchase(self._clients, order, still_wanted)
        if order.kind in NODE_KINDS:
            return nodes.purchase(self._clients, order, still_wanted)
        if order.kind in reservations.KINDS:
            return reservations.purchase(self._clients, order, still_wanted)
        return Refused(code="kind", detail=f"{order.kind} cannot be bought through this adapter")

    def look_up(self, order: PurchaseOrder) -> Evidence:
        """What became of ``order``, by the tag, the name or the id that only it can have.

        A Savings Plan or an EC2 reservation is known by its intent's tag, other reservations by
        the name that was made from it. Redshift knows neither: of its reservations nothing is
        ever shown here, and the inventory alone tells.
        """
        refused = self._own.refusal(order.account)
        if refused is not None:
            raise self._not_asked(refused.code, refused.detail)
        if order.kind in _PLANS:
            return finder.plan(self._clients, order)
        if order.kind in reservations.KINDS:
            return finder.reservation(self._clients, order)
        if order.kind in NODE_KINDS:
            return nodes.look_up(self._clients, order)
        raise self._not_asked("kind", f"{order.kind} is not known to this adapter")

    @staticmethod
    def _not_asked(code: str, detail: str) -> ProviderError:
        return ProviderError(provider=PROVIDER, operation="look_up", code=code, detail=detail)
