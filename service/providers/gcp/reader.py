"""``ProviderReader`` for one billing account: each answer complete, in domain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.domain.commitments import Offering
from service.domain.errors import ProviderError
from service.domain.hours import Clock
from service.domain.ids import AccountId
from service.domain.purchases import InventoryItem
from service.domain.usage import Sku, SkuKey
from service.providers.gcp import inventory, offerings, price_list
from service.providers.gcp.clients import GcpClients, invoke, invoke_all
from service.providers.gcp.price_list import Prices
from service.providers.gcp.words import PROVIDER
from service.providers.port import Identity, ShownPrice


class GcpReader:
    """Reads one billing account, its projects and their commitments."""

    def __init__(self, clients: GcpClients, prices: Prices, *, clock: Clock) -> None:
        self._clients = clients
        self._prices = prices
        self._clock = clock

    def identity(self) -> Identity:
        """The buying project, proven to be paid by the billing account, and who we speak as."""
        project = require_billing(self._clients)
        return Identity(PROVIDER, project, self._clients.principal)

    def accounts(self) -> Sequence[AccountId]:
        """Every project that the billing account pays for."""
        return projects(self._clients)

    def prices(self, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]) -> Sequence[Sku]:
        """The public on-demand price of each key, from the price list or else from ``shown``."""
        return price_list.skus(self._prices.recent(), keys, shown)

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        """Resource commitments of the keys' series, and the flexible ones that are set up."""
        return offerings.offerings(self._prices.recent(), self._clients.access, keys)

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        """What each of ``items`` is of, at its own rate; flexible ones at the discounts of now."""
        return [offerings.owned_offering(self._prices.recent(), item, keys) for item in items]

    def inventory(self) -> Sequence[InventoryItem]:
        """Resource commitments of every project, and flexible ones, in every state."""
        prices = self._prices.recent()
        projects = self.accounts()
        return [
            *inventory.resource_commitments(self._clients, prices, projects),
            *inventory.flexible_commitments(
                self._clients, inventory.orders(self._clients), self._clock.now()
            ),
        ]


def require_billing(clients: GcpClients) -> AccountId:
    """The buying project, when its billing account is the one that was set up.

    ``ProviderError`` when another account pays for it, or none does.
    """
    access = clients.access
    answer = invoke(
        "projects.getBillingInfo",
        clients.billing().get_project_billing_info,
        name=f"projects/{access.project}",
    )
    expected = f"billingAccounts/{access.billing_account}"
    if not answer.billing_enabled or answer.billing_account_name != expected:
        raise ProviderError(
            provider=PROVIDER,
            operation="projects.getBillingInfo",
            code="other_billing_account",
            detail=f"{access.project} is paid by {answer.billing_account_name or 'nobody'}, "
            f"not by {expected}",
        )
    return AccountId(access.project)


def projects(clients: GcpClients) -> list[AccountId]:
    """Every project that the billing account pays for; ``ProviderError`` when not told."""
    listed = invoke_all(
        "billingAccounts.projects.list",
        clients.billing().list_project_billing_info,
        name=f"billingAccounts/{clients.access.billing_account}",
    )
    return [AccountId(one.project_id) for one in listed if one.billing_enabled]
