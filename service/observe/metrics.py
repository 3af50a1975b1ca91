"""What this process itself did, counted for Prometheus: jobs and answered requests.

What the deployment did is in the database and is read at each scrape; see ``api.metrics``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

PROCESS = CollectorRegistry()
"""Everything that this process counts. A fresh start counts from zero, as Prometheus expects."""

ProcessCollector(registry=PROCESS)

_JOB_SECONDS = Histogram(
    "tenor_job_duration_seconds",
    "How long a job ran in this process.",
    ["job", "state"],
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
    registry=PROCESS,
)
_REQUEST_SECONDS = Histogram(
    "tenor_http_request_duration_seconds",
    "How long this process took to answer, by route.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=PROCESS,
)
_PROVIDER_CALLS = Counter(
    "tenor_purchase_calls",
    "Calls that may spend money, by what came of them.",
    ["provider", "outcome"],
    registry=PROCESS,
)


@contextmanager
def timed_job(job: str) -> Iterator[list[str]]:
    """Time one run of ``job``; put its state into the list that is given."""
    state: list[str] = []
    began = time.monotonic()
    try:
        yield state
    finally:
        word = state[-1] if state else "failed"
        _JOB_SECONDS.labels(job, word).observe(time.monotonic() - began)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request. ``route`` is the pattern, never the path that was asked for."""
    _REQUEST_SECONDS.labels(method, route, str(status)).observe(seconds)


def called(provider: str, outcome: str) -> None:
    """Count one call that may spend money: bought, refused or unknown."""
    _PROVIDER_CALLS.labels(provider, outcome).inc()
