"""Waits for what a sandbox does to a request whose caller has gone away."""

from __future__ import annotations

import time
from typing import Any

LASTS_SECONDS = 60


def wait_until_done(cloud: Any, operation: str) -> None:  # noqa: ANN401 - one of three clouds
    """Return once the first call of ``operation`` has had its effect, if it has one.

    A client that gave up may have done so before a busy sandbox had even read its request.
    """
    ends = time.monotonic() + LASTS_SECONDS
    while not cloud.server.calls[operation]:
        assert time.monotonic() < ends, f"{operation} never came"
        time.sleep(0.01)
    with cloud.world.lock:  # a call is counted and takes effect under one lock
        return
