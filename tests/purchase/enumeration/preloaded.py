"""What the server of victims imports once, so that each of them is a fork and nothing more."""

from __future__ import annotations

import contextlib
import importlib

MODULES = (
    "service.providers.aws.alterer",
    "service.providers.aws.buyer",
    "service.providers.aws.reader",
    "service.providers.azure.alterer",
    "service.providers.azure.buyer",
    "service.providers.azure.reader",
    "service.providers.gcp.cloud",
    "google.cloud.compute_v1",
    "google.cloud.commerce_consumer_procurement_v1",
    "google.cloud.billing_v1",
    "tests.purchase.enumeration.victims",
)

for _name in MODULES:
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(_name)
