"""What the sandbox remembers of requests, so that one sent twice has one effect."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from service.sandbox.gcp.operations import Operation


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request by its id: what it asked for, what it began, and when it is forgotten."""

    fingerprint: str
    answer: str
    forgotten_at: datetime


@dataclass(slots=True)
class Requests:
    """Request ids with their operations, and all operations by name."""

    by_id: dict[str, Remembered] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)

    def note(self, name: str, fingerprint: str, answer: str, forgotten_at: datetime) -> None:
        """Remember a request that had its effect."""
        self.by_id[name] = Remembered(fingerprint, answer, forgotten_at)
