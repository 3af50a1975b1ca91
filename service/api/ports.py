"""What the API needs that the database does not hold: the policy in force, and the schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from service.domain.usage import Dataset
from service.guard.policy import Policy, load_policy


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """The policy as it was read last, and the text that it was read from."""

    policy: Policy
    text: str


PolicySource = Callable[[], PolicyInForce]
"""Reads the policy in force; raises ``PolicyError`` when it cannot."""


def policy_file(path: Path) -> PolicySource:
    """A source of the policy in ``path``: what the file says now is in force.

    The file is read each time and parsed, strictly, whenever it says something new.
    """
    last: tuple[bytes, PolicyInForce] | None = None

    def read() -> PolicyInForce:
        nonlocal last
        raw = _bytes_of(path)
        if last is not None and last[0] == raw:
            return last[1]
        policy = load_policy(path)
        if raw is None or _bytes_of(path) != raw:
            return read()  # it changed while it was read; the text must be the policy's own
        last = (raw, PolicyInForce(policy=policy, text=raw.decode("utf-8-sig")))
        return last[1]

    return read


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


class UsageSource(Protocol):
    """Usage with its prices and what is owned, as bills and pictures need it."""

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers of which usage is known."""
        ...

    def dataset(self, provider: str, *, hours: int, end: datetime | None = None) -> Dataset:
        """``hours`` hours of a provider's eligible usage before ``end``, the newest by default.

        Raises ``TenorError`` when it cannot be had whole.
        """
        ...


class ScheduledJob(Protocol):
    """One job that the scheduler of this process keeps: due every ``every``, from ``offset``."""

    @property
    def name(self) -> str:
        """The job's schedule, as in the ids of its runs."""
        ...

    @property
    def every(self) -> timedelta:
        """The distance between two instants that it is due at."""
        ...

    @property
    def offset(self) -> timedelta:
        """How far its instants are shifted from those counted from 1970."""
        ...
