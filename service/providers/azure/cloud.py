"""Azure behind the port, whole: from settings to an access, from an access to the parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from service.domain.errors import InputError
from service.domain.hours import Clock
from service.providers.azure.access import (
    AzureAccess,
    ClientCertificate,
    ClientSecret,
    Credential,
    WorkloadToken,
)
from service.settings import Settings

if TYPE_CHECKING:
    from service.providers.port import (
        ProviderAlterer,
        ProviderBuyer,
        ProviderExports,
        ProviderFinder,
        ProviderPermissions,
        ProviderReader,
    )


@dataclass(frozen=True, slots=True)
class AzureParts:
    """Everything that speaks to one Azure tenant for one paying subscription.

    ``exports`` is ``None`` when no container of cost exports is set.
    """

    reader: ProviderReader
    buyer: ProviderBuyer
    finder: ProviderFinder
    alterer: ProviderAlterer
    permissions: ProviderPermissions
    exports: ProviderExports | None
    close: Callable[[], None]


def azure_cloud(access: AzureAccess, clock: Clock) -> AzureParts:
    """The parts for ``access``. The SDKs are loaded now, and not before."""
    from service.providers.azure.alterer import AzureAlterer  # noqa: PLC0415 - loads the SDKs
    from service.providers.azure.buyer import AzureBuyer  # noqa: PLC0415
    from service.providers.azure.charges import ExportsWithCharges  # noqa: PLC0415
    from service.providers.azure.clients import AzureClients  # noqa: PLC0415
    from service.providers.azure.exports import AzureExports  # noqa: PLC0415
    from service.providers.azure.permissions import AzurePermissions  # noqa: PLC0415
    from service.providers.azure.reader import AzureReader  # noqa: PLC0415

    clients = AzureClients(access)
    exports: ProviderExports | None = None
    if access.exports_url is not None:
        exports = AzureExports(clients)
        if access.charges_scope is not None:
            exports = ExportsWithCharges(exports, clients, access.charges_scope)
    buyer = AzureBuyer(clients, clock=clock)
    return AzureParts(
        reader=AzureReader(clients, clock=clock),
        buyer=buyer,
        finder=buyer,
        alterer=AzureAlterer(clients, clock=clock),
        permissions=AzurePermissions(clients),
        exports=exports,
        close=clients.close,
    )


def azure_access(settings: Settings) -> AzureAccess | None:
    """How the settings say to reach Azure; ``None`` when they do not speak of it.

    A loopback endpoint is spoken to with the sandbox's own token only, whatever else is set: the
    access itself refuses anything else.
    """
    if settings.azure_endpoint_url is not None:
        from service.sandbox.azure import access as sandbox  # noqa: PLC0415 - only a sandbox

        there = sandbox.sandbox_access(
            settings.azure_endpoint_url, price_sheet=settings.azure_price_sheet
        )
        return replace(there, charges_scope=_charges_scope(settings, sandbox.BILLING_ACCOUNT))
    if settings.azure_tenant_id is None:
        return None
    if settings.azure_subscription_id is None:
        raise InputError(
            "there is a tenant and no subscription that pays",
            file="the environment",
            column="TENOR_AZURE_SUBSCRIPTION_ID",
            remedy="Name the subscription that reservations and savings plans are billed to.",
        )
    return AzureAccess(
        tenant_id=settings.azure_tenant_id,
        subscription_id=settings.azure_subscription_id,
        credential=_credential(settings),
        billing_scope=settings.azure_billing_scope,
        exports_url=settings.azure_exports_url,
        exports_prefix=settings.azure_exports_prefix,
        price_sheet=settings.azure_price_sheet,
        price_sheet_prefix=settings.azure_price_sheet_prefix,
        charges_scope=_charges_scope(settings, f"/subscriptions/{settings.azure_subscription_id}"),
    )


def _charges_scope(settings: Settings, otherwise: str) -> str | None:
    """Whose hourly charges are read; nobody's while rows of whole days are refused."""
    if settings.azure_daily_rows != "shape":
        return None
    return (settings.azure_charges_scope or otherwise).rstrip("/")


def _credential(settings: Settings) -> Credential:
    """The one credential that is set; several, or none, are an error and no chain to try."""
    client = settings.azure_client_id
    secret, password = settings.azure_client_secret, settings.azure_certificate_password
    found: list[Credential] = []
    if client is not None and secret is not None:
        found.append(ClientSecret(client, secret.get_secret_value()))
    if client is not None and settings.azure_certificate_file is not None:
        word = None if password is None else password.get_secret_value()
        found.append(ClientCertificate(client, settings.azure_certificate_file, word))
    if client is not None and settings.azure_token_file is not None:
        found.append(WorkloadToken(client, settings.azure_token_file))
    if len(found) != 1:
        raise InputError(
            f"{len(found)} credentials are set for Azure",
            file="the environment",
            column="TENOR_AZURE_CLIENT_ID",
            remedy="Set it and exactly one of TENOR_AZURE_CLIENT_SECRET, "
            "TENOR_AZURE_CERTIFICATE_FILE and TENOR_AZURE_TOKEN_FILE.",
        )
    return found[0]
