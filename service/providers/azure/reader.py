"""``ProviderReader`` for one Azure tenant and paying subscription: each answer complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from service.domain.commitments import Offering
from service.domain.errors import ProviderError
from service.domain.hours import TERM_HOURS, Clock
from service.domain.ids import AccountId
from service.domain.purchases import InventoryItem
from service.domain.usage import Sku, SkuKey
from service.providers.azure import inventory, reservations, savings_plans
from service.providers.azure.access import PROVIDER
from service.providers.azure.catalog import Catalog
from service.providers.azure.clients import AzureClients
from service.providers.azure.exports import AzureExports
from service.providers.azure.price_sheet import NO_SHEET, PriceSheet, load_price_sheet
from service.providers.azure.prices import priced, retail
from service.providers.azure.reservations import ReservationTerms, offering_of
from service.providers.azure.words import account_of
from service.providers.bringing import kept_in
from service.providers.port import Identity, ShownPrice
from service.usage.azure_sku import describe_sku

_SUBSCRIPTIONS_VERSION = "2022-12-01"
_ENABLED = "Enabled"


class AzureReader:
    """Reads Azure with one credential. Accounts are subscriptions."""

    def __init__(self, clients: AzureClients, *, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock

    def identity(self) -> Identity:
        """The paying subscription, if it is in our tenant and the credential reaches it."""
        access = self._clients.access
        claims = self._clients.claims()
        operation, path = "Subscriptions.Get", f"/subscriptions/{access.subscription_id}"
        answer = self._clients.get(operation, path, {"api-version": _SUBSCRIPTIONS_VERSION})
        tenants = {str(claims.get("tid")).lower(), str(answer.get("tenantId")).lower()}
        if tenants != {access.tenant_id.lower()} or answer.get("state") != _ENABLED:
            raise ProviderError(
                provider=PROVIDER,
                operation=operation,
                code="wrong_tenant" if answer.get("state") == _ENABLED else "not_enabled",
                detail=f"{path} is {answer.get('state')} in tenants {sorted(tenants)}",
            )
        principal = f"{access.tenant_id}/{claims.get('oid') or claims.get('appid')}"
        return Identity(PROVIDER, account_of(str(answer.get("subscriptionId"))), principal)

    def accounts(self) -> Sequence[AccountId]:
        """Every enabled subscription that the credential sees."""
        listed = self._clients.get_all(
            "Subscriptions.List", "/subscriptions", {"api-version": _SUBSCRIPTIONS_VERSION}
        )
        return [
            account_of(str(one.get("subscriptionId")))
            for one in listed
            if one.get("state") == _ENABLED
        ]

    def prices(self, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]) -> Sequence[Sku]:
        """The on-demand price of each key: ours by the price sheet, else the public one."""
        return priced(keys, shown, retail(self._clients, keys, self._sheet()), self._catalog(keys))

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        """Every reservation and savings plan on sale that covers any of ``keys``."""
        found = retail(self._clients, keys, self._sheet())
        return [
            *reservations.offerings(keys, found, self._catalog(keys)),
            *savings_plans.offerings(keys, found),
        ]

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        """What each of ``items`` is of: reservations at their own price, plans at today's rates."""
        found = retail(self._clients, keys, self._sheet()) if _any_plan(items) else None
        catalog = self._catalog(keys)
        owned: list[Offering] = []
        for item in items:
            if found is not None and item.kind.is_spend:
                rates = savings_plans.owned_rates(keys, found, item.term_months)
                owned.append(savings_plans.plan_offering(item.term_months, item.payment, rates))
            else:
                owned.append(_owned_reservation(item, catalog))
        return owned

    def inventory(self) -> Sequence[InventoryItem]:
        """All reservations of machines and all savings plans of the tenant, in every state."""
        return [
            *inventory.reservations(self._clients),
            *inventory.savings_plans(self._clients),
        ]

    def _sheet(self) -> PriceSheet:
        access = self._clients.access
        if access.price_sheet is None:
            return NO_SHEET
        if access.price_sheet_prefix is None:
            return load_price_sheet(access.price_sheet, self._clock.now())
        # A folder of its own: a price sheet is all that lies in it.
        folder = access.price_sheet / "fetched"
        with kept_in(folder, named_by="TENOR_AZURE_PRICE_SHEET"):
            AzureExports(self._clients, prefix=access.price_sheet_prefix).fetch(folder)
        return load_price_sheet(folder, self._clock.now())

    def _catalog(self, keys: Sequence[SkuKey]) -> Catalog:
        regions = {key.region for key in keys if describe_sku(key.sku).arm_sku_name is not None}
        return Catalog.read(self._clients, regions, self._clock.now().date())


def _any_plan(items: Sequence[InventoryItem]) -> bool:
    return any(item.kind.is_spend for item in items)


def _owned_reservation(item: InventoryItem, catalog: Catalog) -> Offering:
    terms = ReservationTerms.of_offering(item.commitment.offering)
    size = catalog.size(terms.region, terms.arm_sku_name)
    whole_usd = Decimal(item.commit_usd_per_hour) * TERM_HOURS[terms.term_months]
    count = item.commitment.quantity
    return offering_of(terms, size, whole_usd / count if count else whole_usd)
