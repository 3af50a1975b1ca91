"""BigQuery, as far as reading the billing export needs it."""

from __future__ import annotations

from collections.abc import Mapping

from service.sandbox.gcp.wire.call import Handler

EXPORT_TABLE = "billing.gcp_billing_export_resource_v1"
OPERATIONS: Mapping[str, Handler] = {}
