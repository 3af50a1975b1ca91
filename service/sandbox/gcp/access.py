"""How to reach a sandbox Google Cloud: the only place that makes access to one."""

from __future__ import annotations

from service.providers.gcp.clients import GcpAccess
from service.sandbox.gcp.catalog import shipped_catalog
from service.sandbox.gcp.wire.bigquery import EXPORT_TABLE

POLLS = 6


def sandbox_access(
    endpoint_url: str,
    *,
    project: str | None = None,
    shared: bool = True,
    purchase_timeout_seconds: float = 60.0,
) -> GcpAccess:
    """Access to the sandbox at ``endpoint_url``, without credentials; never to anything else.

    Speaks for the project that buys, or for another ``project``. Raises ``InputError`` for an
    address that is not on loopback.
    """
    catalog = shipped_catalog()
    tables = catalog.tables
    return GcpAccess(
        project=project or tables["projects"]["commitments"],
        billing_account=tables["billing_account"],
        endpoint_url=endpoint_url,
        flexible_offers={one.term_months: one.offer for one in catalog.flexible.values()},
        shared=shared,
        export_table=f"{tables['projects']['commitments']}.{EXPORT_TABLE}",
        purchase_timeout_seconds=purchase_timeout_seconds,
        polls=POLLS,
        poll_seconds=0.0,
    )
