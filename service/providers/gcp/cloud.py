"""Google Cloud's side of the port, put together for one set of credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.errors import InputError
from service.domain.hours import Clock
from service.providers.gcp.alterer import GcpAlterer
from service.providers.gcp.buyer import GcpBuyer
from service.providers.gcp.clients import GcpAccess, GcpClients
from service.providers.gcp.exports import GcpExports
from service.providers.gcp.permissions import GcpPermissions
from service.providers.gcp.price_list import Prices
from service.providers.gcp.reader import GcpReader
from service.providers.gcp.words import PROVIDER
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class GcpCloud:
    """Everything that a running Tenor needs of Google Cloud. ``finder`` is the buyer itself.

    ``exports`` is ``None`` where billing data lies on this machine already.
    """

    provider: str
    reader: GcpReader
    buyer: GcpBuyer
    finder: GcpBuyer
    alterer: GcpAlterer
    permissions: GcpPermissions
    exports: GcpExports | None
    close: Callable[[], None]


def gcp_cloud(access: GcpAccess, clock: Clock) -> GcpCloud:
    """Google Cloud behind the port; nothing is imported or asked until it is used."""
    clients = GcpClients(access)
    prices = Prices(clients, clock)
    buyer = GcpBuyer(clients, prices, clock=clock)
    return GcpCloud(
        provider=PROVIDER,
        reader=GcpReader(clients, prices, clock=clock),
        buyer=buyer,
        finder=buyer,
        alterer=GcpAlterer(clients, prices, clock=clock),
        permissions=GcpPermissions(clients),
        exports=None
        if access.export_table is None
        else GcpExports(clients, access.export_table, clock=clock),
        close=clients.close,
    )


def access_of(settings: Settings) -> GcpAccess | None:
    """How the settings say to reach Google Cloud; ``None`` when they do not speak of it.

    A loopback endpoint is a sandbox's, whose project, account and offers are its own. Raises
    ``InputError`` when they speak of it by half.
    """
    if settings.gcp_endpoint_url is not None:
        from service.sandbox.gcp.access import sandbox_access  # noqa: PLC0415 - a sandbox run

        return sandbox_access(settings.gcp_endpoint_url)
    if settings.gcp_project is None and settings.gcp_billing_account is None:
        return None
    if settings.gcp_project is None or settings.gcp_billing_account is None:
        raise InputError(
            "Google Cloud is set up by half",
            file="the settings",
            remedy="Set both TENOR_GCP_PROJECT and TENOR_GCP_BILLING_ACCOUNT, or neither.",
        )
    offers = {12: settings.gcp_flexible_offer_12, 36: settings.gcp_flexible_offer_36}
    return GcpAccess(
        project=settings.gcp_project,
        billing_account=settings.gcp_billing_account,
        credentials_file=settings.gcp_credentials_file,
        impersonate=settings.gcp_impersonate,
        flexible_offers={months: offer for months, offer in offers.items() if offer},
        flexible_past_offers=_past_offers(settings),
        flexible_region=settings.gcp_flexible_region,
        shared=settings.gcp_shared_commitments,
        export_table=settings.gcp_export_table,
    )


def _past_offers(settings: Settings) -> dict[str, int]:
    """The months of each offer that is named as a past one; ``InputError`` for two terms."""
    named = {
        12: settings.gcp_flexible_past_offers_12,
        36: settings.gcp_flexible_past_offers_36,
    }
    found: dict[str, int] = {}
    for months, text in named.items():
        for offer in filter(None, (word.strip() for word in text.split(","))):
            if found.setdefault(offer, months) != months:
                raise InputError(
                    f"{offer} is named as an offer of two terms",
                    file="the settings",
                    column=f"TENOR_GCP_FLEXIBLE_PAST_OFFERS_{months}",
                    remedy="Name each offer under its own term.",
                )
    return found
