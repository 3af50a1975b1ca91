"""``ProviderBuyer`` and ``ProviderFinder`` for one Azure subscription."""

from __future__ import annotations

from service.domain.commitments import Kind, Payment
from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import TERM_HOURS, Clock
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import (
    Evidence,
    Idempotency,
    Outcome,
    PurchaseOrder,
    Quote,
    Refused,
)
from service.providers.azure import reservations, savings_plans
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import AzureClients
from service.providers.azure.words import account_of
from service.providers.port import StillWanted, always_wanted


class AzureBuyer:
    """Buys for one paying subscription and for no other: other orders are refused."""

    def __init__(self, clients: AzureClients, *, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock

    def idempotency(self, kind: Kind) -> Idempotency:
        """``NATIVE``: a reservation by its stored order id, a savings plan by its alias."""
        if kind in {Kind.AZURE_RESERVATION, Kind.AZURE_SAVINGS_PLAN}:
            return Idempotency.NATIVE
        msg = f"{kind} cannot be bought through this adapter"
        raise InvariantError(msg)

    def quote(self, order: PurchaseOrder) -> Quote:
        """What the order would cost now; ``ProviderError`` when it is not on sale as ordered.

        A reservation's quote mints the id of the order that it would become. Store it before
        buying; a purchase that may have been sent is never given another.
        """
        if order.kind is Kind.AZURE_RESERVATION:
            reference, whole_usd = reservations.calculate(self._clients, order)
            return Quote(
                offering=order.offering,
                quantity=order.quantity,
                commit_usd_per_hour=CommitUsdPerHour(whole_usd / TERM_HOURS[order.term_months]),
                upfront_usd=whole_usd
                if order.payment is Payment.ALL_UPFRONT
                else order.quantity * 0,
                quoted_at=self._clock.now(),
                reference=reference,
            )
        savings_plans.check(self._clients, order)
        hours = TERM_HOURS[order.term_months] if order.payment is Payment.ALL_UPFRONT else 0
        return Quote(
            offering=order.offering,
            quantity=order.quantity,
            commit_usd_per_hour=CommitUsdPerHour(order.quantity),
            upfront_usd=order.quantity * hours,
            quoted_at=self._clock.now(),
        )

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        """Buy in exactly one attempt on the wire; see ``outcome`` for what each answer proves."""
        own = account_of(self._clients.access.subscription_id)
        if order.account != own:
            return Refused("wrong_account", f"the credentials pay by {own}, not {order.account}")
        if order.start_at is not None:
            return Refused("queue", "Azure queues no purchases")
        if order.kind is Kind.AZURE_RESERVATION:
            return reservations.purchase(self._clients, order, still_wanted)
        if order.kind is Kind.AZURE_SAVINGS_PLAN:
            return savings_plans.purchase(self._clients, order, still_wanted)
        return Refused("kind", f"{order.kind} cannot be bought through this adapter")

    def look_up(self, order: PurchaseOrder) -> Evidence:
        """What became of ``order``, by its stored order id or its alias."""
        if order.kind is Kind.AZURE_RESERVATION:
            return reservations.look_up(self._clients, order)
        if order.kind is Kind.AZURE_SAVINGS_PLAN:
            return savings_plans.look_up(self._clients, order)
        raise ProviderError(
            provider=PROVIDER,
            operation="look_up",
            code="kind",
            detail=f"{order.kind} is not bought through this adapter",
        )
