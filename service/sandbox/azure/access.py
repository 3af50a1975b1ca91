"""How to reach a sandbox Azure: the only place that pairs its token with its address."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path

from service.providers.azure.access import AzureAccess
from service.sandbox.azure.tables import shipped_tables

EXPORTS_PATH = "/tenorexports/costs"
"""Storage account and container of the sandbox's cost exports."""
EXPORT_NAME = "focus"
BILLING_ACCOUNT = "/providers/Microsoft.Billing/billingAccounts/5b0000"
"""What all subscriptions of the sandbox are billed to: the scope of its cost exports."""
OBJECT_ID = "5a000000-0000-4000-8000-0000000000aa"


def sandbox_access(
    endpoint_url: str,
    *,
    price_sheet: Path | None = None,
    purchase_read_timeout_seconds: float = 120.0,
    settle_reads: int = 4,
) -> AzureAccess:
    """Access to the sandbox at ``endpoint_url`` with its own token; never to anything else.

    Raises ``InputError`` for an address that is not on loopback.
    """
    tables = shipped_tables()
    return AzureAccess(
        tenant_id=tables["tenant"],
        subscription_id=tables["subscriptions"]["billing"],
        exports_url=endpoint_url.rstrip("/") + EXPORTS_PATH,
        exports_prefix=EXPORT_NAME,
        price_sheet=price_sheet,
        endpoint_url=endpoint_url,
        sandbox_token=sandbox_token(),
        purchase_read_timeout_seconds=purchase_read_timeout_seconds,
        settle_reads=settle_reads,
        settle_every_seconds=0.0,
        retry_backoff_seconds=0.01,
    )


@cache
def sandbox_token() -> str:
    """The bearer token of a sandbox's one principal, shaped as Azure's; it opens nothing else."""
    claims = {
        "tid": shipped_tables()["tenant"],
        "oid": OBJECT_ID,
        "appid": "5a000000-0000-4000-8000-0000000000bb",
    }
    parts = (json.dumps(one).encode() for one in ({"alg": "none", "typ": "JWT"}, claims))
    words = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return ".".join((*words, "sandbox"))
