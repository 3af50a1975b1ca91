"""A person who signs everything that waits, over the API as a person's tool would."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

_TIMEOUT_SECONDS = 30


def approve_waiting(url: str, token: str) -> int:
    """Approve each waiting proposal as it was read; returns how many there were."""
    listed = _call(url + "/v1/proposals?state=waiting&limit=200", token)
    for proposal in listed["items"]:
        path = f"{url}/v1/proposals/{proposal['id']}/approve"
        _call(path, token, body={"comment": "demo"}, version=proposal["version"])
    return len(listed["items"])


def _call(
    url: str, token: str, *, body: dict[str, str] | None = None, version: int | None = None
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if version is not None:
        headers["If-Match"] = f'"v{version}"'
    content = None if body is None else json.dumps(body).encode()
    # The address is this process's own server, on loopback.
    request = urllib.request.Request(url, data=content, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        parsed: dict[str, Any] = json.load(answer)
    return parsed
