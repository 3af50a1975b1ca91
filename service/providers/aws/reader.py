"""``ProviderReader`` for one AWS account: each answer complete, in domain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.domain.commitments import Offering
from service.domain.ids import AccountId, CommitmentId
from service.domain.purchases import InventoryItem
from service.domain.usage import Sku, SkuKey
from service.providers.aws import inventory, nodes, prices, reservations, savings_plans
from service.providers.aws.clients import PROVIDER, AwsClients, invoke, invoke_all
from service.providers.aws.node_services import NODE_KINDS
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
            *nodes.offerings(self._clients, keys),
        ]

    def owned_offerings(
        self, items: Sequence[InventoryItem], keys: Sequence[SkuKey]
    ) -> Sequence[Offering]:
        """What ``items`` are commitments of, at the rates they were bought at, for ``keys``.

        One call or more for each Savings Plan, one listing for each service and region with
        reserved nodes, none for EC2 reservations: what they are is in their offering's id.
        """
        reserved = [item for item in items if item.kind in NODE_KINDS]
        of_nodes = nodes.owned_offerings(self._clients, reserved, keys)
        return [self._owned_offering(item, keys, of_nodes) for item in items]

    def _owned_offering(
        self,
        item: InventoryItem,
        keys: Sequence[SkuKey],
        of_nodes: Mapping[CommitmentId, Offering],
    ) -> Offering:
        if item.kind in NODE_KINDS:
            return of_nodes[item.commitment.commitment]
        if item.kind.is_spend:
            return savings_plans.owned_offering(self._clients, item, keys)
        return reservations.owned_offering(item)

    def inventory(self) -> Sequence[InventoryItem]:
        """All Savings Plans and reservations of the account, in every state."""
        if self._account is None:
            # The credentials' account is theirs for good; execution asks for it every time.
            self._account = self.identity().account
        if self._regions is None:
            self._regions = inventory.regions(self._clients)
        return [
            *inventory.savings_plans(self._clients, self._account),
            *inventory.reservations(self._clients, self._account, self._regions),
            *nodes.inventory(self._clients, self._account, self._regions),
        ]
