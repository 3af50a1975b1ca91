"""Plain HTTP to a sandbox Google Cloud: what somebody else, or another tool, might ask."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from service.sandbox.gcp.cloud import GcpSandbox


def ask(
    cloud: GcpSandbox,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """One request; its status and answer."""
    connection = http.client.HTTPConnection(urlsplit(cloud.endpoint_url).netloc, timeout=10)
    try:
        connection.request(method, path, json.dumps(body or {}), dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


def insert_raw(cloud: GcpSandbox, *, name: str, vcpus: int, memory_mb: int, **more: object) -> int:
    """Buy a one-year N2 commitment as another tool would; the HTTP status."""
    resources = [
        {"type": kind, "amount": str(amount)}
        for kind, amount in (("VCPU", vcpus), ("MEMORY", memory_mb))
        if amount
    ]
    body = {
        "name": name,
        "plan": "TWELVE_MONTH",
        "type": "GENERAL_PURPOSE_N2",
        "category": "MACHINE",
        "resources": resources,
        **more,
    }
    path = "/compute/v1/projects/acme-commitments/regions/us-central1/commitments"
    return ask(cloud, "POST", path, body)[0]
