"""``ProviderReader`` for one AWS account: each answer complete, in domain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.domain.commitments import Offering
from service.domain.ids import AccountId
from service.domain.purchases import InventoryItem
from service.domain.usage import Sku, SkuKey
from service.providers.aws import inventory, prices, reservations, savings_plans
from service.providers.aws.clients import PROVIDER, AwsClients, invoke, invoke_all
from service.providers.port import Identity, ShownPrice


class AwsReader:
    """Reads AWS with one set of credentials.

    ``regions``: where reservations are looked for; ``None`` asks AWS for the account's regions.
    ``zones``: where zonal reservations are offered too; they cost what regional ones do.
    """

    def __init__(
        self,
        clients: AwsClients,
        *,
        regions: Sequence[str] | None = None,
        zones: Sequence[str] = (),
    ) -> None:
        self._clients = clients
        self._zones = tuple(zones)
        self._regions = None if regions is None else list(regions)
        self._account: AccountId | None = None

    def identity(self) -> Identity:
        """The account and principal behind the credentials."""
        answer = invoke(self._clients.reading("sts"), "get_caller_identity", {}, needs="Account")
        return Identity(PROVIDER, AccountId(answer["Account"]), answer["Arn"])

    def accounts(self) -> Sequence[AccountId]:
        """Every active account of the organisation; the credentials must be its payer's."""
        listed = invoke_all(
            self._clients.reading("organizations"),
            "list_accounts",
            {},
            items="Accounts",
            token="NextToken",  # noqa: S106  # the name of a field
        )
        return [AccountId(one["Id"]) for one in listed if one.get("Status") == "ACTIVE"]

    def prices(self, keys: Sequence[SkuKey], shown: Mapping[SkuKey, ShownPrice]) -> Sequence[Sku]:
        """The public on-demand price of each key, from the price list or else from ``shown``."""
        return prices.prices(self._clients, keys, shown)

    def offerings(self, keys: Sequence[SkuKey]) -> Sequence[Offering]:
        """Everything on sale that covers any of ``keys``: Savings Plans, then reservations."""
        return [
            *savings_plans.offerings(self._clients, keys),
            *reservations.offerings(self._clients, keys, self._zones),
        ]

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        """What ``items`` are commitments of, at the rates they were bought at, for ``keys``.

        One call or more for each Savings Plan, none for a reservation: its price is its own.
        """
        return [
            savings_plans.owned_offering(self._clients, item, keys)
            if item.kind.is_spend
            else reservations.owned_offering(item)
            for item in items
        ]

    def inventory(self) -> Sequence[InventoryItem]:
        """All Savings Plans and EC2 reservations of the account, in every state."""
        if self._account is None:
            # The credentials' account is theirs for good; execution asks for it every time.
            self._account = self.identity().account
        if self._regions is None:
            self._regions = inventory.regions(self._clients)
        return [
            *inventory.savings_plans(self._clients, self._account),
            *inventory.reservations(self._clients, self._account, self._regions),
        ]
