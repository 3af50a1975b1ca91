"""Whom to speak for in Azure, and where: decides nothing by the machine's surroundings.

Fails closed. One credential is named, and only that one is ever used: when it does not work nothing
is called, and whatever else the environment holds is not tried. An endpoint other than Azure's own
must be on loopback and comes with a sandbox's own token, so a practice run cannot reach a real
cloud and real credentials cannot reach a practice one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from service.domain.errors import InputError
from service.providers.loopback import is_loopback

PROVIDER = "azure"
RETAIL_URL = "https://prices.azure.com"
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_CHARGES = re.compile(
    r"/subscriptions/[^/?#]+|/providers/Microsoft\.Billing/billingAccounts/[^/?#]+"
    r"(/billingProfiles/[^/?#]+)?",
    re.IGNORECASE,
)
_SETTINGS = "the settings"


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A service principal that shows a secret; never shown here."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A service principal that shows a certificate (PEM or PKCS12 with its key)."""

    client_id: str
    path: Path
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class WorkloadToken:
    """A service principal that shows a token which the platform writes into a file."""

    client_id: str
    token_file: Path


Credential = ClientSecret | ClientCertificate | WorkloadToken


@dataclass(frozen=True, slots=True)
class AzureAccess:
    """Which tenant and subscription to speak for, and how to get there.

    ``subscription_id`` pays: what is bought is billed to it. ``billing_scope`` replaces
    ``/subscriptions/ID`` as what purchases are charged to, where the right to buy hangs on a
    billing account. ``exports_url`` is the blob container of cost exports, ``exports_prefix`` the
    folder of one export in it; ``price_sheet`` a file or folder with a negotiated price sheet, or,
    with ``price_sheet_prefix``, where that export of the container is brought to. ``charges_scope``
    is the scope of those cost exports, whose hourly charges are read as well; ``None`` reads none.
    ``endpoint_url`` with ``sandbox_token`` is for a cloud on loopback only.

    A purchase is looked at ``settle_reads`` times, ``settle_every_seconds`` apart, before its
    outcome is called unknown. Reads that fail are tried again after ``retry_backoff_seconds``,
    twice as much the next time, and so on.
    """

    tenant_id: str
    subscription_id: str
    credential: Credential | None = None
    billing_scope: str | None = None
    exports_url: str | None = None
    exports_prefix: str = ""
    price_sheet: Path | None = None
    price_sheet_prefix: str | None = None
    charges_scope: str | None = None
    endpoint_url: str | None = None
    sandbox_token: str | None = field(default=None, repr=False)
    connect_timeout_seconds: float = 20.0
    purchase_read_timeout_seconds: float = 120.0
    settle_reads: int = 20
    settle_every_seconds: float = 3.0
    retry_backoff_seconds: float = 0.8

    def __post_init__(self) -> None:
        for name in ("tenant_id", "subscription_id"):
            if _GUID.match(getattr(self, name)) is None:
                raise InputError(
                    f"{getattr(self, name)!r} is not an Azure id",
                    file=_SETTINGS,
                    column=f"TENOR_AZURE_{name.upper()}",
                    remedy="Give it as 00000000-0000-0000-0000-000000000000.",
                )
        if self.charges_scope is not None and _CHARGES.fullmatch(self.charges_scope) is None:
            raise InputError(
                f"{self.charges_scope!r} is not a scope of costs",
                file=_SETTINGS,
                column="TENOR_AZURE_CHARGES_SCOPE",
                remedy="Give /subscriptions/ID or /providers/Microsoft.Billing/billingAccounts/ID, "
                "with /billingProfiles/ID where the exports are a profile's.",
            )
        if self.endpoint_url is None:
            self._require_credential()
            return
        for url in (self.endpoint_url, self.exports_url):
            if url is not None and not is_loopback(url):
                raise InputError(
                    f"the endpoint {url} is not on loopback",
                    file=_SETTINGS,
                    remedy="Leave it out to use Azure, or give http://127.0.0.1:PORT of a sandbox.",
                )
        if self.credential is not None or self.sandbox_token is None:
            raise InputError(
                "a loopback endpoint is only spoken to with the sandbox's own token",
                file=_SETTINGS,
                remedy="Unset the Azure credential, or the endpoint.",
            )

    def _require_credential(self) -> None:
        if self.credential is None or self.sandbox_token is not None:
            raise InputError(
                "Azure needs one credential, named",
                file=_SETTINGS,
                remedy="Set TENOR_AZURE_CLIENT_ID and one of TENOR_AZURE_CLIENT_SECRET, "
                "TENOR_AZURE_CERTIFICATE_FILE and TENOR_AZURE_TOKEN_FILE.",
            )
        if self.exports_url is not None and urlsplit(self.exports_url).scheme != "https":
            raise InputError(
                f"{self.exports_url} is not https",
                file=_SETTINGS,
                column="TENOR_AZURE_EXPORTS_URL",
                remedy="Give https://ACCOUNT.blob.core.windows.net/CONTAINER.",
            )

    @property
    def charged_to(self) -> str:
        """The ``billingScopeId`` of every purchase."""
        return self.billing_scope or f"/subscriptions/{self.subscription_id}"

    @property
    def retail_url(self) -> str:
        """Where public prices are asked for."""
        return self.endpoint_url or RETAIL_URL
