"""``ProviderBuyer`` and ``ProviderFinder`` for one project and its billing account."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from service.domain.commitments import Kind
from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import Clock
from service.domain.ids import OfferingId
from service.domain.money import CommitUsdPerHour, from_nano, nano
from service.domain.plans import Companion
from service.domain.purchases import Evidence, Idempotency, Outcome, PurchaseOrder, Quote, Refused
from service.providers.dearer import refuse_dearer
from service.providers.gcp import flexible, resource_commitments
from service.providers.gcp.clients import GcpClients
from service.providers.gcp.outcome import NOT_SENT
from service.providers.gcp.price_list import PriceList, Prices
from service.providers.gcp.reader import require_billing
from service.providers.gcp.words import PROVIDER, resource_terms
from service.providers.port import StillWanted, always_wanted

_KINDS = frozenset({Kind.GCP_RESOURCE_CUD, Kind.GCP_FLEXIBLE_CUD})


class GcpBuyer:
    """Buys for one project and in no other: an order for another is refused."""

    def __init__(self, clients: GcpClients, prices: Prices, *, clock: Clock) -> None:
        self._clients = clients
        self._prices = prices
        self._clock = clock

    def idempotency(self, kind: Kind) -> Idempotency:
        """``NATIVE``: both kinds carry a request id, and a name that is the intent's own."""
        if kind in _KINDS:
            return Idempotency.NATIVE
        msg = f"{kind} cannot be bought through this adapter"
        raise InvariantError(msg)

    def quote(self, order: PurchaseOrder) -> Quote:
        """The order's price by the price list as it is now; ``ProviderError`` when not on sale.

        A flexible commitment costs what it says; its quote cannot show that the discount of a
        covered SKU has changed.
        """
        beside: Companion | None = None
        if order.kind is Kind.GCP_FLEXIBLE_CUD:
            flexible.offer_of(self._clients.access, order)
            hourly = order.quantity
        else:
            prices = self._prices.fresh()
            hourly = _hourly_usd(prices, order, order.offering, order.quantity)
            if order.companion is not None:
                named, amount = order.companion.offering, order.companion.quantity
                usd = _hourly_usd(prices, order, named, amount)
                hourly += usd
                beside = replace(order.companion, commit_usd_per_hour=CommitUsdPerHour(usd))
        return Quote(
            offering=order.offering,
            quantity=order.quantity,
            commit_usd_per_hour=CommitUsdPerHour(hourly),
            upfront_usd=Decimal(0),
            quoted_at=self._clock.now(),
            companion=beside,
        )

    def buy(self, order: PurchaseOrder, *, still_wanted: StillWanted = always_wanted) -> Outcome:
        """Buy in exactly one attempt on the wire; see ``outcome`` for what each error proves."""
        project = self._clients.access.project
        if order.account != project:
            detail = f"the settings are for {project}, the order for {order.account}"
            return Refused(code="wrong_account", detail=detail)
        if order.kind not in _KINDS:
            detail = f"{order.kind} cannot be bought through this adapter"
            return Refused(code="kind", detail=detail)
        if order.start_at is not None:
            return Refused(code="queue", detail="Google Cloud queues no purchases")
        try:
            require_billing(self._clients)
        except ProviderError as error:
            return Refused(code=NOT_SENT, detail=str(error))
        if order.kind is Kind.GCP_FLEXIBLE_CUD:
            return flexible.purchase(self._clients, order, still_wanted)
        return resource_commitments.purchase(
            self._clients, order, still_wanted, too_dear=self._too_dear
        )

    def _too_dear(self, order: PurchaseOrder) -> Refused | None:
        """Why it is not bought at the price of now, which is read anew."""
        try:
            now = self.quote(order)
        except ProviderError as error:
            return Refused(code=NOT_SENT, detail=f"the price of now is not told: {error}")
        return refuse_dearer(order, hourly_usd=now.commit_usd_per_hour, upfront_usd=now.upfront_usd)

    def look_up(self, order: PurchaseOrder) -> Evidence:
        """What became of the order, by its commitment's name or its order's display name."""
        if order.kind is Kind.GCP_FLEXIBLE_CUD:
            return flexible.verified(self._clients, order)
        return resource_commitments.verified(self._clients, order)


def _hourly_usd(
    prices: PriceList, order: PurchaseOrder, offering: OfferingId, quantity: Decimal
) -> Decimal:
    """What so much of an offering costs an hour, in whole nano-dollars, as it will be listed."""
    terms = resource_terms(offering)
    rate = prices.rate_usd(terms)
    if rate is None or terms.term_months != order.term_months:
        raise ProviderError(
            provider=PROVIDER,
            operation="catalog.list_skus",
            code="not_on_sale",
            detail=f"{offering} is not in the price list",
        )
    return from_nano(nano(rate * quantity))
